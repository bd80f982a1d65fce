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
"""What volumes and logs take on the disk.

To measure a volume is to walk through it, which may take minutes: it is done
in the background, and whoever asks gets what was measured last.
"""

from collections.abc import Callable
import contextlib
import os
import threading
import time

from oslo_log import log as logging

from zun_vk.compute.work import tasks as tasks_module
from zun_vk.rpc import stats

LOG = logging.getLogger(__name__)

# Kubernetes: the kubelet's volumeStatsAggPeriod.
_AGAIN = 60.0
_BLOCK = 512


class DiskUsage:
    """Remembers what the volumes of pods take.

    :param used: bytes of each volume of a pod by its name, by the pod's uid
    :param wall: seconds since the epoch
    """

    def __init__(self, used: Callable[[str], dict[str, int]],
                 wall: Callable[[], float] = time.time):
        self._used = used
        self._wall = wall
        # One thread: disks get no faster by more.
        self._tasks = tasks_module.Tasks('disk-usage', 1)
        self._lock = threading.Lock()  # guards the dict below
        self._known: dict[str, tuple[stats.Volume, ...]] = {}
        self._measured_at: dict[str, float] = {}

    def of(self, uid: str) -> tuple[stats.Volume, ...] | None:
        """Return the volumes of a pod; None where they were not measured.

        What is old is measured anew, for the next who asks.
        """
        with self._lock:
            known, at = self._known.get(uid), self._measured_at.get(uid)
        if at is None or not 0 <= self._wall() - at < _AGAIN:
            self._tasks.start(uid, lambda: self._measure(uid), _done)
        return known

    def keep(self, uids: set[str]) -> None:
        """Forget all other pods."""
        with self._lock:
            for uid in set(self._measured_at) - uids:
                self._known.pop(uid, None)
                del self._measured_at[uid]

    def close(self) -> None:
        """Measure nothing more."""
        self._tasks.close()

    def _measure(self, uid: str) -> None:
        at = self._wall()
        with self._lock:
            # One that cannot be measured is not tried without a pause.
            self._measured_at[uid] = at
        used = self._used(uid)
        with self._lock:
            self._known[uid] = tuple(
                stats.Volume(name, stats.Disk(at, bytes_))
                for name, bytes_ in sorted(used.items()))
            self._measured_at[uid] = at


def _done(result: object, error: Exception | None) -> None:
    if error is not None:
        LOG.warning('The volumes of a pod cannot be measured: %s',
                    type(error).__name__)


def of_directory(path: str, at: float) -> stats.Disk | None:
    """Return what the files of one directory take, without those below.

    :param at: seconds since the epoch
    :returns: None where there is no such directory
    """
    used = inodes = 0
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                # Logs are rotated meanwhile.
                with contextlib.suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    used += status.st_blocks * _BLOCK
                    inodes += 1
    except OSError:
        return None
    return stats.Disk(at, used, inodes_used=inodes)


def of_filesystem(path: str, at: float) -> stats.Disk | None:
    """Return what the file system of a path has; None where there is none.

    :param at: seconds since the epoch
    """
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    return stats.Disk(
        at, capacity=found.f_blocks * found.f_frsize,
        available=found.f_bavail * found.f_frsize,
        inodes=found.f_files, inodes_free=found.f_ffree)
