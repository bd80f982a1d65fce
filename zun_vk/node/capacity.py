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
"""What the scheduler may hand out: arithmetic, no I/O.

The invariant: what the scheduler sees as free (allocatable less the
requests of the pods bound to the node) is what Placement has free. So
allocatable = free in Placement + requests of our pods that hold a claim
there. A pod that is bound but holds no claim yet lowers what is free in
the scheduler's eyes before it does in Placement's: room is promised once.
"""

import dataclasses
import typing

from zun_vk import quantity

_MILLI = 1000
_MIB = 1024 ** 2
_GIB = 1024 ** 3


@dataclasses.dataclass(frozen=True)
class Amounts:
    """Amounts of the node's resources.

    :param milli_cpu: thousandths of a CPU
    :param memory: bytes
    :param disk: bytes of ephemeral storage
    """

    milli_cpu: int = 0
    memory: int = 0
    disk: int = 0

    def __add__(self, other: 'Amounts') -> 'Amounts':
        return Amounts(self.milli_cpu + other.milli_cpu,
                       self.memory + other.memory, self.disk + other.disk)


@dataclasses.dataclass(frozen=True)
class Provider:
    """A Zun host's resource provider, as Placement shows it.

    :param inventories: by resource class: total, reserved, allocation_ratio
    :param usages: by resource class, allocated units
    :param uuid: its identity in Placement
    """

    inventories: typing.Mapping[str, typing.Mapping[str, typing.Any]]
    usages: typing.Mapping[str, int]
    uuid: str = ''

    def total(self) -> Amounts:
        """Return what the provider can give when nothing is allocated."""
        return _amounts(self._capacity)

    def free(self) -> Amounts:
        """Return what can be allocated now, never below zero."""
        return _amounts(lambda resource: max(
            0, self._capacity(resource) - self.usages.get(resource, 0)))

    def _capacity(self, resource: str) -> int:
        """Return (total - reserved) * ratio, cut as Placement cuts it."""
        inventory = self.inventories.get(resource)
        if inventory is None:
            return 0
        usable = inventory['total'] - inventory.get('reserved', 0)
        return max(0, int(usable * inventory.get('allocation_ratio', 1.0)))


def allocatable(providers: typing.Iterable[Provider],
                claimed: Amounts) -> Amounts:
    """Return the node's allocatable amounts.

    :param providers: those of the hosts that are up and enabled
    :param claimed: requests of our pods that hold a claim in Placement
    """
    return sum((p.free() for p in providers), claimed)


def capacity(providers: typing.Iterable[Provider],
             at_least: Amounts) -> Amounts:
    """Return the node's capacity: all its providers could ever give.

    :param at_least: the allocatable amounts. Pods on hosts that left the
        node still count there, and capacity is never below it.
    """
    total = sum((p.total() for p in providers), Amounts())
    return Amounts(max(total.milli_cpu, at_least.milli_cpu),
                   max(total.memory, at_least.memory),
                   max(total.disk, at_least.disk))


def resources(amounts: Amounts, pods: int) -> dict[str, str]:
    """Return amounts as a Node's status writes them."""
    return {
        'cpu': quantity.format_cpu(amounts.milli_cpu),
        'memory': quantity.format_bytes(amounts.memory),
        'ephemeral-storage': quantity.format_bytes(amounts.disk),
        'pods': str(pods),
    }


def _amounts(units: typing.Callable[[str], int]) -> Amounts:
    return Amounts(units('VCPU') * _MILLI, units('MEMORY_MB') * _MIB,
                   units('DISK_GB') * _GIB)
