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
"""/metrics/resource: CPU and memory, as metrics-server reads them.

Names and labels are Kubernetes' (1.36: pkg/kubelet/metrics/collectors,
resource_metrics.go). Each series has the time at which it was measured:
rates are computed from these.
"""

from collections.abc import Iterator

from prometheus_client import core

from zun_vk.kubelet import context
from zun_vk.kubelet.stats import exposition
from zun_vk.kubelet.stats import figures
from zun_vk.kubelet.stats import totals
from zun_vk.rpc import stats

_NANO = 1e9
_POD = ('pod', 'namespace')
_CONTAINER = ('container', *_POD)


def resource_metrics(services: context.Services, exchange: context.Exchange,
                     parts: tuple[str, ...]) -> None:
    """Answer /metrics/resource."""
    exposition.send(exchange, of(services.gathered(stats.USAGE)))


def of(found: figures.Gathered) -> Iterator[core.Metric]:
    """Give all families of metrics."""
    yield from _of_node(found)
    yield from _of_containers(found)
    yield from _of_pods(found)
    failed = exposition.gauge(
        'resource_scrape_error', '1 if a host of the node did not tell what '
        'its pods use, 0 otherwise')
    failed.add({}, bool(found.silent))
    yield failed.metric


def _of_node(found: figures.Gathered) -> Iterator[core.Metric]:
    if found.deaf:
        return
    pods = [each.stats for each in found.pods]
    memory = totals.added([totals.pod_memory(pod) for pod in pods])
    swap = totals.added([totals.pod_swap(pod) for pod in pods])
    cpu_of = exposition.counter(
        'node_cpu_usage_seconds_total',
        'CPU time that the pods of the node used, in core-seconds')
    cpu_of.add({}, found.cpu_total / _NANO, found.at)
    memory_of = exposition.gauge(
        'node_memory_working_set_bytes',
        'Working set of the pods of the node, in bytes')
    memory_of.add({}, memory.working_set if memory else 0, found.at)
    swap_of = exposition.gauge(
        'node_swap_usage_bytes', 'Swap that the pods of the node use')
    swap_of.add({}, swap.used if swap else None, found.at)
    for family in (cpu_of, memory_of, swap_of):
        yield family.metric


class _Usage:
    """The families of what containers, or pods, use.

    :param what: container or pod
    """

    def __init__(self, what: str, labels: tuple[str, ...]):
        self.cpu = exposition.counter(
            f'{what}_cpu_usage_seconds_total',
            f'CPU time that the {what} used, in core-seconds', labels)
        self.memory = exposition.gauge(
            f'{what}_memory_working_set_bytes',
            f'Working set of the {what}, in bytes', labels)
        self.swap = exposition.gauge(
            f'{what}_swap_usage_bytes', f'Swap that the {what} uses', labels)

    def add(self, labels: dict[str, str], cpu: stats.Cpu | None,
            memory: stats.Memory | None, swap: stats.Swap | None) -> None:
        if cpu is not None and cpu.total is not None:
            self.cpu.add(labels, cpu.total / _NANO, cpu.at)
        if memory is not None:
            self.memory.add(labels, memory.working_set, memory.at)
        if swap is not None:
            self.swap.add(labels, swap.used, swap.at)


def _of_containers(found: figures.Gathered) -> Iterator[core.Metric]:
    usage = _Usage('container', _CONTAINER)
    started = exposition.gauge(
        'container_start_time_seconds',
        'When the container was made, in seconds since 1970', _CONTAINER)
    limit = exposition.gauge(
        'container_swap_limit_bytes', 'Swap that the container may use',
        _CONTAINER)
    for pod, each in found.pods:
        for container in each.containers:
            labels = {'container': container.name, **figures.reference(pod)}
            started.add(labels, container.started_at or None)
            usage.add(labels, container.cpu, container.memory,
                      container.swap)
            _add_limit(limit, labels, container.swap)
    for family in (usage.cpu, usage.memory, started, usage.swap, limit):
        yield family.metric


def _of_pods(found: figures.Gathered) -> Iterator[core.Metric]:
    usage = _Usage('pod', _POD)
    for pod, each in found.pods:
        usage.add(figures.reference(pod), totals.pod_cpu(each),
                  totals.pod_memory(each), totals.pod_swap(each))
    for family in (usage.cpu, usage.memory, usage.swap):
        yield family.metric


def _add_limit(family: exposition.Family, labels: dict[str, str],
               swap: stats.Swap | None) -> None:
    if swap is not None and swap.available is not None:
        family.add(labels, swap.available + (swap.used or 0), swap.at)
