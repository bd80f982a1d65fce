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
"""Reads the log of a container for somebody who is elsewhere.

Flows in: the files, as the runtime writes and the Rotator rotates them;
flows out: what they show, in blocks, as fast as the reader takes it. At no
time more than a block is in memory. A log that is followed ends with its
container; nothing that it said before is left out, and nothing is told twice.
"""

from collections.abc import Callable
import select
import threading
import time

from zun_vk import exceptions
from zun_vk.compute.streams import logfiles
from zun_vk.compute.streams import logformat
from zun_vk.compute.streams import logtail
from zun_vk.compute.streams import sink as sink_module
from zun_vk.rpc import streams

# Seconds between two looks at a log that is followed: shorter while
# something is said, longer while nothing is.
_SOON, _LATER = 0.05, 0.25
# Seconds that the runtime may still write to a file after there is another:
# it makes the new one first, then changes over, stream by stream.
_LINGER = 0.25


class LogStream:
    """Writes one log, once.

    :param open_directory: opens where it is; it is closed in the end
    :param runs: tells whether the container may still say something
    :param clock: monotonic seconds
    """

    def __init__(self, open_directory: Callable[[], logfiles.Directory],
                 options: streams.LogOptions, runs: Callable[[], bool],
                 clock: Callable[[], float] = time.monotonic):
        self._open_directory = open_directory
        self._options = options
        self._runs = runs
        self._clock = clock

    def __call__(self, sink: sink_module.Sink) -> None:
        """Write it.

        :raises Refused: it is gone
        :raises ReaderGone: nobody reads it any more
        :raises OSError: it cannot be read
        """
        directory = self._open_directory()
        try:
            chain = logfiles.Chain(directory)
            try:
                self._write(chain, sink)
            finally:
                chain.close()
        finally:
            directory.close()

    def _write(self, chain: logfiles.Chain, sink: sink_module.Sink) -> None:
        segments = chain.segments
        if not segments:
            return
        end = segments[-1].size()
        tail = self._options.tail
        place = (logtail.Place() if tail is None
                 else logtail.find(segments, tail, end))
        copy = _Copy(sink, logformat.Printer(self._options, place.skip))
        for number in range(place.segment, len(segments)):
            segment = segments[number]
            at = place.at if number == place.segment else 0
            segment.start(at)
            if number < len(segments) - 1:
                copy.all(segment)
                copy.finish()
        if not self._options.follow:
            copy.until(segments[-1], end - at)
            copy.finish()
        else:
            self._follow(chain, copy, sink)

    def _follow(self, chain: logfiles.Chain, copy: '_Copy',
                sink: sink_module.Sink) -> None:
        """Write what is there and what comes, until the container ended."""
        chain.leave()
        look, pause, found_at = _Look(sink), _SOON, None
        while not copy.done:
            # Before it is read: what it said until then is there.
            runs = self._runs()
            pause = _SOON if copy.all(chain.segments[-1]) else min(
                2 * pause, _LATER)
            if not chain.has_next():
                found_at = None
                if not runs:
                    break
            else:
                found_at = found_at or self._clock()
                if not runs or self._clock() - found_at >= _LINGER:
                    copy.all(chain.segments[-1])
                    copy.finish()
                    chain.go_on()
                    found_at, pause = None, _SOON
                    continue
            if look.gone_within(pause):
                return
        copy.finish()


class _Copy:
    """Copies from files to a sink what they show."""

    def __init__(self, sink: sink_module.Sink, printer: logformat.Printer):
        self._sink = sink
        self._printer = printer

    @property
    def done(self) -> bool:
        return self._printer.done

    def all(self, segment: logfiles.Segment) -> bool:
        """Copy what there is now; tell whether there was anything."""
        some = False
        while not self.done and (block := segment.read()):
            some = True
            self._put(self._printer.feed(block))
        return some

    def until(self, segment: logfiles.Segment, size: int) -> None:
        """Copy so many bytes and the line they end in; a packed one whole."""
        if segment.packed:
            self.all(segment)
            return
        while size > 0 and not self.done:
            block = segment.read(min(size, logfiles.BLOCK))
            if not block:
                return
            size -= len(block)
            self._put(self._printer.feed(block))
        while self._printer.amid and not self.done and (
                block := segment.read(logfiles.BLOCK)):
            line, newline, _ = block.partition(b'\n')
            self._put(self._printer.feed(line + newline))
            if newline:
                return

    def finish(self) -> None:
        """Note that a file has ended."""
        self._put(self._printer.finish())

    def _put(self, shown: bytes) -> None:
        if shown:
            self._sink.write(shown)
        elif self._sink.gone():
            raise exceptions.ReaderGone


class _Look:
    """Waits for a reader to go."""

    def __init__(self, sink: sink_module.Sink):
        self._sink = sink
        self._poll = select.poll()
        self._poll.register(sink.fileno(), select.POLLIN)
        # Nobody sets it: to wait where the descriptor has said all it can.
        self._never = threading.Event()

    def gone_within(self, seconds: float) -> bool:
        """Wait so long; tell whether the reader is gone."""
        if self._sink.gone():
            return True
        if self._poll.poll(seconds * 1000):
            if self._sink.gone():
                return True
            self._never.wait(seconds)
        return self._sink.gone()
