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
"""Prometheus metrics of the agent.

Names follow the Prometheus conventions; no label takes unbounded values.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import threading
import typing

import prometheus_client
from prometheus_client import core
from prometheus_client import registry

from zun_vk import version

# When each series was made: nobody asks, and they are as many again.
prometheus_client.disable_created_metrics()

_UNKNOWN = 'Unknown'
# Zun: CONTAINER_STATUSES.
CAPSULE_STATUSES = (
    'Error', 'Running', 'Stopped', 'Paused', _UNKNOWN, 'Creating', 'Created',
    'Deleted', 'Deleting', 'Rebuilding', 'Dead', 'Restarting')

API_CALLS = prometheus_client.Counter(
    'zun_vk_api_calls_total',
    'Calls to remote services, by HTTP status or what came in its place.',
    ['service', 'call', 'code'])
API_SECONDS = prometheus_client.Histogram(
    'zun_vk_api_call_seconds', 'Time remote services took to answer.',
    ['service', 'call'])
THROTTLE_SECONDS = prometheus_client.Counter(
    'zun_vk_throttle_wait_seconds_total',
    'Time that calls waited for their turn, together.', ['service'])
SYNC_SECONDS = prometheus_client.Histogram(
    'zun_vk_pod_sync_duration_seconds',
    'Time a worker took to look at a pod and act, by result.', ['result'],
    buckets=(.001, .005, .025, .1, .25, .5, 1, 2.5, 5, 10, 30, 60))
STATUS_WRITES = prometheus_client.Counter(
    'zun_vk_pod_status_writes_total', 'Pod statuses written, by result.',
    ['result'])
STATUS_SECONDS = prometheus_client.Histogram(
    'zun_vk_pod_status_latency_seconds',
    'Time from when a status was known to when it was written; of one that '
    'took the place of others that waited, since the oldest of them.',
    buckets=(.005, .01, .025, .05, .1, .25, .5, .75, 1, 2.5, 5, 10, 30, 60,
             300))
EVENTS_DROPPED = prometheus_client.Counter(
    'zun_vk_events_dropped_total',
    'Events not written: the queue was full or the API server refused.')
CRASHES = prometheus_client.Counter(
    'zun_vk_thread_crashes_total', 'Threads begun again after an error.',
    ['thread'])
HOST_MESSAGES_DROPPED = prometheus_client.Counter(
    'zun_vk_host_messages_dropped_total',
    'Messages of hosts that were no messages.', ['method'])
STREAMS_REFUSED = prometheus_client.Counter(
    'zun_vk_streams_refused_total',
    'Connections to a host that got no stream.', ['reason'])
CERTIFICATE_END = prometheus_client.Gauge(
    'zun_vk_certificate_expiration_timestamp_seconds',
    "When a node's certificate ends, seconds since 1970.",
    ['node', 'certificate'])
CERTIFICATE_REQUESTS = prometheus_client.Counter(
    'zun_vk_certificate_requests_total',
    'Certificates asked for, by result.', ['certificate', 'result'])
KUBELET_REFUSALS = prometheus_client.Counter(
    'zun_vk_kubelet_refusals_total',
    "Requests to the kubelet's API that were refused, by HTTP status.",
    ['code', 'route'])
KUBELET_STREAMS = prometheus_client.Counter(
    'zun_vk_kubelet_streams_total', 'Streams into pods that began.',
    ['kind'])
KUBELET_STREAMS_OPEN = prometheus_client.Gauge(
    'zun_vk_kubelet_streams_open', 'Streams into pods that are open.',
    ['kind'])
KUBELET_STREAM_BYTES = prometheus_client.Counter(
    'zun_vk_kubelet_stream_bytes_total',
    'What flowed in streams into pods, counted as each ends.',
    ['kind', 'direction'])
LEASE_HELD = prometheus_client.Gauge(
    'zun_vk_lease_held', 'Whether this agent holds the lease of a node.',
    ['node'])
KUBELET_REQUESTS = prometheus_client.Counter(
    'zun_vk_kubelet_requests_total',
    "Requests to the kubelet's API of the nodes held, by the status of the "
    'answer; 0: the client was gone before there was one.',
    ['route', 'code'])
KUBELET_CONNECTIONS = prometheus_client.Gauge(
    'zun_vk_kubelet_connections',
    "Connections to the kubelet's API of a node that are open now.",
    ['node'])
KUBELET_TURNED_AWAY = prometheus_client.Counter(
    'zun_vk_kubelet_connections_refused_total',
    "Connections to the kubelet's API that ended before a request was read, "
    'by reason.', ['reason'])
BUILD = prometheus_client.Gauge(
    'zun_vk_build_info', 'Version of the running agent.', ['version'])

# A rate needs to see them at 0 first.
for _result in ('ok', 'retried', 'crashed'):
    SYNC_SECONDS.labels(_result)
for _result in ('written', 'retried', 'dropped'):
    STATUS_WRITES.labels(_result)


class NodeFigures(typing.NamedTuple):
    """What is asked of a node that this agent holds, at every scrape.

    :param name: of the node
    :param queue_depth: returns how many pods wait for a worker
    :param capsule_statuses: returns Zun's status of each of its capsules
    """

    name: str
    queue_depth: Callable[[], int]
    capsule_statuses: Callable[[], Iterable[str]]


class HeldNodes(registry.Collector):
    """Gauges of the nodes that this agent holds now, and of no other.

    Computed when they are asked for: what they tell of pays nothing.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards all below
        self._nodes: dict[str, NodeFigures] = {}

    def add(self, node: NodeFigures) -> None:
        """Show a node from now on."""
        with self._lock:
            self._nodes[node.name] = node

    def remove(self, node: NodeFigures) -> None:
        """Show a node no more; nothing happens where it is not shown."""
        with self._lock:
            if self._nodes.get(node.name) == node:
                del self._nodes[node.name]

    def collect(self) -> Iterator[core.Metric]:
        depth = core.GaugeMetricFamily(
            'zun_vk_pod_queue_depth', 'Pods that wait for a worker.',
            labels=['node'])
        capsules = core.GaugeMetricFamily(
            'zun_vk_capsules', 'Capsules, by their status in Zun.',
            labels=['node', 'status'])
        with self._lock:
            nodes = list(self._nodes.values())
        for node in nodes:
            depth.add_metric([node.name], node.queue_depth())
            for status, number in by_status(node.capsule_statuses()).items():
                capsules.add_metric([node.name, status], number)
        yield depth
        yield capsules


def by_status(statuses: Iterable[str]) -> dict[str, int]:
    """Count capsules by status: every known one, the others as Unknown."""
    counts = dict.fromkeys(CAPSULE_STATUSES, 0)
    for status in statuses:
        counts[status if status in counts else _UNKNOWN] += 1
    return counts


HELD_NODES = HeldNodes()
prometheus_client.REGISTRY.register(HELD_NODES)


def forget_node(name: str) -> None:
    """Drop what is shown of a node that is not there any more."""
    for gauge, *labels in ((LEASE_HELD, name),
                           (KUBELET_CONNECTIONS, name),
                           (CERTIFICATE_END, name, 'client'),
                           (CERTIFICATE_END, name, 'serving')):
        # prometheus_client (0.21): it may have none.
        with contextlib.suppress(KeyError):
            gauge.remove(*labels)


def serve(address: str, port: int) -> None:
    """Serve the metrics over HTTP; ``port`` 0 means not at all.

    :raises OSError: the address cannot be listened on
    """
    BUILD.labels(version.version_string()).set(1)
    if port:
        prometheus_client.start_http_server(port, addr=address)
