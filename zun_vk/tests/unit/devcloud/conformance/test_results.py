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
import json

from hypothesis import given
from hypothesis import strategies

from devcloud import errors
from devcloud.conformance import results
from zun_vk.tests.unit.devcloud.conformance import base

REFUSED = ('failed to get logs from pod-1: Get "https://127.0.0.1:10250/'
           'containerLogs/ns/pod-1/c": dial tcp: connection refused')


def failed(message, log=''):
    return results.of_spec(base.spec(
        '[sig-node] Pods', 'run', state='failed',
        Failure={'Message': message}, CapturedGinkgoWriterOutput=log))


def result(name, outcome, **kwargs):
    return results.Result(name, 'Pods', 'file:1', outcome, **kwargs)


class SpecTestCase(base.TestCase):

    def test_a_passed_test(self):
        found = results.of_spec(base.spec('[sig-node] Pods', 'run'))
        self.assertEqual(results.PASSED, found.outcome)
        self.assertEqual(1.2, found.seconds)
        self.assertEqual((), found.cause)

    def test_a_failed_test_has_the_first_lines_of_its_cause(self):
        found = failed('Timed out\n\n  Expected x\n' + 'more\n' * 50)
        self.assertEqual(results.FAILED, found.outcome)
        self.assertEqual(('Timed out', 'Expected x'), found.cause[:2])
        self.assertEqual(results.CAUSE_LINES, len(found.cause))

    def test_a_long_line_is_cut(self):
        self.assertEqual(results.LINE, len(failed('x' * 9999).cause[0]))

    def test_a_test_that_timed_out_or_panicked_failed(self):
        for state in ('timedout', 'panicked', 'aborted'):
            found = results.of_spec(base.spec('A', 'b', state=state))
            self.assertEqual(results.FAILED, found.outcome)
            self.assertEqual((state,), found.cause)

    def test_an_interrupted_test_did_not_run(self):
        found = results.of_spec(base.spec(
            'A', 'b', state='interrupted', Failure={'Message': 'signal'}))
        self.assertEqual(results.NOT_RUN, found.outcome)

    def test_a_test_that_skips_itself_says_why(self):
        found = results.of_spec(base.spec(
            'A', 'b', state='skipped', Failure={'Message': 'no node'}))
        self.assertEqual((results.SKIPPED, 'no node'),
                         (found.outcome, found.reason))

    def test_a_test_that_was_filtered_out_has_no_result(self):
        self.assertIsNone(results.of_spec(
            base.spec('A', 'b', state='skipped')))

    def test_failures_of_the_kubelet_api_are_marked(self):
        self.assertTrue(failed(REFUSED).kubelet_api)
        self.assertTrue(failed('timed out', log=REFUSED).kubelet_api)

    def test_asking_the_node_for_its_pods_is_no_failure_of_the_api(self):
        log = 'Get "https://127.0.0.1:10250/pods": connection refused'
        self.assertFalse(failed('timed out', log=log).kubelet_api)

    def test_events_are_taken_from_the_log_once(self):
        line = ('I1126 At 2026-11-26 01:00:00 +0000 UTC - event for pod-1: '
                '{kubelet zun-vk} Failed: Error: no such user\n')
        found = failed('timed out', log=line * 3 + 'else\n')
        self.assertEqual(('pod-1: Failed: Error: no such user',),
                         found.events)

    def test_the_set_up_of_the_suite_is_told_apart(self):
        message = {'Message': 'no ready nodes\nat all'}
        self.assertEqual('no ready nodes at all', results.suite_problem(
            base.report(base.setup(Failure=message))))
        self.assertEqual('', results.suite_problem(base.report(
            base.spec('A', 'b', state='failed', Failure=message))))


class MergeTestCase(base.TestCase):

    def test_a_later_result_replaces_the_one_before(self):
        merged = results.merge({'a': result('a', results.FAILED)},
                               {'a': result('a', results.PASSED)})
        self.assertEqual(results.PASSED, merged['a'].outcome)

    def test_a_test_that_was_not_reached_keeps_its_result(self):
        merged = results.merge({'a': result('a', results.FAILED)},
                               {'a': result('a', results.NOT_RUN),
                                'b': result('b', results.NOT_RUN)})
        self.assertEqual([results.FAILED, results.NOT_RUN],
                         [merged[name].outcome for name in 'ab'])


OUTCOMES = strategies.sampled_from(results.OUTCOMES)
SOME = strategies.dictionaries(
    strategies.text(min_size=1), strategies.builds(
        results.Result, area=strategies.text(), where=strategies.text(),
        name=strategies.text(), outcome=OUTCOMES,
        cause=strategies.tuples(strategies.text()),
        events=strategies.tuples(strategies.text())))


class JSONTestCase(base.TestCase):

    @given(SOME)
    def test_a_report_is_read_as_it_was_written(self, some):
        some = {each.name: each for each in some.values()}
        text = json.dumps(results.to_json(some, {'procs': 2}))
        data = json.loads(text)
        self.assertEqual(some, results.from_json(data))
        self.assertEqual(len(some), sum(data['counts'].values()))

    def test_what_is_no_report_is_an_error(self):
        good = results.to_json({'a': result('a', results.PASSED)}, {})
        bad = [None, [], {}, {'tests': [{}]},
               {'tests': [{**good['tests'][0], 'outcome': 'well'}]}]
        for data in bad:
            self.assertRaises(errors.DevcloudError, results.from_json, data)


class SummaryTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.found = {each.name: each for each in (
            result('[sig-node] Pods one', results.PASSED),
            result('Pods two', results.PASSED),
            result('Pods three', results.FAILED, cause=('no', 'way'),
                   kubelet_api=True),
            result('Pods four', results.LEFT_OUT, reason='hostPath'),
            result('Pods five', results.SKIPPED, reason='no node'))}

    def test_the_last_line_has_the_totals(self):
        self.assertEqual('2 passed, 1 failed, 2 skipped (66.7 % of 3)',
                         results.summary(self.found)[-1])

    def test_what_did_not_run_counts_against_the_figure(self):
        self.assertEqual(
            '1 passed, 0 failed, 0 skipped, 1 not run (50.0 % of 2)',
            results.totals([result('a', results.PASSED),
                            result('b', results.NOT_RUN)]))

    def test_failures_have_causes_and_skips_have_reasons(self):
        lines = results.summary(self.found)
        at = lines.index('Pods three (kubelet API)')
        self.assertEqual(['    no', '    way'], lines[at + 1:at + 3])
        at = lines.index('== left out by skips.toml')
        self.assertEqual(['1: hostPath', '    Pods four'],
                         lines[at + 1:at + 3])
        self.assertIn('== skipped by themselves', lines)

    def test_nothing_is_no_failure(self):
        self.assertEqual(['== areas', '0 passed, 0 failed, 0 skipped'],
                         results.summary({}))
