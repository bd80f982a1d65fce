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
"""The probes of all containers of a host.

One thread waits for the next probe that is due and gives it to a pool, so
that a thousand containers cost a handful of threads. A pod whose probes hang
holds up its own alone: only so many of one pod run at once, and one where
many run.
"""

import collections
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
import heapq
import itertools
import random
import threading
import time

from oslo_log import log as logging

from zun_vk import threads
from zun_vk.compute.probes import command
from zun_vk.compute.probes import events
from zun_vk.compute.probes import outcome
from zun_vk.compute.probes import pool
from zun_vk.compute.probes import prober
from zun_vk.compute.probes import spec
from zun_vk.compute.probes import watch
from zun_vk.rpc import states

LOG = logging.getLogger(__name__)

Target = prober.Target
Result = watch.Result
#: Of one pod at once.
POD_BOUND = 8
_THREADS = 256
# Kubernetes: results of the metric prober_probe_total.
_COUNTED = {outcome.Verdict.SUCCESS: 'successful',
            outcome.Verdict.WARNING: 'successful',
            outcome.Verdict.FAILURE: 'failed',
            outcome.Verdict.ERROR: 'unknown'}


class ProbeManager:
    """Probes the containers that it is told of.

    :param exec_sync: runs a command in a container
    :param netns_pid: finds a process in the network of a pod, by uid
    :param record: takes an event
    :param on_change: takes the uid of a pod of which a result is another
    :param bound: threads at most
    :param chance: a number at random below 1
    """

    def __init__(self, exec_sync: command.ExecSync,
                 netns_pid: prober.NetnsPid,
                 record: Callable[[states.PodEvent], None],
                 on_change: Callable[[str], None], bound: int = _THREADS,
                 chance: Callable[[], float] = random.random):
        self._prober = prober.Prober(exec_sync, netns_pid)
        self._record = record
        self._on_change = on_change
        self._chance = chance
        self._pool = pool.Pool(bound)
        self._many = bound // 2
        self._threads = threads.Threads()
        self._began = time.monotonic()
        self._order = itertools.count()
        # Guards all that follows; notified when the first due one changes.
        self._changed = threading.Condition()
        self._watches: dict[tuple[str, str], watch.Watch] = {}
        self._pods: dict[str, set[tuple[str, str]]] = {}
        self._due: list[tuple[float, int, watch.Watch]] = []
        self._running: collections.Counter[str] = collections.Counter()
        self._all_running = 0
        self._held: dict[str, collections.deque] = {}
        # By pod: how often a probe ended how, by container, kind and result.
        self._counts: dict[str, collections.Counter[
            tuple[str, str, str]]] = {}

    def start(self) -> None:
        self._threads.spawn('probes', self._run)

    def stop(self) -> None:
        """Probe nothing more; results stay readable."""
        self._threads.stop.set()
        with self._changed:
            self._changed.notify()
        self._pool.stop()

    def join(self, seconds: float) -> list[str]:
        """Wait for the threads; return the names of those that still run."""
        return self._threads.join(seconds) + self._pool.join(seconds)

    def sync(self, uid: str, targets: Iterable[prober.Target],
             ending: bool = False) -> None:
        """Let exactly these containers of a pod be probed.

        :param targets: those that run
        :param ending: the pod ends: only its readiness is of interest
        """
        wanted = {(target.container_id, probe.kind): (target, probe)
                  for target in targets
                  for probe in spec.probes_of(target.container)}
        with self._changed:
            known = self._pods.setdefault(uid, set())
            for key in known - wanted.keys():
                self._watches.pop(key).dropped = True
            fresh = wanted.keys() - known
            for key in fresh:
                self._watches[key] = watch.Watch(*wanted[key])
            self._pods[uid] = set(wanted)
            if not wanted:
                del self._pods[uid]
            if ending:
                self._quiet(wanted)
            for key in fresh:
                self._begin(self._watches[key])
            self._changed.notify()

    def forget(self, uid: str) -> None:
        """Probe nothing of a pod, and know nothing of it."""
        self.sync(uid, ())
        with self._changed:
            self._counts.pop(uid, None)

    def counts(self, uid: str) -> dict[tuple[str, str, str], int]:
        """Return how often a pod's probes ended how, since it is known.

        :returns: by name of the container, kind, and Kubernetes' word for
            the result
        """
        with self._changed:
            return dict(self._counts.get(uid, ()))

    def result(self, container_id: str, kind: str) -> watch.Result | None:
        """Return what is known; None where there is no such probe."""
        with self._changed:
            found = self._watches.get((container_id, kind))
            return found.result if found else None

    def started(self, container_id: str, container: Mapping) -> bool:
        """Tell whether a container that runs has started."""
        return (not container.get('startupProbe') or self.result(
            container_id, spec.STARTUP) is Result.SUCCESS)

    def ready(self, container_id: str, container: Mapping) -> bool:
        """Tell whether a container that runs is ready."""
        return self.started(container_id, container) and (
            not container.get('readinessProbe') or self.result(
                container_id, spec.READINESS) is Result.SUCCESS)

    def failed(self, container_id: str) -> spec.Probe | None:
        """Return the probe because of which a container has to be killed."""
        with self._changed:
            for kind in (spec.STARTUP, spec.LIVENESS):
                found = self._watches.get((container_id, kind))
                if found and found.result is Result.FAILURE:
                    return found.probe
        return None

    def _quiet(self, keys: Iterable[tuple[str, str]]) -> None:
        for key in keys:
            if key[1] != spec.READINESS:
                self._watches[key].quiet()

    def _begin(self, begun: watch.Watch) -> None:
        """Plan the first run, unless it has to wait for the start."""
        startup = self._watches.get(
            (begun.target.container_id, spec.STARTUP))
        if begun.probe.kind != spec.STARTUP and startup is not None and (
                startup.result is not Result.SUCCESS):
            return
        now = time.monotonic()
        # After a restart of the service all containers are new to it.
        early = now - self._began < begun.probe.period
        jitter = self._chance() * begun.probe.period if early else 0
        self._plan(begun, begun.first_at(now, time.time(), jitter))

    def _plan(self, planned: watch.Watch, at: float) -> None:
        heapq.heappush(self._due, (at, next(self._order), planned))

    def _run(self) -> None:
        """The scheduler's thread."""
        while not self._threads.stop.is_set():
            with self._changed:
                now = time.monotonic()
                while self._due and self._due[0][0] <= now:
                    due, _, found = heapq.heappop(self._due)
                    self._dispatch(found, due)
                self._changed.wait(self._due[0][0] - now
                                   if self._due else None)

    def _dispatch(self, found: watch.Watch, due: float) -> None:
        if found.dropped or found.quieted or found.over:
            return
        uid = found.target.uid
        if not self._has_room(uid):
            self._held.setdefault(uid, collections.deque()).append(
                (found, due))
            return
        self._running[uid] += 1
        self._all_running += 1
        self._pool.run(lambda: self._probe(found, due))

    def _has_room(self, uid: str) -> bool:
        bound = POD_BOUND if self._all_running < self._many else 1
        return self._running[uid] < bound

    def _probe(self, found: watch.Watch, due: float) -> None:
        """Runs in a thread of the pool."""
        try:
            ended = self._prober.run(found.target, found.probe)
        except Exception:  # the top of a thread's work
            LOG.exception('%s probe of container %s', found.probe.kind,
                          found.target.container_id)
            ended = outcome.error('the probe could not be run')
        with self._changed:
            stale = found.dropped or found.quieted
            changed = not stale and found.note(ended)
            if not stale:
                self._count(found, ended)
            self._after(found, due)
            self._changed.notify()
        if stale:
            return
        event = events.event(found.target, found.probe, ended, time.time())
        if event is not None:
            self._record(event)
        if changed:
            self._on_change(found.target.uid)

    def _count(self, found: watch.Watch, ended: outcome.Outcome) -> None:
        key = (found.target.container['name'], found.probe.kind,
               _COUNTED[ended.verdict])
        self._counts.setdefault(
            found.target.uid, collections.Counter())[key] += 1

    def _after(self, found: watch.Watch, due: float) -> None:
        """Plan what follows on a run."""
        uid = found.target.uid
        self._running[uid] -= 1
        self._all_running -= 1
        held = self._held.pop(uid, None) or collections.deque()
        while held and self._has_room(uid):
            self._dispatch(*held.popleft())
        if held:
            self._held[uid] = held
        if not self._running[uid]:
            del self._running[uid]
        if found.dropped or found.quieted:
            return
        if not found.over:
            self._plan(found, found.next_at(due, time.monotonic()))
        elif found.probe.kind == spec.STARTUP and (
                found.result is Result.SUCCESS):
            for key in self._pods.get(uid, ()):
                if key[0] == found.target.container_id and (
                        key[1] != spec.STARTUP):
                    self._begin(self._watches[key])
