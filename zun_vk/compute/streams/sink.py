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
"""What a stream of one direction, such as a log, is written to."""

from collections.abc import Callable
import select
import time
import typing

from zun_vk import exceptions
from zun_vk import relay
from zun_vk import tls
from zun_vk.rpc import streams

# For an agent to take what it was sent, and close.
_END_SECONDS = 10.0


class Sink(typing.Protocol):
    """Where a stream goes: an agent's connection."""

    def write(self, data: bytes) -> None:
        """Write all of it; waits while the reader does not read.

        :raises ReaderGone: nobody reads any more, or the service stops
        """

    def gone(self) -> bool:
        """Tell whether nobody reads any more, or the service stops."""

    def fileno(self) -> int:
        """Return a descriptor that is readable when ``gone`` may be true.

        For ``select``, beside what the writer itself waits for. The stop of
        the service does not show there: wait for some seconds at most.
        """


#: Writes one stream. Returning completes it; an exception breaks it, which
#: the agent can tell.
Writer: typing.TypeAlias = Callable[[Sink], None]
#: Makes the writer of a request, on the bus's thread: quickly. Raises
#: Refused where there is no such stream.
Prepare: typing.TypeAlias = Callable[[streams.StreamRequest], Writer]


class TlsSink:
    """The sink that is one connection.

    :param stream: after its greeting; the agent sends nothing more
    :param stop: of the service
    """

    def __init__(self, stream: tls.Stream, stop: relay.Stop):
        self._stream = stream
        self._stop = stop
        self._gone = False

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, data: bytes) -> None:
        left = memoryview(data)
        while left or self._stream.pending:
            try:
                if left:
                    left = left[self._stream.send(left) or 0:]
                blocked = not self._stream.flush()
            except OSError:
                self._gone = True
                raise exceptions.ReaderGone('the reader is gone') from None
            if blocked:
                self._poll(select.POLLOUT, None)
            if self._gone or self._stop.is_set():
                raise exceptions.ReaderGone('the reader is gone')

    def gone(self) -> bool:
        self._poll(0, 0)
        return self._gone

    def finish(self) -> None:
        """Complete the stream, and wait for the agent to close.

        :raises ReaderGone: nobody reads any more, or the service stops
        :raises OSError: it is broken, or the agent does not
        """
        self._stream.end()
        # A reader that takes its time has to see that this was the end.
        self.write(b'')
        deadline = time.monotonic() + _END_SECONDS
        # Closed with something unread, it would lose its own tail.
        while self._stream.receive(256, deadline):
            pass

    def _poll(self, events: int, seconds: float | None) -> None:
        """Wait; take note where the agent ends, or we are to.

        :param events: to wait for beside that
        """
        poll = select.poll()
        poll.register(self._stream, select.POLLIN | events)
        poll.register(self._stop, select.POLLIN)
        poll.poll(None if seconds is None else max(0.0, seconds) * 1000)
        self._gone = self._gone or self._stop.is_set() or self._ended()

    def _ended(self) -> bool:
        """Tell whether the agent has ended; it has nothing else to say."""
        try:
            return self._stream.recv_into(memoryview(bytearray(1))
                                          ) is not None
        except OSError:
            return True
