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
from hypothesis import strategies
from oslotest import base

from zun_vk.compute.probes import outcome
from zun_vk.compute.probes import prober
from zun_vk.compute.probes import spec
from zun_vk.compute.probes import watch

FAILED = outcome.failure('no')
PASSED = outcome.success()
WARNED = outcome.Outcome(outcome.Verdict.WARNING)
ERROR = outcome.error('?')
SUCCESS, FAILURE, UNKNOWN = watch.Result


def _target(**fields):
    return prober.Target('u', 'ns', 'pod', {'name': 'c'}, 'id', 1000.0,
                         '10.0.0.5', **fields)


def _watch(kind, target=None, **fields):
    return watch.Watch(target or _target(),
                       spec.Probe(kind, spec.Exec(()), **fields))


class WatchTestCase(base.BaseTestCase):

    def test_before_a_probe_ran_kubernetes_assumes(self):
        self.assertEqual([UNKNOWN, SUCCESS, FAILURE], [
            _watch(kind).result for kind in spec.KINDS])

    def test_what_was_known_before_a_restart_stands(self):
        target = _target(started=True, ready=True)
        self.assertEqual([SUCCESS, SUCCESS, SUCCESS], [
            _watch(kind, target).result for kind in spec.KINDS])

    def _notes(self, watched, outcomes):
        return [(watched.note(each), watched.result) for each in outcomes]

    def test_failures_count_in_a_row_only(self):
        self.assertEqual(
            [(False, SUCCESS), (False, SUCCESS), (False, SUCCESS),
             (False, SUCCESS), (False, SUCCESS), (True, FAILURE)],
            self._notes(_watch('liveness'), [
                FAILED, FAILED, PASSED, FAILED, FAILED, FAILED]))

    def test_successes_count_in_a_row_too(self):
        self.assertEqual(
            [(False, FAILURE), (True, SUCCESS), (True, FAILURE),
             (False, FAILURE), (True, SUCCESS)],
            self._notes(_watch('readiness', success_threshold=2,
                               failure_threshold=1),
                        [PASSED, PASSED, FAILED, PASSED, PASSED]))

    def test_a_warning_is_a_success_and_an_error_is_nothing(self):
        self.assertEqual(
            [(False, FAILURE), (True, SUCCESS), (False, SUCCESS)],
            self._notes(_watch('readiness'), [ERROR, WARNED, ERROR]))

    def test_a_container_that_started_or_failed_is_not_asked_again(self):
        for kind, found, over in (
                ('startup', PASSED, True), ('startup', FAILED, True),
                ('liveness', FAILED, True), ('liveness', PASSED, False),
                ('readiness', FAILED, False), ('readiness', PASSED, False)):
            watched = _watch(kind, failure_threshold=1)
            self.assertFalse(watched.over)
            watched.note(found)
            self.assertEqual(over, watched.over, (kind, found))

    def test_the_first_run_waits_for_the_delay_from_the_start(self):
        watched = _watch('liveness', initial_delay=30)
        self.assertEqual(520, watched.first_at(500, 1010, 0))
        self.assertEqual(525, watched.first_at(500, 1010, 25))
        self.assertEqual(500, watched.first_at(500, 2000, 0))
        # The clock of the host went back.
        self.assertEqual(530, watched.first_at(500, 0, 0))

    def test_runs_that_were_late_are_not_made_up(self):
        watched = _watch('liveness', period=10)
        self.assertEqual(110, watched.next_at(100, 101))
        self.assertEqual(155, watched.next_at(100, 155))

    @hypothesis.given(strategies.lists(strategies.sampled_from(
        [PASSED, FAILED, ERROR])), strategies.integers(1, 4),
        strategies.integers(1, 4))
    def test_a_result_stands_until_enough_say_otherwise(
            self, outcomes, successes, failures):
        watched = _watch('readiness', success_threshold=successes,
                         failure_threshold=failures)
        expected, row = FAILURE, []
        for each in outcomes:
            watched.note(each)
            if each is not ERROR:
                row.append(each)
            if row[-successes:] == [PASSED] * successes:
                expected = SUCCESS
            if row[-failures:] == [FAILED] * failures:
                expected = FAILURE
            self.assertIs(expected, watched.result)
