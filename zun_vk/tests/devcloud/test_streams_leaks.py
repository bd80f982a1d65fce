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
"""Clients come and go as they like; nothing is left of them."""

from concurrent import futures
import contextlib
import socket

from devcloud import hosts as zun_hosts
from zun_vk.tests.devcloud import base
from zun_vk.tests.devcloud import hosted
from zun_vk.tests.devcloud import procs
from zun_vk.tests.devcloud import streamed
from zun_vk.tests.fixtures import channels
from zun_vk.tests.fixtures.wait import hold_for
from zun_vk.tests.fixtures.wait import wait_for

ROUNDS = 200
AT_ONCE = 10
# More than the threads that a host answers the bus with, which it never ends.
POOLED = 100
# What others of the cloud may need meanwhile: connections, threads of pools.
OTHERS = 5
# The runtime starts commands one by one, also those that nobody waits for.
GONE_SECONDS = 90
ECHO = 9000
NOISE = 'while :; do echo "a line that is as long as many lines are"; done'
# Bytes more that a process may have while nobody reads what it has to give.
MEMORY = 20 * streamed.MIB
SLOW_SECONDS = 5


class LeakCase(streamed.StreamCase):

    def servers(self):
        """Return the process IDs of all that a stream flows through."""
        names = [base.api.AGENT, *(
            zun_hosts.named('zun-vk-compute', host)
            for host in self.devcloud.hosts())]
        return {name: self.devcloud.pid(name) for name in names}

    def held(self):
        """Return what these have, by their names."""
        return {name: procs.holds(pid)
                for name, pid in self.servers().items()}

    def least_held(self):
        """Return the least that they have, seen over some seconds."""
        looks = []
        hold_for(lambda: looks.append(self.held()) or True, 'time passes', 3)
        return {name: procs.Holds(*map(min, zip(*(
            look[name] for look in looks), strict=True)))
            for name in looks[0]}

    def processes(self, name):
        """Return how many processes the containers of a pod have.

        But for those that their shells sleep with.
        """
        uid = self.pod(name)['metadata']['uid']
        return sum(procs.command(pid) not in ('', 'sleep') for pid in {
            int(pid) for folder in hosted.CGROUPS.glob(
                f'*/{zun_hosts.cgroup(self.devcloud.paths)}/pod{uid}')
            for path in folder.rglob('cgroup.procs')
            for pid in path.read_text().split()})

    def read_log(self, name):
        answer = channels.ask(self.kubelet(), 'GET', channels.path(
            'containerLogs', self.place, name, 'main', tailLines=1))
        self.assertEqual(200, answer.status)

    def check_nothing_left(self, name, client, rounds=ROUNDS):
        """Check that clients that are killed leave nothing.

        :param client: begins a stream and breaks it off; called often, by
            several threads
        """
        alone = self.processes(name)
        self.assertGreater(alone, 0)

        def wait_alone():
            wait_for(lambda: self.processes(name) <= alone,
                     'no process of a client', GONE_SECONDS,
                     seen=lambda: (alone, self.processes(name)))
        with futures.ThreadPoolExecutor(AT_ONCE) as pool:
            # Pools of threads and of connections have their size by then.
            list(pool.map(lambda _: self.read_log(name), range(POOLED)))
            list(pool.map(client, range(2 * AT_ONCE)))
            wait_alone()
            before = self.least_held()
            list(pool.map(client, range(rounds)))
        wait_alone()
        wait_for(lambda: all(now.within(before[server], OTHERS) for
                             server, now in self.held().items()),
                 'nothing left of any client', 30,
                 seen=lambda: (before, self.held()))


class TestLeaks(LeakCase):

    PODS = {
        'box': {'containers': [hosted.shell(streamed.STAY)]},
        'talker': {'containers': [
            hosted.shell('trap exit TERM; while :; do echo tick; sleep 0.1; '
                         'done')]},
        'server': {'containers': [hosted.shell(
            f'exec nc -ll -p {ECHO} -e cat')]}}

    def test_of_commands_nothing_is_left(self):
        def client(_):
            opened = self.exec_in('box', 'cat')
            opened.send(channels.STDIN, b'word\n')
            opened.until(b'word\n')
            opened.break_off()
        self.check_nothing_left('box', client)

    def test_of_a_kubectl_that_is_killed_nothing_is_left(self):
        def client(number):
            way = list(streamed.WAYS)[number % len(streamed.WAYS)]
            with self.kubectl.by(way).running(
                    'exec', '-i', 'box', '--', 'cat') as child:
                child.stdin.write(b'word\n')
                streamed.read_until(child.stdout, b'word\n', 60)
        self.check_nothing_left('box', client, AT_ONCE)

    def test_of_who_was_attached_nothing_is_left(self):
        def client(_):
            opened = channels.open_channels(self.kubelet(), channels.path(
                'attach', self.place, 'talker', 'main', output=1, error=1))
            opened.until(b'tick')
            opened.break_off()
        self.check_nothing_left('talker', client)

    def test_of_forwarded_connections_nothing_is_left(self):
        def client(_):
            opened = channels.open_channels(self.kubelet(), channels.path(
                'portForward', self.place, 'server', port=ECHO))
            opened.send(0, b'word\n')
            opened.until(b'word\n', 0)
            opened.break_off()
        self.check_nothing_left('server', client)

    def test_of_who_followed_a_log_nothing_is_left(self):
        where = channels.path('containerLogs', self.place, 'talker', 'main',
                              follow='true', tailLines=1)

        def client(_):
            target = self.kubelet()
            sock = channels.connect(target)
            sock.sendall(channels.request(target, 'GET', where))
            said = b''
            while b'tick' not in said:
                said += sock.recv(4096)
            channels.Channels(sock).break_off()
        self.check_nothing_left('talker', client)

    def test_of_who_hangs_up_before_an_answer_nothing_is_left(self):
        def client(_):
            target = self.kubelet()
            sock = channels.connect(target)
            sock.sendall(channels.request(
                target, 'GET', self.exec_path('box', 'cat'),
                'Connection: Upgrade', 'Upgrade: websocket',
                'Sec-WebSocket-Version: 13',
                'Sec-WebSocket-Key: ' + 'A' * 22 + '==',
                f'Sec-WebSocket-Protocol: {channels.PROTOCOL}'))
            channels.Channels(sock).break_off()
        # The runtime takes its time to start and to end each command.
        self.check_nothing_left('box', client, ROUNDS // 4)


class TestBackPressure(LeakCase):

    PODS = {'noisy': {'containers': [hosted.shell(
        'head -c 30000000 /dev/urandom | base64; echo told'
        f'{streamed.STAY}')]}}

    def test_a_client_that_does_not_read_costs_no_memory(self):
        pod = self.pod('noisy')
        wait_for(lambda: self.log(pod)[-200:].count(b' told\n'), 'the log',
                 60, interval=1)
        target = self.kubelet()
        before = self.memory()
        with contextlib.ExitStack() as stack:
            for _ in range(4):
                stack.enter_context(self.unread(target, channels.request(
                    target, 'GET', channels.path(
                        'containerLogs', self.place, 'noisy', 'main'))))
                opened = stack.enter_context(self.exec_in('noisy', 'sh', '-c',
                                                          NOISE))
                opened.until(b'line')
            hold_for(lambda: self.grown(before) < MEMORY,
                     'little memory', SLOW_SECONDS, 0.5)
            # And who reads gets all.
            said = self.kubectl.must('logs', 'noisy').out
            self.assertTrue(said.endswith(b'\ntold\n'))

    def memory(self):
        return {name: procs.memory(pid)
                for name, pid in self.servers().items()}

    def grown(self, before):
        return max(now - before[name]
                   for name, now in self.memory().items())

    @contextlib.contextmanager
    def unread(self, target, sent):
        with channels.connect(target) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            sock.sendall(sent)
            yield
