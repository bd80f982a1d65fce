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
"""CPU and memory as the kernel is told them.

Kubernetes counts in milli-CPU and bytes; the kernel in shares (of CPU under
contention), a quota per period, and bytes.
"""

from collections.abc import Mapping

from zun_vk.compute.configs import amounts
from zun_vk.compute.configs import settings as configs
from zun_vk.compute.cri import cri_pb2

SHARES_PER_CPU = 1024
MIN_SHARES = 2
MAX_SHARES = 262144
#: Microseconds.
PERIOD = 100000
MIN_QUOTA = 1000

_OOM_GUARANTEED = -997
_OOM_BEST_EFFORT = 1000


def shares(milli: int) -> int:
    """Return the CPU shares of a request."""
    return min(MAX_SHARES, max(MIN_SHARES, milli * SHARES_PER_CPU // 1000))


def quota(milli: int) -> int:
    """Return the microseconds per period of a limit; 0 for none."""
    return milli and max(MIN_QUOTA, milli * PERIOD // 1000)


def of_container(pod: Mapping, container: Mapping,
                 settings: configs.Settings,
                 own_cgroup: bool) -> cri_pb2.LinuxContainerResources:
    """Return the resources of a container.

    :param own_cgroup: the pod has a cgroup that bounds its processes
    :raises InvalidQuantity: one of its quantities is none
    """
    limits = amounts.limits(pod['spec'], container)
    made = _linux(amounts.of(container, amounts.REQUESTS), limits)
    made.oom_score_adj = oom_score(pod, container, settings.memory_capacity)
    _bound_swap(made, settings)
    if settings.pids_limit and settings.cgroup_v2 and not own_cgroup:
        # Better each container bounded than none.
        made.unified['pids.max'] = str(settings.pids_limit)
    return made


def of_sandbox(spec: Mapping) -> cri_pb2.LinuxContainerResources:
    """Return what a sandbox is sized by, its own overhead apart."""
    return _linux(amounts.total(spec, amounts.REQUESTS, overhead=False),
                  amounts.total(spec, amounts.LIMITS, overhead=False))


def of_overhead(spec: Mapping) -> cri_pb2.LinuxContainerResources:
    """Return the overhead of a pod, which is both request and limit."""
    overhead = amounts.of(
        {'resources': {amounts.LIMITS: spec.get('overhead')}},
        amounts.LIMITS)
    if not overhead:
        return cri_pb2.LinuxContainerResources()
    return _linux(overhead, overhead)


def oom_score(pod: Mapping, container: Mapping, capacity: int) -> int:
    """Return how gladly the kernel kills a container short of memory.

    Kubernetes: Node out of memory behavior. Within a Burstable pod, who
    asked for more of the host's memory is killed later, and a sidecar not
    before the containers it serves.

    :param capacity: memory of the host, bytes
    """
    quality = amounts.quality(pod)
    if quality == amounts.GUARANTEED:
        return _OOM_GUARANTEED
    if quality == amounts.BEST_EFFORT:
        return _OOM_BEST_EFFORT
    spec = pod['spec']
    asked = _memory(container)
    if amounts.is_sidecar(container):
        asked = max(asked, min(map(_memory, spec['containers']), default=0))
    asked += _unclaimed_memory(spec)
    score = 1000 - 1000 * asked // max(1, capacity)
    return max(1000 + _OOM_GUARANTEED, min(_OOM_BEST_EFFORT - 1, score))


def _unclaimed_memory(spec: Mapping) -> int:
    """Return each container's part of what only the pod as such asks for."""
    whole = amounts.of(spec, amounts.REQUESTS).get('memory', 0)
    sharing = [*(spec.get('containers') or ()),
               *filter(amounts.is_sidecar, spec.get('initContainers') or ())]
    left = whole - sum(map(_memory, sharing))
    return max(0, left) // max(1, len(sharing))


def _memory(container: Mapping) -> int:
    return amounts.of(container, amounts.REQUESTS).get('memory', 0)


def _linux(requests: amounts.Amounts,
           limits: amounts.Amounts) -> cri_pb2.LinuxContainerResources:
    return cri_pb2.LinuxContainerResources(
        cpu_shares=shares(requests.get('cpu', limits.get('cpu', 0))),
        cpu_period=PERIOD, cpu_quota=quota(limits.get('cpu', 0)),
        memory_limit_in_bytes=limits.get('memory', 0))


def _bound_swap(made: cri_pb2.LinuxContainerResources,
                settings: configs.Settings) -> None:
    """Let a container have no swap: its memory limit is to mean something.

    Kubernetes: swap memory management, NoSwap.
    """
    if not settings.swap_limits:
        return
    if settings.cgroup_v2:
        made.unified['memory.swap.max'] = '0'
    else:
        made.memory_swap_limit_in_bytes = made.memory_limit_in_bytes
