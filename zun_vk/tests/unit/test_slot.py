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
"""A slot waits for its node's identity, and lets it go in the end."""

import threading
from unittest import mock

from oslotest import base
import prometheus_client

from zun_vk import exceptions
from zun_vk import slot
from zun_vk.cloud import throttle
from zun_vk.cloud import zun
from zun_vk.kube import client as kube_client
from zun_vk.kube import node_identity
from zun_vk.node import zones
from zun_vk.tests.fixtures.wait import wait_for
from zun_vk.tests.unit.node import test_registration


class SlotTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.client = mock.create_autospec(
            kube_client.KubeClient, instance=True)
        self.client.get_lease.side_effect = exceptions.NotFound(
            'kubernetes', 'no', 404)
        self.node = mock.create_autospec(
            node_identity.NodeIdentity, instance=True)
        self.node.client.return_value = self.client
        self.issued = threading.Event()
        self.ended = threading.Event()
        self.node.ensure.side_effect = self.ensure
        self.node.run.side_effect = self.renew
        self.addCleanup(self.issued.set)

    def ensure(self, stop):
        return self.issued.wait(30) and not stop.is_set()

    def renew(self, stop):
        if stop.wait(30):
            self.ended.set()

    def make(self):
        made = slot.Slot(
            test_registration.make_conf(), zones.VirtualNode('n1'), 'a',
            'cluster', mock.create_autospec(zun.ZunClient, instance=True),
            mock.create_autospec(throttle.Throttles, instance=True),
            mock.Mock(), self.node)
        self.addCleanup(made.forget)
        return made

    def test_a_node_without_identity_is_neither_looked_at_nor_free(self):
        made = self.make()

        made.look()

        self.client.get_lease.assert_not_called()
        self.assertIsNone(made.free_since)
        self.assertIsNone(made.holder)

    def test_with_an_identity_it_is_looked_at(self):
        made = self.make()
        self.issued.set()

        def free():
            made.look()
            return made.free_since is not None

        wait_for(free, 'the node free', 30)
        self.client.get_lease.assert_called_with('kube-node-lease', 'n1')

    def test_renewal_goes_on_until_the_node_is_forgotten(self):
        made = self.make()
        self.issued.set()
        wait_for(lambda: self.node.run.called, 'the renewal', 30)
        self.assertFalse(self.ended.is_set())

        made.forget()

        self.assertTrue(self.ended.wait(30))

    def test_an_agent_that_cannot_build_the_parts_leaves_the_node(self):
        made = self.make()
        with mock.patch.object(
                slot.held_node, 'HeldNode', autospec=True,
                side_effect=exceptions.ConfigError('[x] y', 'gone')):
            self.assertRaises(exceptions.ConfigError, made.take)
        self.client.create_lease.assert_not_called()
        self.client.patch_lease.assert_not_called()
        self.assertFalse(made.held)

    def test_a_node_that_nobody_holds_is_shown_as_such(self):
        def shown():
            return prometheus_client.REGISTRY.get_sample_value(
                'zun_vk_lease_held', {'node': 'n1'})

        made = self.make()
        self.assertEqual(0, shown())
        made.forget()
        self.assertIsNone(shown())

    def test_a_node_whose_lease_is_still_being_renewed_is_not_free(self):
        made = self.make()
        self.issued.set()
        wait_for(made._known.is_set, 'an identity', 30)
        renewed, parts = threading.Event(), mock.Mock()
        self.addCleanup(renewed.set)
        parts.join.return_value = []
        made._held = parts
        made._renewing.spawn('lease', renewed.wait, 30)

        made.close()
        made.look()

        self.client.get_lease.assert_not_called()
        renewed.set()
        made._renewing.join(30)
        made.look()
        self.client.get_lease.assert_called_with('kube-node-lease', 'n1')
