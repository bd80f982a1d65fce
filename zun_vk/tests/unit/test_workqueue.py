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
import collections
import threading

import hypothesis
from hypothesis import stateful
from hypothesis import strategies as st
from oslotest import base

from zun_vk import workqueue

# Longer than any step of a healthy test can take.
_PATIENCE = 10


class _Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class WorkQueueTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.clock = _Clock()
        self.queue = workqueue.WorkQueue(
            1.0, 300.0, clock=self.clock, chance=lambda: 0.0)
        self.addCleanup(self.queue.shut_down)

    def _take_all(self):
        taken = []
        while (key := self.queue.get(0)) is not None:
            taken.append(key)
        return taken

    def test_keys_come_out_first_in_first_out(self):
        for key in 'cab':
            self.queue.add(key)
        self.assertEqual(3, len(self.queue))
        self.assertEqual(['c', 'a', 'b'], self._take_all())

    def test_a_key_is_never_queued_twice(self):
        for key in 'abaab':
            self.queue.add(key)
        self.assertEqual(['a', 'b'], self._take_all())

    def test_what_is_nearly_done_comes_before_all_that_wait(self):
        for key in 'ab':
            self.queue.add(key)
        self.queue.add_first('c')
        self.assertEqual(['c', 'a', 'b'], self._take_all())

    def test_a_key_that_waits_or_is_held_is_not_put_first_as_well(self):
        self.queue.add('a')
        self.queue.add('b')
        self.queue.add_first('b')
        self.assertEqual('a', self.queue.get(0))
        self.queue.add_first('a')
        self.assertEqual(['b'], self._take_all())
        self.queue.done('a')
        self.assertEqual(['a'], self._take_all())

    def test_a_held_key_is_not_handed_out_again(self):
        self.queue.add('a')
        self.assertEqual('a', self.queue.get(0))
        self.queue.add('a')
        self.assertIsNone(self.queue.get(0))
        self.assertEqual(0, len(self.queue))

    def test_a_key_added_while_held_comes_again_once_when_done(self):
        self.queue.add('a')
        self.queue.get(0)
        self.queue.add('a')
        self.queue.add('a')
        self.queue.done('a')
        self.assertEqual(['a'], self._take_all())
        self.queue.done('a')
        self.assertEqual([], self._take_all())

    def test_done_with_a_key_nobody_holds_is_an_error(self):
        self.assertRaises(KeyError, self.queue.done, 'a')
        self.queue.add('a')
        self.assertRaises(KeyError, self.queue.done, 'a')

    def test_a_delayed_key_waits_for_its_time(self):
        self.queue.add_after('a', 5)
        self.clock.now += 4.999
        self.assertEqual([], self._take_all())
        self.clock.now += 0.001
        self.assertEqual(['a'], self._take_all())

    def test_no_delay_is_an_add(self):
        self.queue.add_after('a', 0)
        self.queue.add_after('b', -1)
        self.assertEqual(['a', 'b'], self._take_all())

    def test_of_several_delays_the_earliest_wins(self):
        for seconds in (5, 2, 9):
            self.queue.add_after('a', seconds)
        self.clock.now += 2
        self.assertEqual(['a'], self._take_all())
        self.queue.done('a')
        self.clock.now += 100
        self.assertEqual([], self._take_all())

    def test_delayed_keys_come_in_the_order_they_are_due(self):
        for key, seconds in (('a', 3), ('b', 1), ('c', 2)):
            self.queue.add_after(key, seconds)
        self.clock.now += 3
        self.assertEqual(['b', 'c', 'a'], self._take_all())

    def test_a_delay_that_ends_while_the_key_is_held_comes_when_done(self):
        self.queue.add('a')
        self.queue.get(0)
        self.queue.add_after('a', 1)
        self.clock.now += 1
        self.assertIsNone(self.queue.get(0))
        self.queue.done('a')
        self.assertEqual(['a'], self._take_all())

    def test_retries_come_later_each_time_up_to_the_cap(self):
        self.assertEqual(
            [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300],
            [self.queue.retry('a') for _ in range(11)])
        self.assertEqual(1, self.queue.retry('b'))

    def test_a_retry_waits_at_least_as_long_as_a_service_asks(self):
        self.assertEqual([5, 5, 5, 8],
                         [self.queue.retry('a', 5) for _ in range(4)])

    def test_a_retry_is_handed_out_after_the_delay_it_told(self):
        self.queue.retry('a')
        self.clock.now += 1
        self.assertEqual(['a'], self._take_all())
        self.queue.done('a')
        self.clock.now += self.queue.retry('a') - 0.001
        self.assertEqual([], self._take_all())
        self.clock.now += 0.001
        self.assertEqual(['a'], self._take_all())

    def test_a_forgotten_key_begins_again(self):
        self.queue.retry('a')
        self.queue.retry('a')
        self.queue.forget('a')
        self.queue.forget('never seen')
        self.assertEqual(1, self.queue.retry('a'))

    def test_a_key_that_is_due_waits_for_a_worker(self):
        # As all others do while the workers are busy: none has asked yet.
        self.queue.add_after('a', 5)
        self.assertEqual(0, len(self.queue))
        self.clock.now += 5
        self.assertEqual(1, len(self.queue))

    def test_shut_down_hands_out_nothing_more(self):
        self.queue.add('a')
        self.queue.shut_down()
        self.assertIsNone(self.queue.get())
        self.queue.add('b')
        self.queue.add_after('c', 0)
        self.queue.retry('d')
        self.assertIsNone(self.queue.get())
        self.assertEqual(1, len(self.queue))

    def test_a_key_held_at_shut_down_can_be_given_back(self):
        self.queue.add('a')
        self.queue.get(0)
        self.queue.shut_down()
        self.queue.done('a')


class WorkQueueThreadsTestCase(base.BaseTestCase):
    """With the real clock and several workers."""

    def setUp(self):
        super().setUp()
        self.queue = workqueue.WorkQueue()
        self.addCleanup(self.queue.shut_down)

    def _start(self, *targets):
        threads = [threading.Thread(target=target) for target in targets]
        for thread in threads:
            thread.start()
        return threads

    def _join(self, threads):
        for thread in threads:
            thread.join(_PATIENCE)
            self.assertFalse(thread.is_alive())

    def test_a_waiting_worker_gets_what_is_added(self):
        taken = []
        threads = self._start(
            lambda: taken.append(self.queue.get(_PATIENCE)))
        self.queue.add('a')
        self._join(threads)
        self.assertEqual(['a'], taken)

    def test_a_waiting_worker_gets_a_key_when_it_is_due(self):
        self.queue.add_after('late', 1000)
        taken = []
        threads = self._start(
            lambda: taken.append(self.queue.get(_PATIENCE)))
        self.queue.add_after('a', 0.02)
        self._join(threads)
        self.assertEqual(['a'], taken)

    def test_get_gives_up_after_its_timeout(self):
        self.queue.add_after('a', 1000)
        self.assertIsNone(self.queue.get(0.01))

    def test_shut_down_ends_every_waiting_worker(self):
        taken = []
        threads = self._start(
            *[lambda: taken.append(self.queue.get())] * 4)
        self.queue.shut_down()
        self._join(threads)
        self.assertEqual([None] * 4, taken)

    def test_many_adders_and_workers_lose_and_double_nothing(self):
        keys = [f'key-{number}' for number in range(20)]
        version = dict.fromkeys(keys, 0)
        seen = dict.fromkeys(keys, -1)
        holders = collections.Counter()
        clashes = []
        guard = threading.Lock()

        def change():
            for _ in range(50):
                for key in keys:
                    with guard:
                        version[key] += 1
                    self.queue.add(key)

        def work():
            while (key := self.queue.get()) is not None:
                with guard:
                    holders[key] += 1
                    if holders[key] > 1:
                        clashes.append(key)
                    now = version[key]
                seen[key] = now
                with guard:
                    holders[key] -= 1
                    finished = seen == version
                self.queue.done(key)
                if finished and adders_done.is_set():
                    all_seen.set()

        adders_done = threading.Event()
        all_seen = threading.Event()
        workers = self._start(*[work] * 4)
        self._join(self._start(*[change] * 3))
        adders_done.set()
        self.queue.add(keys[0])
        self.assertTrue(all_seen.wait(_PATIENCE))
        self.queue.shut_down()
        self._join(workers)
        self.assertEqual([], clashes)
        self.assertEqual(version, seen)


class _Machine(stateful.RuleBasedStateMachine):
    """The queue against a model: ready keys in order, held, wanted, due."""

    KEYS = st.sampled_from('abcd')

    def __init__(self):
        super().__init__()
        self.clock = _Clock()
        self.queue = workqueue.WorkQueue(
            clock=self.clock, chance=lambda: 0.0)
        self.ready = []
        self.held = set()
        self.again = set()
        self.due = {}

    def _wanted(self, key):
        if key in self.held:
            self.again.add(key)
        elif key not in self.ready:
            self.ready.append(key)

    def _pass_due(self):
        past = [key for key in self.due if self.due[key] <= self.clock.now]
        for key in sorted(past, key=lambda key: (self.due[key], key)):
            del self.due[key]
            self._wanted(key)

    @stateful.rule(key=KEYS)
    def add(self, key):
        self.queue.add(key)
        self._wanted(key)

    @stateful.rule(key=KEYS, seconds=st.integers(1, 9))
    def add_after(self, key, seconds):
        self.queue.add_after(key, seconds)
        due = self.clock.now + seconds
        self.due[key] = min(due, self.due.get(key, due))

    @stateful.rule(key=KEYS)
    def retry(self, key):
        due = self.clock.now + self.queue.retry(key)
        self.due[key] = min(due, self.due.get(key, due))

    @stateful.rule(seconds=st.integers(1, 10))
    def time_passes(self, seconds):
        self.clock.now += seconds

    @stateful.rule()
    def get(self):
        self._pass_due()
        key = self.queue.get(0)
        if self.ready:
            assert key == self.ready.pop(0), key
            assert key not in self.held
            self.held.add(key)
        else:
            assert key is None, key

    @stateful.precondition(lambda self: self.held)
    @stateful.rule(data=st.data())
    def done(self, data):
        key = data.draw(st.sampled_from(sorted(self.held)))
        self.queue.done(key)
        self.held.remove(key)
        if key in self.again:
            self.again.remove(key)
            self.ready.append(key)

    @stateful.invariant()
    def nothing_is_queued_twice(self):
        self._pass_due()
        assert len(self.queue) == len(self.ready)

    def teardown(self):
        """Everything that was asked for is handed out in the end."""
        self.clock.now += 10 ** 6
        for key in sorted(self.held):
            self.queue.done(key)
        expected = (set(self.ready) | self.again | set(self.due))
        handed_out = set()
        while (key := self.queue.get(0)) is not None:
            assert key not in handed_out
            handed_out.add(key)
        assert handed_out == expected, (handed_out, expected)


class WorkQueueModelTestCase(_Machine.TestCase):
    settings = hypothesis.settings(
        stateful_step_count=40)
