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
from oslotest import base

from zun_vk import exceptions
from zun_vk.compute.streams import tickets
from zun_vk.rpc import streams


class TicketsTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.now = 0.0
        self.tickets = tickets.Tickets(most=3, clock=lambda: self.now)

    def test_a_token_is_good_once(self):
        token = self.tickets.issue('a')
        self.assertTrue(streams.is_token(token))
        self.assertEqual('a', self.tickets.redeem(token))
        self.assertIsNone(self.tickets.redeem(token))

    def test_each_token_is_good_for_its_own(self):
        first, second = map(self.tickets.issue, 'ab')
        self.assertEqual('b', self.tickets.redeem(second))
        self.assertEqual('a', self.tickets.redeem(first))

    def test_a_late_token_is_good_for_nothing(self):
        token = self.tickets.issue('a')
        self.now = 29.9
        self.assertEqual(1, self.tickets.waiting())
        self.now = 30.0
        self.assertIsNone(self.tickets.redeem(token))
        self.assertEqual(0, self.tickets.waiting())

    def test_what_is_no_token_is_good_for_nothing(self):
        token = self.tickets.issue('a')
        for wrong in ('', 'a' * 43, token[:-1], token + 'a', token + '\n',
                      '\u00e9' * 43):
            self.assertIsNone(self.tickets.redeem(wrong))
        self.assertEqual('a', self.tickets.redeem(token))

    def test_only_so_many_wait(self):
        for _ in range(3):
            self.tickets.issue('a')
        refused = self.assertRaises(exceptions.Refused,
                                    self.tickets.issue, 'b')
        self.assertEqual(503, refused.status)
        self.now = 30
        self.tickets.issue('c')

    def test_no_token_is_kept(self):
        token = self.tickets.issue('a')
        self.assertNotIn(token, repr(vars(self.tickets)))
