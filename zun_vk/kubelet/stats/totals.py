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
"""Sums of what pods and containers use. Pure.

A sum of which a part is not known is not known either, and left out. Parts
that are missing as a whole, such as a container that was made just now, are
no part of it.
"""

from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import typing

from zun_vk.rpc import stats

_Kind = typing.TypeVar('_Kind', stats.Cpu, stats.Memory, stats.Swap,
                       stats.Disk)


def pod_cpu(pod: stats.Pod) -> stats.Cpu | None:
    """Return the CPU time of a pod; of its containers, if need be."""
    return pod.cpu or added([each.cpu for each in pod.containers])


def pod_memory(pod: stats.Pod) -> stats.Memory | None:
    """Return the memory of a pod; likewise."""
    return pod.memory or added([each.memory for each in pod.containers])


def pod_swap(pod: stats.Pod) -> stats.Swap | None:
    return added([each.swap for each in pod.containers])


def pod_disk(pod: stats.Pod) -> stats.Disk | None:
    """Return what a pod takes of the disk of its host.

    Kubernetes: what containers wrote, their logs, and emptyDir volumes.

    :returns: None while a part of it was not measured
    """
    if pod.volumes is None or pod.disk is None:
        return None
    parts = [part for each in pod.containers
             for part in (each.rootfs, each.logs)]
    parts += [each.disk for each in pod.volumes]
    if None in parts:
        return None
    used = [part.used for part in parts if part is not None]
    return dataclasses.replace(
        pod.disk, at=max([pod.disk.at, *(part.at for part in parts
                                         if part is not None)]),
        used=_sum(used) if used else 0)


def added(parts: Sequence[_Kind | None]) -> _Kind | None:
    """Return the sum of each amount, as of the newest of them.

    :returns: None where there is none
    """
    known = [part for part in parts if part is not None]
    if not known:
        return None
    kind = type(known[0])
    return kind(max(part.at for part in known), **{
        field.name: _sum([getattr(part, field.name) for part in known])
        for field in dataclasses.fields(kind) if field.name != 'at'})


def _sum(amounts: Sequence[int | None]) -> int | None:
    """Return a sum; None where a part of it is not known.

    One number that no reader can hold would cost it the whole answer: a host
    that lies must not be able to do that.
    """
    known = [amount for amount in amounts if amount is not None]
    if len(known) < len(amounts):
        return None
    return min(sum(known), stats.MAX_AMOUNT)


class CpuCounter:
    """CPU time of all containers of a node, which only grows.

    For one thread at a time.

    The sum of those that run would fall when one ends, and who computes
    rates would take that for a restart of the node. What was used while a
    pod was not seen, as its host was silent, is not counted: nobody can tell
    when that was.
    """

    def __init__(self) -> None:
        #: nanoseconds
        self.total = 0
        self._last: dict[str, int] = {}
        self._at: float | None = None

    def take(self, pods: Iterable[stats.Pod], at: float) -> None:
        """Count what was used since the last time.

        :param at: seconds since the epoch
        """
        now = {}
        # Of containers: not every answer has pods as a whole.
        for each in (each for pod in pods for each in pod.containers):
            if each.cpu is None or each.cpu.total is None:
                continue
            before = self._last.get(each.id)
            # Two gatherings at once may end in either order.
            now[each.id] = max(each.cpu.total, before or 0)
            if before is not None:
                self.total += now[each.id] - before
            elif self._at is None or each.started_at >= self._at:
                self.total += each.cpu.total
        self.total = min(self.total, stats.MAX_AMOUNT)
        self._last, self._at = now, at
