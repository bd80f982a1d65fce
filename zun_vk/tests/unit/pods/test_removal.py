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

from unittest import mock

from oslotest import base

from zun_vk import exceptions
from zun_vk.cloud import placement
from zun_vk.pods import removal
from zun_vk.pods.runtimes import base as runtimes_base
from zun_vk.tests.unit.pods import capsules


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
        self.calls.attach_mock(self.runtime.delete, 'delete')
        self.calls.attach_mock(self.placement.delete_allocations, 'release')
        self.removal = removal.Removal(self.runtime, self.placement)
        self.failed = capsules.read(status='Error', containers=[])

    def test_what_a_failed_capsule_holds_goes_before_its_record(self):
        self.removal.remove(self.failed)
        self.assertEqual([mock.call.release(self.failed.uuid),
                          mock.call.delete(self.failed)],
                         self.calls.mock_calls)

    def test_the_record_stays_while_placement_is_away(self):
        self.placement.delete_allocations.side_effect = (
            exceptions.Unreachable('placement', 'refused'))
        self.assertRaises(exceptions.Unreachable,
                          self.removal.remove, self.failed)
        self.runtime.delete.assert_not_called()

    def test_without_the_right_to_it_capsules_go_all_the_same(self):
        self.placement.delete_allocations.side_effect = (
            exceptions.AccessDenied('placement', 'policy', 403))
        self.removal.remove(self.failed)
        self.runtime.delete.assert_called_once_with(self.failed)

    def test_what_may_run_keeps_its_allocation_until_zun_takes_it(self):
        for kept in (
                capsules.read(), capsules.read(status='Creating'),
                capsules.read(status='Error', containers=[
                    capsules.container(status='Running')])):
            self.removal.remove(kept)
            self.runtime.delete.assert_called_with(kept)
        self.placement.delete_allocations.assert_not_called()
