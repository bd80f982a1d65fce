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
import oslotest.base

from zun_vk.compute.network import vif
from zun_vk.rpc import fields


def boxed(**content):
    """Return an object as oslo.versionedobjects writes it."""
    return {'versioned_object.name': 'X', 'versioned_object.data': content}


def several(*items):
    return boxed(objects=list(items))


def subnet(cidr, address, **more):
    return boxed(cidr=cidr, ips=several(boxed(address=address)),
                 routes=more.pop('routes', several()), **more)


def described(**changed):
    """Return a VIF of two subnets; ``changed`` are fields of it."""
    return boxed(**{
        'vif_name': 'tap1', 'address': 'fa:16:3e:00:00:01',
        'bridge_name': 'br-1', 'active': True,
        'network': boxed(mtu=1400, subnets=several(
            subnet('10.77.0.0/24', '10.77.0.9', gateway='10.77.0.1',
                   dns=['9.9.9.9'], routes=several(
                       boxed(cidr='10.0.0.0/8', gateway='10.77.0.2'))),
            subnet('fd00::/64', 'fd00::9', dns=[]))), **changed})


class VifTestCase(oslotest.base.BaseTestCase):

    def test_an_interface_is_what_neutron_says(self):
        self.assertEqual(vif.Interface(
            'tap1', 'fa:16:3e:00:00:01', 1400, 'br-1',
            ('10.77.0.9/24', 'fd00::9/64'),
            (vif.Route('10.0.0.0/8', '10.77.0.2'),), ('10.77.0.1',),
            ('9.9.9.9',), active=True), vif.interface(described()))

    def test_a_network_without_an_mtu_is_an_ethernet(self):
        made = vif.interface(described(network=boxed(
            mtu=0, subnets=several())))
        self.assertEqual((1500, ()), (made.mtu, made.addresses))

    def test_each_family_has_one_default_gateway(self):
        made = vif.interface(described(network=boxed(mtu=0, subnets=several(
            subnet('10.0.0.0/24', '10.0.0.9', gateway='10.0.0.1'),
            subnet('10.0.1.0/24', '10.0.1.9', gateway='10.0.1.1'),
            subnet('fd00::/64', 'fd00::9', gateway='fd00::1')))))
        self.assertEqual(('10.0.0.1', 'fd00::1'), made.gateways)

    def test_the_runtime_is_told_every_address(self):
        told = vif.result(vif.interface(described()), {
            'CNI_IFNAME': 'eth0', 'CNI_NETNS': '/run/netns/1'})
        self.assertEqual({
            'cniVersion': '0.3.1',
            'interfaces': [{'name': 'eth0', 'mac': 'fa:16:3e:00:00:01',
                            'sandbox': '/run/netns/1'}],
            'ips': [{'version': '4', 'address': '10.77.0.9/24',
                     'interface': 0, 'gateway': '10.77.0.1'},
                    {'version': '6', 'address': 'fd00::9/64',
                     'interface': 0}],
            'routes': [{'dst': '10.0.0.0/8', 'gw': '10.77.0.2'}],
            'dns': {'nameservers': ['9.9.9.9']}}, told)

    def test_what_is_no_vif_says_so(self):
        for wrong in (
                [], {}, None, 'x', boxed(), boxed(network=1),
                {'versioned_object.data': 3}, described(vif_name=''),
                described(vif_name='longer-than-15-bytes'),
                described(vif_name='../x'), described(network=boxed(
                    mtu='x', subnets=several())),
                described(network=boxed(mtu=1, subnets=several(1))),
                described(network=boxed(mtu=1, subnets=several(
                    subnet('10.0.0.0/24', 'x')))),
                described(network=boxed(mtu=1, subnets=several(
                    *[subnet('10.0.0.0/24', '10.0.0.1')] * 100)))):
            self.assertRaises(fields.Malformed, vif.interface, wrong)
