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
import re
from unittest import mock

import hypothesis
from hypothesis import strategies as st
from oslotest import base

from zun_vk.cloud import zun
from zun_vk.kube import client as kube_client
from zun_vk.node import cordon
from zun_vk.node import observer
from zun_vk.node import zones
from zun_vk.tests.unit.node import test_registration

_NAME = re.compile(r'[a-z0-9]([-a-z0-9.]*[a-z0-9])?')
_VALUE = re.compile(r'([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?')


def service(host, zone, **fields):
    return {'binary': 'zun-compute', 'host': host, 'state': 'up',
            'disabled': False, 'availability_zone': zone} | fields


class NamesTestCase(base.BaseTestCase):

    def test_a_plain_zone_is_part_of_the_name(self):
        self.assertEqual('zun-vk-az1', zones.zone_node_name('zun-vk', 'az1'))

    @hypothesis.given(st.text(min_size=1, max_size=300))
    def test_every_zone_gives_a_name_a_label_can_hold(self, zone):
        name = zones.zone_node_name('zun-vk', zone)
        self.assertLessEqual(len(name), 63)
        self.assertRegex(name, f'^{_NAME.pattern}$')

    @hypothesis.given(st.lists(st.text('aA-_ .1', min_size=1, max_size=4),
                               unique=True, min_size=2, max_size=20))
    def test_zones_that_look_alike_have_nodes_of_their_own(self, names):
        made = {zones.zone_node_name('n', zone) for zone in names}
        self.assertEqual(len(names), len(made))

    @hypothesis.given(st.text(max_size=300))
    def test_everything_has_a_label_value(self, text):
        value = zones.label_value(text)
        self.assertLessEqual(len(value), 63)
        self.assertRegex(value, f'^{_VALUE.pattern}$')

    def test_what_is_a_label_value_stays_as_it_is(self):
        self.assertEqual('Az_1.b', zones.label_value('Az_1.b'))


class FindTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.zun = mock.create_autospec(zun.ZunClient, instance=True)
        self.client = mock.create_autospec(
            kube_client.KubeClient, instance=True)
        self.client.list_nodes.return_value = []

    def _find(self, **node):
        conf = test_registration.make_conf(**node)
        return zones.NodeNames(conf, self.zun, self.client).find()

    def test_there_is_one_node_unless_more_are_wanted(self):
        self.assertEqual([zones.VirtualNode('zun-vk')], self._find())
        self.zun.list_services.assert_not_called()

    def test_there_is_one_for_each_zone(self):
        self.zun.list_services.return_value = [
            service('h1', 'az1'), service('h2', 'az2', state='down'),
            service('h3', 'az1'), service('h4', 'az3', disabled=True),
            service('h5', None), service('h6', 'az9', binary='zun-wsproxy')]
        self.assertEqual(
            [zones.VirtualNode(f'zun-vk-{zone}', zone)
             for zone in ('az1', 'az2', 'az3')],
            self._find(per_availability_zone=True))

    def test_a_zone_that_vanished_keeps_its_node(self):
        self.zun.list_services.return_value = [service('h1', 'az1')]
        self.client.list_nodes.return_value = [
            {'metadata': {'name': f'zun-vk-{zone}',
                          'annotations': {zones.ZONE: zone}}}
            for zone in ('az1', 'az2')] + [{'metadata': {'name': 'zun-vk'}}]
        self.assertEqual(
            [zones.VirtualNode(f'zun-vk-{zone}', zone)
             for zone in ('az1', 'az2')],
            self._find(per_availability_zone=True))
        self.client.list_nodes.assert_called_once_with(
            label_selector='zun.openstack.org/virtual-node=zun-vk')

    def test_a_node_sees_the_hosts_of_its_zone_only(self):
        services = [service('h1', 'az1'), service('h2', 'az2')]
        self.assertEqual(('h2',), observer.usable_hosts(services, 'az2'))
        self.assertEqual(('h1', 'h2'), observer.usable_hosts(services))


class CordonTestCase(base.BaseTestCase):

    def _node(self, unschedulable=False, ours=False):
        annotations = {'a': 'b'} | ({cordon.MARK: 'x'} if ours else {})
        return {'metadata': {'name': 'n', 'resourceVersion': '7',
                             'annotations': annotations},
                'spec': {'unschedulable': True} if unschedulable else {}}

    def test_a_node_whose_zone_is_gone_takes_no_pods(self):
        patch = cordon.patch(self._node(), zone_exists=False)
        self.assertEqual({'unschedulable': True}, patch['spec'])
        self.assertEqual('7', patch['metadata']['resourceVersion'])
        self.assertEqual({cordon.MARK}, set(patch['metadata']['annotations']))

    def test_a_zone_that_is_back_takes_pods_again(self):
        patch = cordon.patch(self._node(True, ours=True), zone_exists=True)
        self.assertEqual({'unschedulable': None}, patch['spec'])
        self.assertEqual({cordon.MARK: None},
                         patch['metadata']['annotations'])

    def test_a_cordon_of_an_admin_is_not_lifted(self):
        self.assertIsNone(cordon.patch(self._node(True), True))

    def test_a_cordon_of_an_admin_is_not_taken_over(self):
        self.assertIsNone(cordon.patch(self._node(True), False))

    def test_nothing_is_written_twice(self):
        self.assertIsNone(cordon.patch(self._node(True, True), False))
        self.assertIsNone(cordon.patch(self._node(), True))
