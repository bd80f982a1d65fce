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
"""Makes and removes the cgroups of pods.

Flows in what bounds a pod; flows out a directory in the kernel's cgroup file
systems, in which the runtime puts the pod's containers. Nothing outside the
path it is given is ever written to, but the switches above it that let
controllers work there.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import errno
import pathlib

from zun_vk.compute.configs import cgroups
from zun_vk.compute.configs import resources
from zun_vk.compute.configs import settings as configs

_CONTROLLERS = ('cpu', 'memory', 'pids')


class CgroupFs:
    """The cgroups of the host, of either version.

    :param root: where they are mounted
    """

    def __init__(self, root: pathlib.Path = configs.CGROUP_ROOT):
        self._root = root

    def apply(self, path: str, limits: cgroups.Limits) -> None:
        """Make a pod's cgroup, or give one that exists new bounds.

        :param path: absolute within the hierarchy
        :raises OSError: the kernel refuses
        """
        if configs.is_v2(self._root):
            self._enable(path)
            directory = self._at(self._root, path)
            directory.mkdir(parents=True, exist_ok=True)
            _write(directory, v2_values(limits))
            return
        values = v1_values(limits)
        for controller in _CONTROLLERS:
            if not (self._root / controller).is_dir():
                # A kernel may be built or started without it.
                continue
            directory = self._at(self._root / controller, path)
            directory.mkdir(parents=True, exist_ok=True)
            _write(directory, values[controller])

    def remove(self, path: str) -> bool:
        """Remove a pod's cgroup, and what the runtime left in it.

        :returns: nothing of it is left; else something runs in it, try later
        """
        removed = [_remove(self._at(hierarchy, path))
                   for hierarchy in self._hierarchies()]
        return all(removed)

    def _hierarchies(self) -> Iterator[pathlib.Path]:
        """Give every hierarchy: a runtime makes its paths in each."""
        if configs.is_v2(self._root):
            yield self._root
            return
        for mounted in sorted(self._root.iterdir()):
            # Such as cpu, a link to cpu,cpuacct.
            if mounted.is_dir() and not mounted.is_symlink():
                yield mounted

    def _enable(self, path: str) -> None:
        """Let the controllers work in the children of all above a cgroup."""
        directory = self._root
        for part in pathlib.PurePosixPath(path).parts[1:]:
            directory.mkdir(exist_ok=True)
            _write(directory, [('cgroup.subtree_control', ' '.join(
                f'+{controller}' for controller in _CONTROLLERS))])
            directory /= part

    @staticmethod
    def _at(hierarchy: pathlib.Path, path: str) -> pathlib.Path:
        return hierarchy / path.lstrip('/')


def v1_values(
        limits: cgroups.Limits) -> dict[str, list[tuple[str, str]]]:
    """Return the files of each controller and what to write to them."""
    return {
        'cpu': [('cpu.shares', str(limits.cpu_shares)),
                ('cpu.cfs_period_us', str(resources.PERIOD)),
                ('cpu.cfs_quota_us', str(limits.cpu_quota or -1))],
        'memory': [('memory.limit_in_bytes', str(limits.memory or -1))],
        'pids': [('pids.max', str(limits.pids or 'max'))]}


def v2_values(limits: cgroups.Limits) -> list[tuple[str, str]]:
    """Return the files and what to write to them.

    Shares 2..262144 become weights 1..10000, as runtimes turn them too.
    """
    weight = 1 + (limits.cpu_shares - resources.MIN_SHARES) * 9999 // (
        resources.MAX_SHARES - resources.MIN_SHARES)
    return [('cpu.weight', str(weight)),
            ('cpu.max', f'{limits.cpu_quota or "max"} {resources.PERIOD}'),
            ('memory.max', str(limits.memory or 'max')),
            ('pids.max', str(limits.pids or 'max'))]


def _write(directory: pathlib.Path,
           values: Iterable[tuple[str, str]]) -> None:
    for name, value in values:
        (directory / name).write_text(value)


def _remove(directory: pathlib.Path) -> bool:
    """Remove a cgroup and those below it; files of the kernel go with it."""
    try:
        # Each that can go goes, whatever the others do.
        removed = [_remove(child) for child in directory.iterdir()
                   if child.is_dir()]
        if not all(removed):
            return False
        directory.rmdir()
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.ENOTEMPTY):
            return False
        raise
    return True
