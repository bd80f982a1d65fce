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
"""/metrics/probes: how often probes succeeded and failed.

Name and labels are Kubernetes' (1.36: pkg/kubelet/prober). The hosts count,
from when they first know a pod until it is gone; a restart of their service
begins anew.
"""

from collections.abc import Iterator

from prometheus_client import core

from zun_vk.kubelet import context
from zun_vk.kubelet.stats import exposition
from zun_vk.kubelet.stats import figures
from zun_vk.rpc import stats

_LABELS = ('probe_type', 'result', 'container', 'pod', 'namespace',
           'pod_uid')


def probe_metrics(services: context.Services, exchange: context.Exchange,
                  parts: tuple[str, ...]) -> None:
    """Answer /metrics/probes."""
    exposition.send(exchange, of(services.gathered(stats.PROBES)))


def of(found: figures.Gathered) -> Iterator[core.Metric]:
    """Give all families of metrics."""
    total = exposition.counter(
        'prober_probe_total',
        'Runs of probes of a container, by their result', _LABELS)
    for pod, each in found.pods:
        for probed in each.probed:
            total.add({'probe_type': probed.kind.capitalize(),
                       'result': probed.result,
                       'container': probed.container, 'pod_uid': each.uid,
                       **figures.reference(pod)}, probed.count)
    yield total.metric
