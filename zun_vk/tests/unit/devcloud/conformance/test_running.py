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
import threading
from unittest import mock
import urllib.request

from devcloud import commands
from devcloud import errors
from devcloud import progress
from devcloud.conformance import listener
from devcloud.conformance import listing
from devcloud.conformance import programs
from devcloud.conformance import results
from devcloud.conformance import running
from zun_vk.tests.unit.devcloud.conformance import base

# Stands in for ginkgo: posts what it is told, writes a report, ends
GINKGO = '''
import json, sys, urllib.request
url = [word for word in sys.argv if 'progress-report-url' in word][0]
for message in {posts!r}:
    urllib.request.urlopen(urllib.request.Request(
        url.partition('=')[2], json.dumps({{'msg': message}}).encode()))
if {report!r}:
    open('ginkgo.json', 'w').write(json.dumps({report!r}))
print('said by ginkgo')
'''


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

    def run_tests(self, names, posts=(), report=None):
        text = GINKGO.format(posts=list(posts), report=report)
        path = self.built.path('ginkgo')
        path.write_text(f'#!{sys.executable}\n{text}')
        path.chmod(0o755)
        options = running.Options(3, 1, self.folder)
        run = running.Run(self.built, tests(*names), options, self.screen)
        return run.go(self.tmp / 'kubeconfig', {})

    def test_the_report_is_what_counts(self):
        found = self.run_tests(
            ['Pods one', 'Pods two'],
            ['PASSED Pods one', 'FAILED Pods two'],
            base.report(base.spec('Pods', 'one'), base.spec(
                'Pods', 'two', state='failed',
                Failure={'Message': 'no'})))
        self.assertEqual(
            {'Pods one': results.PASSED, 'Pods two': results.FAILED},
            {name: each.outcome for name, each in found.items()})
        self.assertEqual(('no',), found['Pods two'].cause)

    def test_each_result_is_shown_when_it_is_there(self):
        self.run_tests(['Pods one', 'Pods [X] two'],
                       ['PASSED Pods one', 'FAILED Pods  [X] two',
                        'Test Suite completed', 'PASSED another'],
                       base.report())
        self.assertEqual(
            ['1/2 (0 failed) passed: Pods one',
             '2/2 (1 failed) FAILED: Pods two'],
            [call.args[0] for call in self.screen.say.call_args_list])

    def test_without_a_report_what_was_heard_counts(self):
        found = self.run_tests(['a', 'b', 'c'], ['PASSED a', 'FAILED b'])
        self.assertEqual(
            [results.PASSED, results.FAILED, results.NOT_RUN],
            [found[name].outcome for name in 'abc'])

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
            self.tmp / 'kubeconfig', 'http://here/')
        at = words.index('--')
        self.assertEqual(str(built.path('e2e.test')), words[at - 1])
        self.assertIn('--procs=4', words[:at])
        self.assertIn('--timeout=90s', words[:at])
        self.assertEqual(
            2, len([word for word in words[:at] if '--focus=' in word]))
        self.assertIn(f'--kubeconfig={self.tmp}/kubeconfig', words[at:])
        self.assertIn('--progress-report-url=http://here/', words[at:])


class ListenerTestCase(base.TestCase):

    def post(self, url, data):
        return urllib.request.urlopen(urllib.request.Request(url, data),
                                      timeout=10).status

    def test_what_is_no_message_is_refused_and_not_heard(self):
        heard = mock.Mock(spec=())
        with listener.Listener(heard) as posts:
            for data in (b'', b'[', b'[]'):
                error = self.assertRaises(urllib.error.HTTPError, self.post,
                                          posts.url, data)
                error.close()
            self.assertEqual(200, self.post(posts.url, b'{"msg": "PASSED"}'))
            self.assertEqual(200, self.post(posts.url, b'{}'))
        heard.assert_not_called()

    def test_it_ends_its_thread(self):
        with listener.Listener(mock.Mock(spec=())):
            pass
        self.assertNotIn('listener', [
            thread.name for thread in threading.enumerate()])
