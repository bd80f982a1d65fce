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
import threading

import hypothesis
from hypothesis import strategies as st
from oslotest import base
import prometheus_client

from zun_vk import exceptions
from zun_vk.cloud import throttle
from zun_vk.tests.fixtures import wait


class Clock:
    """Time that passes when it is told to."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class ThrottleTestCase(base.BaseTestCase):

    def make(self, rate):
        self.clock = Clock()
        return throttle.Throttle('test', rate, clock=self.clock,
                                 chance=lambda: 0.5)

    def passes(self, gate):
        """Tell whether a caller without patience gets through."""
        try:
            gate.admit(0)
        except exceptions.Throttled:
            return False
        return True

    def admitted(self, gate, attempts=1000):
        return sum(self.passes(gate) for _ in range(attempts))

    def test_after_a_rest_a_burst_of_one_second_passes_at_once(self):
        gate = self.make(50)
        self.assertEqual(50, self.admitted(gate))

    def test_the_rate_holds_over_time_and_rest_is_not_saved_up(self):
        gate = self.make(50)
        self.admitted(gate)
        self.clock.now += 0.5
        self.assertEqual(25, self.admitted(gate))
        self.clock.now += 3600
        self.assertEqual(50, self.admitted(gate))

    def test_less_than_one_a_second_lets_one_pass(self):
        gate = self.make(0.5)
        self.assertEqual(1, self.admitted(gate))
        self.clock.now += 1
        self.assertEqual(0, self.admitted(gate))
        self.clock.now += 1
        self.assertEqual(1, self.admitted(gate))

    @hypothesis.given(st.floats(0.1, 500), st.lists(st.floats(0, 10),
                                                    max_size=8))
    def test_never_more_than_the_burst_and_the_rate(self, rate, pauses):
        gate = self.make(rate)
        passed = self.admitted(gate, 600)
        for pause in pauses:
            self.clock.now += pause
            passed += self.admitted(gate, 600)
        self.assertLessEqual(
            passed, max(1, rate) + rate * sum(pauses) + 1e-6)

    def test_a_turn_that_comes_too_late_is_told_at_once(self):
        gate = self.make(1)
        gate.admit(0)
        error = self.assertRaises(exceptions.Throttled, gate.admit, 0.9)
        self.assertEqual(('test', 1), (error.service, error.retry_after))

    def fail(self, gate, error):
        with gate.turn(0):
            raise error

    def test_a_service_that_asks_for_a_pause_gets_it(self):
        for kind, seconds in (
                (exceptions.Throttled('test', 'words', 4), 4),
                (exceptions.Unavailable('test', 'words', 503, 4), 4),
                (exceptions.Throttled('test', 'words'), 1)):
            gate = self.make(50)
            self.assertRaises(type(kind), self.fail, gate, kind)
            self.clock.now += seconds
            error = self.assertRaises(exceptions.Throttled, gate.admit, 0)
            self.assertAlmostEqual(seconds * 0.1, error.retry_after)
            # what chance added, a tenth of it here
            self.clock.now += seconds * 0.101
            self.assertTrue(self.passes(gate))

    def test_a_failure_without_such_words_is_no_pause(self):
        gate = self.make(50)
        for error in (exceptions.Unavailable('test', 'words', 503),
                      exceptions.Unreachable('test', 'words'),
                      ZeroDivisionError()):
            self.assertRaises(type(error), self.fail, gate, error)
            self.assertTrue(self.passes(gate))

    def test_a_shorter_pause_does_not_end_a_longer_one(self):
        gate = self.make(50)
        gate.pause(100)
        gate.pause(1)
        self.clock.now += 50
        self.assertFalse(self.passes(gate))


class Recorded(throttle.Throttle):
    """Notes whose turn it was, in order."""

    def __init__(self, *args):
        super().__init__(*args)
        self.order = []

    def _wait(self, ticket, deadline):
        super()._wait(ticket, deadline)
        self.order.append(threading.current_thread().name)


class WaitingTestCase(base.BaseTestCase):
    """Real time and threads."""

    def start(self, gate, name, patience, ends):
        def wait_for_turn():
            try:
                gate.admit(patience)
                ends.append(name)
            except exceptions.Throttled:
                ends.append(f'{name} sent away')
        before = len(gate._line)
        thread = threading.Thread(target=wait_for_turn, name=name,
                                  daemon=True)
        thread.start()
        wait.wait_for(lambda: len(gate._line) > before or ends,
                      'it waits', interval=0.001)
        return thread

    def line_up(self, gate, names, patience=30):
        ends = []
        threads = [self.start(gate, name, patience, ends) for name in names]
        return threads, ends

    def join(self, threads):
        for thread in threads:
            thread.join(20)
            self.assertFalse(thread.is_alive())

    def test_turns_come_in_the_order_of_the_callers(self):
        gate = Recorded('test', 100)
        gate.pause(0.5)
        names = [f'create-{number}' for number in range(20)] + ['list']
        threads, ends = self.line_up(gate, names)
        self.join(threads)
        self.assertEqual(names, gate.order)
        self.assertEqual(sorted(names), sorted(ends))

    def test_all_who_wait_end_when_the_agent_stops(self):
        gates = throttle.Throttles('test', 0.1)
        gate = gates.at('http://zun')
        gate.admit(0)
        threads, ends = self.line_up(gate, ['a', 'b', 'c'])
        gates.close()
        self.join(threads)
        self.assertEqual(['a sent away', 'b sent away', 'c sent away'],
                         sorted(ends))
        for endpoint in ('http://zun', 'http://another'):
            self.assertRaises(exceptions.Throttled,
                              gates.at(endpoint).admit, 0)

    def test_a_pause_beyond_their_patience_frees_those_who_wait(self):
        gate = throttle.Throttle('test', 0.1)
        gate.admit(0)
        threads, ends = self.line_up(gate, ['a', 'b'])
        gate.pause(3600)
        self.join(threads)
        self.assertEqual(['a sent away', 'b sent away'], sorted(ends))

    def test_time_spent_waiting_is_counted(self):
        gate = throttle.Throttle('waiting', 20)
        for _ in range(25):
            gate.admit(5)
        self.assertGreater(prometheus_client.REGISTRY.get_sample_value(
            'zun_vk_throttle_wait_seconds_total', {'service': 'waiting'}),
            0.15)

    def test_each_endpoint_has_its_gate(self):
        gates = throttle.Throttles('test', 1)
        self.assertIs(gates.at('http://a'), gates.at('http://a'))
        gates.at('http://a').admit(0)
        gates.at('http://b').admit(0)
