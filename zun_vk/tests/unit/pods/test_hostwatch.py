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

from zun_vk.pods import hostwatch


class _Clock:
    now = 100.0

    def __call__(self):
        return self.now


class HostWatchTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.clock = _Clock()
        self.watch = hostwatch.HostWatch(self.clock)

    def _pass(self, seconds):
        """Let time pass, while the watch looks as often as it does."""
        turned = set()
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.clock.now += min(hostwatch.INTERVAL,
                                  until - self.clock.now)
            turned |= self.watch.turned_silent()
        return turned

    def test_a_host_that_does_not_answer_is_silent_after_40_seconds(self):
        self.watch.asked('host-1')
        self.assertEqual(set(), self._pass(39))
        self.assertFalse(self.watch.is_silent('host-1'))
        self.assertEqual({'host-1'}, self._pass(1))
        self.assertTrue(self.watch.is_silent('host-1'))
        self.assertEqual(set(), self._pass(60))

    def test_to_be_asked_again_gives_it_no_more_time(self):
        self.watch.asked('host-1')
        self._pass(30)
        self.watch.asked('host-1')
        self.assertEqual({'host-1'}, self._pass(10))

    def test_one_that_answers_is_heard_and_comes_back(self):
        self.watch.asked('host-1')
        self._pass(30)
        self.assertFalse(self.watch.heard('host-1'))
        self.assertEqual(set(), self._pass(60))
        self.watch.asked('host-1')
        self._pass(40)
        self.assertTrue(self.watch.heard('host-1'))
        self.assertFalse(self.watch.is_silent('host-1'))

    def test_one_that_could_not_be_asked_is_not_silent(self):
        self.watch.asked('host-1')
        self.watch.heard('host-1')
        self.assertEqual(set(), self._pass(3600))

    def test_a_frozen_agent_takes_no_host_for_silent(self):
        self.watch.asked('host-1')
        self._pass(5)
        self.clock.now += 60
        self.assertEqual(set(), self.watch.turned_silent())
        self.assertEqual(set(), self._pass(39))
        self.assertEqual({'host-1'}, self._pass(1))

    def test_a_bus_that_is_away_makes_no_host_silent(self):
        # Its answer may be lost, and it cannot be asked again.
        self.watch.asked('host-1')
        self._pass(30)
        self.watch.deaf()
        self.assertEqual(set(), self._pass(39))
        self.assertEqual({'host-1'}, self._pass(1))
        self.watch.heard('host-1')
        self.watch.deaf()
        self.assertEqual(set(), self._pass(60))

    def test_who_was_never_asked_costs_no_memory(self):
        for number in range(100):
            self.assertFalse(self.watch.heard(f'host-{number}'))
        self.assertEqual({}, self.watch._heard)
