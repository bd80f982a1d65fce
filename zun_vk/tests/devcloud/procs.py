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
"""What a process of the devcloud has: threads, descriptors, ports, memory."""

import ipaddress
import os
import pathlib
import typing

_PROC = pathlib.Path('/proc')
_LISTENS = '0A'
_PAGE = os.sysconf('SC_PAGE_SIZE')


class Holds(typing.NamedTuple):
    """How many a process has of what may be left behind."""

    threads: int
    descriptors: int
    children: int

    def within(self, before: 'Holds', slack: int) -> bool:
        """Whether it has no more than before, or so many more."""
        return all(now <= then + slack
                   for now, then in zip(self, before, strict=True))


def holds(pid: int) -> Holds:
    """Return what a process has now."""
    folder = _PROC / str(pid)
    children = (folder / 'task').glob('*/children')
    return Holds(len(os.listdir(folder / 'task')),
                 len(os.listdir(folder / 'fd')),
                 sum(len(_text(each).split()) for each in children))


def command(pid: int) -> str:
    """Return the name of what a process runs, '' where it has ended."""
    return _text(_PROC / str(pid) / 'comm').strip()


def memory(pid: int) -> int:
    """Return the bytes that a process has in memory."""
    return int(_text(_PROC / str(pid) / 'statm').split()[1]) * _PAGE


def listening(pid: int) -> set[tuple[str, int]]:
    """Return the TCP addresses and ports that a process listens on."""
    folder = _PROC / str(pid)
    own = {_link(each) for each in (folder / 'fd').iterdir()}
    found = set()
    for name in ('tcp', 'tcp6'):
        for line in _text(folder / 'net' / name).splitlines()[1:]:
            words = line.split()
            if words[3] == _LISTENS and f'socket:[{words[9]}]' in own:
                address, _, port = words[1].partition(':')
                found.add((_address(address), int(port, 16)))
    return found


def _address(text: str) -> str:
    """Return an address of /proc/net, which has it in the host's words."""
    words = [bytes.fromhex(text[at:at + 8])[::-1]
             for at in range(0, len(text), 8)]
    return str(ipaddress.ip_address(b''.join(words)))


def _link(path: pathlib.Path) -> str:
    try:
        return os.readlink(path)
    except OSError:     # closed meanwhile
        return ''


def _text(path: pathlib.Path) -> str:
    try:
        return path.read_text()
    except OSError:     # it has ended meanwhile
        return ''
