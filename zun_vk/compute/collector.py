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
"""Removes what nobody needs any more: dead containers, old images.

What goes is decided in ``garbage``. Of containers and sandboxes only those
that this service made are touched; images are the runtime's cache, whoever
had them pulled. What fails is tried again in the next round.
"""

from collections.abc import Callable
from collections.abc import Collection
import contextlib
import glob
import os
import re
import threading
import time
import typing

from oslo_log import log as logging

from zun_vk import exceptions
from zun_vk.compute import garbage
from zun_vk.compute import model
from zun_vk.compute.cri import client
from zun_vk.compute.cri import seen

LOG = logging.getLogger(__name__)

# Seconds between two rounds. Kubernetes: a minute for containers, five for
# images.
_INTERVAL = 60.0
_IMAGES_EVERY = 5
# Seconds for what nobody knows: zun-compute tells of each capsule within
# minutes of a start.
_GRACE = 900.0
_LOG_NAME = re.compile(r'^[0-9]+\.log$')

#: Returns the UIDs of the pods there are, or None: it is not known yet.
Known: typing.TypeAlias = Callable[[], Collection[str] | None]


class Collector:
    """Keeps one runtime clean; ``run`` is for one thread.

    :param known: pods that must stay; while it says None no pod goes
    :param high: percentage of use of the images' file system from which
        images go, 100: never
    :param low: percentage of use that is aimed at then
    :param directories: is given what ``known`` says in each round, and
        what the runtime had, to remove the directories of all other pods
    """

    def __init__(self, runtime: client.Runtime, known: Known,
                 high: int, low: int,
                 directories: Callable[[Collection[str]], None] | None = None,
                 clock: Callable[[], float] = time.monotonic):
        self._runtime = runtime
        self._known = known
        self._high = high
        self._low = low
        self._directories = directories
        self._clock = clock
        # Of run() only.
        self._strays_since: dict[str, float] = {}
        self._uses: dict[str, garbage.Use] = {}

    def run(self, stop: threading.Event) -> None:
        """Collect until told to stop."""
        number = 0
        while not stop.wait(_INTERVAL):
            self._try('containers', self.collect_containers, stop)
            if number % _IMAGES_EVERY == 0:
                self._try('images', self.collect_images, stop)
            number += 1

    def _try(self, what: str, collect: Callable[[threading.Event], None],
             stop: threading.Event) -> None:
        try:
            collect(stop)
        except (exceptions.ZunVkError, OSError) as error:
            LOG.warning('Old %s stay for now: %s', what, error)

    # Containers and sandboxes

    def collect_containers(self, stop: threading.Event) -> None:
        """Remove dead containers, old sandboxes, and pods nobody knows.

        :raises RemoteError: the runtime does not give its lists
        """
        # Before what is known: a pod is, before the runtime has any of it.
        sandboxes = [seen.sandbox(each)
                     for each in self._runtime.sandboxes(seen.OURS)]
        containers = [seen.container(each)
                      for each in self._runtime.containers(seen.OURS)]
        known = self._known()
        if known is not None:
            known = frozenset(known)
            self._remove_strays(sandboxes, containers, known, stop)
            # What runs may be of a pod that is about to be known.
            kept = known.union((each.uid for each in sandboxes),
                               (each.uid for each in containers))
            self._try('directories', lambda stop: self._tidy(kept), stop)
        self._remove_old([each for each in sandboxes
                          if known is None or each.uid in known],
                         [each for each in containers
                          if known is None or each.uid in known], stop)

    def _tidy(self, known: Collection[str]) -> None:
        if self._directories is not None:
            self._directories(known)

    def _remove_strays(self, sandboxes: list[model.SeenSandbox],
                       containers: list[model.SeenContainer],
                       known: Collection[str], stop: threading.Event) -> None:
        uids = ({each.uid for each in sandboxes}
                | {each.uid for each in containers})
        gone, self._strays_since = garbage.strays(
            uids, known, self._strays_since, self._clock(), _GRACE)
        for uid in sorted(gone):
            LOG.warning('Nobody knows the pod %s: what is left of it goes',
                        uid)
        for sandbox in sandboxes:
            if sandbox.uid in gone and not stop.is_set():
                self._remove(sandbox.id, self._stop_and_remove)
        homes = {sandbox.id for sandbox in sandboxes}
        for container in containers:
            # Those in a sandbox went with it.
            if (container.uid in gone and container.sandbox_id not in homes
                    and not stop.is_set()):
                self._remove(container.id, self._runtime.remove_container)

    def _stop_and_remove(self, sandbox: str) -> None:
        self._runtime.stop_sandbox(sandbox)
        self._runtime.remove_sandbox(sandbox)

    def _remove_old(self, sandboxes: list[model.SeenSandbox],
                    containers: list[model.SeenContainer],
                    stop: threading.Event) -> None:
        dead = garbage.dead_containers(containers)
        for container in dead:
            if not stop.is_set():
                self._remove(container.id, self._remove_with_log)
        for sandbox in garbage.old_sandboxes(sandboxes, containers):
            if not stop.is_set():
                self._remove(sandbox.id, self._stop_and_remove)

    def _remove_with_log(self, container: str) -> None:
        try:
            path = self._runtime.container_status(container).log_path
        except exceptions.RuntimeNotFound:
            return
        self._runtime.remove_container(container)
        remove_log(path)

    def _remove(self, identity: str, remove: Callable[[str], None]) -> None:
        try:
            remove(identity)
        except (exceptions.RemoteError, OSError) as error:
            LOG.warning('%s is not removed for now: %s', identity, error)

    # Images

    def collect_images(self, stop: threading.Event) -> None:
        """Note what images are used; remove some where they are too many.

        :raises RemoteError: the runtime does not give its lists
        :raises OSError: the file system of images cannot be looked at
        """
        images = [image(each) for each in self._runtime.images()]
        in_use = self._in_use()
        now = self._clock()
        self._uses = garbage.uses(images, in_use, self._uses, now)
        missing = self._to_free()
        for each in garbage.superfluous(images, in_use, self._uses, now):
            if missing <= 0 or stop.is_set():
                return
            LOG.info('Image %s goes: disk space is short', each.id)
            self._remove(each.id, self._runtime.remove_image)
            missing -= each.size
        if missing > 0:
            LOG.warning('Images take too much disk space, and %d bytes more '
                        'than may be freed', missing)

    def _in_use(self) -> set[str]:
        """Return every name of an image that a container is made of.

        Whosever it is, and of the containers of sandboxes too, which no list
        has and which old runtimes do not pin.
        """
        names = {name for each in self._runtime.containers()
                 for name in (each.image_id, each.image_ref,
                              each.image.image)}
        name = self._runtime.sandbox_image()
        status = self._runtime.image_status(name) if name else None
        if status is not None:
            names.add(status.id)
        return names - {''}

    def _to_free(self) -> int:
        """Return the bytes to be freed, of the fullest file system."""
        amounts = []
        for usage in self._runtime.fs_info():
            stat = os.statvfs(usage.fs_id.mountpoint)
            amounts.append(garbage.to_free(
                stat.f_frsize * stat.f_blocks, stat.f_frsize * stat.f_bavail,
                self._high, self._low))
        return max(amounts, default=0)


def image(message: typing.Any) -> garbage.Image:
    """Return what a message Image tells."""
    return garbage.Image(
        message.id,
        frozenset((message.id, *message.repo_tags, *message.repo_digests)),
        message.size, message.pinned)


def remove_log(path: str) -> None:
    """Remove the log of a container, with those that were rotated.

    :param path: as the runtime tells it; what does not look like a log of
        ours stays
    :raises OSError: it cannot be removed
    """
    if not (os.path.isabs(path) and _LOG_NAME.match(os.path.basename(path))):
        return
    for each in (path, *glob.glob(f'{glob.escape(path)}.*')):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(each)
