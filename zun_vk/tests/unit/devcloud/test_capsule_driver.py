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
"""Which servers the hosts have with each capsule driver."""

import configparser
import io
import json
from pathlib import Path
from unittest import mock

from devcloud import agent
from devcloud import capsule_driver
from devcloud import cloud as clouds
from devcloud import errors
from devcloud import hosts
from devcloud import identity
from devcloud import openstack
from devcloud import progress
from devcloud import servers
from devcloud import worker
from devcloud import zun_cni
from devcloud import zun_hosts
from zun_vk.tests.unit.devcloud import base

VENV = Path('/venv')


class CapsuleDriverTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.where.make()
        hosts.add(self.where, 'two')

    def _table(self, driver):
        capsule_driver.choose(self.where, driver)
        zun_hosts.write_configuration(self.where, VENV)
        return {server.name: server
                for server in zun_hosts.table(self.where, VENV)}

    def _zun_conf(self, host='two'):
        parser = configparser.ConfigParser(interpolation=None)
        parser.read(zun_hosts.zun_conf(self.where, host))
        return parser

    def test_a_choice_is_remembered(self):
        self.assertEqual(capsule_driver.DEFAULT,
                         capsule_driver.chosen(self.where))
        for name in capsule_driver.NAMES:
            capsule_driver.choose(self.where, name)
            self.assertEqual(name, capsule_driver.chosen(self.where))

    def test_what_is_no_driver_is_refused(self):
        self.assertRaises(errors.DevcloudError, capsule_driver.choose,
                          self.where, 'podman')
        self.assertEqual(capsule_driver.DEFAULT,
                         capsule_driver.chosen(self.where))

    def test_the_stock_docker_path_has_no_containerd(self):
        names = set(self._table('docker'))
        self.assertEqual({'dockerd', 'dockerd-two', 'zun-compute',
                          'zun-compute-two'}, names)
        self.assertEqual('docker',
                         self._zun_conf()['DEFAULT']['capsule_driver'])

    def test_stock_cri_speaks_to_the_containerd_of_its_host(self):
        found = self._table('cri')
        self.assertIn('containerd-two', found)
        self.assertNotIn('zun-vk-compute', found)
        env = found['zun-compute-two'].env
        self.assertIn('/containerd-two/', env['DEVCLOUD_CRI_ENDPOINT'])

    def test_every_host_has_a_zun_vk_compute_of_its_own(self):
        found = self._table('zun_vk')
        self.assertEqual('zun_vk',
                         self._zun_conf()['DEFAULT']['capsule_driver'])
        parser = configparser.ConfigParser(interpolation=None)
        parser.read(worker.path(self.where, 'two'))
        self.assertEqual('two', parser['compute']['host'])
        self.assertIn('/containerd-two/',
                      parser['compute']['runtime_endpoint'])
        self.assertLessEqual(
            {'containerd-two', 'zun-vk-compute-two'},
            set(found['zun-compute-two'].after))
        self.assertNotIn('zun-cni-daemon-two', found)

    def test_a_host_with_a_driver_of_its_own_has_what_that_needs(self):
        hosts.add(self.where, 'three', driver='docker')
        hosts.add(self.where, 'four', driver='cri')
        names = set(self._table('zun_vk'))
        self.assertEqual(
            {'dockerd-three', 'zun-compute-three', 'dockerd-four',
             'containerd-four', 'zun-cni-daemon-four', 'zun-compute-four'},
            {name for name in names if name.endswith(('-three', '-four'))})
        self.assertLessEqual({'zun-vk-compute', 'zun-vk-compute-two'}, names)
        for host, entry, plugin in (('two', 'zun_vk', 'zun-vk-cni'),
                                    ('three', 'docker', 'zun-cni'),
                                    ('four', 'devcloud_cri', 'zun-cni')):
            self.assertEqual(
                entry, self._zun_conf(host)['DEFAULT']['capsule_driver'])
            self.assertEqual(plugin, json.loads(zun_cni.plugin_configuration(
                self.where, host).read_text())['type'])

    def test_a_host_keeps_its_driver_when_the_cloud_takes_another(self):
        hosts.add(self.where, 'three', driver='zun_vk')
        self.assertIn('zun-vk-compute-three', self._table('docker'))
        self.assertEqual('docker', capsule_driver.on(self.where, 'two'))

    def test_our_programs_are_made_for_one_host_that_has_our_driver(self):
        cloud = clouds.Cloud(self.where, progress.Screen(io.StringIO()))
        capsule_driver.choose(self.where, 'docker')
        self.assertEqual([], cloud._own_programs())
        hosts.add(self.where, 'three', driver='zun_vk')
        self.assertEqual([clouds.OWN_PROGRAMS],
                         [step.name for step in cloud._own_programs()])

    def test_a_host_with_no_driver_of_that_name_is_not_added(self):
        cloud = clouds.Cloud(self.where, progress.Screen(io.StringIO()))
        with mock.patch.object(clouds, 'need_root', autospec=True):
            self.assertRaises(errors.DevcloudError, cloud.add_host, 'three',
                              driver='podman')
        self.assertNotIn('three', hosts.names(self.where))

    def test_zun_compute_is_not_well_without_its_containerd(self):
        self.assertIn('containerd',
                      self._table('cri')['zun-compute'].health())
        self.assertNotIn('containerd',
                         self._table('docker')['zun-compute'].health())

    def test_zun_compute_finds_what_the_checkout_declares(self):
        folder = zun_hosts.zun_vk_path(self.where)
        self.assertTrue((folder / 'zun_vk' / '__init__.py').exists())
        self.assertEqual(
            {'zun_vk', 'zun_vk-0.dist-info'},
            {path.name for path in folder.iterdir()})
        setup = self.tmp / 'setup.cfg'
        setup.write_text('[entry_points]\na =\n    b = c\nd =\n    e = f:g\n')
        self.assertEqual('e = f:g', openstack.entry_points(setup, 'd'))
        self.assertEqual('', openstack.entry_points(setup, 'x'))

    def test_the_agents_capsule_runtime_fits(self):
        cloud = clouds.Cloud(self.where, progress.Screen(io.StringIO()))
        for driver, runtime in (('zun_vk', 'compute'), ('cri', 'rest'),
                                ('docker', 'rest')):
            capsule_driver.choose(self.where, driver)
            found = agent.configuration(self.where, cloud.keys, 'abc')
            self.assertEqual(runtime, found['pods']['capsule_runtime'])


class SwitchTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.where.make()
        self.cloud = clouds.Cloud(self.where, progress.Screen(io.StringIO()))
        self.cloud.supervisor = mock.create_autospec(
            servers.Supervisor, instance=True)
        self.cloud.supervisor.processes = mock.Mock()

    def _capsules(self, *found):
        cloud = mock.Mock()
        cloud.zun.must.return_value.json.return_value = {'capsules': found}
        self.patch(identity, 'OpenStack', mock.create_autospec(
            identity.OpenStack, return_value=cloud))

    def test_capsules_of_the_old_driver_are_in_the_way(self):
        capsule_driver.choose(self.where, 'cri')
        self._capsules({'uuid': '1'})
        self.assertRaises(errors.DevcloudError, self.cloud._switch, 'docker')
        self.cloud.supervisor.stop.assert_not_called()
        self.assertEqual('cri', capsule_driver.chosen(self.where))

    def test_servers_of_the_old_driver_end_and_dockerd_goes_on(self):
        capsule_driver.choose(self.where, 'cri')
        self._capsules()
        self.cloud._switch('docker')
        ended = [call.args[0].name for call
                 in self.cloud.supervisor.stop.call_args_list]
        self.assertEqual(['agent', 'zun-compute', 'zun-cni-daemon',
                          'containerd'], ended)
        self.assertEqual('docker', capsule_driver.chosen(self.where))
