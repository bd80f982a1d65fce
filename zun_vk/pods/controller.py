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
"""From pods bound to the node to capsules, and back to statuses.

Flows in: pods from the reflector, changes of capsules from the runtime.
Flows out: capsules made and deleted, statuses, events, Pod objects removed.
A worker looks at one pod at a time, decides from what is true now
(``lifecycle``) and does one step; whatever it changes brings the pod back.
Nothing is remembered that a restart would need: what must survive is in the
API server (startTime) and in Zun (labels).
"""

import threading
import time
import typing

from oslo_log import log as logging

from zun_vk import exceptions
from zun_vk import metrics
from zun_vk import workqueue
from zun_vk.kube import client as kube_client
from zun_vk.kube import events
from zun_vk.kube import reflector as reflector_module
from zun_vk.pods import admission
from zun_vk.pods import capsule as capsule_module
from zun_vk.pods import creation
from zun_vk.pods import discretion
from zun_vk.pods import endings
from zun_vk.pods import hosted
from zun_vk.pods import lifecycle
from zun_vk.pods import memory as memory_module
from zun_vk.pods import notices
from zun_vk.pods import orphans
from zun_vk.pods import removal as removal_module
from zun_vk.pods import resolver as resolver_module
from zun_vk.pods import status as pod_status
from zun_vk.pods import translate
from zun_vk.pods import writer
from zun_vk.pods.runtimes import base

LOG = logging.getLogger(__name__)

_LOOK_AGAIN = 5.0


class PodController:
    """Makes the pods of one node run.

    :param client: the API server
    :param runtime: makes and knows capsules
    :param removal: deletes capsules of that runtime
    :param recorder: takes events
    :param host_ip: address of the node, the hostIP of its pods
    :param room: returns what the hosts had when they were last looked at
    :param resolver: makes the pods' environments
    :param hosts: those that run the pods
    :param clock: monotonic seconds
    :param wall: seconds since the epoch
    """

    def __init__(self, client: kube_client.KubeClient,
                 runtime: base.CapsuleRuntime,
                 removal: removal_module.Removal,
                 recorder: events.EventRecorder, queue: workqueue.WorkQueue,
                 status_writer: writer.StatusWriter, host_ip: str,
                 policy: memory_module.Policy,
                 room: typing.Callable[[], admission.Room],
                 resolver: resolver_module.Resolver | resolver_module.Nothing,
                 hosts: hosted.Hosts | hosted.NoHosts,
                 clock: typing.Callable[[], float] = time.monotonic,
                 wall: typing.Callable[[], float] = time.time):
        self._client = client
        self._runtime = runtime
        self._removal = removal
        self._queue = queue
        self._writer = status_writer
        self._policy = policy
        self._room = room
        self._hosts = hosts
        self._clock = clock
        self._wall = wall
        self._endings = endings.Endings(recorder, status_writer, host_ip)
        self._notices = notices.Notices(recorder)
        self._creation = creation.Creation(
            runtime, resolver, recorder, queue, status_writer, host_ip,
            self._endings, self._notices, clock, wall)
        self._orphans = orphans.Orphans(client, removal, clock)
        # One entry a pod; a pod's entry is used by the worker that holds
        # its key only, so the dict needs no lock.
        self._memories: dict[str, memory_module.Memory] = {}
        self._pods: reflector_module.Reflector
        self._steps: dict[lifecycle.Step, typing.Callable[..., None]] = {
            lifecycle.Step.ACKNOWLEDGE: self._creation.acknowledge,
            lifecycle.Step.CREATE: self._creation.create,
            lifecycle.Step.REPORT: self._report,
            lifecycle.Step.END: self._end,
            lifecycle.Step.DISCARD: self._discard,
            lifecycle.Step.DELETE_CAPSULE: self._delete_capsule,
            lifecycle.Step.REMOVE_POD: self._remove_pod,
            lifecycle.Step.TERMINATED: _of_pod(self._endings.terminated),
            lifecycle.Step.LOST: _of_pod(self._endings.lost),
            lifecycle.Step.FORGOTTEN: _of_pod(self._endings.forgotten),
            lifecycle.Step.CUT_OFF: self._cut_off,
            lifecycle.Step.EXPIRE: self._expire,
            lifecycle.Step.REJECT: self._reject,
            lifecycle.Step.IGNORE: _of_pod(self._endings.ignored),
            lifecycle.Step.TURN_AWAY: _of_pod(self._endings.turned_away),
            lifecycle.Step.WAIT: self._wait,
            lifecycle.Step.NOTHING: self._nothing,
        }

    def follow(self, pods: reflector_module.Reflector) -> None:
        """Set where pods are read from; once, before any worker runs."""
        self._pods = pods

    def pod_changed(self, before: dict | None, pod: dict) -> None:
        """Take note of a new or changed pod."""
        self._hosts.changed(before, pod)
        self._queue.add(pod['metadata']['uid'])

    def pod_gone(self, pod: dict) -> None:
        """Take note that a Pod object is gone."""
        self._queue.add(pod['metadata']['uid'])

    def resync(self) -> None:
        """Look at every pod and at every capsule without one."""
        for uid in set(self._pods.snapshot()) | self._runtime.uids():
            self._queue.add(uid)

    def capacity_grew(self) -> None:
        """Try pods again that Zun could not place."""
        for uid, memory in list(self._memories.items()):
            if memory.retry_at > self._clock():
                memory.retry_at = float('-inf')
                self._queue.add(uid)

    def claims(self) -> dict[str, tuple[int, int]]:
        """Return what our pods with a claim in Placement request.

        Without pods that have ended: the scheduler does not count them. And
        without capsules that are being made or deleted: Zun claims on the
        host, after it has answered, and gives back before a capsule is gone.
        But with the pods that never get a capsule: the scheduler counts
        them, and they take nothing from Placement.

        :returns: by UID, milli-CPU and bytes of memory
        """
        pods = {uid: pod for uid, pod in self._pods.snapshot().items()
                if not pod_status.is_terminal(pod)}
        return {uid: translate.requests(pod) for uid, pod in pods.items()
                if self._holds_claim(uid) or lifecycle.ignored(
                    pod, self._policy.daemonsets)}

    def _holds_claim(self, uid: str) -> bool:
        return any(capsule.status != capsule_module.ERROR
                   and not capsule.in_transition
                   for capsule in self._runtime.of_pod(uid))

    def work(self, stop: threading.Event) -> None:
        """Be one worker, until the queue is shut down."""
        while not stop.is_set():
            uid = self._queue.get(timeout=60)
            if uid is None:
                continue
            started, result = self._clock(), 'ok'
            try:
                self._sync(uid)
            except exceptions.RemoteError as error:
                result = 'retried'
                LOG.debug('Pod %s will be tried again: %s', uid, error)
                self._queue.retry(uid, error.retry_after)
            except Exception:  # the top of a thread
                result = 'crashed'
                LOG.exception('Pod %s could not be handled', uid)
                self._queue.retry(uid)
            finally:
                self._queue.done(uid)
                metrics.SYNC_SECONDS.labels(result).observe(
                    self._clock() - started)

    def _sync(self, uid: str) -> None:
        pod = self._pods.get(uid)
        if pod is None:
            self._reap(uid, self._runtime.of_pod(uid))
            return
        pod = self._writer.newest(pod)
        memory = self._memories.setdefault(
            uid, memory_module.Memory(read_after=self._clock()))
        # Asked first: a list that comes in between may show a capsule.
        absence_certain = self._creation.absence_certain(memory)
        if pod_status.is_terminal(pod):
            memory.secrets = None
        # From here on nothing has words of Zun that must not be shown.
        capsules = [discretion.shown(pod, memory.secrets, capsule)
                    for capsule in self._runtime.of_pod(uid)]
        memory.capsule_seen |= bool(capsules)
        self._orphans.drop_doubles(capsules)
        step = lifecycle.decide(pod, capsules, memory_module.known(
            pod, memory, self._policy, absence_certain, self._wall(),
            self._hosts.of(capsules[0] if capsules else None, memory)))
        self._steps[step](pod, capsules[0] if capsules else None, memory)
        due = memory_module.next_deadline(pod, memory, self._policy,
                                          self._wall())
        if due is not None:
            self._queue.add_after(uid, due)

    def _report(self, pod: dict, capsule: capsule_module.Capsule,
                memory: memory_module.Memory) -> None:
        if not capsule.unplaced:
            self._queue.forget(capsule.uid)
            memory.no_room = ''
        status = self._hosts.status(pod, capsule)
        if status is None:
            return
        memory.ran |= pod_status.has_run({'status': status})
        if status['phase'] != pod_status.PENDING:
            memory.secrets = None
        self._writer.publish(pod, status)
        if not self._runtime.on_hosts:
            self._notices.ignored(pod, memory)
        if pod['metadata'].get('deletionTimestamp'):
            self._queue.add_after(capsule.uid, _LOOK_AGAIN)

    def _end(self, pod: dict, capsule: capsule_module.Capsule,
             memory: memory_module.Memory) -> None:
        self._report(pod, capsule, memory)
        self._hosts.end(pod, capsule, memory)
        self._queue.add_after(capsule.uid, _LOOK_AGAIN)

    def _discard(self, pod: dict, capsule: capsule_module.Capsule,
                 memory: memory_module.Memory) -> None:
        if not capsule.deleting:
            self._creation.failed(pod, capsule.words, memory,
                                  capsule.no_room)
            self._removal.remove(capsule)
        self._queue.add_after(capsule.uid, _LOOK_AGAIN)

    def _delete_capsule(self, pod: dict, capsule: capsule_module.Capsule,
                        memory: memory_module.Memory) -> None:
        if not capsule.deleting:
            self._removal.remove(capsule)
        self._queue.add_after(capsule.uid, _LOOK_AGAIN)

    def _remove_pod(self, pod: dict, capsule: None,
                    memory: memory_module.Memory) -> None:
        metadata = pod['metadata']
        # Once is enough, unless the watch does not show it for long.
        if memory.removed_at > self._clock() - _LOOK_AGAIN:
            self._queue.add_after(metadata['uid'], _LOOK_AGAIN)
            return
        try:
            self._client.remove_pod(metadata['namespace'], metadata['name'],
                                    metadata['uid'])
        except (exceptions.NotFound, exceptions.Conflict) as error:
            # Perhaps: an API server that has just started was seen to say
            # this to a node of any pod.
            LOG.debug('Pod %s is gone already: %s', metadata['uid'], error)
            self._queue.add_after(metadata['uid'], _LOOK_AGAIN)
        else:
            memory.removed_at = self._clock()

    def _cut_off(self, pod: dict, capsule: capsule_module.Capsule,
                 memory: memory_module.Memory) -> None:
        self._endings.cut_off(pod)
        if not self._hosts.of(capsule, memory).running:
            self._delete_capsule(pod, capsule, memory)
            return
        self._report(pod, capsule, memory)
        self._hosts.end(pod, capsule, memory, endings.CUT_OFF)
        self._queue.add_after(capsule.uid, _LOOK_AGAIN)

    def _expire(self, pod: dict, capsule: capsule_module.Capsule | None,
                memory: memory_module.Memory) -> None:
        self._endings.expired(pod, self._hosts.status(
            pod, capsule, endings.CUT_OFF) if capsule else None)

    def _reject(self, pod: dict, capsule: capsule_module.Capsule | None,
                memory: memory_module.Memory) -> None:
        others = [other for uid, other in self._pods.snapshot().items()
                  if uid != pod['metadata']['uid']
                  and not pod_status.is_terminal(other)]
        self._endings.rejected(pod, admission.shortage(
            translate.requests(pod), len(others), self._room()),
            memory.no_room)

    def _wait(self, pod: dict, capsule: capsule_module.Capsule | None,
              memory: memory_module.Memory) -> None:
        self._queue.add_after(pod['metadata']['uid'], _LOOK_AGAIN)

    def _nothing(self, pod: dict, capsule: None,
                 memory: memory_module.Memory) -> None:
        """A pod that has ended and holds nothing."""

    def _reap(self, uid: str, capsules: list[capsule_module.Capsule]) -> None:
        """Clear up after a Pod object that is gone."""
        if not capsules:
            self._memories.pop(uid, None)
            self._writer.forget(uid)
            self._queue.forget(uid)
            self._orphans.forget(uid)
            self._hosts.gone(uid)
            return
        if self._pods.synced.is_set():
            self._orphans.reap(uid, capsules)
        self._queue.add_after(uid, _LOOK_AGAIN)


def _of_pod(ending: typing.Callable[[dict], None]
            ) -> typing.Callable[..., None]:
    """Return a step that needs nothing but the pod."""
    return lambda pod, capsule, memory: ending(pod)
