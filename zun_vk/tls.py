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
"""TLS over a connected socket, so that each direction can end on its own.

The TLS of the standard library's sockets cannot say that one direction is
over without reading from the other one, and what it reads then is lost. Here
the socket is read and written apart from TLS: nothing is lost, and a few
large reads take the place of many small ones.

For one thread at a time.
"""

import hashlib
import os
import select
import socket
import ssl
import time
import typing

# One record of TLS has 16 KiB at most.
_RECORD = 16 * 1024
_CIPHER = 256 * 1024
_PLAIN = 128 * 1024

#: Inode, size and nanoseconds of each file; None: there is none.
Version: typing.TypeAlias = tuple[tuple[int, int, int] | None, ...]


class Broken(OSError):
    """The peer ended without saying so in TLS, or speaks no TLS."""


def server_context() -> ssl.SSLContext:
    """Return a context of a server that has no certificate yet.

    A session that is taken up again brings what was known of the client
    along: none is by a ticket. What TLS 1.2 keeps itself ends with the
    context.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0
    return context


def version(*files: str) -> Version:
    """Return what changes as soon as one of these files does."""
    return tuple(map(_version, files))


def _version(name: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(name)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def tune(connection: socket.socket) -> None:
    """Set what all connections of streams have: no delay, and a pulse.

    A peer that vanished is noticed within a minute.
    """
    for level, name, value in (
            (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
            (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
            (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
            (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)):
        connection.setsockopt(level, name, value)


class Stream:
    """One connection; owns the socket.

    ``recv_into`` and ``send`` never wait; ``handshake``, ``receive`` and
    ``send_all`` do, until a deadline.

    :param connection: connected
    :param server: which side of the handshake this is
    """

    def __init__(self, connection: socket.socket, context: ssl.SSLContext,
                 server: bool):
        self._socket = connection
        self._socket.setblocking(False)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server)
        # Encrypted, not yet sent.
        self._unsent = memoryview(b'')
        # Decrypted ahead of its reader, when our direction ended.
        self._ahead = memoryview(b'')
        self._ended = False

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def socket(self) -> socket.socket:
        """The socket below, to be looked at only."""
        return self._socket

    def certificate(self) -> bytes | None:
        """Return the peer's certificate, DER; None: it has none."""
        return self._tls.getpeercert(binary_form=True)

    def fingerprint(self) -> str:
        """Return the SHA-256 of the peer's certificate; '' for none."""
        certificate = self.certificate()
        return hashlib.sha256(certificate).hexdigest() if certificate else ''

    def close(self) -> None:
        """Close the socket; without ``end`` the peer sees a broken stream."""
        self._socket.close()

    # Without waiting

    @property
    def pending(self) -> bool:
        """Whether something is left that ``flush`` has to send."""
        return bool(self._unsent) or self._outgoing.pending > 0

    def flush(self) -> bool:
        """Send what was encrypted; return whether all of it is sent.

        :raises OSError: the connection is broken
        """
        if self._outgoing.pending:
            fresh = self._outgoing.read()
            self._unsent = memoryview(
                bytes(self._unsent) + fresh if self._unsent else fresh)
        try:
            while self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent):]
        except BlockingIOError:
            return False
        return True

    def send(self, data: memoryview) -> int | None:
        """Take some of ``data``; return how much, None: not now.

        :raises OSError: the connection is broken
        """
        if not self.flush():
            return None
        try:
            taken = self._tls.write(data[:_PLAIN])
        except ssl.SSLError as error:
            raise Broken(f'TLS: {error.reason}') from None
        self.flush()
        return taken

    def recv_into(self, buffer: memoryview) -> int | None:
        """Read what there is; return how much, 0: the end, None: not now.

        :raises Broken: the connection ended, not the stream
        :raises OSError: the connection is broken
        """
        if self._ahead:
            taken = min(len(buffer), len(self._ahead))
            buffer[:taken] = self._ahead[:taken]
            self._ahead = self._ahead[taken:]
            return taken
        filled = 0
        while filled < len(buffer):
            try:
                count = self._decrypt(buffer[filled:])
            except OSError:
                if filled:
                    # It is found again.
                    break
                raise
            if count:
                filled += count
            elif filled or count is not None:
                break
            elif not self._feed(min(len(buffer), _CIPHER)):
                return None
        return filled

    def _decrypt(self, buffer: memoryview) -> int | None:
        """Return the bytes of one record; 0: the end, None: needs more."""
        try:
            # With a buffer it returns a number.
            return typing.cast(int, self._tls.read(len(buffer), buffer))
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLZeroReturnError:
            return 0
        except ssl.SSLError as error:
            raise Broken(f'TLS: {error.reason}') from None
        finally:
            if self._outgoing.pending:
                self.flush()

    def _feed(self, size: int = 0) -> bool:
        """Read from the socket for TLS; return whether there was anything.

        :param size: that is wanted: no stranger has us keep more for him
        :raises Broken: the peer has closed it
        """
        try:
            cipher = self._socket.recv(max(size, _RECORD))
        except BlockingIOError:
            return False
        if not cipher:
            raise Broken('the connection ended within the stream')
        self._incoming.write(cipher)
        return True

    def end(self) -> None:
        """Say that nothing more is sent; the other direction goes on.

        :raises OSError: the connection is broken
        """
        if self._ended:
            return
        self._ended = True
        # TLS would read on for the peer's own end, and drop what it finds.
        if waits := self._tls.pending():
            self._ahead = memoryview(
                bytes(self._ahead) + self._tls.read(waits))
        cipher = self._incoming.read()
        try:
            self._tls.unwrap()
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        except ssl.SSLError as error:
            raise Broken(f'TLS: {error.reason}') from None
        self._incoming.write(cipher)
        self.flush()

    # With a deadline

    def handshake(self, deadline: float) -> None:
        """Shake hands.

        :param deadline: of the monotonic clock
        :raises TimeoutError: it is past
        :raises OSError: there is no TLS to be had
        """
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._send_out(deadline)
                self._wait(select.POLLIN, deadline)
                self._feed()
            except ssl.SSLError as error:
                # Without a word to whoever speaks no TLS.
                raise Broken(f'TLS: {error.reason}') from None
            else:
                self._send_out(deadline)
                return

    def receive(self, size: int, deadline: float) -> bytes:
        """Return some bytes, b'' at the end; raise OSError."""
        buffer = bytearray(size)
        while (count := self.recv_into(memoryview(buffer))) is None:
            self._wait(select.POLLIN, deadline)
        return bytes(buffer[:count])

    def send_all(self, data: bytes, deadline: float) -> None:
        """Send all of it; raise OSError."""
        left = memoryview(data)
        while left:
            taken = self.send(left)
            if taken is None:
                self._wait(select.POLLOUT, deadline)
            else:
                left = left[taken:]
        self._send_out(deadline)

    def _send_out(self, deadline: float) -> None:
        while not self.flush():
            self._wait(select.POLLOUT, deadline)

    def _wait(self, events: int, deadline: float) -> None:
        wait(self._socket, events, deadline)


def wait(connection: socket.socket, events: int, deadline: float) -> None:
    """Wait until a socket is ready.

    :param events: of ``select.poll``
    :param deadline: of the monotonic clock
    :raises TimeoutError: it is past
    """
    left = deadline - time.monotonic()
    poll = select.poll()
    poll.register(connection, events)
    if left <= 0 or not poll.poll(left * 1000):
        raise TimeoutError('the peer is too slow')
