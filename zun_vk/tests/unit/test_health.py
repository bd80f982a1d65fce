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
from zun_vk import health


class HealthTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.now = 100.0
        self.health = health.Health(clock=lambda: self.now)

    def _fail(self, check='look', service='zun', message='refused'):
        self.health.failed(check, exceptions.Unreachable(service, message))

    def test_all_is_well_at_first(self):
        self.assertEqual([], self.health.problems())
        self.health.ok('look')
        self.assertEqual([], self.health.problems())

    def test_a_failing_check_is_a_problem_until_it_works(self):
        self._fail()
        self.assertEqual([health.Problem('zun', 'refused', 100.0)],
                         self.health.problems())
        self.health.ok('other')
        self.assertEqual(1, len(self.health.problems()))
        self.health.ok('look')
        self.assertEqual([], self.health.problems())

    def test_a_problem_lasts_from_its_first_failure(self):
        self._fail()
        self.now = 150.0
        self._fail(message='reset')
        self.assertEqual([health.Problem('zun', 'reset', 100.0)],
                         self.health.problems())

    def test_who_tries_can_have_the_error(self):
        error = exceptions.Throttled('kubernetes', 'slow down', 5)

        def fail():
            raise error

        self.assertIs(error, self.health.outcome('look', fail))
        self.assertEqual(1, len(self.health.problems()))
        self.assertIsNone(self.health.outcome('look', lambda: None))
        self.assertEqual([], self.health.problems())

    def test_the_oldest_problem_comes_first(self):
        self._fail('b', 'placement')
        self.now = 150.0
        self._fail('a', 'zun')
        self.assertEqual(['placement', 'zun'], [
            problem.service for problem in self.health.problems()])

    def test_a_failure_and_its_end_are_said_once(self):
        with self.assertLogs('zun_vk.health', 'INFO') as logs:
            for _ in range(3):
                self._fail()
            for _ in range(3):
                self.health.ok('look')
        self.assertEqual(2, len(logs.output), logs.output)
        self.assertIn('refused', logs.output[0])
        self.assertIn('again', logs.output[1])

    def test_another_service_at_fault_is_said_too(self):
        with self.assertLogs('zun_vk.health', 'INFO') as logs:
            self._fail()
            self._fail(service='keystone')
            self._fail(service='keystone')
        self.assertEqual(2, len(logs.output), logs.output)

    def test_an_attempt_reports_its_outcome(self):
        def refuse(*args):
            raise exceptions.Unreachable('zun', 'refused')

        self.assertFalse(self.health.attempt('look', refuse, 1, 2))
        self.assertEqual(1, len(self.health.problems()))
        seen = []
        self.assertTrue(self.health.attempt('look', seen.append, 3))
        self.assertEqual(([3], []), (seen, self.health.problems()))

    def test_a_bug_in_an_attempt_is_no_outcome(self):
        self.assertRaises(ZeroDivisionError, self.health.attempt, 'look',
                          lambda: 1 / 0)
        self.assertEqual([], self.health.problems())
