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
"""The listener of the kubelet's API of one node, and its connections.

Flows in: connections. Flows out: a thread for each, which shakes hands by
itself so that nobody waits for another. Their number is bounded: at the
bound the one that has shown no right to anything for longest goes, and one
without a certificate first, so that strangers cannot keep the API server out.
"""

import contextlib
import errno
import select
import socket
import threading

from oslo_log import log as logging

from zun_vk import metrics
from zun_vk import pace
from zun_vk import relay
from zun_vk.kubelet import connection as connection_module
from zun_vk.kubelet import tls

LOG = logging.getLogger(__name__)

#: Seconds that running streams have to end once the server stops.
GRACE_SECONDS = 5.0
# Ports tried, from the one that the option names on.
_PORTS = 100
_BACKLOG = 128
# While there are no descriptors or threads left.
_EXHAUSTED_SECONDS = 0.2


def listen(address: str, port: int) -> socket.socket:
    """Listen on the first port that is free, from ``port`` on.

    :param address: '': all, of IPv4 and IPv6
    :raises OSError: there is none, or the address is not ours
    """
    for number in range(port, min(port + _PORTS, 65536)):
        try:
            return _listen(address, number)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            failure = error
    raise failure


def _listen(address: str, port: int) -> socket.socket:
    if not address and socket.has_dualstack_ipv6():
        with contextlib.suppress(OSError):
            # Where IPv6 is off it may still look as if it were there.
            return socket.create_server(
                ('', port), family=socket.AF_INET6, backlog=_BACKLOG,
                dualstack_ipv6=True)
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    return socket.create_server((address, port), family=family,
                                backlog=_BACKLOG)


class Server:
    """Serves one node from ``listener`` until ``stop``.

    :param name: of the node
    :param limit: connections at once
    :param serve: see Connection
    """

    def __init__(self, name: str, listener: socket.socket, limit: int,
                 contexts: tls.Contexts, serve: connection_module.Serve):
        self.port: int = listener.getsockname()[1]
        self._name = name
        self._listener = listener
        self._limit = limit
        self._contexts = contexts
        self._serve = serve
        self._pace = pace.Pace()
        self._stop = relay.Wakeup()
        self._gauge = metrics.KUBELET_CONNECTIONS.labels(name)
        # Guards the connections, the oldest first; told when one ends.
        self._changed = threading.Condition()
        self._open: dict[connection_module.Connection, None] = {}
        # Those that were cut off to make room and have not ended yet: they
        # may wait for an API server that is slow to say whose a token is.
        self._leaving: set[connection_module.Connection] = set()
        self._ended = False
        # Owned by run(): of the threads' names.
        self._number = 0

    def stop(self) -> None:
        """Have ``run`` end; streams are told, and cut off if they stay."""
        with self._changed:
            if not self._ended:
                self._stop.set()

    def run(self) -> None:
        """Accept connections until ``stop``; returns when none is left."""
        self._listener.setblocking(False)
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        poll.register(self._stop, select.POLLIN)
        while not self._stop.is_set():
            poll.poll()
            self._accept()
        self._listener.close()
        self._end_all()

    def _accept(self) -> None:
        try:
            sock, address = self._listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            # ECONNABORTED and its like pass; EMFILE lasts.
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM,
                               errno.ENOBUFS):
                self._pause(str(error))
            return
        peer = _peer(address)
        one = connection_module.Connection(
            sock, peer, self._contexts, self._serve, self._turned_away,
            self._stop)
        if not self._admit(one):
            self._turned_away('full', peer, 'too many connections')
            one.close()
            return
        self._number += 1
        try:
            threading.Thread(target=self._run, args=(one,), daemon=True,
                             name=f'kubelet-{self._number}:{self._name}'
                             ).start()
        except RuntimeError as error:
            self._forget(one)
            one.close()
            self._pause(str(error))

    def _admit(self, one: connection_module.Connection) -> bool:
        """Register a connection, at the bound in a stranger's place."""
        with self._changed:
            if len(self._open) >= self._limit:
                stranger = min(
                    (each for each in self._open if not each.trusted),
                    key=lambda each: each.certified, default=None)
                if stranger is None or len(self._leaving) >= self._limit:
                    return False
                del self._open[stranger]
                self._leaving.add(stranger)
                self._turned_away('displaced', stranger.peer,
                                  'it gives way to a newer one')
                stranger.cut()
            self._open[one] = None
            self._gauge.set(len(self._open))
        return True

    def _forget(self, one: connection_module.Connection) -> None:
        with self._changed:
            self._open.pop(one, None)
            self._leaving.discard(one)
            self._gauge.set(len(self._open))
            self._changed.notify_all()

    def _run(self, one: connection_module.Connection) -> None:
        try:
            one.run()
        except Exception:  # the top of a thread
            metrics.CRASHES.labels('kubelet').inc()
            LOG.exception('A connection of the kubelet API failed')
        finally:
            self._forget(one)

    def _end_all(self) -> None:
        """Wait until all connections have ended, for so long as they may."""
        for waiting_only in (True, False):
            self._cut(waiting_only)
            with self._changed:
                if self._changed.wait_for(
                        lambda: not self._open and not self._leaving,
                        GRACE_SECONDS):
                    self._ended = True
                    self._stop.close()
                    return
        LOG.warning('Some connections of the kubelet API of node %s are left '
                    'behind', self._name)

    def _cut(self, waiting_only: bool) -> None:
        with self._changed:
            connections = list(self._open)
        for one in connections:
            one.cut(waiting_only)

    def _pause(self, words: str) -> None:
        """Leave those that wait to be let in where they are for a moment."""
        if self._pace.may_pass() is not None:
            LOG.warning('The kubelet API cannot take a connection: %s', words)
        poll = select.poll()
        poll.register(self._stop, select.POLLIN)
        poll.poll(_EXHAUSTED_SECONDS * 1000)

    def _turned_away(self, why: str, peer: str, words: str) -> None:
        metrics.KUBELET_TURNED_AWAY.labels(why).inc()
        held = self._pace.may_pass()
        if held is not None:
            LOG.info('Connection of %s refused: %s%s', peer, words,
                     f' (not shown: {held})' if held else '')


def _peer(address: tuple) -> str:
    """Return address and port as they are written."""
    host, port = address[:2]
    # Of the IPv4 part of a socket for both.
    host = host.removeprefix('::ffff:')
    return f'[{host}]:{port}' if ':' in host else f'{host}:{port}'
