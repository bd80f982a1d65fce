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
import http.server
import socketserver
import threading

from oslotest import base

from zun_vk import exceptions
from zun_vk.compute import netns
from zun_vk.compute.probes import outcome
from zun_vk.compute.probes import prober
from zun_vk.compute.probes import spec
from zun_vk.tests.fixtures import root


def _target(container=None):
    return prober.Target('u', 'ns', 'pod', container or {'name': 'c'}, 'id',
                         0, '127.0.0.1')


def _probe(handler):
    return spec.Probe(spec.READINESS, handler, timeout=5)


class _Handler(http.server.BaseHTTPRequestHandler):

    def do_GET(self):  # noqa: N802
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'within')

    def log_message(self, *args):
        pass


@root.needs_root
class NetworkTestCase(base.BaseTestCase):
    """Probes of a server in a network of its own."""

    def setUp(self):
        super().setUp()
        child = root.namespace_child()
        self.addCleanup(child.wait)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.kill)
        self.prober = prober.Prober(None, {'u': child.pid}.__getitem__)
        server = socketserver.ThreadingTCPServer(
            ('127.0.0.1', 0), _Handler, bind_and_activate=False)
        server.socket.close()
        server.socket = netns.unconnected(child.pid, server.address_family)
        server.server_bind()
        server.server_activate()
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,),
                                  name='server')
        thread.start()
        self.addCleanup(server.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)

    def test_a_port_is_connected_to_by_number_or_name(self):
        container = {'name': 'c', 'ports': [
            {'name': 'web', 'containerPort': self.port}]}
        for port in (self.port, 'web'):
            self.assertEqual(outcome.success(), self.prober.run(
                _target(container), _probe(spec.TcpSocket('', port))))

    def test_a_port_that_nobody_listens_on_fails(self):
        self.assertEqual(outcome.failure(
            'dial tcp 127.0.0.1:1: connect: connection refused'),
            self.prober.run(_target(), _probe(spec.TcpSocket('', 1))))

    def test_a_url_is_asked_for(self):
        self.assertEqual(outcome.success('within'), self.prober.run(
            _target(), _probe(spec.HttpGet('http', '', self.port, '/', ()))))

    def test_a_server_that_speaks_no_grpc_fails(self):
        found = self.prober.run(_target(), _probe(spec.Grpc(self.port, '')))
        self.assertIs(outcome.Verdict.FAILURE, found.verdict)


class ErrorTestCase(base.BaseTestCase):

    def _run(self, handler, pid=0, error=None):
        def netns_pid(uid):
            if error is not None:
                raise error
            return pid
        return prober.Prober(None, netns_pid).run(_target(), _probe(handler))

    def test_a_port_that_there_is_not_says_nothing_of_the_container(self):
        self.assertEqual(
            outcome.error("the container has no port 'web'"),
            self._run(spec.TcpSocket('', 'web')))

    def test_a_pod_that_is_gone_says_nothing_either(self):
        self.assertEqual(outcome.error('the pod has no network'),
                         self._run(spec.TcpSocket('', 80)))
        self.assertEqual(
            outcome.error('cri: gone'),
            self._run(spec.TcpSocket('', 80),
                      error=exceptions.RuntimeNotFound('gone')))
        found = self._run(spec.TcpSocket('', 80), pid=2 ** 22 + 1)
        self.assertIs(outcome.Verdict.ERROR, found.verdict)
