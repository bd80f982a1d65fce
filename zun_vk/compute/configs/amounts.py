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
"""What the containers of a pod ask for and may use, and all of it together.

Milli-CPU and bytes. Kubernetes: Resource Management for Pods and
Containers, Sidecar Containers, Pod Overhead, Pod-level resources,
Pod Quality of Service Classes.
"""

from collections.abc import Mapping
import typing

from zun_vk import quantity

REQUESTS = 'requests'
LIMITS = 'limits'
GUARANTEED = 'Guaranteed'
BURSTABLE = 'Burstable'
BEST_EFFORT = 'BestEffort'

_PARSERS = {'cpu': quantity.parse_cpu, 'memory': quantity.parse_bytes}

Amounts = dict[str, int]


def of(holder: Mapping, kind: str) -> Amounts:
    """Return the CPU and memory of a container or of a pod's spec.

    :param holder: has ``resources``
    :param kind: ``requests`` or ``limits``
    :raises InvalidQuantity: one of them is none
    """
    return _parsed((holder.get('resources') or {}).get(kind) or {})


def limits(spec: Mapping, container: Mapping) -> Amounts:
    """Return a container's limits; the pod's where it has none of its own."""
    own = {name: amount for name, amount in of(container, LIMITS).items()
           if amount}
    return {**of(spec, LIMITS), **own}


def is_sidecar(container: Mapping) -> bool:
    """Tell whether an init container goes on while the others run."""
    return container.get('restartPolicy') == 'Always'


def total(spec: Mapping, kind: str, overhead: bool = True) -> Amounts:
    """Return what all containers of a pod together ask for or may use.

    :param overhead: with what the sandbox itself needs
    """
    together: Amounts = {}
    for container in spec.get('containers') or ():
        _add(together, of(container, kind))
    together = _with_init_containers(spec, kind, together)
    together.update(of(spec, kind))
    if overhead:
        _add(together, {
            name: amount
            for name, amount in _parsed(spec.get('overhead') or {}).items()
            # Where nothing is limited, the overhead must not become a limit.
            if kind == REQUESTS or together.get(name)})
    return together


def all_limited(spec: Mapping, name: str) -> bool:
    """Tell whether the pod or each of its containers has that limit."""
    return bool(of(spec, LIMITS).get(name)) or all(
        of(container, LIMITS).get(name) for container in containers(spec))


def containers(spec: Mapping) -> list[Mapping]:
    """Return all containers of a pod, those that initialise it first."""
    return [*(spec.get('initContainers') or ()),
            *(spec.get('containers') or ())]


def quality(pod: Mapping) -> str:
    """Return the quality of service class of a pod."""
    known = (pod.get('status') or {}).get('qosClass')
    if known in (GUARANTEED, BURSTABLE, BEST_EFFORT):
        return known
    spec = pod['spec']
    holders = [spec] if spec.get('resources') else containers(spec)
    pairs = [(_positive(of(holder, REQUESTS)), _positive(of(holder, LIMITS)))
             for holder in holders]
    if not any(asked or bounded for asked, bounded in pairs):
        return BEST_EFFORT
    # A request that is missing is the same as its limit.
    if all(set(bounded) == set(_PARSERS) and {**bounded, **asked} == bounded
           for asked, bounded in pairs):
        return GUARANTEED
    return BURSTABLE


def _with_init_containers(spec: Mapping, kind: str,
                          together: Amounts) -> Amounts:
    """Return what is enough for every phase of the pod.

    Init containers run one after the other, each beside the sidecars that
    were started before it; all sidecars run beside the containers.
    """
    sidecars: Amounts = {}
    most: Amounts = {}
    for container in spec.get('initContainers') or ():
        own = of(container, kind)
        if is_sidecar(container):
            _add(sidecars, own)
            own = {}
        phase = dict(sidecars)
        _add(phase, own)
        most = _largest(most, phase)
    together = dict(together)
    _add(together, sidecars)
    return _largest(most, together)


def _add(together: Amounts, more: Amounts) -> None:
    for name, amount in more.items():
        together[name] = together.get(name, 0) + amount


def _largest(one: Amounts, other: Amounts) -> Amounts:
    return {name: max(one.get(name, 0), other.get(name, 0))
            for name in {**one, **other}}


def _positive(amounts: Amounts) -> Amounts:
    return {name: amount for name, amount in amounts.items() if amount > 0}


def _parsed(quantities: Mapping[str, typing.Any]) -> Amounts:
    return {name: max(0, parse(quantities[name]))
            for name, parse in _PARSERS.items()
            if quantities.get(name) is not None}
