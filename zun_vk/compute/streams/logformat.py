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
"""What stands in a container's log, and what of it is shown. Pure.

Raw lines are in CRI's format, see ``zun_vk.compute.logs``. They are shown as
the kubelet shows them: those with P are joined with what follows them, each
line has its time in front where that is wanted, whatever bytes were said
come out as they are.
"""

import datetime
import re

from zun_vk.rpc import streams

#: Bytes of the part of a raw line before what was said, at most.
MAX_HEADER = 128
#: Bytes of a raw line that is kept whole; a longer one passes in parts.
MAX_LINE = 256 * 1024

_FULL, _PARTIAL = b'F', b'P'
_STREAMS = (b'stdout', b'stderr')
_TIME = re.compile(
    rb'(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)')
_NEVER = b'9999-12-31T23:59:59.999999999Z'
# Length of a time that needs no change: that in UTC, with nanoseconds.
_FIXED = 30
_SECONDS = '%Y-%m-%dT%H:%M:%S'


def parse(raw: bytes) -> tuple[bytes, bytes, bool, bytes] | None:
    """Return time, stream, whether it is full, and what was said.

    :param raw: a raw line without its end, or the beginning of one
    :return: None: it is no such line
    """
    parts = raw.split(b' ', 3)
    if len(parts) != 4 or parts[1] not in _STREAMS:
        return None
    # Tags may grow by fields after a colon; the first one is P or F.
    tag = parts[2].split(b':', 1)[0]
    if tag not in (_FULL, _PARTIAL) or parts[0][10:11] != b'T':
        return None
    return parts[0], parts[1], tag == _FULL, parts[3]


def is_full(header: bytes) -> bool | None:
    """Tell whether a raw line is full, None: it is no line of a log.

    :param header: its first bytes, ``MAX_HEADER`` where it has as many
    """
    found = parse(header)
    return None if found is None else found[2]


def fixed(time: bytes) -> bytes:
    """Return a time with all nine digits, as the kubelet shows it.

    Runtimes leave zeros at the end out. What is no time stays as it is.
    """
    if len(time) == _FIXED and time.endswith(b'Z'):
        return time
    match = _TIME.fullmatch(time)
    if match is None:
        return time
    seconds, fraction, zone = match.groups()
    return b'%s.%s%s' % (seconds, (fraction or b'').ljust(9, b'0'), zone)


def in_utc(time: bytes) -> bytes:
    """Return a time such that the later one of two is the greater one."""
    time = fixed(time)
    if time.endswith(b'Z'):
        return time
    match = _TIME.fullmatch(time)
    if match is None:
        return time
    seconds, fraction, zone = match.groups()
    try:
        at = datetime.datetime.fromisoformat((seconds + zone).decode())
        return b'%s.%sZ' % (at.astimezone(datetime.UTC).strftime(
            _SECONDS).encode(), fraction)
    except (ValueError, OverflowError):
        return time


def earliest(since: float) -> bytes:
    """Return the time of which all that is to be shown must be.

    :param since: seconds since the epoch
    """
    seconds = int(since)
    try:
        at = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    except (ValueError, OverflowError, OSError):
        return _NEVER
    return b'%s.%09dZ' % (at.strftime(_SECONDS).encode(),
                          min(10 ** 9 - 1, int((since - seconds) * 1e9)))


class Printer:
    """Turns raw lines into what is shown; knows what came before.

    :param options: what is wanted; the tail is found by the caller, who
        passes what belongs to it
    :param skip: full lines that are passed over before anything is shown
    """

    def __init__(self, options: streams.LogOptions, skip: int = 0):
        self._timestamps = options.timestamps
        self._since = (None if options.since is None
                       else earliest(options.since))
        self._stream = options.streams.encode()
        self._left = options.limit
        self._skip = skip
        self._rest = b''
        self._at_start = True
        # Of the raw line that passes in parts: whether it is shown, and
        # whether it is full; None: there is none.
        self._within: tuple[bool, bool] | None = None

    @property
    def done(self) -> bool:
        """Nothing more is to be shown: all the bytes that were wanted."""
        return self._left is not None and self._left <= 0

    @property
    def amid(self) -> bool:
        """A raw line was begun."""
        return bool(self._rest) or self._within is not None

    def feed(self, block: bytes) -> bytes:
        """Return what a block of the log shows."""
        lines = (self._rest + block).split(b'\n')
        self._rest = lines.pop()
        shown = [self._line(line) for line in lines]
        if len(self._rest) > MAX_LINE:
            shown.append(self._part(self._rest))
            self._rest = b''
        return self._limited(b''.join(shown))

    def finish(self) -> bytes:
        """Return what the end of a file shows: it may lack its newline."""
        shown = self._part(self._rest) if self._rest else b''
        self._rest, self._within = b'', None
        return self._limited(shown)

    def _line(self, raw: bytes) -> bytes:
        if self._within is not None:
            shown, full = self._within
            self._within = None
            return self._said(raw, full) if shown else b''
        found = parse(raw)
        if found is None or not self._wanted(found):
            return b''
        return self._prefix(found[0]) + self._said(found[3], found[2])

    def _part(self, raw: bytes) -> bytes:
        """Return what is shown of a raw line whose end is not known yet."""
        if self._within is not None:
            return self._said(raw, False) if self._within[0] else b''
        found = parse(raw)
        if found is None:
            self._within = False, False
            return b''
        shown = self._wanted(found)
        self._within = shown, found[2]
        if not shown:
            return b''
        return self._prefix(found[0]) + self._said(found[3], False)

    def _wanted(self, found: tuple[bytes, bytes, bool, bytes]) -> bool:
        time, stream, full, _ = found
        if self._skip:
            self._skip -= full
            return False
        if self._stream and stream != self._stream:
            return False
        return self._since is None or in_utc(time) >= self._since

    def _prefix(self, time: bytes) -> bytes:
        if self._timestamps and self._at_start:
            self._at_start = False
            return fixed(time) + b' '
        return b''

    def _said(self, content: bytes, full: bool) -> bytes:
        if full:
            content += b'\n'
        if content:
            self._at_start = full
        return content

    def _limited(self, shown: bytes) -> bytes:
        if self._left is None:
            return shown
        shown = shown[:self._left]
        self._left -= len(shown)
        return shown
