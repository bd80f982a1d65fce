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
"""Reads the counters of a pod's network interfaces from the kernel.

For runtimes that do not tell them. The kernel shows the interfaces of the
network that a process is in, to whoever reads its files.
"""

import os
import pathlib

from zun_vk.rpc import stats

# Columns after the name: 8 of what was received, 8 of what was sent.
_COLUMNS, _SENT, _ERRORS = 16, 8, 2
_DEFAULT = 'eth0'
_LOOPBACK = 'lo'
_PROC = pathlib.Path('/proc')


def of_process(pid: int, at: float, proc: pathlib.Path = _PROC
               ) -> stats.Network | None:
    """Return the interfaces of the network that a process is in.

    :param at: seconds since the epoch
    :returns: None where it is gone, or in the host's network
    """
    try:
        theirs = os.stat(proc / str(pid) / 'ns' / 'net')
        # A pid that is another process's by now is most likely of the host.
        if os.path.samestat(theirs, os.stat(proc / 'self' / 'ns' / 'net')):
            return None
        text = (proc / str(pid) / 'net' / 'dev').read_text()
    except OSError:
        return None
    return parsed(text, at)


def parsed(text: str, at: float) -> stats.Network | None:
    """Return what a file ``net/dev`` says; None where that is nothing."""
    found = {}
    for line in text.splitlines():
        name, colon, counters = line.partition(':')
        columns = counters.split()
        if not colon or len(columns) < _COLUMNS or not all(
                column.isdigit() for column in columns):
            continue
        amounts = [int(column) for column in columns]
        found[name.strip()] = stats.Interface(
            name.strip(), amounts[0], amounts[_ERRORS], amounts[_SENT],
            amounts[_SENT + _ERRORS])
    found.pop(_LOOPBACK, None)
    if not found:
        return None
    default = _DEFAULT if _DEFAULT in found else next(iter(found))
    return stats.Network(at, default, tuple(found.values()))
