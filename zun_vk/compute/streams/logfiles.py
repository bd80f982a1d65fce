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
"""The files that make up one container's log, however often it was rotated.

Oldest first they are one log: those that were rotated, all of them but the
newest compressed, and the one the runtime writes to. They are opened by name
in a directory that is held open, no symbolic link is followed, and what is
open can be read to its end whatever becomes of its name.
"""

from collections.abc import Iterator
import contextlib
import gzip
import io
import os
import re
import stat
import typing
import zlib

from oslo_log import log as logging

from zun_vk.compute.streams import logformat

LOG = logging.getLogger(__name__)

#: Bytes that are read at once.
BLOCK = 64 * 1024
_GZIP = '.gz'
# As the Rotator names them; what is still being compressed is no such.
_ROTATED = re.compile(r'\d{8}-\d{6}')
# Of more files only the newest are read: each is open all the while.
_MAX_FILES = 64
# Bytes by which a file is known when it was compressed meanwhile: no two
# begin with the same time.
_HEAD = 256
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Without waiting, should it be a pipe.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Segment:
    """One file of a log, open.

    :param descriptor: it is closed by ``close``
    :param packed: it is compressed
    """

    def __init__(self, descriptor: int, packed: bool):
        self._descriptor = descriptor
        self.packed = packed
        self._file: typing.BinaryIO | None = None
        self._head = b''
        if packed:
            self._head = self.read(_HEAD)
            self.start()

    def start(self, at: int = 0) -> typing.BinaryIO:
        """Have ``read`` begin here.

        :param at: bytes from the beginning; of a compressed one only whether
            it is the beginning or the end counts
        """
        os.lseek(self._descriptor, 0 if self.packed else at, os.SEEK_SET)
        raw = io.FileIO(self._descriptor, closefd=False)
        self._file = typing.cast(typing.BinaryIO, gzip.GzipFile(
            fileobj=io.BufferedReader(raw, BLOCK)) if self.packed else raw)
        while at and self.packed and self.read():
            pass
        return self._file

    def read(self, size: int = BLOCK) -> bytes:
        """Return what comes next; b'' at the end, for now or for ever."""
        file = self._file or self.start()
        try:
            return file.read(size)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            # A disk that was full; the rest of the log is still worth it.
            LOG.warning('The end of a compressed log is lost: %s', error)
            return b''

    def size(self) -> int:
        """Return how many bytes the file has now."""
        return os.fstat(self._descriptor).st_size

    def identity(self) -> tuple[int, int]:
        return _identity(os.fstat(self._descriptor))

    def head(self) -> bytes:
        """Return how it begins."""
        return self._head or os.pread(self._descriptor, _HEAD, 0)

    def same(self, other: 'Segment') -> bool:
        """Tell whether both have the same part of the log."""
        if self.identity() == other.identity():
            return True
        return other.packed and bool(head := self.head()) and (
            head == other.head())

    def starts(self, end: int) -> Iterator[tuple[int, bytes]]:
        """Yield where raw lines begin, from the last, and how.

        :param end: of the part that counts; for one that is not compressed
        """
        carry = b''
        position = end
        while position > 0:
            size = min(BLOCK, position)
            position -= size
            block = os.pread(self._descriptor, size, position)
            window = block + carry
            at = block.rfind(b'\n')
            while at >= 0:
                yield (position + at + 1,
                       window[at + 1:at + 1 + logformat.MAX_HEADER])
                at = block.rfind(b'\n', 0, at)
            carry = window[:logformat.MAX_HEADER]
        yield 0, carry

    def close(self) -> None:
        os.close(self._descriptor)


class Directory:
    """Where the logs of a container are, held open.

    :param path: of the directory of all logs
    :param names: of the directories below it, one in the other
    :param log: name of the file that the runtime writes to
    :raises OSError: it is not there, or not a directory
    """

    def __init__(self, path: str, names: tuple[str, ...], log: str):
        self._log = log
        self._descriptor = os.open(path, _DIRECTORY)
        for name in names:
            above = self._descriptor
            try:
                self._descriptor = os.open(
                    name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
            finally:
                os.close(above)

    def close(self) -> None:
        os.close(self._descriptor)

    def exists(self) -> bool:
        """Tell whether there is anything of this log."""
        with contextlib.suppress(OSError):
            if stat.S_ISREG(self._stat().st_mode):
                return True
        return bool(self.rotated())

    def is_current(self, segment: Segment) -> bool:
        """Tell whether this is the file that the log's name is of."""
        try:
            return _identity(self._stat()) == segment.identity()
        except OSError:
            return False

    def current(self) -> Segment | None:
        """Open the file that the runtime writes to."""
        return self._open(self._log, packed=False)

    def rotated(self) -> list[str]:
        """Return the times of those that were rotated, the oldest first."""
        try:
            names = os.listdir(self._descriptor)
        except OSError:
            return []
        ends = (name.removeprefix(f'{self._log}.').removesuffix(_GZIP)
                for name in names if name.startswith(f'{self._log}.'))
        return sorted({end for end in ends
                       if _ROTATED.fullmatch(end)})[-_MAX_FILES:]

    def open(self, time: str) -> Segment | None:
        """Open the file that was rotated then, None: it is gone."""
        name = f'{self._log}.{time}'
        return self._open(name, packed=False) or self._open(
            name + _GZIP, packed=True)

    def _stat(self) -> os.stat_result:
        return os.stat(self._log, dir_fd=self._descriptor,
                       follow_symlinks=False)

    def _open(self, name: str, packed: bool) -> Segment | None:
        try:
            descriptor = os.open(name, _FILE, dir_fd=self._descriptor)
        except OSError:
            return None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            return None
        return Segment(descriptor, packed)


class Chain:
    """The files of one log, from now on.

    For one thread. It knows which file comes after which, over any number of
    rotations, as long as they are kept.
    """

    def __init__(self, directory: Directory):
        self._directory = directory
        # Times of those that were rotated before the last one it opened.
        self._before: set[str] = set()
        self._next: Segment | None = None
        self.segments = self._open_all()

    def _open_all(self) -> list[Segment]:
        # The newest first: what is rotated meanwhile is met once more by
        # its new name, instead of being missed.
        current = self._directory.current()
        found = []
        for time in self._directory.rotated():
            segment = self._directory.open(time)
            if segment is None:
                continue
            if current is not None and current.same(segment):
                segment.close()
                break
            found.append(segment)
            self._before.add(time)
        if current is not None:
            found.append(current)
        return found

    def leave(self) -> None:
        """Close all segments but the last.

        Where they are deleted meanwhile, they take no disk any more.
        """
        for segment in self.segments[:-1]:
            segment.close()
        del self.segments[:-1]

    def has_next(self) -> bool:
        """Tell whether the runtime went on with another file."""
        if self._next is None:
            self._next = self._after(self.segments[-1])
        return self._next is not None

    def go_on(self) -> None:
        """Let the last segment be that other file."""
        if self._next is not None:
            self.segments.pop().close()
            self.segments.append(self._next)
            self._next = None

    def _after(self, segment: Segment) -> Segment | None:
        if self._directory.is_current(segment):
            return None
        current = self._directory.current()
        # The times after that was opened: see above.
        found = self._rotated_after(segment)
        if current is not None and (found is not None
                                    or current.same(segment)):
            # Not yet, or it could not be rotated and has its name again.
            current.close()
            return found
        return found or current

    def _rotated_after(self, segment: Segment) -> Segment | None:
        for time in self._directory.rotated():
            found = (None if time in self._before
                     else self._directory.open(time))
            if found is None:
                continue
            if not segment.same(found):
                return found
            self._before.add(time)
            found.close()
        return None

    def close(self) -> None:
        """Close all files."""
        for segment in self.segments:
            segment.close()
        if self._next is not None:
            self._next.close()


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
