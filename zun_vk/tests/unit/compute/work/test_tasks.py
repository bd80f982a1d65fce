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

import oslotest.base

from zun_vk.compute.work import tasks
from zun_vk.tests.fixtures import wait


class TasksTestCase(oslotest.base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.tasks = tasks.Tasks('test', 2)
        self.addCleanup(self.tasks.close)
        self.gate = threading.Event()
        self.addCleanup(self.gate.set)
        self.done = []

    def start(self, key, run=None):
        return self.tasks.start(
            key, run or (lambda: self.gate.wait(10)),
            lambda result, error: self.done.append((key, result, error)))

    def test_a_key_runs_once_at_a_time(self):
        self.assertTrue(self.start('one'))
        self.assertFalse(self.start('one'))
        self.gate.set()
        wait.wait_for(lambda: self.done, 'it is done')
        self.assertTrue(self.start('one'))

    def test_what_is_too_much_waits(self):
        for key in ('one', 'two', 'three'):
            self.start(key)
        self.assertEqual(2, self.tasks._threads)
        self.gate.set()
        wait.wait_for(lambda: len(self.done) == 3, 'all are done')
        self.assertEqual(2, self.tasks._threads)

    def test_an_error_is_handed_over(self):
        error = ValueError('no')

        def fail():
            raise error
        self.start('one', fail)
        wait.wait_for(lambda: self.done, 'it is done')
        self.assertEqual([('one', None, error)], self.done)

    def test_an_end_of_the_process_waits_for_nothing(self):
        daemons = []
        self.start('one', lambda: daemons.append(
            threading.current_thread().daemon))
        wait.wait_for(lambda: self.done, 'it is done')
        self.assertEqual([True], daemons)

    def test_what_one_owner_has_too_much_of_holds_up_no_other(self):
        self.tasks = tasks.Tasks('test', 3, most_of_one=2)
        self.addCleanup(self.tasks.close)
        for key in ('one', 'two', 'three', 'four'):
            self.tasks.start(
                key, lambda: self.gate.wait(10),
                lambda result, error: self.done.append(True), owner='slow')
        passed = threading.Event()
        self.tasks.start('other', passed.set, lambda result, error: None,
                         owner='quick')
        self.assertTrue(passed.wait(5))
        wait.wait_for(lambda: self.tasks._of_owner['slow'] == 2,
                      'as many run as may')
        self.gate.set()
        wait.wait_for(lambda: len(self.done) == 4, 'all are done')
        self.assertEqual({}, dict(+self.tasks._of_owner))

    def test_nothing_begins_once_it_is_closed(self):
        begun = threading.Semaphore(0)

        def run():
            begun.release()
            self.gate.wait(10)
        for key in ('one', 'two', 'three'):
            self.start(key, run)
        for _ in range(2):
            self.assertTrue(begun.acquire(timeout=5))
        self.tasks.close()
        self.start('four')
        self.gate.set()
        wait.wait_for(lambda: len(self.done) == 2, 'two were under way')
        self.assertEqual({'one', 'two'}, {key for key, *_ in self.done})
