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

from zun_vk.compute import rates
from zun_vk.rpc import stats

CORE = 10 ** 9


class RatesTestCase(oslotest.base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.rates = rates.Rates()

    def rate(self, at, cores, identity='a'):
        return self.rates.rated(
            identity, stats.Cpu(at, int(cores * CORE))).rate

    def test_the_first_sample_has_none(self):
        self.assertIsNone(self.rate(100.0, 5))

    def test_it_is_what_was_used_since(self):
        self.rate(100.0, 5)
        self.assertEqual(CORE // 2, self.rate(110.0, 10))
        self.assertEqual(2 * CORE, self.rate(120.0, 30))

    def test_those_who_ask_at_once_do_not_shorten_the_window(self):
        self.rate(100.0, 0)
        self.rate(110.0, 10)
        self.assertEqual(CORE, self.rate(111.0, 20))
        self.assertEqual(CORE, self.rate(119.9, 20))
        self.assertEqual(2 * CORE, self.rate(120.0, 30))

    def test_a_first_rate_comes_before_a_whole_window(self):
        self.rate(100.0, 0)
        self.assertIsNone(self.rate(100.5, 1))
        self.assertEqual(CORE, self.rate(102.0, 2))
        self.assertEqual(CORE, self.rate(110.0, 10))

    def test_a_counter_that_fell_begins_anew(self):
        self.rate(100.0, 50)
        self.assertIsNone(self.rate(110.0, 1))
        self.assertEqual(CORE, self.rate(120.0, 11))

    def test_old_samples_and_a_clock_set_back_are_no_base(self):
        self.rate(1000.0, 0)
        self.assertIsNone(self.rate(990.0, 10))
        self.assertIsNone(self.rate(9000.0, 11))

    def test_others_are_forgotten(self):
        self.rate(100.0, 0)
        self.rate(100.0, 0, 'b')
        self.rates.keep({'b'})
        self.assertIsNone(self.rate(110.0, 10))
        self.assertEqual(CORE, self.rate(110.0, 10, 'b'))

    def test_without_a_counter_there_is_nothing_to_compute(self):
        told = stats.Cpu(1.0)
        self.assertIs(told, self.rates.rated('a', told))
        self.assertIsNone(self.rates.rated('a', None))
