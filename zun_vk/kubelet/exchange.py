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
"""One request to the kubelet's API and its answer, on its connection.

Flows in: a Request that was read. Flows out: the answer, bytes within a
time. What was begun and cannot be ended rightly breaks the connection: a
client must never take a part for the whole.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import email.utils
import http
import re
import select
import time

from zun_vk import relay
from zun_vk import tls
from zun_vk.kubelet import context
from zun_vk.kubelet import requests

#: Seconds that a client has to take an answer that is whole.
SEND_SECONDS = 60.0
_GONE = select.POLLRDHUP | select.POLLHUP | select.POLLERR | select.POLLNVAL
_HEADER = re.compile(r'[\t -~]*')


class Exchange:
    """See context.Exchange; the user is set once it is known.

    :param stream: the connection, after its handshake
    :param peer: address and port of the client
    :param certificate: the client's, DER, verified; None: it has none
    :param trusted: to be called once the request is authorised
    """

    def __init__(self, stream: tls.Stream, request: requests.Request,
                 peer: str, certificate: bytes | None,
                 trusted: Callable[[], None], stop: relay.Wakeup):
        self.method = request.method
        self.path = request.path
        self.query = request.query
        self.headers = request.headers
        self.peer = peer
        self.certificate = certificate
        self.trusted = trusted
        self.stop = stop
        self.user = context.User('')
        #: The status that was answered; 101: hijacked; 0: nothing yet.
        self.status = 0
        #: Nothing can follow on this connection.
        self.last = request.last
        #: What the log of streams is told: sent, received, why.
        self.flow: tuple[int, int, str] = (0, 0, '')
        self._stream = stream

    def send(self, status: int, body: bytes = b'',
             content_type: str = context.TEXT,
             headers: Mapping[str, str] | None = None) -> None:
        self._begin(status)
        answer = head(status, {
            'Content-Type': content_type, 'Content-Length': str(len(body)),
            **(headers or {})}, self.last)
        if self.method != 'HEAD':
            answer += body
        self._write(answer, SEND_SECONDS)

    @contextlib.contextmanager
    def chunks(self, content_type: str = context.TEXT
               ) -> Iterator[Callable[[bytes], None]]:
        self._begin(200)
        silent = self.method == 'HEAD'
        self._write(head(200, {
            'Content-Type': content_type, 'Transfer-Encoding': 'chunked'},
            self.last), SEND_SECONDS)

        def write(data: bytes) -> None:
            if data and not silent:
                self._write(b'%x\r\n%b\r\n' % (len(data), data),
                            relay.IDLE_SECONDS)

        try:
            yield write
            if not silent:
                self._write(b'0\r\n\r\n', SEND_SECONDS)
        except BaseException:
            self.last = True
            raise

    def hijack(self) -> tls.Stream:
        self._begin(101)
        self.last = True
        return self._stream

    def gone(self) -> bool:
        poll = select.poll()
        poll.register(self._stream.fileno(), _GONE)
        return bool(poll.poll(0))

    def fileno(self) -> int:
        return self._stream.fileno()

    def flowed(self, sent: int, received: int, why: str) -> None:
        self.flow = sent, received, why

    def _begin(self, status: int) -> None:
        if self.status:
            raise RuntimeError('a request is answered once')
        self.status = status

    def _write(self, data: bytes, seconds: float) -> None:
        try:
            self._stream.send_all(data, time.monotonic() + seconds)
        except BaseException:
            # What was sent of it nobody knows.
            self.last = True
            raise


def head(status: int, fields: Mapping[str, str], last: bool) -> bytes:
    """Return the head of an answer.

    :param last: say that the connection is closed afterwards
    :raises ValueError: a field that would be more than one
    """
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = 'Unknown'
    lines = [f'HTTP/1.1 {status} {phrase}',
             f'Date: {email.utils.formatdate(usegmt=True)}',
             'X-Content-Type-Options: nosniff']
    for name, value in fields.items():
        if not _HEADER.fullmatch(name + value):
            raise ValueError(f'header field {name} cannot be sent')
        lines.append(f'{name}: {value}')
    if last:
        lines.append('Connection: close')
    return '\r\n'.join([*lines, '', '']).encode('ascii')


def refusal(status: int, words: str) -> bytes:
    """Return the answer to what was no request; nothing may follow."""
    body = words.encode()
    return head(status, {'Content-Type': context.TEXT,
                         'Content-Length': str(len(body))}, True) + body
