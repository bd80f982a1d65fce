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

import prometheus_client

from zun_vk import version

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
CERTIFICATE_END = prometheus_client.Gauge(
    'zun_vk_certificate_expiration_timestamp_seconds',
    "When a node's certificate ends, seconds since 1970.",
    ['node', 'certificate'])
CERTIFICATE_REQUESTS = prometheus_client.Counter(
    'zun_vk_certificate_requests_total',
    'Certificates asked for, by result.', ['certificate', 'result'])
LEASE_HELD = prometheus_client.Gauge(
    'zun_vk_lease_held', 'Whether this agent holds the lease of a node.',
    ['node'])
BUILD = prometheus_client.Gauge(
    'zun_vk_build_info', 'Version of the running agent.', ['version'])

# A rate needs to see them at 0 first.
for _result in ('ok', 'retried', 'crashed'):
    SYNC_SECONDS.labels(_result)
for _result in ('written', 'retried', 'dropped'):
    STATUS_WRITES.labels(_result)


def serve(address: str, port: int) -> None:
    """Serve the metrics over HTTP; ``port`` 0 means not at all.

    :raises OSError: the address cannot be listened on
    """
    BUILD.labels(version.version_string()).set(1)
    if port:
        prometheus_client.start_http_server(port, addr=address)
