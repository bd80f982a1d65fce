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
import configparser
import json
import os
import pathlib
import subprocess
import sys
import uuid

import oslotest.base
import pyroute2

from zun_vk import exceptions
from zun_vk.compute.network import binding as binding_module
from zun_vk.rpc import fields
from zun_vk.tests.fixtures import root

_NETWORK = '7f8e8d0c-8c1a-4b3a-9c52-0d2f3c1b7a01'
_CAPSULE = '7f8e8d0c-8c1a-4b3a-9c52-0d2f3c1b7a09'


_UNIT = pathlib.Path(__file__).parents[5] / (
    'etc/systemd/zun-vk-compute.service')
# In a process with fewer rights than the tests have.
_PLUG = (
    'import json, sys\n'
    'from zun_vk.compute.network import binding\n'
    'vif, capsule, namespace = sys.argv[1:]\n'
    'plug = binding.Binding().plug\n'
    'plug(json.loads(vif), capsule, "s1", "eth0", namespace)\n')


def boxed(name, version='1.0', **content):
    return {'versioned_object.name': name,
            'versioned_object.namespace': 'os_vif',
            'versioned_object.version': version,
            'versioned_object.data': content}


def several(name, *items):
    return boxed(name, objects=list(items))


def subnet(cidr, address, gateway):
    return boxed('Subnet', cidr=cidr, dns=[], gateway=gateway,
                 ips=several('FixedIPList',
                             boxed('FixedIP', address=address)),
                 routes=several('RouteList'))


def vif(name, bridge):
    """Return a VIF on a bridge that is there: os-vif has nothing to do."""
    return boxed(
        'VIFBridge', id=_CAPSULE, address='fa:16:3e:00:00:01', plugin='noop',
        vif_name=name, bridge_name=bridge, active=True,
        preserve_on_delete=False, has_traffic_filtering=False,
        network=boxed('Network', '1.1', id=_NETWORK, bridge=bridge, mtu=1400,
                      subnets=several(
                          'SubnetList',
                          subnet('10.9.8.0/24', '10.9.8.7', '10.9.8.1'),
                          subnet('fd09::/64', 'fd09::7', 'fd09::1'))))


@root.needs_root
class BindingTestCase(oslotest.base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.child = root.namespace_child()
        self.addCleanup(self.child.wait)
        self.addCleanup(self.child.stdout.close)
        self.addCleanup(self.child.kill)
        self.namespace = f'/proc/{self.child.pid}/ns/net'
        ident = uuid.uuid4().hex[:8]
        self.name, self.bridge = f'zv{ident}', f'zb{ident}'
        self.link = pyroute2.IPRoute()
        self.addCleanup(self.link.close)
        self.link.link('add', ifname=self.bridge, kind='bridge')
        self.addCleanup(self.delete, self.bridge)
        self.addCleanup(self.delete, self.name)
        self.vif = vif(self.name, self.bridge)
        self.binding = binding_module.Binding()

    def delete(self, name):
        for index in self.link.link_lookup(ifname=name):
            self.link.link('del', index=index)

    def plug(self, sandbox='s1'):
        return self.binding.plug(self.vif, _CAPSULE, sandbox, 'eth0',
                                 self.namespace)

    def within(self, *words):
        return subprocess.run(
            ['nsenter', f'--net={self.namespace}', 'ip', *words],
            capture_output=True, text=True, check=True).stdout

    def is_plugged(self):
        return os.path.isdir(f'/sys/class/net/{self.bridge}/brif/{self.name}')

    def test_a_sandbox_has_what_neutron_gave_it(self):
        self.plug()
        shown = self.within('addr', 'show', 'eth0')
        for part in ('mtu 1400', 'fa:16:3e:00:00:01', 'inet 10.9.8.7/24',
                     'inet6 fd09::7/64', 'state UP'):
            self.assertIn(part, shown)
        self.assertIn('default via 10.9.8.1 dev eth0',
                      self.within('route'))
        self.assertIn('default via fd09::1 dev eth0',
                      self.within('-6', 'route'))
        self.assertTrue(self.is_plugged())

    def test_a_gateway_may_have_an_address_of_the_link_alone(self):
        # As routers of IPv6 that Neutron did not make have.
        self.vif['versioned_object.data']['network'][
            'versioned_object.data']['subnets'] = several(
                'SubnetList', subnet('fd09::/64', 'fd09::7', 'fe80::1'))
        self.plug()
        self.assertIn('default via fe80::1 dev eth0',
                      self.within('-6', 'route'))

    def test_the_unit_of_the_service_allows_it(self):
        unit = configparser.ConfigParser(interpolation=None, strict=False)
        unit.read(_UNIT)
        kept = ''.join(
            f',+{each.removeprefix("CAP_").lower()}' for each in
            unit['Service']['CapabilityBoundingSet'].split())
        subprocess.run(
            ['setpriv', f'--bounding-set=-all{kept}', sys.executable, '-c',
             _PLUG, json.dumps(self.vif), _CAPSULE, self.namespace],
            check=True, capture_output=True, timeout=60)
        self.assertTrue(self.is_plugged())

    def test_plugging_again_is_no_error(self):
        self.plug()
        self.plug()
        self.assertIn('inet 10.9.8.7/24', self.within('addr'))

    def test_a_sandbox_that_was_given_up_takes_nothing_from_the_later(self):
        # OVSDB was away for longer than the runtime waits.
        self.plug('s2')
        error = self.assertRaises(
            exceptions.Unavailable, self.binding.plug, self.vif, _CAPSULE,
            's1', 'eth0', self.namespace, lambda: False)
        self.assertIn('s1', str(error))
        self.assertTrue(self.is_plugged())
        self.assertIn('inet 10.9.8.7/24', self.within('addr'))

    def test_a_sandbox_that_goes_leaves_nothing(self):
        self.plug()
        for _ in range(2):
            self.binding.unplug(self.vif, _CAPSULE, 's1')
            self.assertEqual([], self.link.link_lookup(ifname=self.name))

    def test_an_older_sandbox_that_goes_leaves_the_later_plugged(self):
        self.plug('s1')
        self.plug('s2')
        self.binding.unplug(self.vif, _CAPSULE, 's1')
        self.assertTrue(self.is_plugged())

    def test_a_namespace_that_is_gone_is_an_error_in_words(self):
        self.namespace = '/proc/1/ns/none'
        error = self.assertRaises(exceptions.Unavailable, self.plug)
        self.assertIn('/proc/1/ns/none', str(error))

    def test_a_plugin_that_os_vif_does_not_have_is_an_error_in_words(self):
        self.vif['versioned_object.data']['plugin'] = 'nothing'
        error = self.assertRaises(exceptions.Unavailable, self.plug)
        self.assertIn('nothing', str(error))
        self.assertEqual([], self.link.link_lookup(ifname=self.name))

    def test_what_os_vif_cannot_read_is_malformed(self):
        self.vif['versioned_object.name'] = 'VIFUnheardOf'
        self.assertRaises(fields.Malformed, self.plug)


class ObjectTestCase(oslotest.base.BaseTestCase):

    def test_a_port_of_open_vswitch_is_made_by_os_vif(self):
        described = vif('tap1', 'br-int')
        described['versioned_object.name'] = 'VIFOpenVSwitch'
        described['versioned_object.data'].update(
            plugin='ovs', port_profile=boxed(
                'VIFPortProfileOpenVSwitch', '1.4', interface_id=_CAPSULE))
        binding_module.Binding()
        made = binding_module._object(described)
        self.assertTrue(made.port_profile.create_port)
