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
import hypothesis
from hypothesis import strategies as st
from oslotest import base

from zun_vk import backoff


class _Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class BackoffTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.clock = _Clock()

    def _backoff(self, *args, chance=0.0, **kwargs):
        return backoff.Backoff(*args, clock=self.clock,
                               chance=lambda: chance, **kwargs)

    def test_delays_double_up_to_the_cap(self):
        delays = self._backoff(1, 10)
        self.assertEqual([1, 2, 4, 8, 10, 10],
                         [delays.next() for _ in range(6)])

    def test_chance_only_shortens_and_never_below_its_part(self):
        delays = self._backoff(8, 8, jitter=0.25, chance=0.999999)
        self.assertAlmostEqual(6, delays.next(), places=3)

    def test_reset_begins_again(self):
        delays = self._backoff(1, 10)
        delays.next()
        delays.next()
        delays.reset()
        self.assertEqual(1, delays.next())

    def test_health_for_long_enough_begins_again(self):
        delays = self._backoff(1, 100, reset_after=60)
        for expected in (1, 2, 4):
            self.assertEqual(expected, delays.next())
        self.clock.now += 4 + 60
        self.assertEqual(1, delays.next())

    def test_waiting_is_not_health(self):
        delays = self._backoff(50, 1000, reset_after=60)
        for expected in (50, 100, 200, 400):
            self.assertEqual(expected, delays.next())
            self.clock.now += expected + 59

    def test_without_reset_after_failures_are_kept(self):
        delays = self._backoff(1, 100)
        delays.next()
        self.clock.now += 10 ** 9
        self.assertEqual(2, delays.next())

    def test_a_million_failures_do_not_overflow(self):
        delays = self._backoff(1, 300, factor=10.0)
        for _ in range(10 ** 4):
            delays.next()
        self.assertEqual(300, delays.next())

    @hypothesis.given(
        st.floats(0.01, 10), st.floats(0.01, 1000), st.floats(0, 1),
        st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=50))
    def test_a_delay_is_never_over_the_cap_nor_negative(
            self, base_, cap, jitter, chances):
        draws = iter(chances)
        delays = backoff.Backoff(base_, cap, jitter=jitter,
                                 clock=self.clock, chance=draws.__next__)
        for _ in chances:
            self.assertTrue(0 <= delays.next() <= cap)
