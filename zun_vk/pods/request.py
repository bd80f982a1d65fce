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
"""What Zun is told of a pod whose containers zun-vk-compute runs.

Zun needs to know what to find room for, and what to show: images, requests
and ports. Everything else, Secrets above all, goes from the agent to the
host and never into Zun's database. Pure.
"""

import math

from zun_vk import exceptions
from zun_vk.pods import amounts
from zun_vk.pods import hostsupport
from zun_vk.pods import identity
from zun_vk.pods import translate as translation_module
from zun_vk.rpc import marks

# What the capsule driver reads of a pod's annotations.
_FOR_DRIVER = tuple(f'{marks.PREFIX}/{name}'
                    for name in ('network', 'security-groups'))
# Zun's schema knows no others; ports are only shown.
_PROTOCOLS = ('TCP', 'UDP')
_MIB = 1024 ** 2
_MILLI = 1000


def check(pod: dict) -> None:
    """Look whether a host could run ``pod``.

    :raises NotAdmitted: no kubelet would take it
    :raises UnsupportedPod: no host of ours could run it
    """
    _admit(pod['spec'])
    refused = (hostsupport.refused(pod) + translation_module.unreadable(pod)
               + _unfit(pod))
    if refused:
        raise exceptions.UnsupportedPod(refused)


def translate(pod: dict, owner: identity.Owner
              ) -> translation_module.Translation:
    """Return the capsule of ``pod``.

    :raises NotAdmitted, UnsupportedPod: no host could run it
    """
    check(pod)
    template = {
        'kind': 'capsule',
        'metadata': {
            'name': identity.capsule_name(pod),
            'labels': owner.labels(pod),
            'annotations': _annotations(pod),
        },
        'spec': {
            'restartPolicy': pod['spec'].get('restartPolicy', 'Always'),
            'containers': _containers(pod),
        },
    }
    if owner.zone:
        template['availabilityZone'] = owner.zone
    return translation_module.Translation(template, [], False)


def _admit(spec: dict) -> None:
    """Refuse what a kubelet refuses, with its reason and message.

    What only a host knows (sysctls), the host refuses.
    """
    if (spec.get('os') or {}).get('name', 'linux') != 'linux':
        raise exceptions.NotAdmitted(
            'PodOSNotSupported',
            "Failed to admit pod as the OS field doesn't match node OS")


def _annotations(pod: dict) -> dict[str, str]:
    asked = pod['metadata'].get('annotations') or {}
    return identity.annotations(pod) | {
        name: asked[name] for name in _FOR_DRIVER if name in asked}


def _containers(pod: dict) -> list[dict]:
    """Return the pod's containers, which together request what it does.

    What the pod requests beyond its containers (init containers, overhead)
    is the first one's.
    """
    containers = pod['spec']['containers']
    wanted = {resource: [amounts.container(each, resource)
                         for each in containers]
              for resource in (amounts.CPU, amounts.MEMORY)}
    for resource, each in wanted.items():
        # A pod's own request may be below the sum of theirs.
        each[0] = max(each[0] + amounts.pod(pod, resource) - sum(each), 0)
    return [_container(container, cpu, memory) for container, cpu, memory
            in zip(containers, wanted[amounts.CPU], wanted[amounts.MEMORY],
                   strict=True)]


def _container(container: dict, milli_cpu: int, memory: int) -> dict:
    result = {'image': container['image']}
    ports = [port for port in translation_module.ports(container)
             if port['protocol'] in _PROTOCOLS]
    if ports:
        result['ports'] = ports
    requests: dict = {}
    # A request of 0 asks for nothing of Zun either.
    if milli_cpu:
        requests['cpu'] = max(translation_module.MINIMUM_CPUS,
                              milli_cpu / _MILLI)
    if memory:
        requests['memory'] = max(translation_module.MINIMUM_MEMORY_MIB,
                                 math.ceil(memory / _MIB))
    if requests:
        result['resources'] = {'requests': requests}
    return result


def _unfit(pod: dict) -> list[str]:
    return [f'spec.containers[{index}].image' for index, container
            in enumerate(pod['spec'].get('containers') or [])
            if not translation_module.is_image(container['image'])]
