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
"""A registry that asks who is there: a door before the devcloud's."""

import base64
import http.server
import threading

import fixtures

from devcloud import settings
from devcloud import web

USER = 'puller'
_PASSED = ('Accept', 'Range')


class Door(fixtures.Fixture):
    """Lets those who know the password through to the devcloud's registry.

    :param password: of USER
    """

    def __init__(self, password: str):
        super().__init__()
        self._wanted = 'Basic ' + base64.b64encode(
            f'{USER}:{password}'.encode()).decode()

    def _setUp(self) -> None:
        handler = type('Handler', (_Handler,), {'wanted': self._wanted})
        server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
        server.daemon_threads = True
        self.address = f'127.0.0.1:{server.server_port}'
        thread = threading.Thread(target=server.serve_forever, name='door',
                                  daemon=True)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    wanted = ''

    def do_GET(self) -> None:
        if self.headers.get('Authorization') != self.wanted:
            self._answer(401, {'WWW-Authenticate': 'Basic realm="door"'},
                         b'{"errors": [{"code": "UNAUTHORIZED"}]}')
            return
        sent = {name: self.headers[name] for name in _PASSED
                if name in self.headers}
        reply = web.Peer(settings.url('registry')).call(
            self.command, self.path, None, sent)
        self._answer(reply.status, {
            name: value for name, value in reply.headers.items()
            if name in ('Content-Type', 'Docker-Content-Digest',
                        'Content-Length')}, reply.body)

    do_HEAD = do_GET

    def _answer(self, status, headers, body):
        self.send_response(status)
        for name, value in {'Content-Length': str(len(body)),
                            **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)

    def log_message(self, format, *arguments):
        """Say nothing: it would be in the way of the tests' output."""
