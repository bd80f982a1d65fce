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
"""Where the tail of a log begins.

Its lines are those that are shown: however many raw lines the runtime made of
one, it counts once, and the one that is being said counts as well.
"""

import dataclasses

from zun_vk.compute.streams import logfiles
from zun_vk.compute.streams import logformat


@dataclasses.dataclass(frozen=True)
class Place:
    """A place in a log.

    :param segment: number of the file
    :param at: bytes from its beginning
    :param skip: full lines from there, where it is compressed
    """

    segment: int = 0
    at: int = 0
    skip: int = 0


def find(segments: list[logfiles.Segment], lines: int, end: int) -> Place:
    """Return where the last lines of a log begin.

    Reads no more of it than it has to, and keeps none of it.

    :param segments: the files, oldest first
    :param lines: how many, at most
    :param end: bytes of the last file that count
    :raises OSError: they cannot be read
    """
    if not lines:
        return Place(len(segments) - 1, end)
    count = _Count(lines)
    for number in range(len(segments) - 1, -1, -1):
        segment = segments[number]
        if segment.packed:
            skip = count.forwards(segment)
            if skip is not None:
                return Place(number, 0, skip)
        else:
            last = number == len(segments) - 1
            at = count.backwards(segment, end if last else segment.size())
            if at is not None:
                return Place(number, at)
    return Place()


class _Count:
    """Counts lines from the end, over several files."""

    def __init__(self, lines: int):
        self._missing = lines
        self._at_end = True

    def backwards(self, segment: logfiles.Segment, end: int) -> int | None:
        """Return where the lines begin, None: further back.

        That is after the full line before them.
        """
        begin = end
        for at, header in segment.starts(end):
            full = logformat.is_full(header)
            if full is None:
                continue
            if full or self._at_end:
                if not self._missing:
                    return begin
                self._missing -= 1
            self._at_end = False
            begin = at
        return None

    def forwards(self, segment: logfiles.Segment) -> int | None:
        """Return how many full lines come before, None: look further back."""
        total, rest = _full_lines(segment)
        if self._at_end and (total or rest):
            self._missing -= rest
            self._at_end = False
        if total > self._missing:
            return total - self._missing
        self._missing -= total
        return None


def _full_lines(segment: logfiles.Segment) -> tuple[int, bool]:
    """Return how many full lines there are, and if one is begun after."""
    total, begun, rest, within = 0, False, b'', False
    segment.start()
    while block := segment.read():
        lines = (rest + block).split(b'\n')
        rest = lines.pop()
        for line in lines:
            full = None if within else logformat.is_full(line)
            within = False
            if full is not None:
                total, begun = total + full, not full
        if len(rest) > logformat.MAX_LINE:
            total, begun, within = _cut(rest, total, begun, within)
            rest = b''
    segment.start()
    if rest and not within and (full := logformat.is_full(rest)) is not None:
        total, begun = total + full, not full
    return total, begun


def _cut(rest: bytes, total: int, begun: bool, within: bool
         ) -> tuple[int, bool, bool]:
    """Count a raw line that is too long to be kept, once."""
    full = None if within else logformat.is_full(rest)
    if full is not None:
        total, begun = total + full, not full
    return total, begun, True
