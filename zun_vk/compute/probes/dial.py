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
"""Connections to a pod, with words for their failures as Kubernetes has."""

from collections.abc import Callable
import dataclasses
import errno
import io
import ipaddress
import socket
import time
import typing

#: (address, port, timeout) -> a connected socket
Connect = Callable[[str, int, float], socket.socket]


class DialFailed(Exception):
    """Nobody accepted the connection; says so in Kubernetes' words.

    :param timed_out: there was no answer in time
    """

    def __init__(self, words: str, timed_out: bool):
        super().__init__(words)
        self.timed_out = timed_out


@dataclasses.dataclass(frozen=True)
class Deadline:
    """A moment by which everything has to be over.

    :param at: on the monotonic clock
    """

    at: float

    @classmethod
    def after(cls, seconds: float) -> 'Deadline':
        return cls(time.monotonic() + seconds)

    def left(self) -> float:
        """Return the seconds that are left.

        :raises TimeoutError: none are
        """
        left = self.at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def joined(host: str, port: int) -> str:
    """Return ``host:port``, an IPv6 address in brackets."""
    return f'[{host}]:{port}' if ':' in host else f'{host}:{port}'


def dial(connect: Connect, host: str, port: int,
         deadline: Deadline) -> socket.socket:
    """Return a connection.

    :param host: an address, or a name that this host can resolve
    :raises DialFailed: there is none
    """
    try:
        return connect(_address(host, port), port, deadline.left())
    except TimeoutError:
        raise DialFailed(f'dial tcp {joined(host, port)}: i/o timeout',
                         True) from None
    except OSError as error:
        words = (error.strerror or type(error).__name__).lower()
        if error.errno == errno.EHOSTUNREACH:
            words = 'no route to host'
        raise DialFailed(f'dial tcp {joined(host, port)}: connect: {words}',
                         False) from None


def _address(host: str, port: int) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return str(found[0][4][0])


class TimedSocket:
    """A socket whose every operation ends by a deadline.

    A timeout for each operation alone would let a server that sends a byte
    now and then hold us for hours. It has what http.client asks of a socket,
    and leaves closing it to whoever made it.
    """

    def __init__(self, plain: socket.socket, deadline: Deadline):
        self._socket = plain
        self._deadline = deadline

    def sendall(self, data: typing.Any) -> None:
        self._socket.settimeout(self._deadline.left())
        self._socket.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._socket, self._deadline))

    def close(self) -> None:
        """http.client closes it before the answer is read."""


class _Reader(io.RawIOBase):

    def __init__(self, plain: socket.socket, deadline: Deadline):
        self._socket = plain
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: typing.Any) -> int:
        self._socket.settimeout(self._deadline.left())
        return self._socket.recv_into(buffer)
