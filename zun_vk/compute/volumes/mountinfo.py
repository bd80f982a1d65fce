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
"""What is mounted where, read from the kernel's own list."""

from collections.abc import Iterable
import dataclasses
import os
import re

_PATH = '/proc/self/mountinfo'
_ESCAPE = re.compile(r'\\([0-7]{3})')


@dataclasses.dataclass(frozen=True)
class Mounted:
    """One mount.

    :param device: ``major:minor`` of its file system
    :param path: where it is mounted
    :param kind: of file system, such as ``tmpfs``
    """

    device: str
    path: str
    kind: str


def parse(text: str) -> list[Mounted]:
    """Return the mounts of a mountinfo file, in its order.

    proc(5): optional fields end at a lone hyphen; space, tab, newline and
    backslash of paths are octal escapes. Lines that are none are left out.
    """
    found = []
    for line in text.splitlines():
        fields = line.split(' ')
        try:
            kind = fields[fields.index('-', 6) + 1]
        except (ValueError, IndexError):
            continue
        found.append(Mounted(fields[2], _unescaped(fields[4]), kind))
    return found


def read() -> list[Mounted]:
    """Return what is mounted in this process's namespace."""
    # Paths are bytes that need not be UTF-8.
    with open(_PATH, encoding='utf-8', errors='surrogateescape') as file:
        return parse(file.read())


def beneath(mounts: Iterable[Mounted], root: str) -> list[str]:
    """Return the paths mounted on ``root`` or below, deepest first.

    A path comes once for each mount on it. ``/a/bc`` is not below ``/a/b``.
    """
    found = [mount.path for mount in mounts if mount.path == root
             or mount.path.startswith(root.rstrip('/') + '/')]
    return sorted(found, key=lambda path: path.count('/'), reverse=True)


def is_mounted(path: str) -> bool:
    """Tell whether something is mounted on exactly this path."""
    return any(mount.path == path for mount in read())


def kind_of(path: str, mounts: Iterable[Mounted]) -> str:
    """Return the kind of file system that ``path`` is on; '' if unknown."""
    device = os.stat(path).st_dev
    name = f'{os.major(device)}:{os.minor(device)}'
    return next((mount.kind for mount in mounts if mount.device == name), '')


def _unescaped(field: str) -> str:
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), field)
