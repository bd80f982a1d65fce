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
"""Streams where something between client and container fails or changes."""

from concurrent import futures
import contextlib
import functools
import os
import re
import signal
import time

import fixtures

from zun_vk.tests.devcloud import certified
from zun_vk.tests.devcloud import hosted
from zun_vk.tests.devcloud import onehost
from zun_vk.tests.devcloud import streamed
from zun_vk.tests.fixtures import channels
from zun_vk.tests.fixtures.wait import wait_for

# For the answer about a host that does not answer, and a little more.
SECONDS = 11
# The agent lets streams run on for so long when it is told to end.
GRACE = 8
BOX = {'box': {'containers': [hosted.shell(f'echo hello{streamed.STAY}')]}}


class TestSilentHost(onehost.OneHostCase, streamed.StreamCase):

    PODS = BOX

    def setUp(self):
        super().setUp()
        self.host = self.cloud.host_of(self.capsule(self.pod('box')))

    def test_a_host_that_is_silent_is_told_of_in_time(self):
        for begin, end in (
                (lambda: self.kill('zun-vk-compute'),
                 lambda: self.start('zun-vk-compute')),
                (lambda: self.signal_worker(signal.SIGSTOP),
                 lambda: self.signal_worker(signal.SIGCONT))):
            begin()
            try:
                self.check_told()
            finally:
                end()
            wait_for(lambda: self.kubectl('exec', 'box', '--', 'true'
                                          ).code == 0, 'commands again', 30)
            self.assertEqual(['hello'],
                             self.kubectl.must('logs', 'box').lines)

    def check_told(self):
        """Check the answers about the silent host; all are asked at once."""
        streams = {
            'exec': self.exec_path('box', 'true'),
            'attach': channels.path('attach', self.place, 'box', 'main',
                                    output=1),
            'portForward': channels.path('portForward', self.place, 'box',
                                         port=80)}
        asked = {kind: functools.partial(self.refused, path)
                 for kind, path in streams.items()}
        asked['logs'] = lambda: channels.ask(
            self.kubelet(), 'GET', channels.path(
                'containerLogs', self.place, 'box', 'main'))
        with futures.ThreadPoolExecutor(len(asked)) as pool:
            found = {kind: pool.submit(self.timed, ask)
                     for kind, ask in asked.items()}
            said = self.kubectl('exec', 'box', '--', 'true')
        self.assertNotEqual(0, said.code)
        for kind, future in found.items():
            answer, took = future.result()
            self.assertIn(answer.status, (502, 504), kind)
            self.assertIn(self.host.encode(), answer.body, kind)
            self.assertLess(took, SECONDS, kind)

    def refused(self, path):
        try:
            channels.open_channels(self.kubelet(), path)
        except channels.Refused as error:
            return error.answer
        return channels.Answer(101, '', b'')

    def timed(self, ask):
        begun = time.monotonic()
        return ask(), time.monotonic() - begun

    def test_streams_end_with_their_host_and_not_as_if_they_were_whole(self):
        target = self.kubelet()
        with self.exec_in('box', 'cat') as opened, \
                channels.connect(target) as log:
            opened.send(channels.STDIN, b'word\n')
            opened.until(b'word\n')
            log.sendall(channels.request(target, 'GET', channels.path(
                'containerLogs', self.place, 'box', 'main', follow='true')))
            said = b''
            while b'hello' not in said:
                said += log.recv(4096)
            self.kill('zun-vk-compute')
            self.assertRaises((OSError, EOFError), opened.until, b'more')
            said += channels.received(log)
        # The last chunk would say that this was all.
        self.assertFalse(said.endswith(b'0\r\n\r\n'), said)

    def signal_worker(self, number):
        os.kill(self.devcloud.pid(self.server('zun-vk-compute')), number)


class TestAgent(streamed.StreamCase):

    PODS = BOX

    def test_a_certificate_is_changed_while_streams_flow(self):
        address = self.kubelet().host
        authority = self.useFixture(
            certified.Authority(self.devcloud.paths.pki))
        folder = self.useFixture(fixtures.TempDir()).path
        path = os.path.join(folder, 'serving.pem')
        os.replace(authority.server(address), path)
        self.configure_agent(kubelet_api={
            'cert_file': path, 'address': address})
        with self.streams() as opened:
            first = self.shown()
            os.replace(authority.server(address), path)
            wait_for(lambda: self.shown() != first, 'another certificate',
                     20, interval=0.5)
            for each in opened:
                each.send(channels.STDIN, b'still\n')
                each.until(b'still\n')
        self.kubectl.must('exec', 'box', '--', 'true')

    def test_its_own_certificate_is_the_nodes_and_of_the_clusters_signer(
            self):
        with channels.connect(self.kubelet()) as sock:
            shown = sock.getpeercert()
        self.assertIn((('commonName', f'system:node:{self.node_name}'),),
                      shown['subject'])
        self.assertIn(('IP Address', self.kubelet().host),
                      shown['subjectAltName'])

    def test_an_agent_that_is_told_to_end_ends_streams_and_is_in_time(self):
        with self.streams() as opened:
            begun = time.monotonic()
            self.assertTrue(self.devcloud.stop_agent())
            self.assertLess(time.monotonic() - begun, GRACE)
            for each in opened:
                self.assertRaises((OSError, EOFError), each.until, b'more')
        self.devcloud.start_agent()
        wait_for(lambda: self.kubectl('exec', 'box', '--', 'true').code == 0,
                 'commands again', 30)

    @contextlib.contextmanager
    def streams(self):
        """Give some commands that run."""
        with contextlib.ExitStack() as stack:
            opened = [stack.enter_context(self.exec_in('box', 'cat'))
                      for _ in range(3)]
            for each in opened:
                each.send(channels.STDIN, b'word\n')
                each.until(b'word\n')
            yield opened

    def shown(self):
        """Return the certificate that the node's API shows."""
        with channels.connect(self.kubelet()) as sock:
            return sock.getpeercert(binary_form=True)


class TestAudit(streamed.StreamCase):

    PODS = BOX

    def test_each_stream_is_logged_with_its_user_and_without_its_content(
            self):
        log = self.agent_log()
        self.kubectl.must('exec', '-i', 'box', '--', 'sh', '-c',
                          'cat; echo secret-command', feed=b'secret-input\n')

        def told(what):
            return re.search(
                rf'exec {what}: user="kube-apiserver-kubelet-client" .*'
                rf'pod="{self.place}/box" container="main"', log())
        wait_for(lambda: told('begins') and told('ends'), 'both lines', 10,
                 seen=log)
        self.assertNotIn('secret', log())
