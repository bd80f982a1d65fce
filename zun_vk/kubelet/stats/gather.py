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
"""Asks all hosts of a node what its pods use, once for all who want to know.

Flows in: a request that wants figures. Flows out: those of the pods whose
hosts answered in time. A host that is slow or silent costs its own pods
alone: they are absent, and the answer says that something is missing.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import threading
import time

from zun_vk.kubelet import context
from zun_vk.kubelet.stats import asking
from zun_vk.kubelet.stats import figures
from zun_vk.kubelet.stats import totals
from zun_vk.rpc import bus as bus_module
from zun_vk.rpc import stats

# Seconds for all hosts together: whoever asks waits 5 s at most.
_PATIENCE = 4.5
# Seconds for which an answer serves those who ask next.
_SHARED = 1.0


class Gatherer:
    """The figures of one node.

    :param patience: seconds for all hosts together
    :param clock: monotonic seconds
    :param wall: seconds since the epoch
    """

    def __init__(self, patience: float = _PATIENCE,
                 clock: Callable[[], float] = time.monotonic,
                 wall: Callable[[], float] = time.time):
        self._patience = patience
        self._clock = clock
        self._wall = wall
        self._since = wall()
        # Guards all that follows; notified when a gathering ends.
        self._changed = threading.Condition()
        self._begun: set[str] = set()
        self._kept: dict[str, tuple[float, figures.Gathered]] = {}
        self._silent: frozenset[str] = frozenset()
        self._cpu = totals.CpuCounter()
        # Kinds and hosts whose question has no end yet: a bus that is down
        # may keep it, and its thread, whatever the time.
        self._open: set[tuple[str, str]] = set()

    def of(self, services: context.Services, kind: str) -> figures.Gathered:
        """Return the figures, gathered now or shared with who just asked.

        :param kind: of ``rpc.stats.KINDS``
        :raises Refused: the node has no hosts that can tell
        :raises NotHolder: another agent may hold it
        """
        bus = services.need_hosts()
        with self._changed:
            while kind in self._begun:
                self._changed.wait()
            kept = self._kept.get(kind)
            if kept is not None and self._clock() - kept[0] < _SHARED:
                return kept[1]
            self._begun.add(kind)
        made = None
        try:
            made = self._gather(services, bus, kind)
        finally:
            with self._changed:
                self._begun.discard(kind)
                if made is not None:
                    self._kept[kind] = self._clock(), made
                self._changed.notify_all()
        return made

    def _gather(self, services: context.Services, bus: bus_module.Bus,
                kind: str) -> figures.Gathered:
        services.guard()
        pods = services.pods
        by_uid = {pod['metadata']['uid']: pod for pod in pods.all()}
        with self._changed:
            # Asked last: they must not keep others waiting.
            late = self._silent
            stuck = {host for what, host in self._open if what == kind}
        hosts = pods.hosts()

        def ask(host: str, seconds: float) -> list[stats.Pod]:
            # A host is believed about the pods that are on it. It may take
            # a question to Zun to know that: a part of the host's time.
            with self._opened(kind, host):
                found = {each.uid: each for each in asking.told(
                    bus, host, services.node, kind, seconds)}
                return [each for uid, each in found.items()
                        if uid in by_uid and pods.host_of(uid) == host]

        told = asking.ask_all(
            services.node,
            sorted(hosts - stuck, key=lambda host: (host in late, host)),
            ask, self._patience, self._clock)
        measured = tuple(
            figures.Figures(by_uid[each.uid], each)
            for _, found in sorted(told.items()) for each in found)
        silent = frozenset(hosts) - set(told)
        at = self._wall()
        with self._changed:
            self._silent = silent
            if kind != stats.PROBES:
                self._cpu.take([each.stats for each in measured], at)
            total = self._cpu.total
        return figures.Gathered(at, self._since, total, measured, silent)

    @contextlib.contextmanager
    def _opened(self, kind: str, host: str) -> Iterator[None]:
        with self._changed:
            self._open.add((kind, host))
        try:
            yield
        finally:
            with self._changed:
                self._open.discard((kind, host))
