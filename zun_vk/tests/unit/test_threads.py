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

import fixtures
from oslotest import base

from zun_vk import held_node
from zun_vk import threads
from zun_vk.tests.fixtures import wait


class ThreadsTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            threads.backoff.Backoff, 'next', lambda self: 0.001))
        self.threads = threads.Threads('n1')
        self.addCleanup(self._end)

    def _end(self):
        self.threads.stop.set()
        self.assertEqual([], self.threads.join(10))

    def test_a_part_that_crashes_is_begun_again(self):
        runs, done = [], threading.Event()

        def part():
            runs.append(True)
            if len(runs) < 3:
                raise ZeroDivisionError('bug')
            done.set()

        self.threads.spawn('part', part)
        self.assertTrue(done.wait(10))
        self.assertEqual(3, len(runs))

    def test_a_part_that_ends_stays_ended(self):
        runs = []
        self.threads.spawn('part', runs.append, True)
        wait.wait_for(lambda: not self.threads.running(), 'the end', 10)
        self.assertEqual([True], runs)

    def test_a_thread_that_does_not_end_is_named(self):
        gate = threading.Event()
        self.addCleanup(gate.set)
        self.threads.spawn('part', gate.wait)
        self.threads.stop.set()
        self.assertEqual(['part:n1'], self.threads.join(0.01))

    def test_a_crash_of_the_resync_starts_nothing_twice(self):
        runs = []

        class Crashing:
            def resync(self):
                runs.append(True)
                raise ZeroDivisionError('bug')

        self.useFixture(fixtures.MockPatchObject(
            held_node, '_RESYNC_INTERVAL', 0.002))
        node = held_node.HeldNode.__new__(held_node.HeldNode)
        node._threads, node._pods = self.threads, Crashing()
        self.threads.spawn('resync', node._resync)
        wait.wait_for(lambda: len(runs) > 2, 'crashes', 10)
        self.assertEqual(['resync:n1'], self.threads.running())
