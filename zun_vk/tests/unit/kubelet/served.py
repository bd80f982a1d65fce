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
"""A server of the kubelet's API on the loopback address, and its clients."""

import pathlib
import socket
import ssl
import threading

import fixtures

from zun_vk.kubelet import server
from zun_vk.kubelet import tls
from zun_vk.tests.fixtures import pki

ADDRESS = '127.0.0.1'
GET = b'GET /healthz HTTP/1.1\r\nHost: node\r\n\r\n'


class Served(fixtures.Fixture):
    """Runs a Server.

    :param serve: answers exchanges
    :param certified: it has a certificate from the start
    """

    def __init__(self, serve, limit=100, certified=True):
        super().__init__()
        self._serve = serve
        self._limit = limit
        self._certified = certified

    def _setUp(self):
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.authority = pki.Authority(folder)
        self.foreign = pki.Authority(
            pathlib.Path(self.useFixture(fixtures.TempDir()).path))
        self.client_ca = folder / 'clients.crt'
        self.client_ca.write_bytes(self.authority.certificate.read_bytes())
        self.contexts = tls.Contexts(str(self.client_ca))
        if self._certified:
            self.certify('server')
        listener = server.listen(ADDRESS, 0)
        self.server = server.Server('n1', listener, self._limit,
                                    self.contexts, self._serve)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        self.addCleanup(self.thread.join, 20)
        self.addCleanup(self.server.stop)

    def certify(self, name):
        """Serve with a new certificate from now on; return its DER."""
        pair = self.authority.issue(name, 'system:node:n1',
                                    addresses=(ADDRESS,))
        self.contexts.use(*map(str, pair))
        return ssl.PEM_cert_to_DER_cert(pair[0].read_text())

    def tls(self, issuer=None):
        """Return a client's context.

        :param issuer: of its certificate; None: it has none
        """
        made = ssl.create_default_context(
            cafile=str(self.authority.certificate))
        if issuer:
            made.load_cert_chain(*issuer.issue(
                f'client-{id(made)}', 'kube-apiserver', 'system:masters'))
        return made

    def dial(self):
        sock = socket.create_connection((ADDRESS, self.server.port), 10)
        self.addCleanup(sock.close)
        return sock

    def connect(self, issuer=None):
        """Return a connection after its handshake."""
        sock = self.tls(issuer).wrap_socket(self.dial(),
                                            server_hostname=ADDRESS)
        self.addCleanup(sock.close)
        return sock


def until_closed(sock):
    """Return all that comes, and whether it ended in peace."""
    got = b''
    try:
        while piece := sock.recv(65536):
            got += piece
    except OSError:
        return got, False
    return got, True


def answer(sock):
    """Return status and body of one answer, of which nothing may follow."""
    got = b''
    while b'\r\n\r\n' not in got:
        piece = sock.recv(1)
        if not piece:
            return 0, got
        got += piece
    fields = dict(line.split(b': ', 1)
                  for line in got.strip().split(b'\r\n')[1:])
    body = b''
    size = int(fields.get(b'Content-Length', 0))
    while len(body) < size:
        body += sock.recv(size - len(body))
    return int(got.split()[1]), body
