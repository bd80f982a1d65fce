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
"""The hosts that run a node's pods: what they told, what they are told.

Between the pod controller, which decides, and the bus. What a host told
stands until it tells something newer; what it must be told is told again
until it shows. A host that falls silent makes its pods not ready, and
nothing else: whether they still run, nobody can tell.
"""

import math
import threading
import time
import typing

from zun_vk import health as health_module
from zun_vk.kube import times
from zun_vk.pods import capsule as capsule_module
from zun_vk.pods import changes
from zun_vk.pods import hoststatus
from zun_vk.pods import hostwatch
from zun_vk.pods import lifecycle
from zun_vk.pods import memory as memory_module
from zun_vk.pods import outbox as outbox_module
from zun_vk.pods import status as pod_status
from zun_vk.pods.runtimes import base
from zun_vk.pods.runtimes import states as states_module
from zun_vk.rpc import bus as bus_module
from zun_vk.rpc import states

# Seconds beyond its grace period after which a pod whose host does not show
# that it ends it is left to Zun.
_MARGIN = 30.0
# Seconds until a host is told again to end a pod: it has not shown that it
# knows, or it has.
_AGAIN, _AGAIN_LATER = 4.0, 30.0
# Seconds for which the last status of a pod that goes is tried to be
# written before its capsule goes as well.
_LAST_WORDS = 60.0
# Seconds between two full reports of a host; of one that says nothing by
# itself; and for how long it may be so.
_REPORT, _REPORT_QUIET, _QUIET = 60.0, 15.0, 12.0
# Seconds between two looks while there is no host yet.
_SOON = 1.0
_REPORT_METHOD = 'report'
# Kubernetes: the API server's default.
_GRACE_PERIOD = 30
Failure = tuple[str, str]


class Hosts:
    """The hosts of one node's pods.

    :param node: its name
    :param host_ip: its address, the hostIP of its pods
    :param guard: raises NotHolder while another may act for the node
    :param wake: has a pod looked at, by its UID
    :param clock: monotonic seconds
    :param wall: seconds since the epoch
    """

    def __init__(self, bus: bus_module.Bus, node: str, host_ip: str,
                 runtime: base.CapsuleRuntime,
                 health: health_module.Health,
                 guard: typing.Callable[[], None],
                 wake: typing.Callable[[str], None],
                 clock: typing.Callable[[], float] = time.monotonic,
                 wall: typing.Callable[[], float] = time.time):
        self._node = node
        self._host_ip = host_ip
        self._runtime = runtime
        self._wake = wake
        self._clock = clock
        self._wall = wall
        self._states = states_module.PodStates()
        self._watch = hostwatch.HostWatch(clock)
        self._outbox = outbox_module.Outbox(bus, health, guard, self._sent)
        # When each host was last asked for a report; owned by ``watch``.
        self._reported: dict[str, float] = {}

    # What the controller asks.

    def of(self, capsule: capsule_module.Capsule | None,
           memory: memory_module.Memory) -> lifecycle.Hosted:
        """Return what a capsule's host makes of it."""
        if capsule is None:
            return lifecycle.Hosted()
        state = self._states.of(capsule.uuid)
        if state is None:
            return lifecycle.Hosted(lost=self._is_lost(capsule), running=(
                bool(capsule.host) and not capsule.creating
                and not capsule.deleting
                and not capsule.failed_to_start
                and not self._given_up(capsule, state, memory)))
        if not state.ended:
            return lifecycle.Hosted(
                told=True, lost=self._is_lost(capsule),
                running=not capsule.deleting
                and not self._given_up(capsule, state, memory))
        if memory.ended_at is None:
            memory.ended_at = self._clock()
        return lifecycle.Hosted(
            told=True, ended=True, ending=state.ending,
            settled=self._clock() - memory.ended_at > _LAST_WORDS)

    def status(self, pod: dict, capsule: capsule_module.Capsule,
               failure: Failure | None = None) -> dict | None:
        """Return the status of a pod whose capsule there is.

        :param failure: reason and message, where it has failed for what
            this agent did
        :returns: None: there is nothing to say
        """
        state, at = self._states.of(capsule.uuid), times.now()
        if state is not None:
            status = hoststatus.from_state(
                pod, state, capsule.addresses, self._host_ip, at, failure)
        elif pod_status.has_run(pod):
            status = hoststatus.as_before(pod)
        else:
            status = pod_status.pending(pod, self._host_ip, at)
        if status['phase'] not in pod_status.TERMINAL and (
                self._watch.is_silent(capsule.host)):
            return hoststatus.not_heard(pod, status, capsule.host, at)
        return status if 'containerStatuses' in status else None

    def end(self, pod: dict, capsule: capsule_module.Capsule,
            memory: memory_module.Memory, why: Failure = ('', '')) -> None:
        """Have a host stop what runs of a pod; to be called until it has."""
        now, grace = self._clock(), self._grace(pod)
        state = self._states.of(capsule.uuid)
        known = state is not None and state.ending
        shorter = now + grace < memory.end_by - 1
        pause = _AGAIN_LATER if known else _AGAIN
        memory.end_by = min(memory.end_by, now + grace)
        if shorter or now - memory.end_told_at >= pause:
            memory.end_told_at = now
            uid = pod['metadata']['uid']
            self._outbox.put(capsule.host, 'end_pod', uid, uid=uid,
                             grace=grace, reason=why[0], message=why[1])

    def changed(self, before: dict | None, pod: dict) -> None:
        """Take note of a pod that was changed."""
        if before is None or not changes.concerns_host(before, pod):
            return
        uid = pod['metadata']['uid']
        for capsule in self._runtime.of_pod(uid):
            if capsule.host:
                self._outbox.put(capsule.host, 'pod_changed', uid, uid=uid)

    def gone(self, uid: str) -> None:
        """Take note that nothing is left of a pod but on its hosts."""
        for host in self._states.forget(uid):
            self._outbox.put(host, 'forget_pod', uid, uid=uid)

    def hosts_of(self, uid: str) -> set[str]:
        """Return the hosts that had a pod, as far as they told.

        They keep its logs until its object is gone.
        """
        return self._states.hosts_of(uid)

    # What hosts say, see hostlink.Hears.

    def heard(self, host: str) -> None:
        if self._watch.heard(host):
            self._wake_all({host})

    def told(self, state: states.PodState, host: str) -> None:
        if self._states.put(state, host):
            self._wake(state.uid)

    def has_only(self, host: str, capsules: set[str]) -> None:
        for capsule in self._all():
            if capsule.host == host and capsule.uuid not in capsules:
                self._states.lack(capsule.uid, capsule.uuid)
                if self._is_lost(capsule):
                    self._wake(capsule.uid)

    def newest(self, capsule: str) -> int:
        state = self._states.of(capsule)
        return state.generation if state else 0

    # Threads.

    def tell(self, stop: threading.Event) -> None:
        """Send what is to be told, until ``stop`` is set."""
        self._outbox.run(stop)

    def watch(self, stop: threading.Event) -> None:
        """Ask hosts for reports, and see who answers, likewise."""
        while not stop.wait(
                _SOON if self._runtime.listed_at() == float('-inf')
                or not self._reported else hostwatch.INTERVAL):
            self._look()

    def wake(self) -> None:
        """Let ``tell`` notice that ``stop`` is set."""
        self._outbox.wake()

    def resync(self) -> None:
        """Ask all hosts for reports at the next look."""
        self._reported.clear()

    def _look(self) -> None:
        if self._outbox.stuck():
            self._watch.deaf()
        self._wake_all(self._watch.turned_silent())
        hosts = {capsule.host for capsule in self._all() if capsule.host}
        now, reported = self._clock(), self._reported
        for host in hosts:
            quiet = (not self._watch.is_silent(host)
                     and self._watch.quiet_for(host) > _QUIET)
            pause = _REPORT_QUIET if quiet else _REPORT
            if now - reported.get(host, float('-inf')) >= pause - 1:
                reported[host] = now
                self._outbox.put(host, _REPORT_METHOD, '', node=self._node)

    def _sent(self, host: str, method: str) -> None:
        if method == _REPORT_METHOD:
            self._watch.asked(host)

    def _all(self) -> typing.Iterator[capsule_module.Capsule]:
        for uid in self._runtime.uids():
            yield from self._runtime.of_pod(uid)

    def _wake_all(self, hosts: set[str]) -> None:
        for capsule in self._all() if hosts else ():
            if capsule.host in hosts:
                self._wake(capsule.uid)

    def _is_lost(self, capsule: capsule_module.Capsule) -> bool:
        """Tell whether its host has nothing of it, and will not again.

        A host takes up what Zun says runs, and keeps what ended until it is
        deleted, unless its records were lost: with a reboot, say. Twice, for
        what it said may have come late.
        """
        return capsule.ran and self._states.is_lacking(capsule.uuid, 2)

    def _given_up(self, capsule: capsule_module.Capsule,
                  state: states.PodState | None,
                  memory: memory_module.Memory) -> bool:
        """Tell whether a host was told in vain to end a pod."""
        if self._clock() < memory.end_by + _MARGIN:
            return False
        return (state is None or self._watch.is_silent(capsule.host)
                or self._states.is_lacking(capsule.uuid))

    def _grace(self, pod: dict) -> int:
        """Return how many seconds the pod still has to end.

        Kubernetes: of a pod that is deleted those of the deletion, whose
        timestamp is when they are over.
        """
        metadata = pod['metadata']
        if not metadata.get('deletionTimestamp'):
            # Kubernetes: one that is negative counts as a second.
            grace = pod['spec'].get('terminationGracePeriodSeconds',
                                    _GRACE_PERIOD)
            return 1 if grace < 0 else grace
        given = metadata.get('deletionGracePeriodSeconds') or 0
        left = times.seconds(metadata['deletionTimestamp']) - self._wall()
        return max(0, min(given, math.ceil(left)))


class NoHosts:
    """Where stock Zun runs the pods: nobody to talk to."""

    def __init__(self, host_ip: str):
        self._host_ip = host_ip

    def of(self, capsule: capsule_module.Capsule | None,
           memory: memory_module.Memory) -> lifecycle.Hosted:
        return lifecycle.Hosted()

    def status(self, pod: dict, capsule: capsule_module.Capsule,
               failure: Failure | None = None) -> dict | None:
        return pod_status.from_capsule(
            pod, capsule, self._host_ip, times.now())

    def end(self, pod: dict, capsule: capsule_module.Capsule,
            memory: memory_module.Memory, why: Failure = ('', '')) -> None:
        """Nobody to tell."""

    def changed(self, before: dict | None, pod: dict) -> None:
        """Nobody to tell."""

    def gone(self, uid: str) -> None:
        """Nobody to tell."""

    def hosts_of(self, uid: str) -> set[str]:
        return set()
