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
"""Makes the capsules of pods, or says why there is none yet.

Flows in: a pod that has no capsule and shall have one. Flows out: what it
refers to, read; a capsule asked for once; or an event, a status Waiting and
a time to try again. What is true for good, such as a field that cannot be
carried, ends the pod. As long as a request may be under way no other is
sent.
"""

from collections.abc import Callable

from oslo_log import log as logging

from zun_vk import exceptions
from zun_vk import workqueue
from zun_vk.kube import events
from zun_vk.kube import times
from zun_vk.pods import changes
from zun_vk.pods import endings
from zun_vk.pods import memory as memory_module
from zun_vk.pods import notices
from zun_vk.pods import resolver as resolver_module
from zun_vk.pods import status as pod_status
from zun_vk.pods import writer
from zun_vk.pods.runtimes import base

LOG = logging.getLogger(__name__)

_FAILED_CREATE = 'FailedCreatePodSandBox'
# Seconds a request to make a capsule may still be under way in Zun after
# the one who sent it died or gave up: Zun answers after scheduling, and
# requests queue up before its workers.
SETTLE = 30.0
# Kubernetes: a kubelet looks again for what a pod refers to every 10 s.
_READ_AGAIN = 10.0


class Creation:
    """Makes capsules; for the worker that holds the key of a pod.

    :param runtime: makes and knows capsules
    :param resolver: makes the pods' environments
    :param host_ip: address of the node, the hostIP of its pods
    :param clock: monotonic seconds
    :param wall: seconds since the epoch
    """

    def __init__(self, runtime: base.CapsuleRuntime,
                 resolver: resolver_module.Resolver | resolver_module.Nothing,
                 recorder: events.EventRecorder, queue: workqueue.WorkQueue,
                 status_writer: writer.StatusWriter, host_ip: str,
                 ending: endings.Endings, notes: notices.Notices,
                 clock: Callable[[], float], wall: Callable[[], float]):
        self._runtime = runtime
        self._resolver = resolver
        self._recorder = recorder
        self._queue = queue
        self._writer = status_writer
        self._host_ip = host_ip
        self._endings = ending
        self._notices = notes
        self._clock = clock
        self._wall = wall
        self._started = clock()

    def absence_certain(self, memory: memory_module.Memory) -> bool:
        """Tell whether a pod without a capsule in Zun's list has none."""
        after = memory.absent_after
        if not (memory.acknowledged or memory.capsule_seen):
            # An agent before this one may have sent a request.
            after = max(after, self._started + SETTLE)
        return self._runtime.listed_at() >= after and (
            self._runtime.listed_at() > float('-inf'))

    def acknowledge(self, pod: dict, capsule: None,
                    memory: memory_module.Memory) -> None:
        """Write that the pod is taken up; nothing is sent before that."""
        try:
            self._runtime.check(pod)
        except (exceptions.UnsupportedPod, exceptions.NotAdmitted) as error:
            self._endings.refused(pod, error)
            return
        memory.acknowledged = True
        self._writer.publish(pod, pod_status.pending(
            pod, self._host_ip, times.now()))

    def create(self, pod: dict, capsule: None,
               memory: memory_module.Memory) -> None:
        """Ask Zun for the capsule, unless it is too early to try again.

        :raises RemoteError: nothing was asked for; to be tried again
        """
        early = memory.retry_at - self._clock()
        if early > 0:
            self._queue.add_after(pod['metadata']['uid'], early)
            return
        try:
            self._runtime.check(pod)
            variables = self._resolver.resolve(pod, memory.read_after)
            translation = self._runtime.translate(pod, variables)
        except (exceptions.UnsupportedPod, exceptions.NotAdmitted) as error:
            self._endings.refused(pod, error)
            return
        except exceptions.NotYetResolvable as error:
            self._not_yet(pod, error, memory)
            return
        self._notices.differences(pod, translation, variables.notes)
        memory.secrets = translation.secrets
        try:
            made = self._runtime.create(pod, translation)
        except (exceptions.NotHolder, exceptions.Throttled):
            # Not done, and no fault of the pod's: later, without a word.
            raise
        except (exceptions.Rejected, exceptions.AccessDenied,
                exceptions.NotFound, exceptions.Conflict,
                exceptions.NotSent) as error:
            self.failed(pod, error.message, memory)
            return
        except exceptions.RemoteError as error:
            # Its outcome is unknown: a list must show it first.
            memory.absent_after = self._clock() + SETTLE
            self.failed(pod, error.message, memory)
            return
        memory.capsule_seen = True
        memory.made = changes.as_made(pod)
        LOG.info('Pod %s/%s: capsule %s', pod['metadata']['namespace'],
                 pod['metadata']['name'], made.uuid)
        self._queue.add(pod['metadata']['uid'])

    def failed(self, pod: dict, message: str, memory: memory_module.Memory,
               no_room: bool = False) -> None:
        """Say why there is no capsule, and set when to try again.

        :param message: Zun's words, without secrets
        :param no_room: Zun found no host
        """
        memory.no_room = message if no_room else ''
        if not no_room:
            memory.held_up_at = self._wall()
        self._recorder.pod(pod, events.WARNING, _FAILED_CREATE, message)
        self._writer.publish(pod, pod_status.pending(
            pod, self._host_ip, times.now(),
            pod_status.Waiting('CreateContainerError', message)))
        delay = self._queue.retry(pod['metadata']['uid'])
        memory.retry_at = self._clock() + delay

    def _not_yet(self, pod: dict, error: exceptions.NotYetResolvable,
                 memory: memory_module.Memory) -> None:
        self._recorder.pod(pod, events.WARNING, error.reason, error.message,
                           once=True)
        self._writer.publish(pod, pod_status.pending(
            pod, self._host_ip, times.now(),
            pod_status.Waiting('CreateContainerConfigError', error.message)))
        uid = pod['metadata']['uid']
        delay = min(self._queue.retry(uid), _READ_AGAIN)
        self._queue.add_after(uid, delay)
        memory.no_room = ''
        memory.held_up_at = self._wall()
        memory.read_after = self._clock()
        memory.retry_at = memory.read_after + delay
