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
"""Passes bytes both ways between two connections, until both have ended.

One thread, and a bounded buffer for each direction: who does not read is not
read for. The end of one direction is passed on while the other goes on, and
what was read is sent before anything is closed.
"""

import dataclasses
import os
import select
import socket
import time
import typing

from zun_vk import tls

#: Kubernetes: streamingConnectionIdleTimeout of the kubelet.
IDLE_SECONDS = 4 * 3600.0
#: Without a byte, once one side has ended: nobody may be left to read. Not
#: while the left one, the client, takes its time for the rest of an answer.
DRAIN_SECONDS = 10.0

CLOSED, BROKEN, IDLE, STOPPED = 'closed', 'broken', 'idle', 'stopped'

_SMALL = 32 * 1024
_LARGE = 256 * 1024
# So many pieces, of at least so many bytes and within so many seconds each,
# are worth a wait of those seconds before each of the next.
_PIECES = 8
_PIECE = 1024
_PAUSE = 0.001
# Of one direction in a row, before the other one is looked at.
_ROUNDS = 8


class Wakeup:
    """Tells any number of threads that wait on sockets to end.

    Once set it stays so. Its owner closes it when none of them is left.
    """

    def __init__(self) -> None:
        self._event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._set = False

    def set(self) -> None:
        """Wake all that wait, now and later; any thread may."""
        if not self._set:
            self._set = True
            os.eventfd_write(self._event, 1)

    def is_set(self) -> bool:
        return self._set

    def fileno(self) -> int:
        """Return a descriptor that can be read from once this is set."""
        return self._event

    def close(self) -> None:
        os.close(self._event)


class Stop(typing.Protocol):
    """What ends a relay, such as a Wakeup."""

    def is_set(self) -> bool:
        """Tell whether it is to end."""

    def fileno(self) -> int:
        """Return a descriptor that can be read from once it is."""


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


def relay(left: typing.Any, right: typing.Any, *, stop: Stop,
          idle: float = IDLE_SECONDS, drain: float = DRAIN_SECONDS
          ) -> Outcome:
    """Pass bytes both ways until both sides have ended; closes neither.

    Closing them after ``closed`` loses nothing. After another outcome a side
    with TLS was not told of an end, and sees that it is broken.

    :param left: where the client is: a connected socket or a ``tls.Stream``
    :param right: likewise, where the answer comes from
    :param stop: ends it at once
    :param idle: seconds without a byte either way after which it ends
    :param drain: such seconds after one side has ended
    """
    sides = _side(left), _side(right)
    pipes = _Pipe(*sides), _Pipe(*reversed(sides))
    try:
        why = _Relay(sides, pipes, stop, idle, drain).run()
    except OSError:
        # Of TLS as well.
        why = BROKEN
    if why == CLOSED and any(pipe.failed for pipe in pipes):
        why = BROKEN
    return Outcome(pipes[0].passed, pipes[1].passed, why)


class _Plain:
    """A socket without TLS; reads and writes never wait."""

    def __init__(self, connection: typing.Any):
        self._socket = connection
        self._socket.setblocking(False)

    @property
    def pending(self) -> bool:
        """Whether something is left to flush."""
        return False

    def fileno(self) -> int:
        return self._socket.fileno()

    def recv_into(self, buffer: memoryview) -> int | None:
        """Return how much was read; 0: the end, None: not now."""
        try:
            return self._socket.recv_into(buffer)
        except BlockingIOError:
            return None

    def send(self, data: memoryview) -> int | None:
        """Return how much was sent; None: not now."""
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return None

    def flush(self) -> bool:
        return True

    def end(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)


def _side(connection: typing.Any) -> typing.Any:
    if isinstance(connection, tls.Stream):
        return connection
    return _Plain(connection)


class _Pipe:
    """One direction: what was read and is not sent yet, and how far it is.

    :ivar passed: bytes
    :ivar read_all: its source has ended
    :ivar ended: and its target knows
    :ivar failed: its target was reset
    """

    def __init__(self, source: typing.Any, target: typing.Any):
        self.source = source
        self.target = target
        self.passed = 0
        self.read_all = False
        self.ended = False
        self.failed = False
        self._buffer = memoryview(bytearray(_SMALL))
        self._data = self._buffer[:0]
        self._broken: OSError | None = None
        # Nobody is left to send to. The source is read on all the same:
        # closed with something unread it would lose what it was sent.
        self._drop = False

    @property
    def reads(self) -> bool:
        return not self.read_all and not self._data

    @property
    def writes(self) -> bool:
        return not self._drop and (bool(self._data) or self.target.pending)

    def advance(self) -> bool:
        """Pass on what can be, without waiting.

        :returns: there may be more that can
        :raises OSError: the source is broken
        """
        for _ in range(_ROUNDS):
            if self.reads:
                self._fill()
            if not self._data or not self._attempt(self._empty):
                break
        else:
            return True
        if self.read_all and not self._data and not self.ended:
            # TLS may have read something, or the end, while it ended.
            self._end()
            return True
        return self.writes and bool(self._attempt(self._flush))

    def _flush(self) -> bool:
        return self.target.pending and self.target.flush()

    def _fill(self) -> None:
        try:
            count = self.source.recv_into(self._buffer)
        except OSError as error:
            # What came before is passed on first.
            self._broken, self.read_all = error, True
            return
        self.read_all = count == 0
        self._data = self._buffer[:count or 0]
        if count == len(self._buffer) < _LARGE:
            self._buffer = memoryview(bytearray(_LARGE))

    def _empty(self) -> bool:
        """Send; return whether all that was read is sent."""
        while self._data:
            count = self.target.send(self._data)
            if count is None:
                return False
            self.passed += count
            self._data = self._data[count:]
        return True

    def _end(self) -> None:
        if self._broken:
            raise self._broken
        self.ended = True
        self._attempt(self.target.end)

    def _attempt(self, act: typing.Callable) -> typing.Any:
        """Act on the target, of which nothing can be expected once it ends.

        What it sent before may still be on its way: that decides whether
        the whole is broken, unless it was reset.
        """
        if not self._drop:
            try:
                return act()
            except OSError as error:
                self._drop = True
                self.failed = isinstance(error, ConnectionResetError)
        self._data = self._data[:0]
        return True


class _Trickle:
    """Finds out whether much comes in small pieces.

    Runtimes write 4 KiB at a time, and each piece costs what a large one
    does: a moment's wait makes one of many. Only where data flow one way,
    piece after piece: who asks and answers is not held up.
    """

    def __init__(self) -> None:
        self._passed = [0, 0]
        self._worth = False
        # Since the last decision.
        self._pieces = 0
        self._moved = [0, 0]
        self._since = 0.0

    def goes_on(self, passed: list[int], now: float) -> bool:
        """Tell whether it is worth a wait.

        :param passed: bytes that each pipe has passed on so far
        :param now: monotonic seconds
        """
        for way, before in enumerate(self._passed):
            self._moved[way] += passed[way] - before
        self._passed = passed
        self._pieces += 1
        if all(self._moved):
            self._begin(now)
            self._worth = False
        elif self._pieces == _PIECES:
            # After a wait there is more, later.
            most, seconds = ((_LARGE // 2, 4 * _PAUSE) if self._worth
                             else (_SMALL, _PAUSE))
            self._worth = (
                _PIECE <= sum(self._moved) / _PIECES < most
                and now - self._since < seconds * _PIECES)
            self._begin(now)
        return self._worth

    def _begin(self, now: float) -> None:
        self._pieces, self._moved, self._since = 0, [0, 0], now


class _Relay:
    """The loop, on one thread."""

    def __init__(self, sides: tuple, pipes: tuple[_Pipe, _Pipe], stop: Stop,
                 idle: float, drain: float):
        self._sides = sides
        self._pipes = pipes
        self._stop = stop
        self._idle = idle
        self._drain = min(drain, idle)
        self._poll = select.poll()
        self._poll.register(stop, select.POLLIN)
        # For a wait that nothing but the stop ends.
        self._calm = select.poll()
        self._calm.register(stop, select.POLLIN)
        self._masks: dict[int, int] = {}
        # Descriptors of sides that are over, of which nothing is wanted yet.
        self._over: set[int] = set()

    def run(self) -> str:
        """Return why it ended; raise OSError where a side is broken."""
        before, last = -1, time.monotonic()
        trickle = _Trickle()
        while not self._stop.is_set():
            again = [pipe.advance() for pipe in self._pipes]
            if all(pipe.ended and not pipe.writes for pipe in self._pipes):
                return CLOSED
            each, now = [pipe.passed for pipe in self._pipes], (
                time.monotonic())
            passed = sum(each)
            if trickle.goes_on(each, now):
                self._calm.poll(_PAUSE * 1000)
            if passed != before:
                before, last = passed, now
            left = last + self._patience() - now
            if left <= 0:
                return IDLE
            self._wait(0 if any(again) else left)
        return STOPPED

    def _patience(self) -> float:
        asked, answered = (self._ended(pipe) for pipe in self._pipes)
        # A client that is killed ends as one does that has all it wants.
        ending = asked or answered and not self._pipes[1].writes
        return self._drain if ending else self._idle

    def _ended(self, pipe: _Pipe) -> bool:
        return pipe.read_all or pipe.source.fileno() in self._over

    def _wait(self, seconds: float) -> None:
        for side in self._sides:
            self._watch(side.fileno(), self._events(side))
        for found, events in self._poll.poll(seconds * 1000):
            if (events & (select.POLLERR | select.POLLHUP)
                    and self._masks.get(found) == 0):
                # It would be found at once for ever.
                self._poll.unregister(found)
                del self._masks[found]
                self._over.add(found)

    def _events(self, side: typing.Any) -> int:
        events = 0
        for pipe in self._pipes:
            if pipe.source is side and pipe.reads:
                events |= select.POLLIN
            if pipe.target is side and pipe.writes:
                events |= select.POLLOUT
        return events

    def _watch(self, descriptor: int, events: int) -> None:
        if descriptor in self._over and not events:
            return
        self._over.discard(descriptor)
        if self._masks.get(descriptor) != events:
            self._poll.register(descriptor, events)
            self._masks[descriptor] = events
