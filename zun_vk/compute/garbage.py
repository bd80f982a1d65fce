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
"""What of a runtime's records and images nobody needs any more. Pure.

Kubernetes: garbage collection of containers and images, as the kubelet does
it with MaxPerPodContainer 1 and its default thresholds.
"""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses

from zun_vk.compute import model

# Seconds; an image that came just now is for a container that is to come.
# Kubernetes: imageMinimumGCAge.
MIN_IMAGE_AGE = 120.0


@dataclasses.dataclass(frozen=True)
class Image:
    """An image on the host.

    :param names: ID, tags and digests
    :param size: bytes, layers shared with others counted in
    :param pinned: the runtime says that it must stay
    """

    id: str
    names: frozenset[str]
    size: int = 0
    pinned: bool = False


@dataclasses.dataclass(frozen=True)
class Use:
    """When an image was needed; seconds of one monotonic clock.

    :param first_seen: it was on the host then
    :param last_used: a container had it then, 0: none was seen
    """

    first_seen: float
    last_used: float = 0


def dead_containers(containers: Iterable[model.SeenContainer]
                    ) -> list[model.SeenContainer]:
    """Return those that a newer one of the same name took the place of.

    Oldest first. The newest of each stays, dead or not: its status is the
    pod's, and of the one before a running one are the logs that a user asks
    for with ``--previous``.

    :param containers: of pods that are known
    """
    met: set[tuple[str, str]] = set()
    kept: set[tuple[str, str]] = set()
    found = []
    for container in sorted(containers, key=_newest_first):
        key = container.uid, container.name
        is_newest = key not in met
        met.add(key)
        if is_newest and container.state is model.ContainerState.CREATED:
            continue  # It is being started.
        if container.state is model.ContainerState.RUNNING:
            continue
        if key in kept:
            found.append(container)
        kept.add(key)
    return found[::-1]


def old_sandboxes(sandboxes: Iterable[model.SeenSandbox],
                  containers: Iterable[model.SeenContainer]
                  ) -> list[model.SeenSandbox]:
    """Return those that are not ready, empty, and not a pod's newest.

    :param sandboxes: of pods that are known
    :param containers: that there are, whosever
    """
    occupied = {container.sandbox_id for container in containers}
    newest: set[str] = set()
    found = []
    for sandbox in sorted(sandboxes, key=_newest_first):
        is_newest = sandbox.uid not in newest
        newest.add(sandbox.uid)
        if not (sandbox.ready or is_newest or sandbox.id in occupied):
            found.append(sandbox)
    return found[::-1]


def strays(uids: Iterable[str], known: Collection[str],
           since: Mapping[str, float], now: float, grace: float
           ) -> tuple[set[str], dict[str, float]]:
    """Return the UIDs that nobody has known for a while.

    :param uids: those the runtime has something of
    :param since: what the second part was the last time: when each UID was
        seen first without being known, on the clock of ``now``
    :param grace: seconds
    """
    unknown = {uid: since.get(uid, now) for uid in uids if uid not in known}
    return {uid for uid, at in unknown.items() if now - at >= grace}, unknown


def uses(images: Iterable[Image], in_use: Collection[str],
         before: Mapping[str, Use], now: float) -> dict[str, Use]:
    """Return when each image was needed last, by ID.

    :param in_use: names, of any kind, of what containers have
    :param before: what this was the last time
    """
    found = {}
    for image in images:
        use = before.get(image.id, Use(now))
        if is_used(image, in_use):
            use = dataclasses.replace(use, last_used=now)
        found[image.id] = use
    return found


def is_used(image: Image, in_use: Collection[str]) -> bool:
    """Return whether a container has this image."""
    return not image.names.isdisjoint(in_use)


def to_free(capacity: int, available: int, high: int, low: int) -> int:
    """Return the bytes that images must give back, 0 for none.

    :param capacity: bytes of the file system
    :param available: bytes of it that are free
    :param high: percentage of use from which images go; 100: they never do
    :param low: percentage of use that is aimed at then
    """
    if high >= 100 or capacity <= 0:
        return 0
    used = capacity - available
    if used * 100 < high * capacity:
        return 0
    return max(0, used - capacity * low // 100)


def superfluous(images: Iterable[Image], in_use: Collection[str],
                used: Mapping[str, Use], now: float) -> list[Image]:
    """Return the images that may go, the one that went unused longest first.

    Never one that a container has, one that is pinned, or one that came
    within two minutes.
    """
    may_go = [image for image in images
              if not image.pinned and not is_used(image, in_use)
              and now - used[image.id].first_seen >= MIN_IMAGE_AGE]
    return sorted(may_go, key=lambda image: (
        used[image.id].last_used, used[image.id].first_seen, image.id))


def _newest_first(item: model.SeenSandbox | model.SeenContainer
                  ) -> tuple[int, int]:
    # The attempt first: a clock that was set back must not turn them round.
    return -item.attempt, -item.created_at
