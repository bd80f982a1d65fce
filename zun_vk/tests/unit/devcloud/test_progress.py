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
import io
import threading

import fixtures

from devcloud import errors
from devcloud import progress
from zun_vk.tests.unit.devcloud import base


class RunnerTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.stream = io.StringIO()
        self.done = []
        self.aborted = threading.Event()

    def runner(self):
        return progress.Runner(progress.Screen(self.stream),
                               self.aborted.set)

    def step(self, name, *after):
        return progress.Step(name, lambda: self.done.append(name), after)

    def failing(self, name, *after):
        def fail():
            raise errors.DevcloudError(f'{name} is broken')
        return progress.Step(name, fail, after)

    def test_steps_run_after_what_they_need(self):
        self.runner().run([self.step('c', 'b'), self.step('b', 'a'),
                           self.step('a')])
        self.assertEqual(['a', 'b', 'c'], self.done)

    def test_what_is_not_among_the_steps_counts_as_done(self):
        self.runner().run([self.step('b', 'a')])
        self.assertEqual(['b'], self.done)

    def test_independent_steps_run_side_by_side(self):
        barrier = threading.Barrier(2, timeout=10)
        self.runner().run([progress.Step('a', barrier.wait),
                           progress.Step('b', barrier.wait)])

    def test_a_failure_keeps_later_steps_from_starting(self):
        error = self.assertRaises(
            errors.DevcloudError, self.runner().run,
            [self.failing('a'), self.step('b', 'a')])
        self.assertEqual('a is broken', str(error))
        self.assertEqual([], self.done)
        self.assertTrue(self.aborted.is_set())
        self.assertIn('a: FAILED', self.stream.getvalue())

    def test_a_failure_ends_what_waits_and_the_first_is_told(self):
        def wait():
            if self.aborted.wait(10):
                raise errors.Aborted('b was interrupted')

        error = self.assertRaises(
            errors.DevcloudError, self.runner().run,
            [progress.Step('b', wait), self.failing('a')])
        self.assertEqual('a is broken', str(error))

    def test_steps_that_wait_for_each_other_are_an_error(self):
        self.assertRaises(errors.DevcloudError, self.runner().run,
                          [self.step('a', 'b'), self.step('b', 'a')])

    def test_a_long_step_says_that_it_still_runs(self):
        log = self.tmp / 'log'
        log.write_text('first\nlast words\n')
        self.useFixture(fixtures.MockPatchObject(progress, 'STILL', 0.0))
        release = threading.Event()

        class Stream(io.StringIO):
            def write(self, text):
                if 'so far' in text:
                    release.set()
                return super().write(text)

        self.stream = Stream()
        self.runner().run([progress.Step(
            'a', lambda: release.wait(10), log=log)])
        self.assertIn('so far (last words)', self.stream.getvalue())


class LogTailTestCase(base.TestCase):

    def test_the_last_lines_are_told_with_the_path(self):
        log = self.tmp / 'log'
        log.write_text(''.join(f'line {i}\n' for i in range(50)))
        text = errors.LoggedFailure('it failed', log).report(2)
        self.assertEqual(
            f'it failed\n    line 48\n    line 49\n  log: {log}', text)

    def test_no_log_is_no_lines(self):
        self.assertEqual([], errors.log_tail(self.tmp / 'none', 5))

    def test_only_the_end_of_a_huge_log_is_read(self):
        log = self.tmp / 'log'
        log.write_bytes(b'x' * 5000 + b'\nend \xff\n')
        self.assertEqual('end \ufffd', errors.log_tail(log, 1, 100)[0])
