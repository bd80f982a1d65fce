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
"""tools/test: its numbers come from the tests and from nowhere else."""

import io
import json
import os
import pathlib
import tempfile
from unittest import mock

from oslotest import base
import subunit

from devcloud import api
from tools.testlayers import __main__ as layers
from tools.testlayers import count
from tools.testlayers import outcome
from tools.testlayers import steps


def stream(*events):
    """Return a subunit stream of (test, status) pairs."""
    out = io.BytesIO()
    writer = subunit.StreamResultToBytes(out)
    writer.startTestRun()
    for test, status in events:
        writer.status(test_id=test, test_status=status)
    writer.stopTestRun()
    return io.BytesIO(out.getvalue())


class TestCounting(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.out = io.StringIO()
        self.counter = count.Counter('unit', False, self.out)

    def counts(self, *events):
        return str(count.count(stream(*events), self.counter))

    def test_each_outcome_is_counted_once(self):
        self.assertEqual('2 passed, 2 failed, 1 skipped', self.counts(
            ('a', 'inprogress'), ('a', 'success'), ('b', 'xfail'),
            ('c', 'fail'), ('d', 'uxsuccess'), ('e', 'skip')))

    def test_a_listed_test_is_not_a_run_test(self):
        self.assertEqual('0 passed, 0 failed, 0 skipped',
                         self.counts(('a', 'exists')))

    def test_a_test_whose_worker_died_has_failed(self):
        self.assertEqual('0 passed, 1 failed, 0 skipped',
                         self.counts(('a', 'inprogress')))
        self.assertIn('did not end: a', self.out.getvalue())

    def test_failures_are_shown_by_name(self):
        self.counts(('one.that.fails', 'fail'), ('one.that.passes', 'success'))
        self.assertEqual('unit: FAILED: one.that.fails\n',
                         self.out.getvalue())


class TestOutcome(base.BaseTestCase):

    def write(self, **numbers):
        handle, name = tempfile.mkstemp()
        os.close(handle)
        path = pathlib.Path(name)
        self.addCleanup(path.unlink)
        path.write_text(json.dumps(numbers))
        return path

    def test_the_summary_names_numbers_time_and_problem(self):
        unit = outcome.Outcome('unit', seconds=12.4, problem='it hung')
        unit.take(self.write(passed=3, failed=0, skipped=1))
        self.assertEqual('unit       FAILED  3 passed, 0 failed, 1 skipped,'
                         ' 12 s, it hung', str(unit))

    def test_a_layer_that_ran_no_test_has_a_problem(self):
        unit = outcome.Outcome('unit')
        unit.take(self.write(passed=0, failed=0, skipped=5))
        self.assertEqual('no test ran', unit.problem)

    def test_a_layer_without_counts_has_a_problem(self):
        unit = outcome.Outcome('unit')
        unit.take(pathlib.Path('/nonexistent/counts'))
        self.assertTrue(unit.bad)

    def test_what_was_left_out_says_why(self):
        self.assertEqual(
            'devcloud   left out: it needs root',
            str(outcome.Outcome('devcloud', left_out='it needs root')))

    def test_the_totals_are_the_sum_of_the_layers(self):
        self.assertEqual('3 passed, 1 failed, 2 skipped', outcome.totals([
            outcome.Outcome('unit', passed=2, skipped=2),
            outcome.Outcome('functional', passed=1, failed=1)]))

    def test_the_exit_code_is_zero_only_when_all_is_well(self):
        well = outcome.Outcome('unit', passed=1)
        ill = outcome.Outcome('unit', failed=1)
        out = outcome.Outcome('devcloud', left_out='it needs root')
        self.assertEqual(0, outcome.exit_code([well], 1))
        self.assertEqual(0, outcome.exit_code([well, out], 2))
        self.assertEqual(1, outcome.exit_code([well, ill], 2))
        self.assertEqual(1, outcome.exit_code([well], 2))
        self.assertEqual(2, outcome.exit_code([out], 1))


class TestArguments(base.BaseTestCase):

    def layers(self, *argv):
        return layers.arguments(list(argv)).layers

    def test_the_long_forms_run_only_where_they_are_named(self):
        self.assertEqual(
            ['lint', 'unit', 'functional', 'devcloud', 'stock'],
            self.layers())
        self.assertEqual(['soak'], self.layers('soak'))

    def test_layers_run_in_their_order(self):
        self.assertEqual(['unit', 'functional', 'soak'],
                         self.layers('soak', 'functional', 'unit'))

    def test_what_follows_the_dashes_are_filters(self):
        args = layers.arguments(['unit', '--', 'status', 'node'])
        self.assertEqual((['unit'], ['status', 'node']),
                         (args.layers, args.filters))


class TestClouds(base.BaseTestCase):
    """With which capsule driver the cloud runs, and what is left of it."""

    def run_layer(self, was_up, before, keep=False):
        cloud = mock.create_autospec(api.Devcloud, instance=True)
        cloud.capsule_driver = before
        run = layers.Run(['stock'], keep, [])
        with mock.patch.object(layers.preconditions, 'missing',
                               autospec=True, return_value=''), \
                mock.patch.object(layers.api, 'Devcloud', autospec=True,
                                  return_value=cloud), \
                mock.patch.object(steps, 'succeeds', autospec=True,
                                  return_value=was_up), \
                mock.patch.object(run, '_tests', autospec=True), \
                mock.patch.object(steps, 'step', autospec=True) as step:
            run._devcloud('stock')
        self.cloud = cloud
        return [call.args[0] for call in step.call_args_list]

    def test_a_cloud_that_was_up_gets_its_driver_back(self):
        self.assertEqual(['up with docker', 'up with zun_vk'],
                         self.run_layer(True, 'zun_vk'))
        self.assertEqual(['up with docker'],
                         self.run_layer(True, 'docker'))

    def test_a_cloud_that_was_down_is_down_again_with_its_driver(self):
        self.assertEqual(['up with docker', 'down'],
                         self.run_layer(False, 'zun_vk'))
        self.cloud.choose_capsule_driver.assert_called_once_with('zun_vk')

    def test_a_kept_cloud_is_left_as_the_tests_had_it(self):
        self.assertEqual(['up with docker'],
                         self.run_layer(False, 'zun_vk', keep=True))
        self.cloud.choose_capsule_driver.assert_not_called()


class TestSteps(base.BaseTestCase):

    def test_a_step_that_takes_too_long_is_ended_with_its_children(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        child = steps.start(['sh', '-c', 'sleep 60 & wait'], stdout=writer)
        os.close(writer)
        self.assertRaisesRegex(steps.StepFailed, 'slow took over',
                               steps.wait, child, 'slow', 0.001, quiet=True)
        # End of file: not one of the group holds the other end any more.
        self.assertEqual(b'', os.read(reader, 1))

    def test_a_failing_step_names_its_exit_code(self):
        with mock.patch.object(steps, 'say', autospec=True):
            self.assertRaisesRegex(
                steps.StepFailed, 'up ended with exit code 3',
                steps.step, 'up', ['sh', '-c', 'exit 3'], 1)

    def test_a_missing_program_does_not_succeed(self):
        self.assertFalse(steps.succeeds('/nonexistent/program'))
