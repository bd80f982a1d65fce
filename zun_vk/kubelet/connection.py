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
"""One connection to the kubelet's API: TLS, then request after request.

Flows in: a socket of somebody who is not known yet. Flows out: Exchanges,
one at a time, to who authenticates, authorises and serves them. A client
that is slow to shake hands or to send a head is cut off in seconds, however
it spreads its bytes.
"""

from collections.abc import Callable
import contextlib
import socket
import threading
import time

from oslo_log import log as logging

from zun_vk import relay
from zun_vk import tls
from zun_vk.kubelet import exchange as exchange_module
from zun_vk.kubelet import requests
from zun_vk.kubelet import tls as kubelet_tls

LOG = logging.getLogger(__name__)

#: For the handshake, and for a head from its first byte on.
HEAD_SECONDS = 10.0
# Between two requests. Go's clients let go of a connection after 90 s: it
# should be theirs to close it.
IDLE_SECONDS = 120.0
# For a client to take the words that go before the end of a connection.
_LINGER_SECONDS = 1.0
_LINGER_BYTES = 256 << 10
# What a kubelet without a certificate says (RFC 8446: a fatal alert,
# internal_error).
_NO_CERTIFICATE = bytes((21, 3, 3, 0, 2, 2, 80))
Serve = Callable[[exchange_module.Exchange], None]
#: Told of who was not let in: a word for the metric, who, why.
TurnedAway = Callable[[str, str, str], None]


class Connection:
    """One connection; ``run`` is for the thread that owns it.

    :param peer: address and port of the client
    :param serve: answers a request; raises nothing but OSError, for a
        client that is gone
    """

    def __init__(self, sock: socket.socket, peer: str,
                 contexts: kubelet_tls.Contexts, serve: Serve,
                 turned_away: TurnedAway, stop: relay.Wakeup):
        self.peer = peer
        #: Its client has a certificate that was verified.
        self.certified = False
        #: A request of it was authorised.
        self.trusted = False
        self._contexts = contexts
        self._serve = serve
        self._turned_away = turned_away
        self._stop = stop
        # Guards the two below: another thread may cut the socket off, but
        # not once it is closed, for its number may be another's then.
        self._lock = threading.Lock()
        self._sock = sock
        self._waiting = False
        self._closed = False

    def run(self) -> None:
        """Serve it until it ends; closes it."""
        try:
            stream = self._shake()
            if stream is not None:
                self._requests(stream)
        except OSError as error:
            LOG.debug('Connection of %s ended: %s', self.peer, error)
        finally:
            self.close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._sock.close()

    def cut(self, waiting_only: bool = False) -> None:
        """End it from another thread: whatever waits for it returns.

        :param waiting_only: only if it waits for a request
        """
        with self._lock:
            if self._closed or (waiting_only and not self._waiting):
                return
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)

    def _shake(self) -> tls.Stream | None:
        context = self._contexts.current()
        if context is None:
            self._turned_away('no-certificate', self.peer,
                              'there is no certificate to serve with yet')
            self._sock.settimeout(_LINGER_SECONDS)
            self._sock.sendall(_NO_CERTIFICATE)
            self._finish()
            return None
        tls.tune(self._sock)
        stream = tls.Stream(self._sock, context, server=True)
        try:
            stream.handshake(time.monotonic() + HEAD_SECONDS)
        except OSError as error:
            self._turned_away('handshake', self.peer, str(error))
            with contextlib.suppress(OSError):
                # TLS's own word about what was wrong.
                stream.flush()
            return None
        return stream

    def _requests(self, stream: tls.Stream) -> None:
        certificate = stream.certificate()
        self.certified = certificate is not None
        wait = HEAD_SECONDS
        while not self._stop.is_set():
            try:
                head = self._head(stream, wait)
                if not head:
                    return
                request = requests.parse(head)
            except requests.Malformed as error:
                self._malformed(stream, error)
                return
            exchange = exchange_module.Exchange(
                stream, request, self.peer, certificate, self._trust,
                self._stop)
            self._serve(exchange)
            if exchange.last:
                self._part(stream, exchange.status == 101)
                return
            wait = IDLE_SECONDS

    def _trust(self) -> None:
        self.trusted = True

    def _head(self, stream: tls.Stream, wait: float) -> bytes:
        deadline = time.monotonic() + wait
        begun = False

        def receive(size: int) -> bytes:
            nonlocal begun, deadline
            piece = stream.receive(size, deadline)
            if not begun:
                begun = True
                with self._lock:
                    self._waiting = False
                deadline = time.monotonic() + HEAD_SECONDS
            return piece

        with self._lock:
            self._waiting = True
        try:
            return requests.read_head(
                receive, requests.MAX_LINE if self.certified or self.trusted
                else requests.MAX_STRANGERS_LINE)
        except TimeoutError:
            if begun:
                self._turned_away('slow', self.peer,
                                  'the request does not end')
            return b''
        finally:
            with self._lock:
                self._waiting = False

    def _malformed(self, stream: tls.Stream,
                   error: requests.Malformed) -> None:
        self._turned_away('malformed', self.peer,
                          f'{error.status} {error.words}')
        stream.send_all(
            exchange_module.refusal(error.status, error.words),
            time.monotonic() + HEAD_SECONDS)
        self._part(stream, False)

    def _part(self, stream: tls.Stream, upgraded: bool) -> None:
        """Let the client read to the end before the connection goes.

        One that is closed with something unread in it is reset, and what
        was sent last may be lost. One that was upgraded has had its end, or
        must be seen to have broken off.
        """
        if upgraded:
            return
        with contextlib.suppress(OSError):
            # Says that this is the end; does not wait for the other's.
            stream.end()
            self._finish()

    def _finish(self) -> None:
        """Send no more, and throw away what still comes; for a moment.

        Below TLS: nobody needs to understand it.
        """
        self._sock.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + _LINGER_SECONDS
        left = _LINGER_BYTES
        while left > 0 and (seconds := deadline - time.monotonic()) > 0:
            self._sock.settimeout(seconds)
            piece = self._sock.recv(16384)
            if not piece:
                return
            left -= len(piece)
