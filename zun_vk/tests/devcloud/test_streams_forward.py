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
"""port-forward: connections into pods."""

from concurrent import futures
import contextlib
import hashlib
import re
import socket
import threading

from kubernetes import stream

from zun_vk.tests.devcloud import hosted
from zun_vk.tests.devcloud import streamed
from zun_vk.tests.fixtures import channels
from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures.wait import wait_for

WEB, ECHO, NOBODY = 8000, 9000, 9999
BIG = 100 * streamed.MIB
SMALL = streamed.MIB
SERVE = f'''mkdir /tmp/www
cd /tmp/www
for size in {BIG} {SMALL}; do head -c $size /dev/urandom > $size; done
sha256sum * > sums
exec httpd -f -p {WEB} -h /tmp/www'''
FORWARDING = re.compile(rb'Forwarding from 127\.0\.0\.1:(\d+) ->')


class TestForward(streamed.StreamCase):

    PODS = {'server': {'containers': [
        hosted.shell(SERVE, readinessProbe={
            'httpGet': {'path': '/sums', 'port': WEB},
            'periodSeconds': 1}),
        hosted.shell(f'exec nc -ll -p {ECHO} -e cat', 'echo')]}}

    @contextlib.contextmanager
    def forwarded(self, port, way='websocket'):
        """Give the address that leads to a port of the pod."""
        with self.kubectl.by(way).running(
                'port-forward', 'server', f':{port}') as self.child:
            said = streamed.read_until(self.child.stdout, b'\n')
            yield '127.0.0.1', int(FORWARDING.match(said)[1])

    def fetch(self, address, name):
        """Return the hash of what the web server has of this name."""
        with socket.create_connection(address, 60) as sock:
            return self.fetched(sock, name)

    def fetched(self, sock, name):
        sock.sendall(f'GET /{name} HTTP/1.0\r\n\r\n'.encode())
        answer = channels.parsed(channels.received(sock))
        self.assertIn(' 200 ', f' {answer.status} ')
        return hashlib.sha256(answer.body).hexdigest()

    def sums(self):
        """Return the hashes of the files, by their sizes."""
        text = self.cat(self.pod('server'), '/tmp/www/sums')
        return {int(name): found for found, name in map(
            str.split, text.splitlines())}

    def test_many_connections_at_once_each_get_what_is_theirs(self):
        wanted = self.sums()
        for way in streamed.WAYS:
            with self.forwarded(WEB, way) as address, \
                    futures.ThreadPoolExecutor(20) as pool:
                found = list(pool.map(
                    lambda _: self.fetch(address, SMALL), range(20)))
                self.assertEqual((way, {wanted[SMALL]}), (way, set(found)))
                self.assertEqual((way, wanted[BIG]),
                                 (way, self.fetch(address, BIG)))

    def test_one_side_may_end_and_still_hear_the_other(self):
        path = self.file_of(5 * streamed.MIB)
        for way in streamed.WAYS:
            with self.forwarded(ECHO, way) as address, \
                    socket.create_connection(address, 30) as sock:
                sender = threading.Thread(
                    target=self.send, args=(sock, path), name='sender',
                    daemon=True)
                sender.start()
                said = channels.received(sock)
                sender.join()
                self.assertTrue(said == path.read_bytes(), (way, len(said)))

    def send(self, sock, path):
        with path.open('rb') as file:
            sock.sendfile(file)
        sock.shutdown(socket.SHUT_WR)

    def test_a_port_that_nobody_listens_on_is_told_of(self):
        for way in streamed.WAYS:
            with self.forwarded(NOBODY, way) as address, \
                    socket.create_connection(address, 20) as sock:
                with contextlib.suppress(ConnectionError):
                    self.assertEqual(b'', sock.recv(1))
                said = streamed.read_until(self.child.stderr, b'refused')
                self.assertIn(str(NOBODY).encode(), said)
        # The next is served.
        with self.forwarded(WEB) as address:
            self.assertEqual(self.sums()[SMALL], self.fetch(address, SMALL))

    def test_a_python_client_forwards_over_a_websocket(self):
        core = kube.KubeAPI(self.devcloud.kubeconfig).core
        found = stream.portforward(
            core.connect_get_namespaced_pod_portforward, 'server',
            self.place, ports=f'{WEB},{NOBODY}')
        with contextlib.closing(found.socket(WEB)) as sock:
            sock.settimeout(30)
            self.assertEqual(self.sums()[SMALL],
                             self.fetched(sock, SMALL))
        with contextlib.closing(found.socket(NOBODY)):
            wait_for(lambda: 'refused' in (found.error(NOBODY) or ''),
                     'an error about the port', 20,
                     seen=lambda: found.error(NOBODY))

    def test_what_a_pod_does_not_have_is_refused(self):
        for ports, status in (('', 400), ('0', 400), ('web', 400),
                              ('70000', 400)):
            error = self.assertRaises(
                channels.Refused, channels.open_channels, self.kubelet(),
                channels.path('portForward', self.place, 'server',
                              port=ports))
            self.assertEqual((ports, status), (ports, error.answer.status))
        error = self.assertRaises(
            channels.Refused, channels.open_channels, self.kubelet(),
            channels.path('portForward', self.place, 'nosuch', port=WEB))
        self.assertEqual(404, error.answer.status)
