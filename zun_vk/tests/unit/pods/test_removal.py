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

import dataclasses
from unittest import mock

from oslotest import base

from zun_vk import exceptions
from zun_vk.cloud import neutron
from zun_vk.cloud import placement
from zun_vk.pods import removal
from zun_vk.pods.runtimes import base as runtimes_base
from zun_vk.tests.unit.pods import capsules

PORT = neutron.Port('port', capsules.UUID, 'compute:zun', capsules.PROJECT)


class RemovalTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        # One parent, so that the order of calls is seen.
        self.calls = mock.Mock()
        self.runtime = mock.create_autospec(
            runtimes_base.CapsuleRuntime, instance=True)
        self.placement = mock.create_autospec(
            placement.PlacementClient, instance=True)
        self.placement.delete_allocations.return_value = True
        self.neutron = mock.create_autospec(
            neutron.NeutronClient, instance=True)
        self.neutron.ports_of.return_value = [PORT]
        self.neutron.delete_port.return_value = True
        self.calls.attach_mock(self.runtime.delete, 'delete')
        self.calls.attach_mock(self.placement.delete_allocations, 'release')
        self.calls.attach_mock(self.neutron.delete_port, 'unplug')
        self.removal = removal.Removal(self.runtime, self.placement,
                                       self.neutron)
        self.failed = capsules.read(status='Error', containers=[])

    def test_what_a_failed_capsule_holds_goes_before_its_record(self):
        self.removal.remove(self.failed)
        self.neutron.ports_of.assert_called_once_with(self.failed.uuid)
        self.assertEqual([mock.call.release(self.failed.uuid),
                          mock.call.unplug('port'),
                          mock.call.delete(self.failed)],
                         self.calls.mock_calls)

    def test_the_record_stays_while_a_service_is_away(self):
        for service, call in (
                ('placement', self.placement.delete_allocations),
                ('neutron', self.neutron.ports_of),
                ('neutron', self.neutron.delete_port)):
            call.side_effect = exceptions.Unreachable(service, 'refused')
            self.assertRaises(exceptions.Unreachable,
                              self.removal.remove, self.failed)
            call.side_effect = None
        self.runtime.delete.assert_not_called()

    def test_without_the_right_to_it_capsules_go_all_the_same(self):
        self.placement.delete_allocations.side_effect = (
            exceptions.AccessDenied('placement', 'policy', 403))
        self.neutron.delete_port.side_effect = (
            exceptions.AccessDenied('neutron', 'policy', 403))
        with mock.patch.object(removal.LOG, 'warning', autospec=True) as said:
            self.removal.remove(self.failed)
            self.removal.remove(self.failed)
        self.assertEqual(2, self.runtime.delete.call_count)
        self.assertEqual(['placement', 'neutron'], [
            call.args[1].service for call in said.call_args_list])

    def test_without_the_right_to_allocations_ports_go(self):
        self.placement.delete_allocations.side_effect = (
            exceptions.AccessDenied('placement', 'policy', 403))
        self.removal.remove(self.failed)
        self.neutron.delete_port.assert_called_once_with('port')

    def test_a_port_that_somebody_uses_stays_and_holds_up_nothing(self):
        other = dataclasses.replace(PORT, uuid='other')
        self.neutron.ports_of.return_value = [PORT, other]
        self.neutron.delete_port.side_effect = [
            exceptions.Conflict('neutron', 'parent of a trunk', 409), True]
        self.removal.remove(self.failed)
        self.assertEqual([mock.call('port'), mock.call('other')],
                         self.neutron.delete_port.mock_calls)
        self.runtime.delete.assert_called_once_with(self.failed)

    def test_what_may_run_keeps_what_it_holds_until_zun_takes_it(self):
        for kept in (
                capsules.read(), capsules.read(status='Creating'),
                capsules.read(status='Error', containers=[
                    capsules.container(status='Running')])):
            self.removal.remove(kept)
            self.runtime.delete.assert_called_with(kept)
        self.placement.delete_allocations.assert_not_called()
        self.neutron.ports_of.assert_not_called()
        self.neutron.delete_port.assert_not_called()


class LeftBehindTestCase(base.BaseTestCase):

    def left(self, addresses=None, **changes):
        """Tell whether a port that is the capsule's but for this is left."""
        port = dataclasses.replace(PORT, **changes)
        return bool(removal.left_behind(
            capsules.read(status='Error', addresses=addresses), [port]))

    def test_ports_of_zuns_drivers_are(self):
        self.assertTrue(self.left(device_owner='compute:zun'))
        self.assertTrue(self.left(device_owner='compute:kuryr'))
        self.assertTrue(self.left({'net': [
            {'port': 'port', 'preserve_on_delete': False}]}))

    def test_ports_of_others_are_not(self):
        for changes in ({'device_id': 'another'}, {'device_id': ''},
                        {'device_id': capsules.UUID.upper()},
                        {'device_owner': ''},
                        {'device_owner': 'compute:nova'},
                        {'device_owner': 'compute:zun2'},
                        {'project': 'another'}, {'project': ''}):
            self.assertFalse(self.left(**changes), changes)

    def test_a_port_that_zun_was_given_is_not(self):
        self.assertFalse(self.left({'net': [
            {'port': 'port', 'preserve_on_delete': True}]}))
