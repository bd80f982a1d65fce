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
"""The cgroup of a pod: where it is, and what bounds all that runs in it.

Pure; ``zun_vk.compute.cgroupfs`` makes them.
"""

from collections.abc import Mapping
import dataclasses
import re

from zun_vk import exceptions
from zun_vk.compute.configs import amounts
from zun_vk.compute.configs import refusal
from zun_vk.compute.configs import resources
from zun_vk.compute.configs import settings as configs

# A part of a path on the host: nothing but what an UID is made of.
_UID = re.compile(r'[A-Za-z0-9][A-Za-z0-9_-]{0,127}')
_SLICE = '.slice'


@dataclasses.dataclass(frozen=True)
class Limits:
    """What bounds a pod; 0 for no bound.

    :param cpu_shares: weight among the pods of the host, 2..262144
    :param cpu_quota: microseconds per period of 100 ms
    :param memory: bytes
    :param pids: processes and threads
    """

    cpu_shares: int
    cpu_quota: int = 0
    memory: int = 0
    pids: int = 0


def owns_cgroup(settings: configs.Settings) -> bool:
    """Tell whether pods have a cgroup that we make.

    Slices are systemd's to make: the runtime asks it for them.
    """
    return bool(settings.cgroup_parent
                ) and not settings.cgroup_parent.endswith(_SLICE)


def pod_cgroup(settings: configs.Settings, uid: str,
               pod: Mapping) -> tuple[str, Limits | None]:
    """Return the cgroup for a pod's sandbox and what bounds it.

    :returns: the path as the runtime is told it, '' for its own default;
        None where the cgroup is not ours to make
    :raises ConfigRefused: the UID is none, or a quantity is none
    """
    if not owns_cgroup(settings):
        return settings.cgroup_parent, None
    with refusal.reading(refusal.SANDBOX):
        return pod_path(settings, uid), _limits(settings, pod)


def pod_path(settings: configs.Settings, uid: str) -> str:
    """Return the path of the cgroup that a pod has or had.

    :raises ConfigRefused: the UID is none
    """
    if not _UID.fullmatch(uid):
        raise exceptions.ConfigRefused(
            refusal.SANDBOX, 'metadata.uid of the pod is no UID')
    return f'{settings.cgroup_parent.rstrip("/")}/pod{uid}'


def _limits(settings: configs.Settings, pod: Mapping) -> Limits:
    """Return the bounds of a pod.

    A limit holds for the whole pod only if every container has one: else
    the containers without would be bounded by those of the others.
    """
    spec = pod['spec']
    requests = amounts.total(spec, amounts.REQUESTS)
    limits = amounts.total(spec, amounts.LIMITS)
    bounded = {name: limits.get(name, 0)
               if amounts.all_limited(spec, name) else 0
               for name in ('cpu', 'memory')}
    return Limits(
        cpu_shares=resources.shares(
            requests.get('cpu', limits.get('cpu', 0))),
        cpu_quota=resources.quota(bounded['cpu']),
        memory=bounded['memory'], pids=settings.pids_limit)
