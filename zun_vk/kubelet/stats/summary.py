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
"""/stats/summary: what the node and its pods use, as JSON.

The shape is Kubernetes' (kubelet API stats/v1alpha1), and so are the names;
what was not measured is left out, as its readers expect. Of the node there
is what its pods use together: it has no machine of its own.
"""

import datetime
import json
import typing

from zun_vk.kubelet import context
from zun_vk.kubelet.stats import figures
from zun_vk.kubelet.stats import totals
from zun_vk.rpc import stats

_ONLY = 'only_cpu_and_memory'
_CPU = {'rate': 'usageNanoCores', 'total': 'usageCoreNanoSeconds'}
_MEMORY = {'available': 'availableBytes', 'usage': 'usageBytes',
           'working_set': 'workingSetBytes', 'rss': 'rssBytes',
           'faults': 'pageFaults', 'major_faults': 'majorPageFaults'}
_SWAP = {'available': 'swapAvailableBytes', 'used': 'swapUsageBytes'}
_DISK = {'available': 'availableBytes', 'capacity': 'capacityBytes',
         'used': 'usedBytes', 'inodes_free': 'inodesFree',
         'inodes': 'inodes', 'inodes_used': 'inodesUsed'}
_INTERFACE = {'rx': 'rxBytes', 'rx_errors': 'rxErrors', 'tx': 'txBytes',
              'tx_errors': 'txErrors'}
Json: typing.TypeAlias = dict[str, typing.Any]


def summary(services: context.Services, exchange: context.Exchange,
            parts: tuple[str, ...]) -> None:
    """Answer /stats/summary."""
    # Kubernetes: exactly this, and once.
    only = list(exchange.query.get(_ONLY, ())) == ['true']
    found = services.gathered(stats.USAGE if only else stats.ALL)
    exchange.send(200, json.dumps(
        of(services.node, found), separators=(',', ':')).encode(),
        context.JSON)


def of(node: str, found: figures.Gathered) -> Json:
    """Return the object Summary.

    :param node: its name
    """
    return {'node': _node(node, found),
            'pods': [_pod(each) for each in found.pods]}


def _node(name: str, found: figures.Gathered) -> Json:
    return {'nodeName': name, 'startTime': _time(found.since),
            **({} if found.deaf else _sums(found))}


def _sums(found: figures.Gathered) -> Json:
    pods = [each.stats for each in found.pods]
    cpu = totals.added([totals.pod_cpu(pod) for pod in pods])
    memory = totals.added([totals.pod_memory(pod) for pod in pods])
    swap = totals.added([totals.pod_swap(pod) for pod in pods])
    return _known({
        'cpu': _amounts(stats.Cpu(found.at, found.cpu_total,
                                  cpu.rate if cpu else None), _CPU),
        'memory': _amounts(stats.Memory(
            found.at, memory.usage, memory.working_set, memory.rss)
            if memory else None, _MEMORY),
        'swap': _amounts(stats.Swap(found.at, swap.used)
                         if swap else None, _SWAP)})


def _pod(measured: figures.Figures) -> Json:
    metadata, pod = measured.pod['metadata'], measured.stats
    processes = ({'process_count': pod.processes}
                 if pod.processes is not None else None)
    return _known({
        'podRef': {name: metadata[name]
                   for name in ('name', 'namespace', 'uid')},
        'startTime': _time(pod.started_at),
        'containers': [_container(each) for each in pod.containers],
        'cpu': _amounts(totals.pod_cpu(pod), _CPU),
        'memory': _amounts(totals.pod_memory(pod), _MEMORY),
        'network': _network(pod.network),
        'volume': [{'name': each.name, **(_amounts(each.disk, _DISK) or {})}
                   for each in pod.volumes or ()] or None,
        'ephemeral-storage': _amounts(totals.pod_disk(pod), _DISK),
        'process_stats': processes,
        'swap': _amounts(totals.pod_swap(pod), _SWAP)})


def _container(container: stats.Container) -> Json:
    return _known({
        'name': container.name, 'startTime': _time(container.started_at),
        'cpu': _amounts(container.cpu, _CPU),
        'memory': _amounts(container.memory, _MEMORY),
        'rootfs': _amounts(container.rootfs, _DISK),
        'logs': _amounts(container.logs, _DISK),
        'swap': _amounts(container.swap, _SWAP)})


def _network(network: stats.Network | None) -> Json | None:
    if network is None:
        return None
    by_name = {each.name: _interface(each) for each in network.interfaces}
    # Kubernetes: of the default one at the top, with all others beside it.
    return {'time': _time(network.at),
            **by_name.get(network.default, {'name': ''}),
            'interfaces': list(by_name.values())}


def _interface(interface: stats.Interface) -> Json:
    return {'name': interface.name, **_named(interface, _INTERFACE)}


def _amounts(measured: stats.Cpu | stats.Memory | stats.Swap | stats.Disk
             | None, names: dict[str, str]) -> Json | None:
    if measured is None:
        return None
    return {'time': _time(measured.at), **_named(measured, names)}


def _named(measured: object, names: dict[str, str]) -> Json:
    return _known({name: getattr(measured, ours)
                   for ours, name in names.items()})


def _known(fields: Json) -> Json:
    return {name: value for name, value in fields.items()
            if value is not None}


def _time(at: float) -> str:
    """Return a time as metav1.Time has it, to the second."""
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime(
        '%Y-%m-%dT%H:%M:%SZ')
