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
"""Start processes, know them again, end them; never anybody else's.

A record holds pid, start time and boot: a number that the kernel gave to
another process since, or a record from before a reboot, is never signalled.
Signals go through pidfds, so there is no moment in between either. Zombies
count as ended: PID 1 of some machines does not reap.
"""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import asdict
from dataclasses import dataclass
import json
import os
from pathlib import Path
import select
import signal
import subprocess
import time

from devcloud import paths

PROC = Path('/proc')
# In the environment of every server and so of all it starts: how leftovers
# are recognised when their records are lost.
MARKER = 'ZUN_VK_DEVCLOUD'


@dataclass(frozen=True)
class Stat:
    """What /proc/<pid>/stat tells: state letter, ids, start (ticks)."""

    state: str
    parent: int
    session: int
    start: int


def parse_stat(text: str) -> Stat:
    """Read a stat line; the command name may hold blanks and brackets."""
    fields = text[text.rindex(')') + 1:].split()
    return Stat(fields[0], int(fields[1]), int(fields[3]), int(fields[19]))


def stat(pid: int) -> Stat | None:
    """The process's stat, or None where it is gone or a zombie."""
    try:
        found = parse_stat((PROC / str(pid) / 'stat').read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if found.state in 'ZX' else found


def all_stats() -> Iterator[tuple[int, Stat]]:
    """Every live process of the machine."""
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (found := stat(int(entry.name))):
            yield int(entry.name), found


def boot_id() -> str:
    return (PROC / 'sys/kernel/random/boot_id').read_text().strip()


@dataclass(frozen=True)
class Record:
    """A process as it was when it was started."""

    pid: int
    start: int
    boot: str

    def alive(self) -> bool:
        found = stat(self.pid)
        return (found is not None and found.start == self.start
                and self.boot == boot_id())

    def session(self) -> list[int]:
        """The live processes of the session this process leads or led.

        While one of them lives, the kernel gives the number to nobody else;
        so a leader with another start time means that the session is gone.
        """
        if self.boot != boot_id():
            return []
        leader = stat(self.pid)
        if leader and leader.start != self.start:
            return []
        return [pid for pid, found in all_stats()
                if found.session == self.pid]


def send(pid: int, start: int, number: signal.Signals) -> int | None:
    """Signal the process that has this pid and this start time.

    :returns: a pidfd to wait on (the caller closes it), None if it is gone
    """
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    found = stat(pid)
    if found is None or found.start != start:
        os.close(descriptor)
        return None
    try:
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        os.close(descriptor)
        return None
    return descriptor


def wait_gone(descriptors: Sequence[int], seconds: float) -> None:
    """Wait until the processes have ended, but not longer; closes all."""
    poll = select.poll()
    waiting = set(descriptors)
    for descriptor in waiting:
        poll.register(descriptor, select.POLLIN)
    deadline = time.monotonic() + seconds
    while waiting and (left := deadline - time.monotonic()) > 0:
        for descriptor, _ in poll.poll(left * 1000):
            poll.unregister(descriptor)
            waiting.discard(descriptor)
    for descriptor in descriptors:
        os.close(descriptor)


def kill_all(pids: Sequence[int], seconds: float = 5) -> None:
    """SIGKILL these processes and wait for their end."""
    descriptors = []
    for pid in pids:
        found = stat(pid)
        if found is None:
            continue
        descriptor = send(pid, found.start, signal.SIGKILL)
        if descriptor is not None:
            descriptors.append(descriptor)
    wait_gone(descriptors, seconds)


class Processes:
    """The processes of one cloud, by name.

    :param folder: where the records are kept, one file each
    :param mark: what goes into the environment of each as MARKER
    """

    def __init__(self, folder: Path, mark: str):
        self.folder = folder
        self.mark = mark

    def names(self) -> list[str]:
        return sorted(path.stem for path in self.folder.glob('*.pid'))

    def record(self, name: str) -> Record | None:
        """The record of a process, alive or not; None without one."""
        try:
            text = (self.folder / f'{name}.pid').read_text()
            return Record(**json.loads(text))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def pid(self, name: str) -> int | None:
        """The pid, if the process lives."""
        record = self.record(name)
        return record.pid if record and record.alive() else None

    def start(self, name: str, command: Sequence[str], log: Path,
              env: Mapping[str, str], cwd: Path, *,
              umask: int = -1) -> Record:
        """Start a process in a session of its own, output appended to log.

        :param env: the whole environment but for MARKER
        :param umask: -1 for ours
        """
        with open(log, 'ab') as output:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True, cwd=cwd,
                env={**env, MARKER: self.mark}, umask=umask)
        # Read from the unreaped child: it has a stat even if it died at once
        text = (PROC / str(child.pid) / 'stat').read_text()
        record = Record(child.pid, parse_stat(text).start, boot_id())
        paths.write_private(self.folder / f'{name}.pid',
                            json.dumps(asdict(record)))
        # It is meant to outlive us: nothing for Popen to complain about
        child.returncode = 0
        return record

    def stop(self, name: str, seconds: float, *,
             outlived: bool = False) -> bool:
        """End a process, and then whatever it left in its session.

        :param seconds: how long it may take before SIGKILL
        :param outlived: leave the others of its session alone
        :returns: True if it ended by itself in time
        """
        record = self.record(name)
        if record is None:
            return True
        descriptor = None
        if record.boot == boot_id():
            descriptor = send(record.pid, record.start,
                              signal.SIGTERM)
        if descriptor is not None:
            wait_gone([descriptor], seconds)
        in_time = not record.alive()
        if not outlived:
            kill_all(record.session())
        elif not in_time:
            kill_all([record.pid])
        (self.folder / f'{name}.pid').unlink(missing_ok=True)
        return in_time
