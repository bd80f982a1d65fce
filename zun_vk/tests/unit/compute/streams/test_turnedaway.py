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
import fixtures
from oslotest import base

from zun_vk.compute.streams import turnedaway


class TurnedAwayTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.now = 5.0
        self.log = self.useFixture(fixtures.FakeLogger(format='%(message)s'))
        self.told = turnedaway.TurnedAway(clock=lambda: self.now)

    def tell(self, times=1):
        for _ in range(times):
            self.told.tell(turnedaway.TOKEN, '10.0.0.9', 'no token')
        return self.log.output.splitlines()

    def test_one_is_told(self):
        self.assertEqual(['A connection of 10.0.0.9 gets nothing: no token'],
                         self.tell())

    def test_many_are_told_in_few_lines(self):
        self.assertEqual(10, len(self.tell(1000)))
        self.now = 6.5
        self.assertTrue(self.tell()[10].endswith('; 990 more of late'))
        self.assertTrue(self.tell()[11].endswith(': no token'))
