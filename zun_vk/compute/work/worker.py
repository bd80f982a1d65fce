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
"""One look at one pod: see, decide, act, tell.

Whoever holds a pod's key calls ``look``; nothing in it waits for a
container. Work in the background hands its outcome back through the pod's
inbox and has the pod looked at again, and so does the runtime's watcher.
"""

from collections.abc import Callable
import dataclasses
import time

from oslo_log import log as logging

from zun_vk import exceptions
from zun_vk.compute import decide
from zun_vk.compute import model
from zun_vk.compute import report
from zun_vk.compute import statuses
from zun_vk.compute.volumes import volumes as volumes_module
from zun_vk.compute.work import background as background_module
from zun_vk.compute.work import fetcher as fetcher_module
from zun_vk.compute.work import killer as killer_module
from zun_vk.compute.work import observer as observer_module
from zun_vk.compute.work import pod as pod_module
from zun_vk.compute.work import probing as probing_module
from zun_vk.compute.work import sandboxes as sandboxes_module
from zun_vk.compute.work import starter as starter_module
from zun_vk.rpc import states

LOG = logging.getLogger(__name__)

_LOOK_AGAIN = 1.0
# Tries after which a cgroup in which something runs is left.
_EMPTY_TRIES = 30
_UNTOLD: dict = {'metadata': {}, 'spec': {}}


class Worker:
    """Looks at pods; any thread may, each pod by one at a time.

    :param background: removes volumes
    :param publish: takes the newest state of a pod
    :param save: keeps the record of a pod
    :param wall: seconds since the epoch
    :param clock: monotonic seconds
    """

    def __init__(self, observer: observer_module.Observer,
                 fetcher: fetcher_module.Fetcher,
                 volumes: volumes_module.PodVolumes,
                 sandboxes: sandboxes_module.Sandboxes,
                 starter: starter_module.Starter,
                 killer: killer_module.Killer,
                 probing: probing_module.Probing,
                 background: background_module.Background,
                 record: Callable[[pod_module.Pod],
                                  background_module.Recorder],
                 publish: Callable[[states.PodState], None],
                 save: Callable[[pod_module.Pod], None],
                 wall: Callable[[], float] = time.time,
                 clock: Callable[[], float] = time.monotonic):
        self._observer = observer
        self._fetcher = fetcher
        self._volumes = volumes
        self._sandboxes = sandboxes
        self._starter = starter
        self._killer = killer
        self._probing = probing
        self._background = background
        self._record = record
        self._publish = publish
        self._save = save
        self._wall = wall
        self._clock = clock

    def look(self, pod: pod_module.Pod) -> float | None:
        """Do what is to be done for a pod now.

        :returns: seconds until it must be looked at again, None: not before
            something changes
        :raises RemoteError: the runtime did not say what there is
        """
        while pod.inbox:
            pod.inbox.popleft()(pod)
        seen = self._observer.look(pod)
        _prune(pod, seen)
        if pod.removing and not _runs(seen):
            return self._remove(pod, seen)
        times = [self._fetcher.look(pod)]
        if pod.payload is not None:
            times += [self._have_volumes(pod), self._decide(pod, seen)]
        elif pod.memory.ending is not None:
            # Nobody tells what it is, but what runs of it can be ended.
            times.append(self._decide(pod, seen))
        times.append(self._release(pod, seen))
        self._tell(pod, seen)
        return min((each for each in times if each is not None),
                   default=None)

    def _have_volumes(self, pod: pod_module.Pod) -> float | None:
        """Make the pod's volumes, or bring their files up to date.

        :returns: seconds until that is to be tried again
        """
        payload, memory = pod.payload, pod.memory
        if (payload is None or payload.generation == pod.volumes_of
                or memory.ending or memory.ended):
            return None
        early = pod.volumes_at - self._clock()
        if early > 0:
            return early
        wrong = '; '.join(payload.volume_errors)
        try:
            if memory.volumes_ready or wrong:
                # Kubernetes: one that is missing holds up no other. There
                # may be a token in it that must be renewed.
                self._volumes.update(payload)
            else:
                self._volumes.prepare(payload)
        except exceptions.ZunVkError as error:
            wrong = '; '.join(filter(None, (wrong, str(error))))
        if not wrong:
            pod.volumes_pause.reset()
            pod.volumes_of, memory.volumes_ready = payload.generation, True
            return None
        # Those of a running pod stay as they are meanwhile.
        pause = pod.volumes_pause.next()
        pod.volumes_at = self._clock() + pause
        self._record(pod).event(background_module.WARNING, 'FailedMount',
                                wrong)
        return pause

    def _decide(self, pod: pod_module.Pod,
                seen: model.Seen) -> float | None:
        now = self._wall()
        self._probing.look(pod, seen)
        plan = decide.what_to_do(
            pod.payload.pod if pod.payload else _UNTOLD, seen, pod.memory,
            now)
        for action in plan.actions:
            self._do(pod, action, seen)
        # A sandbox that is being made is seen only when it is there.
        pod.memory.ended |= plan.ended and not self._sandboxes.busy(pod)
        pod.memory.finishing = plan.finishing or pod.memory.finishing
        return plan.look_at and max(0.05, plan.look_at - now)

    def _do(self, pod: pod_module.Pod, action: model.Action,
            seen: model.Seen) -> None:
        match action:
            case model.NewSandbox():
                if not self._sandboxes.busy(pod):
                    self._sandboxes.make(pod, action)
                    if not (seen.sandboxes or seen.containers):
                        self._starter.fetch(pod, action.attempt)
            case model.StopSandbox():
                if not self._sandboxes.busy(pod):
                    self._sandboxes.stop(pod, action)
            case model.KillContainer():
                if self._killer.kill(pod, action):
                    self._record(pod).event(
                        background_module.NORMAL, 'Killing', action.message,
                        action.name)
            case model.StartContainer():
                self._start(pod, action, seen)

    def _start(self, pod: pod_module.Pod, action: model.StartContainer,
               seen: model.Seen) -> None:
        sandbox = next((each for each in seen.sandboxes if each.ready), None)
        if sandbox is None or self._sandboxes.busy(pod):
            return
        if action.attempt and not self._fetcher.fresh(pod):
            # Kubernetes: a container that starts again sees what its
            # ConfigMaps and Secrets are now.
            pod.fetch_at = self._clock()
            self._fetcher.look(pod)
            return
        self._starter.start(pod, action, sandbox)

    def _release(self, pod: pod_module.Pod,
                 seen: model.Seen) -> float | None:
        """Begin to remove the volumes of a pod that has ended.

        Kubernetes: what it wrote goes with its containers, though its object
        stays: memory above all.

        :returns: seconds until that is to be tried again
        """
        if pod.released or not pod.memory.ended or _runs(seen):
            return None
        early = pod.remove_at - self._clock()
        if early > 0:
            return early

        def released(pod: pod_module.Pod, result: object,
                     error: Exception | None) -> None:
            pod.released = error is None
            if error is not None:
                pod.remove_at = self._clock() + _LOOK_AGAIN
                LOG.warning('Pod %s: its volumes were not removed: %s',
                            pod.uid, error)

        self._background.start(
            pod, ('volumes',), lambda: self._volumes.release(pod.uid),
            released)
        return None

    def _remove(self, pod: pod_module.Pod, seen: model.Seen) -> float | None:
        """Remove what is left of a pod in which nothing runs."""
        self._probing.forget(pod)
        early = pod.remove_at - self._clock()
        if early > 0:
            return early
        if seen.sandboxes or seen.containers:
            if not self._sandboxes.busy(pod):
                if pod.payload is not None:
                    # What its containers came to, for the last time.
                    self._tell(pod, seen)
                self._sandboxes.clear(pod, seen)
            return _LOOK_AGAIN
        if self._sandboxes.busy(pod) or pod.creating:
            return _LOOK_AGAIN
        if not pod.emptied:
            self._empty(pod)
            return _LOOK_AGAIN
        self._observer.forget(pod)
        self._killer.forget(pod)
        pod.gone = True
        self._tell(pod, seen)
        return None

    def _empty(self, pod: pod_module.Pod) -> None:
        """Begin to remove the volumes and the cgroup of a pod.

        Not here: with the files that a pod can have it may take minutes.
        """
        def empty() -> bool:
            self._volumes.remove(pod.uid)
            return self._sandboxes.remove_cgroup(pod.uid)

        def emptied(pod: pod_module.Pod, result: bool | None,
                    error: Exception | None) -> None:
            pod.empty_tries += 1
            if error is not None:
                LOG.warning('Pod %s: its volumes were not removed: %s',
                            pod.uid, error)
            elif result:
                pod.emptied = True
            elif pod.empty_tries >= _EMPTY_TRIES:
                LOG.warning('Pod %s: its cgroup stays', pod.uid)
                pod.emptied = True
            if not pod.emptied:
                pod.remove_at = self._clock() + _LOOK_AGAIN

        self._background.start(pod, ('volumes',), empty, emptied)

    def _tell(self, pod: pod_module.Pod, seen: model.Seen) -> None:
        """Publish and keep what is new about a pod."""
        before = pod.published
        state = self._state(pod, seen)
        if before is not None and state == dataclasses.replace(
                before, generation=state.generation):
            return
        pod.generation = state.generation
        pod.published = state
        pod.memory.reported = {
            status['name']: status
            for status in (*state.init_containers, *state.containers)}
        self._save(pod)
        self._publish(state)
        for name in report.newly_waiting(before, state,
                                         statuses.CRASH_LOOP):
            self._record(pod).event(
                background_module.WARNING, 'BackOff',
                f'Back-off restarting failed container {name} in pod '
                f'{statuses.pod_name(pod.told.pod)}', name)

    def _state(self, pod: pod_module.Pod,
               seen: model.Seen) -> states.PodState:
        """Return the state of a pod, newer than any that was told."""
        # By the clock, so that it is newer even where the record is lost.
        generation = max(pod.generation + 1, int(self._wall() * 1e6))
        capsule = pod.capsule
        if pod.payload is None:
            return states.PodState(capsule.uid, capsule.uuid, capsule.node,
                                   generation, ending=pod.removing,
                                   ended=pod.removing and not _runs(seen),
                                   gone=pod.gone)
        if pod.gone and pod.published is not None:
            return dataclasses.replace(
                pod.published, generation=generation, sandbox='',
                sandbox_ready=False, ended=True, gone=True)
        return report.pod_state(
            pod.payload.pod, seen, pod.memory, self._wall(),
            capsule=capsule.uuid, node=capsule.node, generation=generation,
            gone=pod.gone)


def _prune(pod: pod_module.Pod, seen: model.Seen) -> None:
    """Forget what is remembered of containers that are no more."""
    memory = pod.memory
    ids = {container.id for container in seen.containers}
    for by_id in (memory.hooks, memory.probes, memory.killing):
        for identity in set(by_id) - ids:
            # Made after the look: its outcome is still to come.
            if not pod.creating:
                del by_id[identity]
    memory.again &= ids
    memory.stopped &= {sandbox.id for sandbox in seen.sandboxes}
    if pod.ends:
        # A pull that goes on starts nothing any more.
        memory.starting &= pod.creating


def _runs(seen: model.Seen) -> bool:
    return any(container.state in (model.ContainerState.RUNNING,
                                   model.ContainerState.UNKNOWN)
               for container in seen.containers)
