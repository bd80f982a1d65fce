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
"""Why no host has room for a pod, in the words of a kubelet.

Pure: a pod's requests and the hosts as Placement last showed them go in,
the resource that is short comes out. A capsule runs on one host, so what
counts is the host with the most room, not the sum of all.
"""

import math
import typing

_MILLI = 1000


class Amount(typing.NamedTuple):
    """One resource of a host.

    :param total: what it can give when nothing is allocated
    :param free: what can be allocated now
    """

    total: int
    free: int


class Host(typing.NamedTuple):
    """What a Zun host can give.

    :param cpu: thousandths of a CPU
    :param memory: bytes
    """

    cpu: Amount
    memory: Amount


class Room(typing.NamedTuple):
    """What the node had when it was last looked at.

    :param pods: the number of pods it takes
    """

    hosts: tuple[Host, ...]
    pods: int


class Shortage(typing.NamedTuple):
    """A resource that a pod needs more of than there is.

    Amounts as the kubelet gives them: milli-CPU, bytes, pods.
    """

    resource: str
    requested: int
    used: int
    capacity: int

    @property
    def reason(self) -> str:
        return f'OutOf{self.resource}'

    def __str__(self) -> str:
        # Kubernetes: InsufficientResourceError, which people grep for.
        return (f"Node didn't have enough resource: {self.resource}, "
                f'requested: {self.requested}, used: {self.used}, '
                f'capacity: {self.capacity}')


def shortage(requested: tuple[int, int], bound: int, room: Room) -> Shortage:
    """Return what a pod that Zun could not place lacks.

    Where the figures show room all the same (it came since, or Zun knows
    more than they say) no host takes one more pod: that is all there is.

    :param requested: milli-CPU and bytes of memory
    :param bound: the other pods that are on the node
    """
    cpu, memory = _whole_cpus(requested[0]), requested[1]
    if room.hosts and bound < room.pods:
        best = max(room.hosts, key=lambda host: (
            host.cpu.free, host.memory.free))
        most = max(room.hosts, key=lambda host: host.memory.free)
        if cpu > best.cpu.free:
            return _short('cpu', cpu, best.cpu)
        if memory > most.memory.free:
            return _short('memory', memory, most.memory)
        if memory > best.memory.free:
            return _short('memory', memory, best.memory)
    return Shortage('pods', 1, bound, min(bound, room.pods))


def _short(resource: str, requested: int, amount: Amount) -> Shortage:
    return Shortage(resource, requested, amount.total - amount.free,
                    amount.total)


def _whole_cpus(milli_cpu: int) -> int:
    """Return what Zun claims: whole CPUs, at least one."""
    return max(1, math.ceil(milli_cpu / _MILLI)) * _MILLI
