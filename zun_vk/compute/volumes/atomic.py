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
"""Files that a container reads while they are replaced, all at once.

Kubernetes' way, which programs rely on: the files are in a directory of
their own, ``..data`` is a link to it, and every name of the volume is a link
through ``..data``. A new set of files becomes visible by the one rename of
``..data``, so no reader ever sees half of it::

    token     -> ..data/token
    ..data    -> ..4f1c2a9d03b17e65
    ..4f1c2a9d03b17e65/token

A crash at any point leaves the old files or the new ones, and the next call
finishes the work. Only root may write here, for containers get such volumes
read-only: no link found here leads elsewhere.
"""

from collections.abc import Iterable
import contextlib
import dataclasses
import os
import secrets

from zun_vk.compute.volumes import trees

_DATA = '..data'
_NEW_DATA = '..data_tmp'
_DIRECTORY = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_RDONLY


class BadPath(ValueError):
    """A file would lie outside of its volume, or in its bookkeeping."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """A file to publish.

    :param path: relative, below the volume
    :param mode: permission bits
    :param user: its owner, a uid
    """

    path: str
    data: bytes = dataclasses.field(repr=False)
    mode: int = 0o644
    user: int = 0


def publish(volume: str, entries: Iterable[Entry],
            group: int | None = None) -> bool:
    """Let the volume have exactly these files; return whether it changed.

    :param volume: an existing directory that only root may write to
    :param group: gid that may read the files and owns them (fsGroup)
    :raises BadPath: nothing was written
    :raises OSError: the old files are still there, or the new ones are
    """
    wanted = {entry.path: entry for entry in entries}
    for path in wanted:
        check(path)
    base = os.open(volume, _DIRECTORY)
    try:
        current = _current(base)
        changed = current is None or _read(base, current) != _shape(
            wanted.values(), group)
        if changed:
            # What a crash has left may take the room.
            _clear(base, current)
            current = _write_all(base, wanted.values(), group)
            _switch(base, current)
        _link_names(base, {path.split('/')[0] for path in wanted})
        _clear(base, current)
    finally:
        os.close(base)
    return changed


def check(path: str) -> None:
    """Refuse a path that leads out of a volume, or into its bookkeeping.

    :raises BadPath: names no path, for it may come from anywhere
    """
    parts = path.split('/')
    if (not path or len(path) > 4096 or '\0' in path
            or any(part in ('', '.', '..') for part in parts)
            or any(len(os.fsencode(part)) > 255 for part in parts)
            or path.startswith('..')):
        raise BadPath('the path of a file leads out of its volume')


def _current(base: int) -> str | None:
    """Return the name of the directory that is published."""
    try:
        return os.path.basename(os.readlink(_DATA, dir_fd=base))
    except FileNotFoundError:
        return None


def _mode(mode: int, group: int | None) -> int:
    # Kubernetes: of a read-only volume, fsGroup may read.
    return mode if group is None else mode | 0o440


def _shape(entries: Iterable[Entry], group: int | None) -> dict:
    return {entry.path: (entry.data, _mode(entry.mode, group), entry.user,
                         group or 0) for entry in entries}


def _read(base: int, name: str) -> dict | None:
    """Return the published files in the form of :func:`_shape`."""
    found = {}
    try:
        for path, directory, file in trees.files(base, name):
            descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW,
                                 dir_fd=directory)
            with open(descriptor, 'rb') as stream:
                status = os.fstat(descriptor)
                found[path] = (stream.read(), status.st_mode & 0o7777,
                               status.st_uid, status.st_gid)
    except FileNotFoundError:
        return None
    return found


def _write_all(base: int, entries: Iterable[Entry],
               group: int | None) -> str:
    """Write the files into a directory that nobody sees yet."""
    name = '..' + secrets.token_hex(8)
    os.mkdir(name, 0o700, dir_fd=base)
    try:
        for entry in entries:
            *parents, file = entry.path.split('/')
            directory = _made(base, [name, *parents], group)
            try:
                _write(directory, file, entry, group)
            finally:
                os.close(directory)
        os.close(_made(base, [name], group))
    except OSError:
        # It would be there once more with each try.
        trees.remove(base, name)
        raise
    return name


def _made(base: int, parts: list[str], group: int | None) -> int:
    """Return the directory that is ``parts`` below, made where missing."""
    here = os.dup(base)
    for part in parts:
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, 0o700, dir_fd=here)
            there = os.open(part, _DIRECTORY, dir_fd=here)
        finally:
            os.close(here)
        here = there
        _give(here, group)
    return here


def _give(directory: int, group: int | None) -> None:
    try:
        os.fchown(directory, 0, group or 0)
        os.fchmod(directory, 0o755 if group is None else 0o2755)
    except OSError:
        os.close(directory)
        raise


def _write(directory: int, name: str, entry: Entry,
           group: int | None) -> None:
    descriptor = os.open(
        name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600,
        dir_fd=directory)
    with open(descriptor, 'wb') as stream:
        os.fchown(descriptor, entry.user, group or 0)
        # Later than chown, which takes bits away.
        os.fchmod(descriptor, _mode(entry.mode, group))
        stream.write(entry.data)


def _switch(base: int, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_NEW_DATA, dir_fd=base)
    os.symlink(name, _NEW_DATA, dir_fd=base)
    os.rename(_NEW_DATA, _DATA, src_dir_fd=base, dst_dir_fd=base)


def _link_names(base: int, names: set[str]) -> None:
    """Let the volume show these names, and no others."""
    for name in names:
        target = f'{_DATA}/{name}'
        if _target(base, name) == target:
            continue
        _remove_empty(base, name)
        os.symlink(target, name, dir_fd=base)
    for name in os.listdir(base):
        if not name.startswith('..') and name not in names and (
                _target(base, name) == f'{_DATA}/{name}'):
            os.unlink(name, dir_fd=base)


def _target(base: int, name: str) -> str | None:
    try:
        return os.readlink(name, dir_fd=base)
    except OSError:
        # It is missing, or no link.
        return None


def _remove_empty(base: int, name: str) -> None:
    """Make room where a mount of a missing subPath left a directory."""
    try:
        os.rmdir(name, dir_fd=base)
    except FileNotFoundError:
        pass
    except NotADirectoryError:
        os.unlink(name, dir_fd=base)


def _clear(base: int, current: str | None) -> None:
    """Remove what is no longer published, crashes' leftovers included."""
    for name in os.listdir(base):
        if name == _NEW_DATA:
            os.unlink(name, dir_fd=base)
        elif name.startswith('..') and name not in (_DATA, current):
            trees.remove(base, name)
