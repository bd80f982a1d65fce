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
"""What a pod requests, as the scheduler counts it. Pure.

Kubernetes: init containers run one after the other, so that the largest of
them counts, with the sidecars that were started before it; sidecars and
containers run side by side; the pod's own requests go before theirs; what a
RuntimeClass adds comes on top. Amounts that cannot be read count as nothing:
the API server would not have let them in.
"""

import typing

from zun_vk import exceptions
from zun_vk import quantity

CPU, MEMORY = 'cpu', 'memory'
# Kubernetes: a missing request is the limit.
REQUEST_FIRST = ('requests', 'limits')
LIMIT_FIRST = ('limits', 'requests')


def pod(of: dict, resource: str) -> int:
    """Return the pod's effective request.

    :param resource: CPU: thousandths, or MEMORY: bytes
    """
    spec = of['spec']
    own = next(of_resources(spec, resource, REQUEST_FIRST), None)
    amount = _containers(spec, resource) if own is None else own
    return amount + (parse(resource, (spec.get('overhead') or {})
                           .get(resource)) or 0)


def container(of: dict, resource: str) -> int:
    """Return one container's request."""
    return next(of_resources(of, resource, REQUEST_FIRST), 0)


def of_resources(owner: dict, resource: str,
                 order: tuple[str, ...]) -> typing.Iterator[int]:
    """Return the amounts of a container's or pod's ``resources``."""
    resources = owner.get('resources') or {}
    for kind in order:
        amount = parse(resource, (resources.get(kind) or {}).get(resource))
        if amount is not None:
            yield amount


def parse(resource: str, text: typing.Any) -> int | None:
    """Return an amount; None where there is none that can be read."""
    if text is None:
        return None
    read = quantity.parse_cpu if resource == CPU else quantity.parse_bytes
    try:
        return read(text)
    except exceptions.InvalidQuantity:
        return None


def is_sidecar(init_container: dict) -> bool:
    """Tell whether an init container goes on beside the containers."""
    return init_container.get('restartPolicy') == 'Always'


def _containers(spec: dict, resource: str) -> int:
    together = sum(container(each, resource)
                   for each in spec.get('containers') or [])
    sidecars = largest = 0
    for each in spec.get('initContainers') or []:
        amount = container(each, resource)
        if is_sidecar(each):
            sidecars += amount
            largest = max(largest, sidecars)
        else:
            largest = max(largest, sidecars + amount)
    return max(together + sidecars, largest)
