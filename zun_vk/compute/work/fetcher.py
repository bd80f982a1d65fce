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
"""Gets the resolved pod from the agent, and again when it may have changed.

While nobody answers the pod goes on with what there is: only one that was
never told cannot begin.
"""

from collections.abc import Callable
import random
import time
import typing

from oslo_log import log as logging

from zun_vk import exceptions
from zun_vk.compute.work import pod as pod_module
from zun_vk.compute.work import tasks as tasks_module
from zun_vk.rpc import bus as bus_module
from zun_vk.rpc import fields
from zun_vk.rpc import payload as payload_module

LOG = logging.getLogger(__name__)

# Seconds; files of volumes must follow their sources within 90.
INTERVAL = 45.0
# A container that starts again gets what is at most so old, seconds.
FRESH = 10.0


class Refused(exceptions.ZunVkError):
    """The agent does not give this pod to this host."""


class Answer(typing.NamedTuple):
    """What an agent says of a pod.

    :param payload: None where what is known is the newest
    :param wire: the payload as it came
    :param told: generation of the newest state that the agent has
    """

    payload: payload_module.PodPayload | None
    wire: dict
    told: int


class Fetcher:
    """Asks the agents of this host's pods.

    :param wake: called with a UID whose pod has something in its inbox
    :param keep: called with a UID and its payload as it came
    """

    def __init__(self, bus: bus_module.Bus, host: str,
                 tasks: tasks_module.Tasks,
                 wake: Callable[[str], None],
                 keep: Callable[[str, dict], None],
                 clock: Callable[[], float] = time.monotonic,
                 wall: Callable[[], float] = time.time):
        self._bus = bus
        self._host = host
        self._tasks = tasks
        self._wake = wake
        self._keep = keep
        self._clock = clock
        self._wall = wall

    def look(self, pod: pod_module.Pod) -> float | None:
        """Begin to ask where it is time.

        :returns: seconds until it is; None: never, or an answer is awaited
        """
        if not pod.capsule.node:
            return None
        if pod.memory.ended and pod.payload is not None:
            # Nothing of it starts again; the Secrets of every Job that is
            # done need not be read for ever.
            return None
        early = pod.fetch_at - self._clock()
        if early > 0:
            return early
        known = pod.payload.generation if pod.payload else ''

        def done(result, error):
            pod.inbox.append(
                lambda pod: self._answered(pod, result, error))
            self._wake(pod.uid)

        if self._tasks.start(('fetch', pod.uid),
                             lambda: self._ask(pod.capsule, known), done,
                             pod.capsule.node):
            pod.changed = False
        return None

    def fresh(self, pod: pod_module.Pod) -> bool:
        """Tell whether a container may be started from what is known.

        It may where nobody tells what is new.
        """
        return (not pod.capsule.node or pod.untold
                or self._clock() - pod.fetched_at < FRESH)

    def _ask(self, capsule: pod_module.Capsule, known: str) -> Answer:
        reply = self._bus.peer(bus_module.AGENT, capsule.node).call(
            'get_pod', uid=capsule.uid, capsule=capsule.uuid,
            host=self._host, addresses=list(capsule.addresses), known=known)
        if 'refused' in reply:
            raise Refused(fields.text(reply, 'refused'))
        told = fields.integer(reply, 'generation')
        if reply.get('unchanged') is True and known:
            return Answer(None, {}, told)
        made = payload_module.from_wire(reply.get('payload'))
        if made.pod['metadata']['uid'] != capsule.uid or made.host_paths:
            raise fields.Malformed('payload is of another pod')
        return Answer(made, reply['payload'], told)

    def _answered(self, pod: pod_module.Pod, answer: Answer | None,
                  error: Exception | None) -> None:
        now = self._clock()
        pod.untold = answer is None
        if answer is None:
            pod.fetch_at = now + pod.fetch_pause.next()
            LOG.warning('Pod %s/%s: the agent of node %s does not tell it: '
                        '%s', pod.capsule.namespace, pod.capsule.pod,
                        pod.capsule.node, error)
            return
        pod.fetch_pause.reset()
        pod.fetched_at = now
        # Not all pods of a host at the same moment.
        pod.fetch_at = now + INTERVAL * random.uniform(0.8, 1.2)  # noqa: S311
        if answer.told > pod.generation:
            # Of a clock that was ahead, where the record is lost: what is
            # told must be newer, and is told again.
            pod.generation, pod.published = answer.told, None
        if answer.payload is not None:
            _mended(pod, answer.payload)
            pod.payload = answer.payload
            self._kept(pod, answer.wire)
        if pod.payload is None:
            return
        if pod.changed:
            # What has come may be what it was before.
            pod.fetch_at = float('-inf')
        elif pod.payload.volume_errors or pod.payload.container_errors:
            pod.fetch_at = now + pod.volumes_pause.next()
        elif pod.payload.refresh_after:
            left = pod.payload.refresh_after - self._wall()
            if left > 0 or answer.payload is not None:
                # Else the agent has nothing newer, and will not soon.
                pod.fetch_at = min(pod.fetch_at, now + max(5.0, left))

    def _kept(self, pod: pod_module.Pod, wire: dict) -> None:
        """Keep a payload: here, where the pod is known not to be gone."""
        try:
            self._keep(pod.uid, wire)
        except OSError as error:
            # Whoever begins anew asks for it.
            LOG.error('What pod %s is cannot be recorded: %s', pod.uid,
                      error.strerror)


def _mended(pod: pod_module.Pod, new: payload_module.PodPayload) -> None:
    """Let what failed for an error that is no more be tried at once."""
    old = pod.payload
    if old is None:
        return
    if old.runtime_error and not new.runtime_error:
        pod.memory.sandbox_retry_at = 0
    if old.volume_errors and not new.volume_errors:
        pod.volumes_at = float('-inf')
    for name in set(old.container_errors) - set(new.container_errors):
        pod.memory.retry_at.pop(name, None)
