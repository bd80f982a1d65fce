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
"""Passes bytes both ways between two connections, until both have ended."""

import dataclasses
import os
import socket
import typing

#: Kubernetes: streamingConnectionIdleTimeout of the kubelet.
IDLE_SECONDS = 4 * 3600.0
#: For what is on its way when one side has ended.
DRAIN_SECONDS = 10.0


class Wakeup:
    """Tells any number of threads that wait on sockets to end.

    Once set it stays so. Its owner closes it when none of them is left.
    """

    def __init__(self) -> None:
        self._event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._set = False

    def set(self) -> None:
        """Wake all that wait, now and later; any thread may."""
        self._set = True
        os.eventfd_write(self._event, 1)

    def is_set(self) -> bool:
        return self._set

    def fileno(self) -> int:
        """Return a descriptor that can be read from once this is set."""
        return self._event

    def close(self) -> None:
        os.close(self._event)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a relay ended.

    :param sent: bytes that left the left side for the right one
    :param received: bytes that left the right side for the left one
    :param why: ``closed``, ``broken``, ``idle`` or ``stopped``
    """

    sent: int
    received: int
    why: str


def relay(left: typing.Any, right: typing.Any, *, stop: Wakeup,
          idle: float = IDLE_SECONDS, drain: float = DRAIN_SECONDS
          ) -> Outcome:
    """Pass bytes both ways until both sides have ended; closes neither.

    :param left: a connected socket, or one with TLS after its handshake
    :param right: likewise
    :param stop: ends it at once
    :param idle: seconds without a byte either way after which it ends
    :param drain: seconds that one side has to end after the other has
    """
    raise NotImplementedError
