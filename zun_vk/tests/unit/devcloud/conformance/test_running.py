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
import re
import sys
from unittest import mock

from devcloud import commands
from devcloud import errors
from devcloud import progress
from devcloud.conformance import listing
from devcloud.conformance import programs
from devcloud.conformance import results
from devcloud.conformance import running
from devcloud.conformance import watching
from zun_vk.tests.unit.devcloud.conformance import base

# Stands in for ginkgo: prints what it is told, writes a report, ends
GINKGO = '''
for line in {lines!r}:
    print(line)
if {report!r}:
    import json
    open('ginkgo.json', 'w').write(json.dumps({report!r}))
print('said by ginkgo')
'''


PASSED_ONE = ['• [1.484 seconds]', '[X] one [sig-node, Conformance]']
FAILED_TWO = ['• [FAILED] [0.1 seconds]', '[X] [It] two [sig-node]']


def tests(*names):
    return [listing.Test(name, 'Pods', 'file:1') for name in names]


class RunTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.built = programs.Programs(self.where, commands.Commands(), {})
        self.built.folder.mkdir(parents=True)
        self.folder = self.tmp / 'run'
        self.folder.mkdir()
        self.screen = mock.create_autospec(progress.Screen, instance=True)

    def run_tests(self, names, lines=(), report=None):
        text = GINKGO.format(lines=list(lines), report=report)
        path = self.built.path('ginkgo')
        path.write_text(f'#!{sys.executable}\n{text}')
        path.chmod(0o755)
        options = running.Options(3, 1, self.folder)
        run = running.Run(self.built, tests(*names), options, self.screen)
        return run.go(self.tmp / 'kubeconfig', {})

    def test_the_report_is_what_counts(self):
        found = self.run_tests(
            ['[X] one', '[X] two'], [*PASSED_ONE, *FAILED_TWO],
            base.report(base.spec('[X]', 'one'), base.spec(
                '[X]', 'two', state='failed',
                Failure={'Message': 'no'})))
        self.assertEqual(
            {'[X] one': results.PASSED, '[X] two': results.FAILED},
            {name: each.outcome for name, each in found.items()})
        self.assertEqual(('no',), found['[X] two'].cause)

    def test_each_result_is_shown_when_it_is_there(self):
        self.run_tests(['[X] one', '[X] two'], [*PASSED_ONE, *FAILED_TWO])
        self.assertEqual(
            ['1/2 (0 failed) passed: one', '2/2 (1 failed) FAILED: two'],
            [call.args[0] for call in self.screen.say.call_args_list])

    def test_without_a_report_what_was_seen_counts(self):
        found = self.run_tests(['[X] one', '[X] two', '[X] three'],
                               [*PASSED_ONE, *FAILED_TWO])
        self.assertEqual(
            [results.PASSED, results.FAILED, results.NOT_RUN],
            [found[f'[X] {name}'].outcome
             for name in ('one', 'two', 'three')])

    def test_what_it_printed_is_in_the_log(self):
        self.run_tests(['[X] one'], PASSED_ONE)
        self.assertIn('said by ginkgo\n',
                      (self.folder / 'ginkgo.log').read_text())

    def test_an_old_report_is_not_taken_for_the_new(self):
        (self.folder / 'ginkgo.json').write_text(json.dumps(
            base.report(base.spec('a'))))
        error = self.assertRaises(errors.LoggedFailure, self.run_tests, 'a')
        self.assertIn('said by ginkgo', error.report())

    def test_a_suite_that_cannot_begin_says_why(self):
        error = self.assertRaises(
            errors.LoggedFailure, self.run_tests, ['a'], (),
            base.report(base.setup(Failure={'Message': 'no nodes'})))
        self.assertEqual('no nodes', str(error))


class CommandTestCase(base.TestCase):

    def test_a_focus_matches_one_test_and_no_longer_one(self):
        name = 'Probes should *not* restart (a "b") [X]'
        words = running.focus(tests(name)[0])
        # Go's \Q…\E, in Python's words
        quoted = re.sub(r'\\Q(.*)\\E', lambda found: re.escape(
            found.group(1)), words)
        suite = running.SUITE
        self.assertTrue(re.search(quoted, f'{suite} {name}'))
        for other in (f'{suite} {name} more', f'{suite} more {name}', name):
            self.assertIsNone(re.search(quoted, other))

    def test_the_tests_get_cluster_and_limits(self):
        built = programs.Programs(self.where, commands.Commands(), {})
        words = running.command(
            built, tests('a', 'b'), running.Options(4, 1.5, self.tmp),
            self.tmp / 'kubeconfig')
        at = words.index('--')
        self.assertEqual(str(built.path('e2e.test')), words[at - 1])
        self.assertIn('--procs=4', words[:at])
        self.assertIn('--timeout=90s', words[:at])
        self.assertEqual(
            2, len([word for word in words[:at] if '--focus=' in word]))
        self.assertIn(f'--kubeconfig={self.tmp}/kubeconfig', words[at:])


class WatcherTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.one, self.two = tests('[X] one [Slow]', '[X] two')
        self.watcher = watching.Watcher([self.one, self.two])

    def take(self, *lines):
        taken = [self.watcher.take(f'{line}\n') for line in lines]
        return [each for each in taken if each]

    def test_several_processes_tell_the_test_after_the_result(self):
        self.assertEqual(
            [(self.two, False), (self.one, True)],
            self.take('-----', '• [FAILED] [300.018 seconds]',
                      '[X] [It] two [X, NodeConformance]', 'file.go:1',
                      '  [X] two [X]', '-----', '• [0.028 seconds]',
                      '[X] one [Slow] [X, NodeConformance]', '-----'))

    def test_one_process_tells_the_test_before_it_begins(self):
        self.assertEqual(
            [(self.one, True), (self.two, False)],
            self.take('-----', '[X] one [Slow] [X]', 'file.go:1', '  STEP',
                      '• [0.1 seconds]', '-----', '[X] two [X]', 'file.go:2',
                      '• [TIMEDOUT] [9.5 seconds]', '[X] two [X]'))

    def test_what_the_suite_does_is_no_result(self):
        self.assertEqual([], self.take(
            '[ReportBeforeSuite] PASSED [0.000 seconds]', '', '••••',
            '• [0.1 seconds]', '[Y] another [Y]'))

    def test_a_test_that_skips_itself_neither_passed_nor_failed(self):
        self.assertEqual([], self.take(
            'S [SKIPPED] [0.1 seconds]', '[X] two [X]', 'file.go:2'))
