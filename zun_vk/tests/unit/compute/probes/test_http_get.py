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
import pathlib
import socket
import socketserver
import ssl
import threading

import fixtures
from oslotest import base

from zun_vk.compute.probes import dial
from zun_vk.compute.probes import http_get
from zun_vk.compute.probes import outcome
from zun_vk.compute.probes import spec
from zun_vk.tests.fixtures import pki


def _connect(address, port, timeout):
    return socket.create_connection((address, port), timeout)


class _Handler(http.server.BaseHTTPRequestHandler):

    def do_GET(self):  # noqa: N802
        self.server.asked.append((self.path, self.headers))
        status, headers, body = self.server.answers.get(
            self.path, (200, {}, b'fine'))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class _Server(fixtures.Fixture):

    def __init__(self, handler=_Handler, context=None):
        super().__init__()
        self._handler, self._context = handler, context

    def _setUp(self):
        self.server = socketserver.ThreadingTCPServer(
            ('127.0.0.1', 0), self._handler)
        self.server.daemon_threads = True
        if self._context:
            self.server.socket = self._context.wrap_socket(
                self.server.socket, server_side=True)
        self.asked = self.server.asked = []
        self.answers = self.server.answers = {}
        self.port = self.server.server_address[1]
        thread = threading.Thread(
            target=self.server.serve_forever, name='server',
            kwargs={'poll_interval': 0.01})
        thread.start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(self.server.shutdown)


class _Raw(socketserver.BaseRequestHandler):
    """Answers with what the test gave it, slowly."""

    data = b''
    pause = 0.0

    def handle(self):
        self.request.recv(4096)
        try:
            for byte in self.data:
                self.request.sendall(bytes([byte]))
                if self.pause:
                    threading.Event().wait(self.pause)
        except OSError:
            pass


class HttpGetTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.server = self.useFixture(_Server())

    def _probe(self, timeout=5, server=None, **action):
        server = server or self.server
        asked = http_get.request(
            spec.http_get({'port': server.port, **action}), '127.0.0.1',
            server.port, http_get.PROBE_AGENT)
        return http_get.probe(_connect, asked, timeout)

    def _url(self, path='/'):
        return f'http://127.0.0.1:{self.server.port}{path}'

    def test_200_to_299_is_a_success(self):
        for status in (200, 204, 299):
            self.server.answers['/'] = status, {}, b''
            self.assertIs(outcome.Verdict.SUCCESS, self._probe().verdict)

    def test_other_statuses_are_failures_and_their_body_is_not_told(self):
        for status in (400, 404, 500, 503):
            self.server.answers['/'] = status, {}, b'secret'
            self.assertEqual(outcome.failure(
                f'HTTP probe failed with statuscode: {status}'),
                self._probe())

    def test_what_is_sent_is_what_the_kubelet_sends(self):
        self._probe(path='/a b?c=d', httpHeaders=[
            {'name': 'X-Custom', 'value': 'v'}])
        (path, headers), = self.server.asked
        self.assertEqual('/a%20b?c=d', path)
        self.assertEqual({
            'Host': f'127.0.0.1:{self.server.port}', 'X-Custom': 'v',
            'User-Agent': 'kube-probe/1.36', 'Accept': '*/*',
            'Connection': 'close'}, dict(headers))

    def test_headers_of_the_probes_own_take_precedence(self):
        self._probe(path='x', httpHeaders=[
            {'name': 'Host', 'value': 'example.org'},
            {'name': 'user-agent', 'value': 'me'},
            {'name': 'Accept', 'value': ''}])
        (path, headers), = self.server.asked
        self.assertEqual('/x', path)
        self.assertEqual({'Host': 'example.org', 'user-agent': 'me',
                          'Connection': 'close'}, dict(headers))

    def test_bad_headers_send_nothing_of_their_own(self):
        found = self._probe(httpHeaders=[
            {'name': 'X', 'value': 'a\r\nY: b'}])
        self.assertIs(outcome.Verdict.FAILURE, found.verdict)
        self.assertEqual([], self.server.asked)

    def test_redirects_within_the_host_are_followed(self):
        other = self.useFixture(_Server())
        self.server.answers.update({
            '/a': (302, {'Location': '/b'}, b''),
            '/b': (307, {'Location':
                         f'http://127.0.0.1:{other.port}/c'}, b'')})
        found = self._probe(path='/a', httpHeaders=[
            {'name': 'Host', 'value': 'example.org'}])
        self.assertEqual(outcome.success('fine'), found)
        self.assertEqual('/c', other.asked[0][0])
        self.assertEqual('example.org', self.server.asked[1][1]['Host'])
        self.assertEqual(f'127.0.0.1:{other.port}', other.asked[0][1]['Host'])

    def test_redirects_to_other_hosts_are_a_warning(self):
        self.server.answers['/'] = (
            302, {'Location': 'http://0.0.0.0/'},
            b'<a href="http://0.0.0.0/">Found</a>.\n\n')
        self.assertEqual(outcome.Outcome(
            outcome.Verdict.WARNING, 'Probe terminated redirects, Response '
            'body: <a href="http://0.0.0.0/">Found</a>.\n\n'), self._probe())

    def test_a_status_like_a_redirect_that_leads_nowhere_is_a_warning(self):
        for headers in ({}, {'Location': 'file:///etc/passwd'}):
            self.server.answers['/'] = 301, headers, b''
            self.assertIs(outcome.Verdict.WARNING, self._probe().verdict)

    def test_endless_redirects_end(self):
        self.server.answers['/'] = 302, {'Location': '/'}, b''
        self.assertEqual(outcome.failure(
            f'Get "{self._url()}": stopped after 10 redirects'),
            self._probe())
        self.assertEqual(10, len(self.server.asked))

    def test_a_large_body_is_cut(self):
        self.server.answers['/'] = 200, {}, b'x' * 100_000
        self.assertEqual('x' * 10240, self._probe().output)

    def test_nobody_there_is_a_failure_in_kubernetes_words(self):
        with socket.create_server(('127.0.0.1', 0)) as gone:
            port = gone.getsockname()[1]
        asked = http_get.Request(f'http://127.0.0.1:{port}/', ())
        self.assertEqual(outcome.failure(
            f'Get "http://127.0.0.1:{port}/": dial tcp 127.0.0.1:{port}: '
            'connect: connection refused'),
            http_get.probe(_connect, asked, 5))

    def _raw(self, data, pause=0.0):
        handler = type('Handler', (_Raw,), {'data': data, 'pause': pause})
        return self.useFixture(_Server(handler))

    def test_a_server_that_dribbles_does_not_hold_us(self):
        server = self._raw(b'HTTP/1.1 200 OK\r\nX: ' + b'x' * 100, 0.02)
        found = self._probe(timeout=0.2, server=server)
        self.assertEqual(outcome.failure(
            f'Get "http://127.0.0.1:{server.port}/": context deadline '
            'exceeded (Client.Timeout exceeded while awaiting headers)'),
            found)

    def test_garbage_is_a_failure(self):
        for data in (b'', b'nonsense\r\n\r\n', b'\xff\0' * 50,
                     b'HTTP/1.1 200 OK\r\n' + b'A: b\r\n' * 200 + b'\r\n',
                     b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort'):
            found = self._probe(server=self._raw(data))
            self.assertIn(found.verdict, (
                outcome.Verdict.FAILURE, outcome.Verdict.SUCCESS), data)

    def test_certificates_are_not_verified(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        directory = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        context.load_cert_chain(*pki.Authority(directory).issue(
            'server', 'nobody', addresses=('10.0.0.1',)))
        server = self.useFixture(_Server(context=context))
        self.assertEqual(outcome.success('fine'),
                         self._probe(server=server, scheme='HTTPS'))

    def test_a_server_without_tls_is_told_apart(self):
        asked = http_get.Request(
            f'https://127.0.0.1:{self.server.port}/', ())
        error = self.assertRaises(
            http_get.Failed, http_get.get, _connect, asked,
            dial.Deadline.after(5))
        self.assertTrue(error.plain_http)
        self.assertIn('http: server gave HTTP response to HTTPS client',
                      str(error))

    def test_addresses_of_both_families_make_urls(self):
        action = spec.http_get({'path': '/p'})
        for expected, address in (
                ('http://[fd00::1]:80/p', 'fd00::1'),
                ('http://10.0.0.1:80/p', '10.0.0.1')):
            self.assertEqual(expected, http_get.request(
                action, address, 80, 'x').url)
