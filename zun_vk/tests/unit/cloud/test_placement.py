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

from zun_vk import exceptions
from zun_vk.cloud import placement
from zun_vk.tests.unit.cloud import base


class PlacementClientTestCase(base.CloudTestCase):

    def setUp(self):
        super().setUp()
        self.placement = placement.PlacementClient(
            self.access('placement'))

    def test_a_hosts_provider_is_found_by_its_name(self):
        self.assertIsNotNone(self.placement.find_provider('host-0'))
        self.assertIsNone(self.placement.find_provider('host-9'))
        self.assertIsNone(self.placement.find_provider('host-0&x=%20 y'))

    def test_inventories_and_usages_are_read(self):
        uuid = self.placement.find_provider('host-0')
        self.cloud.add_claim('nova', {'VCPU': 4, 'MEMORY_MB': 512})
        self.assertEqual(16, self.placement.inventories(uuid)[
            'VCPU']['total'])
        usages = self.placement.usages(uuid)
        self.assertEqual((4, 512), (usages['VCPU'], usages['MEMORY_MB']))

    def test_only_the_allocations_of_that_consumer_are_given_back(self):
        for consumer in ('capsule', 'nova'):
            self.cloud.add_claim(consumer, {'VCPU': 4, 'MEMORY_MB': 512})
        self.assertTrue(self.placement.delete_allocations('capsule'))
        self.assertEqual(['nova'], list(self.cloud.placement.allocations))
        self.assertFalse(self.placement.delete_allocations('capsule'))

    def test_who_may_not_act_any_more_gives_nothing_back(self):
        self.cloud.add_claim('capsule', {'VCPU': 4, 'MEMORY_MB': 512})
        guard = mock.Mock(side_effect=exceptions.Conflict('lease', 'lost'))
        client = placement.PlacementClient(self.access('placement'), guard)
        self.assertRaises(exceptions.Conflict,
                          client.delete_allocations, 'capsule')
        self.assertIn('capsule', self.cloud.placement.allocations)

    def test_a_provider_that_is_gone_is_not_found(self):
        nowhere = '00000000-0000-4000-8000-000000000000'
        for call in (self.placement.inventories, self.placement.usages):
            self.assertRaises(exceptions.NotFound, call, nowhere)

    def test_a_placement_that_is_away_is_unreachable(self):
        self.placement.find_provider('host-0')
        self.cloud.placement.stop()
        error = self.assertRaises(exceptions.Unreachable,
                                  self.placement.find_provider, 'host-0')
        self.assertEqual('placement', error.service)

    def test_a_placement_that_fails_is_unavailable(self):
        self.cloud.placement.fail_next(status=500, times=5)
        error = self.assertRaises(exceptions.Unavailable,
                                  self.placement.find_provider, 'host-0')
        self.assertEqual('placement', error.service)

    def test_answers_that_make_no_sense_are_unavailable(self):
        calls = [self.placement.find_provider, self.placement.inventories,
                 self.placement.usages]
        for call in calls:
            for body in (None, [], 'text', 5, {},
                         {'resource_providers': 5, 'inventories': None,
                          'usages': []},
                         {'resource_providers': [{}], 'inventories': 'x',
                          'usages': 3}):
                self.cloud.placement.fail_next(status=200, body=body)
                self.assertRaises(exceptions.Unavailable, call, 'host-0')
