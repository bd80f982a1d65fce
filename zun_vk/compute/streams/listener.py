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
"""Listens for the agents' connections: TLS, a token, and then its stream.

Whoever has no token that waits gets nothing: no answer, no reason; the
connection is closed, counted and logged. However many there are of them, who
has one gets in: of those that have not shown any yet the oldest goes first.
"""

import contextlib
import select
import socket
import threading
import time

from oslo_log import log as logging

from zun_vk import exceptions
from zun_vk import metrics
from zun_vk import relay
from zun_vk import tls
from zun_vk.compute.streams import certificate as certificate_module
from zun_vk.compute.streams import runtime as runtime_module
from zun_vk.compute.streams import tickets as tickets_module
from zun_vk.compute.streams import turnedaway
from zun_vk.rpc import streams

LOG = logging.getLogger(__name__)

_MOST = 500
# Of those without a token so far.
_MOST_NEW = 128
_BACKLOG = 128
# For the handshake and the greeting together.
_GREETING_SECONDS = 10.0
_EXHAUSTED_SECONDS = 0.1


class NoToken(Exception):
    """Somebody has no token."""


class Full(Exception):
    """There are too many streams."""


class Listener:
    """The port, and the connections there.

    :param address: of this host
    :param port: 0: any that is free
    :param most: streams at the same time
    """

    def __init__(self, address: str, port: int,
                 certificate: certificate_module.Certificate,
                 tickets: tickets_module.Tickets[runtime_module.Serve],
                 most: int = _MOST):
        self._address = address
        self._port = port
        self._certificate = certificate
        self._tickets = tickets
        self._most = most
        self._socket: socket.socket | None = None
        self._turned_away = turnedaway.TurnedAway()
        self._stop = relay.Wakeup()
        self._lock = threading.Lock()  # guards the two below
        self._threads: set[threading.Thread] = set()
        # Connections whose token was not seen yet, oldest first.
        self._new: dict[socket.socket, None] = {}

    def open(self) -> None:
        """Take the port; raise OSError."""
        family = socket.AF_INET6 if ':' in self._address else socket.AF_INET
        self._socket = socket.create_server(
            (self._address, self._port), family=family, backlog=_BACKLOG)
        self._socket.setblocking(False)

    @property
    def port(self) -> int:
        """The port; known once it is open."""
        return self._socket.getsockname()[1] if self._socket else self._port

    def connections(self) -> int:
        """Return how many there are now."""
        with self._lock:
            return len(self._threads)

    def run(self) -> None:
        """Accept connections until ``stop``."""
        if self._socket is None:
            raise ValueError('the port is not open')
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        poll.register(self._stop, select.POLLIN)
        while not self._stop.is_set():
            poll.poll()
            with contextlib.suppress(BlockingIOError, ConnectionError):
                self._accept(self._socket)

    def stop(self) -> None:
        """End the port and every stream; does not wait."""
        self._stop.set()

    def close(self, seconds: float) -> bool:
        """Wait for the connections to end after a stop.

        :returns: all have ended
        """
        deadline = time.monotonic() + seconds
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if self._socket is not None:
            self._socket.close()
        return not self.connections()

    def _accept(self, listening: socket.socket) -> None:
        try:
            connection, peer = listening.accept()
        except BlockingIOError:
            return
        except OSError as error:
            self._pause(error.strerror)
            return
        self._make_room(connection)
        thread = threading.Thread(
            target=self._thread, args=(connection, peer[0]), daemon=True,
            name=f'stream:{peer[0]}')
        with self._lock:
            self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError as error:
            self._forget(connection, thread)
            connection.close()
            self._pause(str(error))

    def _make_room(self, connection: socket.socket) -> None:
        """Cut off the oldest that has shown no token, where there are many.

        Its thread closes it.
        """
        with self._lock:
            oldest = (next(iter(self._new)) if len(self._new) >= _MOST_NEW
                      else None)
            self._new.pop(oldest, None)  # type: ignore[arg-type]
            self._new[connection] = None
        if oldest is not None:
            with contextlib.suppress(OSError):
                oldest.shutdown(socket.SHUT_RDWR)

    def _thread(self, connection: socket.socket, peer: str) -> None:
        try:
            with connection:
                self._serve(connection, peer)
        except Exception:  # the top of a thread
            metrics.CRASHES.labels('stream').inc()
            LOG.exception('A stream failed')
        finally:
            self._forget(connection, threading.current_thread())

    def _forget(self, connection: socket.socket,
                thread: threading.Thread) -> None:
        with self._lock:
            self._new.pop(connection, None)
            self._threads.discard(thread)

    def _pause(self, words: str | None) -> None:
        """Leave those that wait where they are, while there is no room.

        No descriptors are left, for one, or no threads.
        """
        LOG.error('A connection cannot be accepted: %s', words)
        poll = select.poll()
        poll.register(self._stop, select.POLLIN)
        poll.poll(_EXHAUSTED_SECONDS * 1000)

    def _serve(self, connection: socket.socket, peer: str) -> None:
        try:
            tls.tune(connection)
            stream = tls.Stream(
                connection, self._certificate.current().context, server=True)
            serve = self._greeted(stream, connection)
        except Full as error:
            self._turned_away.tell(turnedaway.FULL, peer, error)
            return
        except (NoToken, OSError) as error:
            self._turned_away.tell(turnedaway.TOKEN, peer, error)
            return
        try:
            serve(stream, self._stop)
        except (OSError, ValueError, exceptions.Refused) as error:
            LOG.info('A stream to %s is broken: %s', peer, error)

    def _greeted(self, stream: tls.Stream,
                 connection: socket.socket) -> runtime_module.Serve:
        """Return what a connection is good for.

        :raises NoToken: nothing
        :raises Full: something, but not now
        :raises OSError: it ended, or took too long
        """
        deadline = time.monotonic() + _GREETING_SECONDS
        stream.handshake(deadline)
        line = b''
        while b'\n' not in line:
            if len(line) >= streams.MAX_GREETING:
                raise NoToken('it has no greeting')
            some = stream.receive(streams.MAX_GREETING - len(line), deadline)
            if not some:
                raise NoToken('it has no greeting')
            line += some
        # Nothing may follow it before it was answered.
        if not line.startswith(streams.GREETING) or not line.endswith(b'\n'):
            raise NoToken('it has no greeting')
        token = line.removeprefix(streams.GREETING)[:-1]
        serve = self._tickets.redeem(token.decode('latin-1'))
        if serve is None:
            raise NoToken('its token opens nothing')
        with self._lock:
            self._new.pop(connection, None)
            if len(self._threads) - len(self._new) > self._most:
                raise Full('there are too many streams')
        stream.send_all(streams.ACCEPTED, deadline)
        return serve
