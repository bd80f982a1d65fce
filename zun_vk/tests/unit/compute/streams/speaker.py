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
"""A container that speaks, its log, and what must be shown of it."""

import dataclasses
import datetime
import os
import time
from unittest import mock

from zun_vk.compute import logs
from zun_vk.compute.streams import logfiles
from zun_vk.compute.streams import logreader
from zun_vk.rpc import streams

#: Seconds since the epoch when the first line is said; one more for each.
BEGIN = 1_767_322_645
_NANOSECONDS = 678_901_230
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT


@dataclasses.dataclass(frozen=True)
class Said:
    """One raw line."""

    number: int
    content: bytes
    full: bool = True
    stream: str = 'stdout'

    @property
    def time(self) -> bytes:
        at = datetime.datetime.fromtimestamp(BEGIN + self.number,
                                             datetime.UTC)
        return b'%s.%09dZ' % (at.strftime('%Y-%m-%dT%H:%M:%S').encode(),
                              _NANOSECONDS)

    @property
    def raw(self) -> bytes:
        # The runtime leaves zeros at the end out.
        return b' '.join((self.time[:-2] + b'Z', self.stream.encode(),
                          b'F' if self.full else b'P',
                          self.content)) + b'\n'


class Container:
    """Says lines into a log, which the real Rotator rotates."""

    def __init__(self, root: str, max_files: int = 100):
        self.root = root
        self.path = os.path.join(root, 'ns_pod_uid', 'web', '0.log')
        os.makedirs(os.path.dirname(self.path))
        self.said: list[Said] = []
        self._rotator = logs.Rotator(0, max_files)
        self._rotations = 0
        self._old = self._file = os.open(self.path, _APPEND, 0o644)

    def say(self, content: bytes, full: bool = True, stream: str = 'stdout',
            late: bool = False) -> None:
        """Say something; ``late``: by who still has the file before."""
        line = Said(len(self.said), content, full, stream)
        self.said.append(line)
        os.write(self._old if late else self._file, line.raw)

    def rotate(self) -> None:
        self._rotations += 1
        stamp = f'{self.path}.20260102-{self._rotations:06}'
        with mock.patch.object(time, 'strftime', autospec=True,
                               return_value=stamp):
            self._rotator.look(self.path, self.reopen)

    def reopen(self) -> None:
        if self._old != self._file:
            os.close(self._old)
        self._old, self._file = self._file, os.open(self.path, _APPEND,
                                                    0o644)

    def open_directory(self) -> logfiles.Directory:
        return logfiles.Directory(self.root, ('ns_pod_uid', 'web'), '0.log')

    def read(self, **options) -> bytes:
        sink = Sink()
        logreader.LogStream(self.open_directory,
                            streams.LogOptions(**options),
                            lambda: False)(sink)
        return sink.all

    def close(self) -> None:
        for each in {self._old, self._file}:
            os.close(each)


class Sink:
    """Keeps what is written, at once or after the reader went."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.is_gone = False
        self._ends = os.pipe()

    @property
    def all(self) -> bytes:
        return b''.join(self.writes)

    def write(self, data: bytes) -> None:
        assert data
        self.writes.append(data)

    def gone(self) -> bool:
        return self.is_gone

    def go(self) -> None:
        self.is_gone = True
        os.write(self._ends[1], b'x')

    def fileno(self) -> int:
        return self._ends[0]

    def __del__(self) -> None:
        for end in self._ends:
            os.close(end)


def shown(said: list[Said], tail: int | None = None,
          since: float | None = None, limit: int | None = None,
          timestamps: bool = False, streams: str = '',
          follow: bool = False) -> bytes:
    """Return what is to be shown, in the simplest way there is."""
    lines: list[list[Said]] = [[]]
    for each in said:
        lines[-1].append(each)
        if each.full:
            lines.append([])
    lines = [line for line in lines if line]
    if tail is not None:
        lines = lines[len(lines) - min(tail, len(lines)):]
    found, at_start = b'', True
    for each in (each for line in lines for each in line):
        if streams and each.stream != streams:
            continue
        if since is not None and (
                BEGIN + each.number + _NANOSECONDS / 1e9 < since):
            continue
        text = each.content + (b'\n' if each.full else b'')
        if timestamps and at_start:
            found += each.time + b' '
            at_start = False
        if text:
            at_start = each.full
        found += text
    return found if limit is None else found[:limit]
