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
"""/metrics/cadvisor: what container runtimes measure, by cAdvisor's names.

cAdvisor reads the kernel itself and has more. The labels are those that the
kubelet gives to its series; ``id``, the path of a cgroup, is not known here,
and empty. A pod as a whole has no ``container``, as there.
"""

from collections.abc import Iterator

from prometheus_client import core

from zun_vk.kubelet import context
from zun_vk.kubelet.stats import exposition
from zun_vk.kubelet.stats import figures
from zun_vk.kubelet.stats import totals
from zun_vk.rpc import stats

_NANO = 1e9
_LABELS = ('container', 'id', 'image', 'name', 'namespace', 'pod')
_MEMORY = {
    'usage': ('container_memory_usage_bytes', 'Memory in use, in bytes'),
    'working_set': ('container_memory_working_set_bytes',
                    'Working set, in bytes'),
    'rss': ('container_memory_rss', 'Resident set, in bytes')}
_DISK = {
    'used': ('container_fs_usage_bytes', 'What the container wrote, in '
             'bytes'),
    'capacity': ('container_fs_limit_bytes', 'Size of the file system that '
                 'it is on, in bytes'),
    'inodes': ('container_fs_inodes_total', 'Inodes of that file system'),
    'inodes_free': ('container_fs_inodes_free', 'Free ones of these')}
_NETWORK = {
    'rx': ('container_network_receive_bytes_total', 'Bytes received'),
    'rx_errors': ('container_network_receive_errors_total',
                  'Errors in receiving'),
    'tx': ('container_network_transmit_bytes_total', 'Bytes sent'),
    'tx_errors': ('container_network_transmit_errors_total',
                  'Errors in sending')}


def cadvisor(services: context.Services, exchange: context.Exchange,
             parts: tuple[str, ...]) -> None:
    """Answer /metrics/cadvisor."""
    exposition.send(exchange, of(services.gathered(stats.ALL)))


def of(found: figures.Gathered) -> Iterator[core.Metric]:
    """Give all families of metrics."""
    families = _Families()
    for pod, each in found.pods:
        whole = _labels(pod)
        families.cpu(whole, totals.pod_cpu(each))
        families.memory(whole, totals.pod_memory(each))
        families.network(whole, each.network)
        families.processes(whole, each)
        for container in each.containers:
            labels = {**whole, 'container': container.name,
                      'image': container.image, 'name': container.id}
            families.cpu(labels, container.cpu)
            families.memory(labels, container.memory)
            families.container(labels, container)
    yield from families.all()


def _labels(pod: dict) -> dict[str, str]:
    return {**dict.fromkeys(_LABELS, ''), **figures.reference(pod)}


class _Families:
    def __init__(self) -> None:
        self._cpu = exposition.counter(
            'container_cpu_usage_seconds_total',
            'CPU time used, in core-seconds', (*_LABELS, 'cpu'))
        self._faults = exposition.counter(
            'container_memory_failures_total', 'Page faults',
            (*_LABELS, 'failure_type', 'scope'))
        self._swap = exposition.gauge(
            'container_memory_swap', 'Swap in use, in bytes', _LABELS)
        self._started = exposition.gauge(
            'container_start_time_seconds',
            'When it was made, in seconds since 1970', _LABELS)
        self._processes = exposition.gauge(
            'container_processes', 'Processes that run', _LABELS)
        self._memory = {name: exposition.gauge(*words, _LABELS)
                        for name, words in _MEMORY.items()}
        self._disk = {name: exposition.gauge(*words, (*_LABELS, 'device'))
                      for name, words in _DISK.items()}
        self._network = {
            name: exposition.counter(*words, (*_LABELS, 'interface'))
            for name, words in _NETWORK.items()}

    def all(self) -> Iterator[core.Metric]:
        for family in (self._cpu, *self._memory.values(), self._faults,
                       self._swap, *self._disk.values(),
                       *self._network.values(), self._processes,
                       self._started):
            yield family.metric

    def cpu(self, labels: dict[str, str], cpu: stats.Cpu | None) -> None:
        if cpu is not None and cpu.total is not None:
            self._cpu.add({**labels, 'cpu': 'total'}, cpu.total / _NANO,
                          cpu.at)

    def memory(self, labels: dict[str, str],
               memory: stats.Memory | None) -> None:
        if memory is None:
            return
        for name, family in self._memory.items():
            family.add(labels, getattr(memory, name), memory.at)
        scope = 'container' if labels['container'] else 'hierarchy'
        for kind, value in (('pgfault', memory.faults),
                            ('pgmajfault', memory.major_faults)):
            self._faults.add({**labels, 'failure_type': kind,
                              'scope': scope}, value, memory.at)

    def network(self, labels: dict[str, str],
                network: stats.Network | None) -> None:
        if network is None:
            return
        for interface in network.interfaces:
            for name, family in self._network.items():
                family.add({**labels, 'interface': interface.name},
                           getattr(interface, name), network.at)

    def processes(self, labels: dict[str, str], pod: stats.Pod) -> None:
        self._processes.add(labels, pod.processes)

    def container(self, labels: dict[str, str],
                  container: stats.Container) -> None:
        """Add what pods as a whole do not have."""
        self._started.add(labels, container.started_at or None)
        if container.swap is not None:
            self._swap.add(labels, container.swap.used, container.swap.at)
        disk = container.rootfs
        if disk is not None:
            for name, family in self._disk.items():
                family.add({**labels, 'device': ''}, getattr(disk, name),
                           disk.at)
