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
"""HTTP with the standard library: JSON calls over TCP, TLS or a socket file.

No proxy is ever used: everything this talks to is on this machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
import http.client
import json
import socket
import ssl
from typing import Any
import urllib.parse

from devcloud import errors

UNREACHABLE = (OSError, http.client.HTTPException)


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a socket file.

    :param path: the socket's path
    """

    def __init__(self, path: str, timeout: float):
        super().__init__('localhost', timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass(frozen=True)
class Reply:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


@dataclass(frozen=True)
class Peer:
    """A server to call.

    :param url: scheme, host, port and a path that goes before each path;
        ``unix:/path/of/socket`` for a socket file
    :param headers: sent with each call
    :param tls: for https
    """

    url: str
    headers: Mapping[str, str] | None = None
    tls: ssl.SSLContext | None = None

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        if self.url.startswith('unix:'):
            return UnixConnection(self.url[len('unix:'):], timeout)
        parts = urllib.parse.urlsplit(self.url)
        host = parts.hostname or ''
        if parts.scheme == 'https':
            return http.client.HTTPSConnection(
                host, parts.port, timeout=timeout, context=self.tls)
        return http.client.HTTPConnection(host, parts.port,
                                          timeout=timeout)

    def call(self, method: str, path: str, body: Any = None,
             headers: Mapping[str, str] | None = None,
             timeout: float = 30) -> Reply:
        """Send one request.

        :param body: bytes or a stream as they are, anything else as JSON
        :raises OSError, http.client.HTTPException: no answer (UNREACHABLE)
        """
        sent = {**(self.headers or {}), **(headers or {})}
        if body is not None and not (
                isinstance(body, bytes) or hasattr(body, 'read')):
            body = json.dumps(body).encode()
            sent.setdefault('Content-Type', 'application/json')
        connection = self._connection(timeout)
        try:
            connection.request(method, self._prefix + path, body, sent)
            answer = connection.getresponse()
            return Reply(answer.status, dict(answer.getheaders()),
                         answer.read())
        finally:
            connection.close()

    @property
    def _prefix(self) -> str:
        if self.url.startswith('unix:'):
            return ''
        return urllib.parse.urlsplit(self.url).path.rstrip('/')

    def first_line(self, path: str, timeout: float) -> bytes:
        """Return the first line of an answer as soon as it is there.

        :returns: b'' if it ended without one
        :raises OSError, http.client.HTTPException: no answer (UNREACHABLE)
        """
        connection = self._connection(timeout)
        try:
            connection.request('GET', self._prefix + path,
                               headers=dict(self.headers or {}))
            return connection.getresponse().readline()
        finally:
            connection.close()

    def must(self, method: str, path: str, body: Any = None,
             headers: Mapping[str, str] | None = None,
             timeout: float = 30) -> Reply:
        """Send one request that has to succeed.

        :raises errors.DevcloudError: another status than 2xx, or no answer
        """
        try:
            reply = self.call(method, path, body, headers, timeout)
        except UNREACHABLE as error:
            raise errors.DevcloudError(
                f'{method} {self.url}{path}: {error}') from error
        if not reply.ok:
            words = reply.body.decode(errors='replace')[:500]
            raise errors.DevcloudError(
                f'{method} {self.url}{path}: HTTP {reply.status}: {words}')
        return reply
