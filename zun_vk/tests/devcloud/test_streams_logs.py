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
"""kubectl logs shows what containers said, and all of it."""

import calendar
import json
import re
import time

from zun_vk.compute import logs
from zun_vk.tests.devcloud import hosted
from zun_vk.tests.devcloud import streamed
from zun_vk.tests.fixtures.wait import wait_for

LINES = [f'line {number}' for number in range(1, 21)]
TALK = 'for i in $(seq 1 20); do echo "line $i"; done'
RAW = b'\377\000\001\n' + b'x' * 40000 + b'\nthe end'
SAY_RAW = (r"printf '\377\000\001\n'; head -c 40000 /dev/zero | tr '\0' x; "
           r"printf '\nthe end'")
# Seconds between what is said early and what is said late.
GAP = 4
STAMPED = re.compile(r'(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d+Z (.*)')
# Ends when a file is there.
COUNT = ('n=0; while [ ! -e /tmp/end ]; do n=$((n+1)); echo "line $n"; '
         '{pace}; done; echo bye')


def staying(script, name='main', **fields):
    return hosted.shell(f'{script}{streamed.STAY}', name, **fields)


def stamped(line):
    """Return when a line was said, seconds since the epoch, and it."""
    when, words = STAMPED.fullmatch(line).groups()
    return calendar.timegm(time.strptime(when, '%Y-%m-%dT%H:%M:%S')), words


class TestLogs(streamed.StreamCase):

    PODS = {
        'talker': {
            'containers': [
                staying(TALK),
                staying('echo other out; echo other err >&2', 'other'),
                staying(f'echo early; sleep {GAP}; echo late', 'timed')],
            'initContainers': [hosted.shell('echo init said', 'first')]},
        'fails': {
            'containers': [
                {'name': 'main', 'image': 'busybox', 'volumeMounts': [
                    {'name': 'data', 'mountPath': '/data'}],
                 'args': ['sh', '-c', '[ -e /data/ran ] || { echo one; '
                          f'touch /data/ran; exit 3; }}; echo two'
                          f'{streamed.STAY}']}],
            'restartPolicy': 'Always',
            'volumes': [{'name': 'data', 'emptyDir': {}}]}}

    def logs(self, *words, name='talker'):
        return self.kubectl.must('logs', name, *words).lines

    def test_all_that_a_container_said_is_shown_in_its_order(self):
        self.assertEqual(LINES, self.logs())
        self.assertEqual(LINES, self.logs('-c', 'main'))
        self.assertEqual(['init said'], self.logs('-c', 'first'))

    def test_the_end_alone_is_shown_and_the_beginning_alone(self):
        for tail, wanted in (('3', LINES[-3:]), ('0', []), ('-1', LINES),
                             ('100', LINES)):
            self.assertEqual(wanted, self.logs(f'--tail={tail}'), tail)
        said = self.kubectl.must('logs', 'talker', '--limit-bytes=10').out
        self.assertEqual(b'line 1\nlin', said)
        said = self.kubectl.must('logs', 'talker', '--tail=2',
                                 '--limit-bytes=9').out
        self.assertEqual(b'line 19\nl', said)

    def test_each_line_has_its_time_on_request(self):
        found = [stamped(line) for line in self.logs('--timestamps')]
        self.assertEqual(LINES, [words for _, words in found])
        times = [when for when, _ in found]
        self.assertEqual(sorted(times), times)
        self.assertLess(abs(time.time() - times[0]), 600)

    def test_what_was_said_since_a_moment_is_shown(self):
        def timed(*words):
            return self.logs('-c', 'timed', *words)
        wait_for(lambda: timed() == ['early', 'late'], 'both lines', 20)
        late, _ = stamped(timed('--timestamps')[1])
        moment = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(late))
        self.assertEqual(['late'], timed(f'--since-time={moment}'))
        self.assertEqual(['early', 'late'],
                         timed('--since-time=2020-01-01T00:00:00Z'))
        ago = int(time.time() - late) + 2
        self.assertEqual(['late'], timed(f'--since={ago}s'))
        self.assertEqual(['early', 'late'], timed('--since=1h'))
        self.assertEqual(LINES[-1:], self.logs('--since=1h', '--tail=1'))

    def test_the_container_before_is_shown_and_only_where_there_was_one(
            self):
        pod = self.pod('fails')
        self.wait_pod(pod, lambda seen: hosted.status_of(seen).get(
            'restartCount') == 1 and hosted.status_of(seen)['ready'],
            'restarted')
        self.assertEqual(['two'], self.logs(name='fails'))
        self.assertEqual(['one'], self.logs('--previous', name='fails'))
        said = self.kubectl('logs', 'talker', '-c', 'main', '--previous')
        self.assertEqual(1, said.code)
        self.assertIn('previous terminated container "main" in pod "talker" '
                      'not found', said.err)

    def test_all_containers_are_shown_together(self):
        words = ('--all-containers', '--prefix', '--tail=1')
        found = [line for line in self.logs(*words)
                 if not line.startswith(('[pod/talker/other]',
                                         '[pod/talker/timed]'))]
        self.assertEqual(['[pod/talker/first] init said',
                          f'[pod/talker/main] {LINES[-1]}'], sorted(found))

    def test_one_of_the_two_streams_is_shown_on_request(self):
        for stream, wanted in (('Stdout', 'other out\n'),
                               ('Stderr', 'other err\n'),
                               ('All', None)):
            said = self.kubectl.must(
                'get', '--raw', f'/api/v1/nodes/{self.node_name}/proxy/'
                f'containerLogs/{self.place}/talker/other?stream={stream}'
            ).out.decode()
            if wanted is None:
                self.assertEqual(['other err', 'other out'],
                                 sorted(said.splitlines()))
            else:
                self.assertEqual(wanted, said)

    def test_what_has_no_log_is_told_in_the_kubelets_words(self):
        pod = self.run_pod(
            {'name': 'main', 'image': 'zun-vk-tests/no-such-image'},
            name='waits', namespace=self.place)
        self.wait_why(pod, 'main', 'ErrImagePull', 'ImagePullBackOff')
        for words, wanted in (
                (('waits',), 'container "main" in pod "waits" is waiting '
                 "to start: "),
                (('talker', '-c', 'nosuch'),
                 'container nosuch is not valid for pod talker'),
                (('nosuch',), 'pods "nosuch" not found')):
            said = self.kubectl('logs', *words)
            self.assertEqual(1, said.code, words)
            self.assertIn(wanted, said.err)
            self.assertEqual(b'', said.out)


class TestEndingLogs(streamed.StreamCase):

    def test_the_log_of_a_finished_pod_stays_byte_for_byte(self):
        pod = self.run_pod(
            hosted.shell(f'{TALK}; exit 4'), hosted.shell(SAY_RAW, 'raw'),
            name='done', namespace=self.place)
        self.finished(pod)
        self.check_done('-f')
        wait_for(lambda: not self.capsule(pod), 'its capsule gone', 60)
        self.check_done()

    def check_done(self, *words):
        """Check the logs of the finished pod, and that they have an end."""
        said = self.kubectl.must('logs', 'done', '-c', 'main', *words)
        self.assertEqual(LINES, said.lines)
        said = self.kubectl.must('logs', 'done', '-c', 'raw', *words)
        self.assertTrue(said.out == RAW, (len(said.out), said.out[-20:]))

    def test_what_follows_a_log_hears_at_once_and_ends_with_it(self):
        pod = self.running_pod(
            hosted.shell(COUNT.format(pace='sleep 0.1')), name='follow',
            namespace=self.place)
        with self.kubectl.running('logs', '-f', 'follow') as child:
            said = streamed.read_until(child.stdout, b'line 9\n')
            begun = time.monotonic()
            said += streamed.read_until(child.stdout, b'line 29\n')
            took = time.monotonic() - begun
            self.call(pod, 'touch', '/tmp/end')
            said += streamed.read_until(child.stdout, b'bye\n')
            self.assertEqual(b'', child.stdout.read())
            self.assertEqual(0, child.wait(20))
        # It told as they came, not in lots: twenty in some two seconds.
        self.assertTrue(1 < took < 6, took)
        self.assertEqual(self.output(pod), said.decode())

    def test_a_tail_that_is_followed_begins_at_the_end(self):
        pod = self.running_pod(
            hosted.shell(f'{TALK}; while [ ! -e /tmp/end ]; do sleep 0.1; '
                         'done; echo bye'), name='tail',
            namespace=self.place)
        with self.kubectl.running('logs', '-f', '--tail=1', 'tail') as child:
            streamed.read_until(child.stdout, b'line 20\n')
            self.call(pod, 'touch', '/tmp/end')
            self.assertEqual(b'bye\n', child.stdout.read())

    def test_nothing_is_lost_or_doubled_when_a_log_is_rotated(self):
        pod = self.running_pod(
            hosted.shell(COUNT.format(
                pace='[ $((n % 200)) -gt 0 ] || sleep 0.05')),
            name='rotated', namespace=self.place)
        path = self.file_of(0)
        with path.open('wb') as file, self.kubectl.running(
                'logs', '-f', 'rotated', stdout=file) as child:
            wait_for(lambda: path.stat().st_size, 'the log', 20)
            for _ in range(3):
                self.rotate(pod)
            self.call(pod, 'touch', '/tmp/end')
            self.assertEqual(0, child.wait(30))
        for lines in (path.read_text().splitlines(),
                      self.kubectl.must('logs', 'rotated').lines):
            self.assertGreater(len(lines), 2000)
            self.assertEqual('bye', lines.pop())
            self.assertEqual([], [
                line for number, line in enumerate(lines, 1)
                if line != f'line {number}'][:5])

    def rotate(self, pod):
        """Have the log rotated as the host does once it is large."""
        ident = hosted.status_of(self.now(pod))['containerID'].partition(
            '://')[2]
        path = str(self.log_path(pod))
        host = self.cloud.host_of(self.capsule(pod))
        rotator = logs.Rotator(1, 10)
        with self.runtime(host) as runtime:
            wait_for(lambda: rotator.look(
                path, lambda: runtime.reopen_log(ident)), 'a rotation', 20)


class TestAnswer(streamed.StreamCase):

    PODS = {'web': {'containers': [staying(TALK)]}}

    def test_what_the_node_tells_of_itself_is_to_be_had(self):
        found = json.loads(self.kubectl.must(
            'get', '--raw',
            f'/api/v1/nodes/{self.node_name}/proxy/pods').out)
        names = {pod['metadata']['name'] for pod in found['items']
                 if pod['metadata']['namespace'] == self.place}
        self.assertEqual({'web'}, names)
        said = self.kubectl.must(
            'get', '--raw', f'/api/v1/nodes/{self.node_name}/proxy/healthz')
        self.assertEqual(b'ok', said.out)
