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
from zun_vk.cloud import neutron
from zun_vk.tests.unit.cloud import base


class NeutronClientTestCase(base.CloudTestCase):

    def setUp(self):
        super().setUp()
        self.neutron = neutron.NeutronClient(self.access('neutron'))

    def make(self, device='capsule', owner='compute:zun'):
        return self.cloud.neutron.make_port(
            self.cloud.project, device, 'host-0', owner)

    def test_ports_of_one_device_are_read(self):
        port = self.make()
        self.make('another')
        self.assertEqual(
            [neutron.Port(port['id'], 'capsule', 'compute:zun',
                          self.cloud.project)],
            self.neutron.ports_of('capsule'))
        self.assertEqual([], self.neutron.ports_of('capsule&x=%20 y'))

    def test_only_that_port_is_deleted(self):
        port, other = self.make(), self.make()
        self.assertTrue(self.neutron.delete_port(port['id']))
        self.assertEqual([other['id']], list(self.cloud.neutron.ports))
        self.assertFalse(self.neutron.delete_port(port['id']))

    def test_who_may_not_act_any_more_deletes_nothing(self):
        port = self.make()
        guard = mock.Mock(side_effect=exceptions.NotHolder('lease', 'lost'))
        client = neutron.NeutronClient(self.access('neutron'), guard)
        self.assertEqual(1, len(client.ports_of('capsule')))
        self.assertRaises(exceptions.NotHolder,
                          client.delete_port, port['id'])
        self.assertIn(port['id'], self.cloud.neutron.ports)

    def test_a_member_of_the_project_lacks_the_right_in_neutrons_words(self):
        port = self.make()
        client = neutron.NeutronClient(
            self.access('neutron', self.cloud.project))
        error = self.assertRaises(exceptions.AccessDenied,
                                  client.delete_port, port['id'])
        self.assertIn('rule:delete_port', error.message)

    def test_a_port_in_use_is_a_conflict_in_neutrons_words(self):
        port = self.make()
        port['trunk_details'] = {'trunk_id': 'trunk'}
        error = self.assertRaises(exceptions.Conflict,
                                  self.neutron.delete_port, port['id'])
        self.assertIn('parent port', error.message)

    def test_a_neutron_that_is_away_is_unreachable(self):
        self.neutron.ports_of('capsule')
        self.cloud.neutron.stop()
        for call in (self.neutron.ports_of, self.neutron.delete_port):
            error = self.assertRaises(exceptions.Unreachable, call, 'x')
            self.assertEqual('neutron', error.service)

    def test_a_neutron_that_fails_is_unavailable(self):
        self.cloud.neutron.fail_next(status=503, times=5)
        for call in (self.neutron.ports_of, self.neutron.delete_port):
            self.assertRaises(exceptions.Unavailable, call, 'x')

    def test_answers_that_make_no_sense_are_unavailable(self):
        for body in (None, [], 'text', 5, {}, {'ports': 5},
                     {'ports': ['x']}, {'ports': [None]},
                     {'ports': [{'id': 'x'}]}):
            self.cloud.neutron.fail_next(status=200, body=body)
            self.assertRaises(exceptions.Unavailable,
                              self.neutron.ports_of, 'capsule')
