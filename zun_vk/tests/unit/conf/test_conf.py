# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.
from oslo_config import cfg
from oslotest import base

from zun_vk.conf import opts


class ConfTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.conf = cfg.ConfigOpts()
        opts.register_all(self.conf)

    def _read(self, *lines):
        path = self.create_tempfiles([('zun-vk', '\n'.join(lines))])[0]
        self.conf(['--config-file', path], project='zun-vk')
        return self.conf

    def _value(self, section, name, text):
        self.conf.clear()
        return self._read(f'[{section}]', f'{name} = {text}')[section][name]

    def test_the_defaults_are_those_the_documentation_promises(self):
        conf = self._read()
        self.assertEqual('/etc/zun-vk/kubeconfig',
                         conf.kubernetes.kubeconfig)
        self.assertIsNone(conf.kubernetes.context)
        self.assertEqual(30, conf.kubernetes.timeout)
        self.assertEqual(
            ('zun-vk', 10, 110,
             'virtual-kubelet.io/provider=zun:NoSchedule', {}),
            (conf.node.name, conf.node.capacity_interval,
             conf.node.pods_per_host, conf.node.taint, conf.node.labels))
        self.assertEqual(
            ('compute', 16),
            (conf.pods.capsule_runtime, conf.pods.workers))
        self.assertEqual((10, 200), (conf.zun.poll_interval,
                                     conf.zun.requests_per_second))
        self.assertEqual(('127.0.0.1', 0),
                         (conf.metrics.address, conf.metrics.port))
        self.assertEqual((10250, '', '', 1000), (
            conf.kubelet_api.port, conf.kubelet_api.address,
            conf.kubelet_api.client_ca_file,
            conf.kubelet_api.max_connections))
        for section in ('zun', 'placement', 'neutron'):
            self.assertEqual(['internal', 'public'],
                             conf[section].valid_interfaces)
            self.assertFalse(conf[section].insecure)
        self.assertEqual(('container', 'placement', 'network'), (
            conf.zun.service_type, conf.placement.service_type,
            conf.neutron.service_type))

    def test_values_that_make_no_sense_are_refused_by_name(self):
        for section, name, text in (
                ('node', 'name', 'Zun_VK'), ('node', 'name', '-a'),
                ('node', 'name', 'a' * 254), ('node', 'name', ''),
                ('node', 'address', 'not an address'),
                ('node', 'capacity_interval', '0'),
                ('node', 'capacity_interval', 'often'),
                ('node', 'pods_per_host', '0'),
                ('node', 'taint', 'a=b'), ('node', 'taint', 'a=b:Never'),
                ('node', 'taint', 'a b:NoSchedule'),
                ('node', 'labels', 'no-colon'),
                ('kubernetes', 'timeout', '0'), ('pods', 'workers', '0'),
                ('pods', 'workers', '1000'),
                ('pods', 'kubernetes_service_host', 'not a host'),
                ('pods', 'kubernetes_service_port', '0'),
                ('pods', 'daemonsets', 'maybe'),
                ('pods', 'placement_deadline', '-1'),
                ('zun', 'poll_interval', '0'),
                ('zun', 'requests_per_second', '0'),
                ('kubelet_api', 'port', '70000'),
                ('kubelet_api', 'max_connections', '1'),
                ('metrics', 'port', '70000')):
            error = self.assertRaises((cfg.Error, ValueError), self._value,
                                      section, name, text)
            self.assertIn(name, str(error))

    def test_values_that_make_sense_are_taken(self):
        for section, name, text, value in (
                ('node', 'name', 'zun-vk.az-1', 'zun-vk.az-1'),
                ('node', 'taint', '', ''),
                ('node', 'taint', 'a/b=c:NoExecute', 'a/b=c:NoExecute'),
                ('node', 'taint', 'a:PreferNoSchedule',
                 'a:PreferNoSchedule'),
                ('node', 'address', '2001:db8::1', '2001:db8::1'),
                ('node', 'labels', 'a:b,c.io/d:e', {'a': 'b',
                                                    'c.io/d': 'e'}),
                ('node', 'capacity_interval', '2.5', 2.5)):
            self.assertEqual(value, self._value(section, name, text))


class ListOptsTestCase(base.BaseTestCase):

    def test_every_option_has_a_help_and_a_section(self):
        for section, options in opts.list_opts():
            self.assertIsInstance(section, str)
            for option in options:
                self.assertTrue(option.help, f'[{section}] {option.name}')

    def test_what_is_registered_is_what_is_listed(self):
        conf = cfg.ConfigOpts()
        opts.register_all(conf)
        conf([], project='zun-vk', default_config_files=[])
        listed = {section: {option.dest for option in options}
                  for section, options in opts.list_opts()}
        self.assertEqual({'agent', 'compute', 'kubelet_api', 'kubernetes',
                          'metrics', 'neutron', 'node', 'placement', 'pods',
                          'tenants', 'zun'},
                         set(listed))
        for section, names in listed.items():
            self.assertLessEqual(set(conf[section]), names, section)

    def test_no_option_is_listed_twice(self):
        for section, options in opts.list_opts():
            names = [option.dest for option in options]
            self.assertEqual(len(set(names)), len(names), section)

    def test_secrets_are_marked_so_that_logs_hide_them(self):
        for section, options in opts.list_opts():
            for option in options:
                if 'password' in option.dest or 'secret' in option.dest:
                    self.assertTrue(option.secret,
                                    f'[{section}] {option.dest}')

    def test_the_sample_does_not_depend_on_the_machine(self):
        for _, options in opts.list_opts():
            for option in options:
                if option.dest == 'address' and option.sample_default is None:
                    self.assertIn(option.default, ('127.0.0.1', ''))
