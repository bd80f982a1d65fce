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
"""Find and clear what clouds that are no more left on the machine.

Recognised as the devcloud's own: processes by their records and by the
MARKER in their environment, mounts by lying in a cloud's folders, bridges
and cgroups by name. Nothing else is touched, and nothing of this cloud that
still belongs to a running server.
"""

from collections.abc import Iterable
import os
from pathlib import Path
import re
import shutil
import signal
import subprocess

from devcloud import containerd
from devcloud import hosts
from devcloud import paths
from devcloud import processes
from devcloud import worker

NET = Path('/sys/class/net')
CGROUPS = Path('/sys/fs/cgroup')
BRIDGE = re.compile(f'{hosts.bridge_prefix()}([0-9a-f]{{4}})[0-9a-f]{{8}}')
CGROUP = re.compile('zun-vk-devcloud-([0-9a-f]{4})')


def namespaces(pid: int | str, proc: Path = processes.PROC) -> set[str]:
    """What makes a machine of its own for a cloud; empty if it is gone."""
    try:
        return {os.readlink(proc / str(pid) / 'ns' / kind)
                for kind in ('net', 'pid')}
    except OSError:
        return set()


def marked(proc: Path = processes.PROC) -> dict[int, str]:
    """Processes that a devcloud's server started: pid and state folder.

    A cloud inside a container of this machine is found, too: whoever ends
    processes has to compare namespaces().
    """
    key = f'{processes.MARKER}='.encode()
    found = {}
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / 'environ').read_bytes().split(b'\0')
        except OSError:     # gone, or not ours to read
            continue
        for word in words:
            if word.startswith(key):
                found[int(entry.name)] = os.fsdecode(word[len(key):])
    return found


def descendants(parents: Iterable[int],
                stats: dict[int, processes.Stat]) -> set[int]:
    """These processes and all that they started."""
    found = set(parents)
    size = 0
    while size != len(found):
        size = len(found)
        found |= {pid for pid, stat in stats.items() if stat.parent in found}
    return found


def mentions(pid: int, folders: Iterable[Path],
             proc: Path = processes.PROC) -> bool:
    """Whether a process was given something inside these folders."""
    try:
        words = (proc / str(pid) / 'cmdline').read_bytes()
    except OSError:     # gone
        return False
    return any(os.fsencode(f'{folder}/') in words for folder in folders)


def unescape(text: str) -> str:
    """A path as mountinfo writes it: blanks as octal numbers."""
    return re.sub(r'\\([0-7]{3})', lambda m: chr(int(m[1], 8)), text)


def mounts_below(folders: Iterable[Path], mountinfo: str,
                 spared: Iterable[Path] = ()) -> list[str]:
    """Mount points inside these folders, the innermost first.

    :param spared: but not those inside these, nor these themselves
    """
    points = [unescape(line.split()[4]) for line in mountinfo.splitlines()]
    prefixes, others = (tuple(f'{folder}/' for folder in each)
                        for each in (folders, spared))
    inside = [point for point in points
              if point.startswith(prefixes)
              and not f'{point}/'.startswith(others)]
    return sorted(inside, key=len, reverse=True)


def owner_of(pattern: re.Pattern, name: str) -> str:
    """The ID of the cloud that a bridge or cgroup belongs to, or ''."""
    found = pattern.fullmatch(name)
    return found[1] if found else ''


class Leftovers:
    """What earlier clouds left, seen from one cloud.

    :param live: the processes of this cloud, whose running ones stay
    """

    def __init__(self, where: paths.Paths, live: processes.Processes):
        self._where = where
        self._live = live

    def clear(self) -> list[str]:
        """Clear everything that belongs to no running server.

        :returns: what was done, in words
        """
        done = []
        for folder in self._other_clouds():
            done += self._end_cloud(folder)
        done += self._kill_orphans()
        done += self._clear_own()
        return done

    def _other_clouds(self) -> list[Path]:
        return [folder for folder in self._where.registry.iterdir()
                if folder.is_dir() and folder != self._where.run]

    def _end_cloud(self, folder: Path) -> list[str]:
        """End another checkout's cloud; its state stays as it is."""
        records = processes.Processes(folder, '')
        found = [record for name in records.names()
                 if (record := records.record(name)) and record.alive()]
        # With what containerd's shims started: once these are gone, nothing
        # tells whose it was
        sessions = descendants(
            [pid for record in found for pid in record.session()],
            dict(processes.all_stats()))
        descriptors = [processes.send(record.pid, record.start,
                                      signal.SIGTERM) for record in found]
        processes.wait_gone([fd for fd in descriptors if fd is not None], 12)
        processes.kill_all(sorted(sessions))
        owner = folder / 'state-dir'
        state = owner.read_text().strip() if owner.exists() else ''
        if state:
            self._kill_marked(state, set())
        unmounted = unmount([folder, *data_folders(state)])
        for entry in folder.glob('containerd-*/'):
            containerd.forget(entry)
        shutil.rmtree(folder, ignore_errors=True)
        if not (found or unmounted):
            return []
        return [f'ended the devcloud of {state or folder} '
                f'({len(found)} servers, {unmounted} mounts)']

    def _kill_orphans(self) -> list[str]:
        """End marked processes that no running server accounts for."""
        leaders = {record.pid for name in self._live.names()
                   if (record := self._live.record(name))
                   and record.alive()}
        own = str(self._where.state)
        count = sum(self._kill_marked(state, leaders if state == own
                                      else set())
                    for state in set(self._marked_here().values()))
        return [f'ended {count} processes of an earlier cloud'] * bool(count)

    def _kill_marked(self, state: str, leaders: set[int]) -> int:
        stats = dict(processes.all_stats())
        kept = {pid for pid, stat in stats.items()
                if stat.session in leaders}
        kept |= {pid for pid in stats
                 if mentions(pid, self._live_runtimes())}
        kept = descendants({*kept, *leaders, os.getpid()}, stats)
        lost = {pid for pid, owner in self._marked_here().items()
                if owner == state and pid in stats and pid not in kept}
        lost = descendants(lost, stats) - kept
        processes.kill_all(sorted(lost))
        return len(lost)

    @staticmethod
    def _marked_here() -> dict[int, str]:
        here = namespaces('self')
        return {pid: state for pid, state in marked().items()
                if namespaces(pid) == here}

    @staticmethod
    def _elsewhere() -> set[str]:
        """The IDs of clouds that run inside containers of this machine."""
        here = namespaces('self')
        return {paths.cloud_id(Path(state))
                for pid, state in marked().items()
                if namespaces(pid) not in (here, set())}

    def _lives(self, server: str, host: str) -> bool:
        return self._live.pid(hosts.named(server, host)) is not None

    def _live_runtimes(self) -> list[Path]:
        """The folders under /run of our running dockerds and containerds.

        Shims may be in sessions of their own and PID 1's children; what
        those of one runtime have in common is this path.
        """
        found = []
        for host in hosts.names(self._where):
            if self._lives('dockerd', host):
                found.append(self._where.run / f'docker-{host}')
            if self._lives('containerd', host):
                found.append(containerd.state(self._where, host))
        return found

    def _live_folders(self) -> list[Path]:
        """Where what runs has its mounts."""
        found = self._live_runtimes()
        for host in hosts.names(self._where):
            if self._lives('dockerd', host):
                found.append(self._where.data / f'docker-{host}')
            if self._lives('containerd', host):
                found.append(containerd.data(self._where, host))
            if self._has_pods(host):
                found += worker.folders(self._where, host)
        return found

    def _has_pods(self, host: str) -> bool:
        return (self._lives('containerd', host)
                or self._lives(worker.NAME, host))

    def _clear_own(self) -> list[str]:
        for name in self._live.names():
            if self._live.pid(name) is None:
                (self._where.run / f'{name}.pid').unlink(missing_ok=True)
        kept = self._elsewhere() - {self._where.ident}
        if self._live_runtimes():
            kept.add(self._where.ident)
        delete_cgroups(kept)
        unmounted = unmount([self._where.run,
                             *data_folders(str(self._where.state))],
                            self._live_folders())
        done = [f'unmounted {unmounted} mounts'] * bool(unmounted)
        self._forget_runtimes()
        return done + delete_bridges(kept)

    def _forget_runtimes(self) -> None:
        """Remove what the next start of a killed one would stumble over.

        A pid that dockerd noted down may be somebody else's by now: then it
        refuses to start. Pods are gone as by a reboot.
        """
        live = self._live_folders()
        spared = {f'{one.name}{end}' for one in live
                  for end in ('', '.sock', '-own')}
        for entry in self._where.run.glob('docker-*'):
            if entry.name not in spared:
                remove(entry)
        for entry in self._where.run.glob('containerd-*/'):
            if entry not in live:
                containerd.forget(entry)
        for entry in self._where.run.glob(f'{worker.NAME}-*/'):
            if entry not in live:
                remove(entry)


def remove(path: Path) -> None:
    """Delete a file, or a folder with all in it."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def data_folders(state: str) -> list[Path]:
    """Where a cloud's containers have their file systems."""
    return [Path(state) / 'data'] if state else []


def unmount(folders: list[Path], spared: Iterable[Path] = ()) -> int:
    """Unmount what is mounted inside these folders, but not in those."""
    mountinfo = (processes.PROC / 'self/mountinfo').read_text()
    points = mounts_below(folders, mountinfo, spared)
    for point in points:
        # Lazily: whoever still used it was just killed
        subprocess.run(['umount', '--lazy', point], check=False,
                       capture_output=True)
    return len(points)


def delete_bridges(kept: set[str]) -> list[str]:
    """Delete the bridges of all clouds but these, and what hangs on them."""
    done = []
    for entry in sorted(NET.iterdir()):
        owner = owner_of(BRIDGE, entry.name)
        if not owner or owner in kept or not (entry / 'bridge').exists():
            continue
        for port in [*(entry / 'brif').iterdir(), entry]:
            subprocess.run(['ip', 'link', 'delete', port.name], check=False,
                           capture_output=True)
        done.append(f'deleted the bridge {entry.name}')
    return done


def cgroup_roots(kept: set[str]) -> list[Path]:
    """The cgroups of all clouds but these, in every hierarchy (v1, v2)."""
    return [entry for entry in (*CGROUPS.glob('*'), *CGROUPS.glob('*/*'))
            if (owner := owner_of(CGROUP, entry.name))
            and owner not in kept]


def processes_in(roots: list[Path]) -> set[int]:
    """The processes in these cgroups and below."""
    found = set()
    for root in roots:
        for member in (root / 'cgroup.procs', *root.rglob('cgroup.procs')):
            try:
                found |= {int(word) for word in member.read_text().split()}
            except OSError:     # the cgroup is gone
                continue
    return found


def delete_cgroups(kept: set[str]) -> None:
    """Delete the cgroups of all clouds but these.

    What still runs in them is ended: containers whose shim was killed have
    no other mark.
    """
    roots = cgroup_roots(kept)
    processes.kill_all(sorted(processes_in(roots)))
    for root in roots:
        for folder, _, _ in os.walk(root, topdown=False):
            try:
                os.rmdir(folder)
            except OSError:
                # In use for a moment yet; the next clearing takes it
                break
