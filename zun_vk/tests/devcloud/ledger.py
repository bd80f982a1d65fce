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
"""What the scheduler made of the node, version by version.

Two watches, of the node and of the pods on it. Both come from one etcd, so
resource versions put them in one order: the pods at the moment of a write
of the node are known exactly. What Placement has is asked at once after
each write.
"""

from collections.abc import Callable
import dataclasses
import json
import threading
import time
from typing import Any

from zun_vk.tests.devcloud import base
from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures.podcase import Object

Claims = dict[str, dict[str, int]]
# Seconds one request of a watch lasts: stop() waits for as long.
_WINDOW = 2
_ENDED = ('Succeeded', 'Failed')


@dataclasses.dataclass(frozen=True)
class Write:
    """One write of the node's allocatable amounts.

    :param version: its resource version
    :param at: monotonic time it was seen
    :param offered: milli-CPU and MiB
    :param claims: what was claimed in Placement just after, by consumer
    :param claims_at: monotonic time these had been read
    """

    version: int
    at: float
    offered: tuple[int, int]
    claims: Claims
    claims_at: float


@dataclasses.dataclass(frozen=True)
class PodVersion:
    """One version of a pod on the node; the last is that it is gone."""

    version: int
    pod: Object
    gone: bool


class Ledger:
    """Keeps every write of a node and every version of its pods.

    :param claims: reads what is claimed in Placement
    """

    def __init__(self, api: kube.KubeAPI, node: str,
                 claims: Callable[[], Claims]):
        self._claims = claims
        self._stop = threading.Event()
        self._changed = threading.Condition()   # guards the three below
        self._writes: list[Write] = []
        self._pods: list[PodVersion] = []
        self._error: Exception | None = None
        self._threads = [
            threading.Thread(target=self._watch, args=arguments, daemon=True)
            for arguments in (
                (api.core.list_node, f'metadata.name={node}',
                 self._node_seen),
                (api.core.list_pod_for_all_namespaces,
                 f'spec.nodeName={node}', self._pod_seen))]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the watches; may be called again."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_write(self, number: int, timeout: float) -> Write:
        """Return the number-th write, from 0 on.

        :raises AssertionError: it did not come
        """
        with self._changed:
            come = self._changed.wait_for(
                lambda: self._error or len(self._writes) > number, timeout)
            if self._error:
                raise self._error
            if not come:
                raise AssertionError(f'the node was written {number} times, '
                                     f'and not again within {timeout:g} s')
            return self._writes[number]

    def writes(self) -> list[Write]:
        with self._changed:
            return list(self._writes)

    def bound(self, version: int) -> list[Object]:
        """Return the pods that the scheduler counted at this version."""
        last: dict[str, PodVersion] = {}
        with self._changed:
            for one in self._pods:
                if one.version <= version:
                    last[one.pod['metadata']['uid']] = one
        return [one.pod for one in last.values() if not one.gone
                and one.pod['status'].get('phase') not in _ENDED]

    def _watch(self, method: Any, selector: str,
               take: Callable[[str, Object], None]) -> None:
        try:
            found = kube.call(method, field_selector=selector)
            for thing in found['items']:
                take('ADDED', thing)
            version = found['metadata']['resourceVersion']
            while not self._stop.is_set():
                version = self._window(method, selector, version, take)
        except Exception as error:  # the top of a thread
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _window(self, method, selector, version, take):
        """Take what one request tells; return the last version of it."""
        answer = method(
            field_selector=selector, resource_version=version, watch=True,
            allow_watch_bookmarks=True, timeout_seconds=_WINDOW,
            _preload_content=False, _request_timeout=20)
        for line in answer:
            event = json.loads(line)
            if event['type'] == 'ERROR':
                raise AssertionError(f'the watch broke: {event["object"]}')
            version = event['object']['metadata']['resourceVersion']
            if event['type'] != 'BOOKMARK':
                take(event['type'], event['object'])
        return version

    def _node_seen(self, _kind: str, node: Object) -> None:
        at, offered = time.monotonic(), base.amounts(node)
        with self._changed:
            same = self._writes and self._writes[-1].offered == offered
        if same:
            return
        claims = self._claims()
        with self._changed:
            self._writes.append(Write(
                int(node['metadata']['resourceVersion']), at, offered,
                claims, time.monotonic()))
            self._changed.notify_all()

    def _pod_seen(self, kind: str, pod: Object) -> None:
        with self._changed:
            self._pods.append(PodVersion(
                int(pod['metadata']['resourceVersion']), pod,
                kind == 'DELETED'))
