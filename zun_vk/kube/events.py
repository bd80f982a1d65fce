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
"""Events on pods and on the node.

Flows in: what happened, from any thread, without waiting. Flows out: Event
objects, written by one thread. An event's name is made from what it says,
so saying the same again (also after a restart of the agent) counts up the
one object instead of adding another. Events may be lost (Kubernetes: they
are best effort), never the process: the queue is bounded.
"""

import collections
import contextlib
import hashlib
import queue
import threading
import typing

from oslo_log import log as logging

from zun_vk import exceptions
from zun_vk import metrics
from zun_vk.kube import client as kube_client
from zun_vk.kube import times

LOG = logging.getLogger(__name__)

NORMAL = 'Normal'
WARNING = 'Warning'
COMPONENT = 'zun-vk-agent'
_QUEUE_SIZE = 10000
_REMEMBERED = 4096
_ATTEMPTS = 3
# Kubernetes: an event's message has at most 1024 bytes, a name 253.
_MESSAGE_BYTES = 1024
_NAME_LENGTH = 253


class _Event(typing.NamedTuple):
    involved: dict
    kind: str
    reason: str
    message: str
    once: bool
    number: int = 1


class EventRecorder:
    """Writes events in a thread of its own, ``run``.

    :param client: the API server
    :param host: the node's name, shown as the event's source
    """

    def __init__(self, client: kube_client.KubeClient, host: str):
        self._client = client
        self._host = host
        self._queue: queue.Queue[_Event | None] = queue.Queue(_QUEUE_SIZE)
        # Counts by event name; owned by the writing thread.
        self._counts: collections.OrderedDict[str, int] = (
            collections.OrderedDict())

    def pod(self, pod: dict, kind: str, reason: str, message: str,
            once: bool = False) -> None:
        """Record an event on ``pod``.

        :param kind: NORMAL or WARNING
        :param reason: CamelCase word
        :param once: repetitions are not counted, only said the first time
        """
        self._put(_Event(_reference(pod, 'Pod'), kind, reason,
                         _clean(message), once))

    def container(self, pod: dict, path: str, kind: str, reason: str,
                  message: str, count: int = 1) -> None:
        """Record an event on a container of ``pod``.

        :param path: ``spec.containers{web}``; '': on the pod itself
        :param count: how often it happened
        """
        involved = _reference(pod, 'Pod')
        if path:
            involved['fieldPath'] = _clean(path)
        self._put(_Event(involved, kind, _clean(reason), _clean(message),
                         False, max(1, count)))

    def node(self, node: dict, kind: str, reason: str, message: str) -> None:
        """Record an event on the Node object ``node``."""
        reference = _reference(node, 'Node')
        # Kubernetes: the kubelet's node events carry the name as UID.
        reference['uid'] = node['metadata']['name']
        self._put(_Event(reference, kind, reason, _clean(message), False))

    def run(self, stop: threading.Event) -> None:
        """Write events until ``stop`` is set."""
        while not stop.is_set():
            event = self._queue.get()
            if event is not None:
                self._write(event, stop)

    def wake(self) -> None:
        """Let ``run`` notice that it shall stop."""
        # A full queue wakes it as well.
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)

    def _put(self, event: _Event) -> None:
        try:
            self._queue.put_nowait(event)
        except queue.Full:
            metrics.EVENTS_DROPPED.inc()

    def _write(self, event: _Event, stop: threading.Event) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                self._write_once(event)
                return
            except exceptions.RemoteError as error:
                final = isinstance(error, (exceptions.Rejected,
                                           exceptions.AccessDenied,
                                           exceptions.NotFound))
                LOG.debug('Event %s not written: %s', event.reason, error)
                if final or stop.wait(max(2 ** attempt, error.retry_after)):
                    break
        metrics.EVENTS_DROPPED.inc()

    def _write_once(self, event: _Event) -> None:
        name = event_name(event.involved, event.reason, event.message)
        namespace = event.involved.get('namespace', 'default')
        count = self._counts.get(name, 0)
        if count and event.once:
            return
        now = times.now()
        body = self._body(event, name, namespace, now)
        if not count and self._created(namespace, body):
            return
        if event.once:
            return
        patch: dict = {'lastTimestamp': now}
        if count:
            patch['count'] = count + event.number
        try:
            self._client.patch_event(namespace, name, patch)
            self._remember(name, count + event.number)
        except exceptions.NotFound:
            # Expired in the API server (an hour by default): say it anew.
            self._created(namespace, body)

    def _created(self, namespace: str, body: dict) -> bool:
        """Create an event; False where this agent's predecessor did."""
        try:
            self._client.create_event(namespace, body)
        except exceptions.Conflict:
            return False
        finally:
            self._remember(body['metadata']['name'], body['count'])
        return True

    def _remember(self, name: str, count: int) -> None:
        self._counts[name] = count
        self._counts.move_to_end(name)
        while len(self._counts) > _REMEMBERED:
            self._counts.popitem(last=False)

    def _body(self, event: _Event, name: str, namespace: str,
              now: str) -> dict:
        return {
            'metadata': {'name': name, 'namespace': namespace},
            'involvedObject': event.involved,
            'type': event.kind,
            'reason': event.reason,
            'message': _cut(event.message),
            'source': {'component': COMPONENT, 'host': self._host},
            'reportingComponent': COMPONENT,
            'reportingInstance': self._host,
            'firstTimestamp': now,
            'lastTimestamp': now,
            'count': event.number,
        }


def event_name(involved: dict, reason: str, message: str) -> str:
    """Return the name of the one Event object that says this."""
    said = '\n'.join([involved.get('uid', ''), reason, message,
                      *filter(None, [involved.get('fieldPath')])])
    digest = hashlib.sha256(said.encode()).hexdigest()[:16]
    room = _NAME_LENGTH - len(digest) - 1
    # A cut name may end in a dot, which a name must not before another.
    return f'{involved["name"][:room].rstrip(".-")}.{digest}'


def _reference(obj: dict, kind: str) -> dict:
    metadata = obj['metadata']
    reference = {'apiVersion': 'v1', 'kind': kind,
                 'name': metadata['name'], 'uid': metadata['uid']}
    if 'namespace' in metadata:
        reference['namespace'] = metadata['namespace']
    return reference


def _clean(message: str) -> str:
    """Replace what UTF-8 cannot say: JSON may carry lone surrogates."""
    return message.encode(errors='replace').decode()


def _cut(message: str) -> str:
    encoded = message.encode()
    if len(encoded) <= _MESSAGE_BYTES:
        return message
    return encoded[:_MESSAGE_BYTES - 3].decode(errors='ignore') + '...'
