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
"""A part of a volume, mounted so that no container can redirect it.

A container may turn any directory of its volume into a link to the host's
files between our look and the runtime's mount. So the path is walked by
descriptors, each opened without following links, and what was found is bound
to a place of our own through its descriptor: the runtime gets that place.

Links that stay within the volume are followed, as Kubernetes does; ``..``
goes back to the descriptor that we came from, never to whatever the parent
is by now.
"""

import errno
import os
import stat

from zun_vk.compute.volumes import linux
from zun_vk.compute.volumes import mountinfo

#: As the kernel's.
MAX_LINKS = 40
MAX_LENGTH = 4096
_HERE = os.O_PATH | os.O_NOFOLLOW
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


def check(path: str) -> None:
    """Refuse what Kubernetes refuses: absolute paths and ``..``.

    :raises ValueError: says what is wrong
    """
    if path.startswith('/'):
        raise ValueError('subPath must be relative')
    if '..' in path.split('/'):
        raise ValueError("subPath must not contain '..'")
    if '\0' in path or len(path) > MAX_LENGTH:
        raise ValueError('subPath is no path')


def open_within(volume: str, path: str) -> int:
    """Return a descriptor of what ``path`` is within the volume.

    What is missing of it is made: directories, as the volume's own is.

    :param volume: a directory
    :raises OSError: something on the way is neither directory nor link, or
        a link leads out of the volume (ELOOP)
    """
    root = os.open(volume, os.O_PATH | os.O_DIRECTORY)
    walk = _Walk(root)
    try:
        return walk.to(path)
    finally:
        walk.close()


def bind(descriptor: int, place: str) -> None:
    """Let ``place`` show what the descriptor is; the same again is fine.

    :param place: in a directory that nobody but root gets into
    :raises OSError: the kernel refuses
    """
    wanted = os.fstat(descriptor)
    while mountinfo.is_mounted(place):
        if os.path.samestat(wanted, os.lstat(place)):
            return
        linux.unmount(place)
    _make_place(place, stat.S_ISDIR(wanted.st_mode))
    linux.bind(f'/proc/self/fd/{descriptor}', place)


def _make_place(place: str, directory: bool) -> None:
    try:
        found = os.lstat(place)
    except FileNotFoundError:
        found = None
    if found is not None and stat.S_ISDIR(found.st_mode) == directory:
        return
    if found is not None:
        (os.unlink if directory else os.rmdir)(place)
    if directory:
        os.mkdir(place, 0o700)
    else:
        os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


class _Walk:
    """The descriptors from a volume's root down to where we are."""

    def __init__(self, root: int):
        self._stack = [root]
        self._links = 0
        status = os.fstat(root)
        self._mode = stat.S_IMODE(status.st_mode)

    def to(self, path: str) -> int:
        """Return the descriptor of ``path``, the caller's to close."""
        left = _parts(path)
        while left:
            name = left.pop()
            if name == '..':
                self._back()
                continue
            link = self._enter(name)
            if link is not None:
                left.extend(self._parts_of(link))
        return self._stack.pop()

    def close(self) -> None:
        for descriptor in self._stack:
            os.close(descriptor)

    def _back(self) -> None:
        if len(self._stack) == 1:
            raise OSError(errno.ELOOP, 'a link leads out of the volume')
        os.close(self._stack.pop())

    def _enter(self, name: str) -> str | None:
        """Go one step; return where a link leads, which is not followed."""
        try:
            found = os.open(name, _HERE, dir_fd=self._stack[-1])
        except FileNotFoundError:
            found = self._make(name)
        if stat.S_ISLNK(os.fstat(found).st_mode):
            try:
                return os.readlink('', dir_fd=found)
            finally:
                os.close(found)
        self._stack.append(found)
        return None

    def _make(self, name: str) -> int:
        parent = self._stack[-1]
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            # A container was faster; whatever it made is looked at next.
            return os.open(name, _HERE, dir_fd=parent)
        made = os.open(name, _DIRECTORY, dir_fd=parent)
        # The group is the parent's already where that is set-group-ID.
        os.fchmod(made, self._mode)
        return made

    def _parts_of(self, link: str) -> list[str]:
        self._links += 1
        if link.startswith('/') or self._links > MAX_LINKS:
            raise OSError(errno.ELOOP, 'a link leads out of the volume')
        return _parts(link)


def _parts(path: str) -> list[str]:
    """Return the names in a path, the first one last."""
    return [part for part in reversed(path.split('/'))
            if part not in ('', '.')]
