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
"""exec, attach, cp and run: streams of commands in containers."""

from concurrent import futures
import filecmp
import hashlib
import pathlib
import subprocess
import threading

import fixtures
from kubernetes import stream

from zun_vk.tests.devcloud import hosted
from zun_vk.tests.devcloud import streamed
from zun_vk.tests.fixtures import channels
from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures.wait import wait_for

BIG = 100 * streamed.MIB
CODES = {0: 'true', 3: 'exit 3', 137: 'kill -9 $$'}
ECHO = 'while read word; do echo "got $word"; done'
BOX = {'box': {'containers': [hosted.shell(streamed.STAY)]}}


def digest(path):
    with path.open('rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


class TestExec(streamed.StreamCase):

    PODS = BOX

    def run_in(self, script, way='websocket', **options):
        """Return what a script left in the box."""
        return self.kubectl.by(way)('exec', '-i', 'box', '--', 'sh', '-c',
                                    script, **options)

    def test_a_command_ends_with_its_code_and_both_its_outputs(self):
        for way in streamed.WAYS:
            for code, script in CODES.items():
                said = self.run_in(f'echo out; echo err >&2; {script}', way)
                self.assertEqual((way, code, b'out\n'),
                                 (way, said.code, said.out), said.err)
                errors = said.err.splitlines()
                self.assertEqual('err', errors[0])
                self.assertEqual(bool(code), len(errors) > 1, errors)

    def test_a_hundred_megabytes_go_in_and_come_out_as_they_were(self):
        path = self.file_of(BIG)
        wanted = digest(path)
        for way in streamed.WAYS:
            with path.open('rb') as file:
                said = self.run_in('tee /tmp/big | sha256sum', way,
                                   feed=file)
            self.assertEqual((way, f'{wanted}  -'),
                             (way, said.out.decode().strip()), said.err)
            back = path.with_name('back')
            with back.open('wb') as file, self.kubectl.by(way).running(
                    'exec', 'box', '--', 'cat', '/tmp/big',
                    stdout=file) as child:
                self.assertEqual(0, child.wait(60))
            self.assertEqual((way, wanted), (way, digest(back)))

    def test_what_a_command_says_last_is_not_lost(self):
        wanted = b'x' * 300000 + b'end'
        for _ in range(5):
            said = self.run_in(
                "head -c 300000 /dev/zero | tr '\\0' x; printf end")
            self.assertTrue(said.out == wanted, len(said.out))

    def test_a_terminal_has_its_size_and_hears_of_another(self):
        for way in streamed.WAYS:
            with self.kubectl.by(way).terminal(
                    'exec', '-it', 'box', '--', 'sh') as screen:
                for size in ((24, 80), (31, 117)):
                    screen.resize(*size)
                    self.wait_size(screen, size)
                screen.type('exit 5\n')
                self.assertEqual(5, screen.child.wait(20))

    def wait_size(self, screen, size):
        """Wait until the terminal in the container has this size."""
        def has_it():
            screen.type('stty size\n')
            return screen.shows('\n{} {}\r\n'.format(*size).encode())
        wait_for(has_it, f'a terminal of {size}', 20,
                 seen=lambda: screen.said)

    def test_files_are_copied_both_ways(self):
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        given = folder / 'given'
        (given / 'deep').mkdir(parents=True)
        (given / 'words').write_text('some words\n')
        (given / 'deep' / 'noise').write_bytes(self.file_of(
            streamed.MIB).read_bytes())
        for way in streamed.WAYS:
            kubectl = self.kubectl.by(way)
            kubectl.must('cp', str(given), f'box:/tmp/{way}')
            kubectl.must('cp', f'box:/tmp/{way}', str(folder / way))
            found = filecmp.dircmp(given, folder / way)
            self.assertEqual((['deep', 'words'], ['words']),
                             (sorted(found.common), found.same_files))
            self.assertTrue(filecmp.cmp(
                given / 'deep' / 'noise', folder / way / 'deep' / 'noise',
                shallow=False))

    def test_a_python_client_talks_over_a_websocket(self):
        core = kube.KubeAPI(self.devcloud.kubeconfig).core
        found = stream.stream(
            core.connect_get_namespaced_pod_exec, 'box', self.place,
            command=['sh', '-c', 'read word; echo "$word"; echo err >&2; '
                                 'exit 3'],
            stdin=True, stdout=True, stderr=True, tty=False,
            _preload_content=False)
        self.addCleanup(found.close)
        found.write_stdin('word\n')
        found.run_forever(20)
        self.assertEqual(('word\n', 'err\n', 3),
                         (found.read_stdout(timeout=0),
                          found.read_stderr(timeout=0), found.returncode))

    def test_fifty_commands_run_at_once(self):
        def run(number):
            with self.api_exec('sh', '-c', f'read word; echo {number} $word'
                               ) as opened:
                all_open.wait(60)
                opened.send(channels.STDIN, b'go\n')
                return opened.all()[channels.STDOUT]
        all_open = threading.Barrier(50)
        with futures.ThreadPoolExecutor(50) as pool:
            said = list(pool.map(run, range(50)))
        self.assertEqual([f'{number} go\n'.encode() for number in range(50)],
                         said)

    def api_exec(self, *command):
        """Open a command as clients do: at the API server."""
        tls = self.certified('admin')
        where = channels.path(
            'api', 'v1', 'namespaces', self.place, 'pods', 'box', 'exec',
            command=command, stdin='true', stdout='true', stderr='true')
        return channels.open_channels(streamed.api_server(tls), where,
                                      timeout=60)

    def test_what_cannot_run_says_so(self):
        done = self.run_pod(hosted.shell('true'), name='done',
                            namespace=self.place)
        self.succeeded(done)
        for words, wanted in (
                (('box', '-c', 'nosuch', '--', 'id'),
                 'container nosuch is not valid for pod box'),
                (('done', '--', 'id'), 'completed pod'),
                (('nosuch', '--', 'id'), 'pods "nosuch" not found'),
                (('box', '--', '/no/such'), 'no such file or directory')):
            said = self.kubectl('exec', *words)
            self.assertNotEqual(0, said.code, words)
            self.assertIn(wanted, said.err)

    def test_the_node_runs_a_command_and_answers_what_it_said(self):
        answer = channels.ask(self.kubelet(), 'POST', channels.path(
            'run', self.place, 'box', 'main', cmd='echo hello there'),
            'Content-Length: 0')
        self.assertEqual((200, b'hello there\n'),
                         (answer.status, answer.body))
        answer = channels.ask(self.kubelet(), 'POST', channels.path(
            'run', self.place, 'box', 'main', cmd='false'),
            'Content-Length: 0')
        self.assertEqual(500, answer.status)
        self.assertIn(b"command 'false' exited with 1", answer.body)


class TestAttach(streamed.StreamCase):

    PODS = {
        'terminal': {'containers': [
            {'name': 'main', 'image': 'busybox', 'args': ['sh'],
             'stdin': True, 'tty': True}]},
        'reader': {'containers': [hosted.shell(ECHO, stdin=True)]},
        'talker': {'containers': [hosted.shell(
            'trap exit TERM; n=0; while :; do n=$((n+1)); echo tick $n; '
            'sleep 0.2; done')]}}

    def test_a_terminal_is_attached_to_and_left_as_it_is(self):
        for way in streamed.WAYS:
            with self.kubectl.by(way).terminal(
                    'attach', '-it', 'terminal') as screen:
                screen.type(f'x={way}; echo $((20 + 3)) $x\n')
                self.assertTrue(screen.shows(f'\n23 {way}\r\n'.encode(), 20),
                                screen.said)
        pod = self.pod('terminal')
        self.assertEqual(hosted.status_of(pod),
                         hosted.status_of(self.now(pod)))

    def test_what_is_typed_reaches_a_container_and_what_it_says_comes_back(
            self):
        for way in streamed.WAYS:
            with self.kubectl.by(way).running(
                    'attach', '-i', 'reader') as child:
                child.stdin.write(f'{way}\n'.encode())
                streamed.read_until(child.stdout, f'got {way}\n'.encode())

    def test_what_a_container_says_is_heard_from_now_on(self):
        with self.kubectl.running('attach', 'talker',
                                  stdin=subprocess.DEVNULL) as child:
            said = streamed.read_until(child.stdout, b'\n')
            said += streamed.read_until(child.stdout, b'\n')
        first, *_, last = [int(line.split()[1]) for line in
                           said.decode().splitlines() if line[:4] == 'tick']
        self.assertLess(first, last)
