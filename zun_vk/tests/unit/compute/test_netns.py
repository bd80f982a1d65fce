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
import contextlib
import os
import socket
import subprocess

from oslotest import base

from zun_vk import exceptions
from zun_vk.compute import netns
from zun_vk.tests.fixtures import root
from zun_vk.tests.fixtures import wait


def _namespace():
    return os.readlink('/proc/thread-self/ns/net')


def _namespaces():
    """Return the namespaces that threads of this process are in."""
    found = set()
    for task in os.listdir('/proc/self/task'):
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(f'/proc/self/task/{task}/ns/net'))
    return found


@root.needs_root
class NetnsTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.child = root.namespace_child()
        self.addCleanup(self.child.wait)
        self.addCleanup(self.child.stdout.close)
        self.addCleanup(self.child.kill)

    def _listener(self, address='127.0.0.1'):
        family = socket.AF_INET6 if ':' in address else socket.AF_INET
        listener = netns.unconnected(self.child.pid, family)
        self.addCleanup(listener.close)
        listener.bind((address, 0))
        listener.listen()
        return listener, listener.getsockname()[1]

    def test_what_listens_within_is_reached(self):
        for address in ('127.0.0.1', '::1'):
            listener, port = self._listener(address)
            with netns.socket_in(self.child.pid, address, port, 5) as made:
                accepted, _ = listener.accept()
                with accepted:
                    accepted.sendall(b'hello')
                    self.assertEqual(b'hello', made.recv(5))

    def test_what_listens_within_is_not_reached_from_here(self):
        _, port = self._listener()
        with socket.socket() as outside:
            outside.settimeout(5)
            self.assertRaises(ConnectionRefusedError, outside.connect,
                              ('127.0.0.1', port))

    def test_what_listens_here_is_not_reached_from_within(self):
        with socket.create_server(('127.0.0.1', 0)) as here:
            self.assertRaises(
                ConnectionRefusedError, netns.socket_in, self.child.pid,
                '127.0.0.1', here.getsockname()[1], 5)

    def test_no_thread_of_ours_is_left_within(self):
        before = _namespace()
        netns.unconnected(self.child.pid, socket.AF_INET).close()
        self.assertEqual(before, _namespace())
        # The kernel takes a moment longer than Python to end a thread.
        wait.wait_for(lambda: _namespaces() == {before}, 'its end', 10)

    def test_no_answer_is_a_timeout(self):
        listener, port = self._listener()
        listener.listen(0)

        def fill():
            # Whom a full backlog has no place for gets no answer.
            for _ in range(10):
                self.addCleanup(netns.socket_in(
                    self.child.pid, '127.0.0.1', port, 0.2).close)

        self.assertRaises(TimeoutError, fill)

    def test_a_process_that_is_gone_has_no_network(self):
        gone = subprocess.Popen(['true'])
        gone.wait()
        self.assertRaises(exceptions.NoNetwork, netns.socket_in, gone.pid,
                          '127.0.0.1', 80, 1)

    def test_the_hosts_own_network_is_never_probed(self):
        error = self.assertRaises(
            exceptions.NoNetwork, netns.socket_in, os.getpid(),
            '127.0.0.1', 80, 1)
        self.assertIn('the host', str(error))
