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
"""Directory trees that a container made: removed, measured and listed.

A container may have made them absurdly deep, full of links, or of names that
are no text. So nothing here recurses, follows a link, holds a descriptor for
each level, or crosses into another mount.
"""

from collections.abc import Iterator
import contextlib
import os
import secrets
import stat

_DIRECTORY = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_RDONLY


def remove(base: int, name: str) -> None:
    """Remove a file or a whole tree; none is fine.

    Directories within are first moved up, beside ``name``: so depth does not
    matter, and a mount point, which cannot be moved, is never entered.

    :param base: descriptor of a directory that only root may write to
    :raises OSError: something of it cannot be removed; call again
    """
    pending = [name]
    while pending:
        found = pending.pop()
        if not _is_directory(base, found):
            _unlink(base, found)
            continue
        moved = _move(base, found, base)
        if moved is None:
            continue
        pending.extend(_empty(base, moved))
        os.rmdir(moved, dir_fd=base)


def _empty(base: int, name: str) -> list[str]:
    """Empty a directory; return what its directories are called now."""
    moved = []
    here = os.open(name, _DIRECTORY, dir_fd=base)
    try:
        for entry in os.listdir(here):
            if _is_directory(here, entry):
                moved.append(_move(here, entry, base))
            else:
                _unlink(here, entry)
    finally:
        os.close(here)
    return [each for each in moved if each is not None]


def _move(source: int, name: str, base: int) -> str | None:
    """Give a directory a name of its own in ``base``; None: it is gone."""
    # Begins as what publishing clears away after a crash.
    unique = '..' + secrets.token_hex(12)
    try:
        os.rename(name, unique, src_dir_fd=source, dst_dir_fd=base)
    except FileNotFoundError:
        return None
    return unique


def _is_directory(base: int, name: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(name, dir_fd=base).st_mode)
    except FileNotFoundError:
        return False


def _unlink(base: int, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=base)


def files(base: int, name: str) -> Iterator[tuple[str, int, str]]:
    """Yield every file of a tree: its path, and where to open it.

    :param base: descriptor of a directory
    :return: path below ``name``, descriptor of its directory, its name in it
    :raises FileNotFoundError: there is no such tree
    """
    pending = ['']
    while pending:
        below = pending.pop()
        here = os.open(os.path.join(name, below), _DIRECTORY, dir_fd=base)
        try:
            for entry in os.listdir(here):
                path = os.path.join(below, entry)
                if _is_directory(here, entry):
                    pending.append(path)
                else:
                    yield path, here, entry
        finally:
            os.close(here)


def used(path: str) -> int:
    """Return the bytes that a tree takes on its disk.

    It is measured while containers change it: what moves meanwhile may be
    missed, and is found the next time.
    """
    try:
        here = os.open(path, _DIRECTORY)
    except FileNotFoundError:
        return 0
    walk = _Walk(here)
    try:
        walk.run()
    finally:
        os.close(walk.here)
    return walk.total


class _Walk:
    """Goes through a tree with one descriptor, by way of ``..``."""

    def __init__(self, here: int):
        self.here = here
        self.total = 0
        root = os.fstat(here)
        self._device = root.st_dev
        self._seen: set[int] = set()
        # Of each level: who it is, and which directories are left there.
        self._levels = [(root.st_ino, self._look())]

    def run(self) -> None:
        while self._levels:
            left = self._levels[-1][1]
            if left:
                self._down(left.pop())
                continue
            self._levels.pop()
            if self._levels and not self._up(self._levels[-1][0]):
                return

    def _down(self, name: str) -> None:
        try:
            there = os.open(name, _DIRECTORY, dir_fd=self.here)
        except OSError:
            return
        found = os.fstat(there)
        if found.st_dev != self._device:
            os.close(there)
            return
        os.close(self.here)
        self.here = there
        self._levels.append((found.st_ino, self._look()))

    def _up(self, inode: int) -> bool:
        """Go back; False if a container moved where we are."""
        try:
            there = os.open('..', _DIRECTORY, dir_fd=self.here)
        except OSError:
            # It is removed, so that nothing is above it.
            return False
        os.close(self.here)
        self.here = there
        found = os.fstat(there)
        return (found.st_dev, found.st_ino) == (self._device, inode)

    def _look(self) -> list[str]:
        """Count what is here; return the directories."""
        directories = []
        with os.scandir(self.here) as entries:
            for entry in entries:
                try:
                    found = entry.stat(follow_symlinks=False)
                except OSError:
                    # It is gone meanwhile.
                    continue
                self._count(found)
                if stat.S_ISDIR(found.st_mode):
                    directories.append(entry.name)
        return directories

    def _count(self, found: os.stat_result) -> None:
        if found.st_dev != self._device:
            return
        if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode):
            if found.st_ino in self._seen:
                return
            self._seen.add(found.st_ino)
        self.total += found.st_blocks * 512


def make_private(root: str, *names: str) -> str:
    """Return the directory ``root/names...``, made where it is missing.

    Only root gets into what is made.

    :raises OSError: it cannot be made, or something else is there
    """
    path = root
    for name in names:
        path = os.path.join(path, name)
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                raise
    return path


def clear(path: str) -> None:
    """Remove a directory that only root may write to, with all in it.

    :raises OSError: something of it cannot be removed; call again
    """
    try:
        here = os.open(path, _DIRECTORY)
    except FileNotFoundError:
        return
    try:
        for name in os.listdir(here):
            remove(here, name)
    finally:
        os.close(here)
    os.rmdir(path)
