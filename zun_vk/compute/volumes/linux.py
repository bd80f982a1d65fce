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
"""The calls of Linux that Python lacks: mount and umount.

They are made within this process: no program is started, and no path goes
through a shell or a process list.
"""

import ctypes
import os

_BIND = 0x1000
_DETACH = 2
_NO_FOLLOW = 8


def mount_tmpfs(path: str, options: str) -> None:
    """Mount a new tmpfs on ``path``.

    :param options: such as ``size=1048576,mode=0700``
    :raises OSError: the kernel refuses
    """
    _mount('tmpfs', path, 'tmpfs', 0, options)


def bind(source: str, path: str) -> None:
    """Let ``path`` show what ``source`` shows, without mounts beneath.

    :raises OSError: the kernel refuses
    """
    _mount(source, path, '', _BIND, '')


def unmount(path: str) -> None:
    """Take away the topmost mount on ``path``; its users keep it open.

    :raises OSError: nothing is mounted there, or the kernel refuses
    """
    if _libc().umount2(os.fsencode(path), _DETACH | _NO_FOLLOW):
        _fail(path)


def _mount(source: str, path: str, kind: str, flags: int,
           options: str) -> None:
    if _libc().mount(os.fsencode(source), os.fsencode(path), kind.encode(),
                     ctypes.c_ulong(flags), options.encode()):
        _fail(path)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _fail(path: str) -> None:
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number), path)
