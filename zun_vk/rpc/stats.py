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
"""What the pods of a host use, as the host measured it.

Amounts are whole numbers that a kernel counts; None stands for what was not
measured and is not told, never for 0. Each set of them has the time at which
it was true, by the host's clock.
"""

import dataclasses
import typing

from zun_vk.rpc import fields

#: CPU and memory; all there is; how probes went. For ``stats``.
USAGE, ALL, PROBES = 'usage', 'all', 'probes'
KINDS = (USAGE, ALL, PROBES)
#: Of one host.
MAX_PODS = 10000
MAX_CONTAINERS = 256
_MAX_INTERFACES = 64
_MAX_VOLUMES = 1024
_MAX_PROBED = 3 * 3 * MAX_CONTAINERS
_MAX_TEXT = 4096
#: What readers of Kubernetes' own answers can hold.
MAX_AMOUNT = 2 ** 64 - 1
# The end of the year 9999, the last that can be written.
_MAX_TIME = 253402300799.0


@dataclasses.dataclass(frozen=True)
class Cpu:
    """CPU time.

    :param at: seconds since the epoch, here and below
    :param total: nanoseconds on all cores since the begin
    :param rate: thousand-millionths of a core, over the last seconds
    """

    at: float
    total: int | None = None
    rate: int | None = None


@dataclasses.dataclass(frozen=True)
class Memory:
    """Memory, in bytes.

    :param available: what is left of its limit
    :param faults: page faults since the begin
    """

    at: float
    usage: int | None = None
    working_set: int | None = None
    rss: int | None = None
    available: int | None = None
    faults: int | None = None
    major_faults: int | None = None


@dataclasses.dataclass(frozen=True)
class Swap:
    """Swap, in bytes."""

    at: float
    used: int | None = None
    available: int | None = None


@dataclasses.dataclass(frozen=True)
class Disk:
    """What something takes on a file system, and what that has; bytes.

    :param used: by this alone, as are ``inodes_used``
    """

    at: float
    used: int | None = None
    capacity: int | None = None
    available: int | None = None
    inodes_used: int | None = None
    inodes: int | None = None
    inodes_free: int | None = None


@dataclasses.dataclass(frozen=True)
class Interface:
    """A network interface; bytes and errors since its begin."""

    name: str
    rx: int | None = None
    rx_errors: int | None = None
    tx: int | None = None
    tx_errors: int | None = None


@dataclasses.dataclass(frozen=True)
class Network:
    """The interfaces of a pod.

    :param default: name of the one that carries its traffic; ''
    """

    at: float
    default: str = ''
    interfaces: tuple[Interface, ...] = ()


@dataclasses.dataclass(frozen=True)
class Volume:
    """A volume of a pod."""

    name: str
    disk: Disk


@dataclasses.dataclass(frozen=True)
class Probed:
    """How often a probe ended how.

    :param kind: ``liveness``, ``readiness`` or ``startup``
    :param result: ``successful``, ``failed`` or ``unknown``
    """

    container: str
    kind: str
    result: str
    count: int


@dataclasses.dataclass(frozen=True)
class Container:
    """A container that runs.

    :param image: as the pod names it
    :param started_at: when it was made
    """

    name: str
    id: str
    started_at: float
    image: str = ''
    cpu: Cpu | None = None
    memory: Memory | None = None
    swap: Swap | None = None
    rootfs: Disk | None = None
    logs: Disk | None = None


@dataclasses.dataclass(frozen=True)
class Pod:
    """A pod that has a network, or of ``PROBES`` any.

    :param sandbox: its identity in the runtime
    :param cpu: of the pod as a whole; None where the runtime does not tell:
        then its containers have it all
    :param volumes: its emptyDir volumes on disk; None: not measured yet
    :param disk: the file system that these are on
    """

    uid: str
    sandbox: str = ''
    started_at: float = 0
    containers: tuple[Container, ...] = ()
    cpu: Cpu | None = None
    memory: Memory | None = None
    network: Network | None = None
    processes: int | None = None
    volumes: tuple[Volume, ...] | None = None
    disk: Disk | None = None
    probed: tuple[Probed, ...] = ()

    def to_wire(self) -> dict[str, typing.Any]:
        """Return it as JSON types."""
        return dataclasses.asdict(self, dict_factory=_known)


def from_wire(message: object) -> Pod:
    """Return the pod that ``message`` is.

    :raises Malformed: it is none
    """
    wire = fields.whole(message)
    return Pod(
        uid=_name(wire, 'uid'), sandbox=_text(wire, 'sandbox'),
        started_at=_time(wire, 'started_at'),
        containers=tuple(_container(each) for each in fields.mappings(
            wire, 'containers', MAX_CONTAINERS)),
        cpu=_measured(Cpu, wire, 'cpu'),
        memory=_measured(Memory, wire, 'memory'),
        network=_network(fields.mapping(wire, 'network')),
        processes=_amount(wire, 'processes'), volumes=_volumes(wire),
        disk=_measured(Disk, wire, 'disk'),
        probed=tuple(Probed(
            _name(each, 'container'), _name(each, 'kind'),
            _name(each, 'result'), _amount(each, 'count') or 0)
            for each in fields.mappings(wire, 'probed', _MAX_PROBED)))


def _known(items: list[tuple[str, typing.Any]]) -> dict[str, typing.Any]:
    """Return a part of a message without what is not known."""
    return {name: list(value) if isinstance(value, tuple) else value
            for name, value in items if value is not None}


def _container(wire: dict) -> Container:
    return Container(
        name=_name(wire, 'name'), id=_name(wire, 'id'),
        started_at=_time(wire, 'started_at'), image=_text(wire, 'image'),
        cpu=_measured(Cpu, wire, 'cpu'),
        memory=_measured(Memory, wire, 'memory'),
        swap=_measured(Swap, wire, 'swap'),
        rootfs=_measured(Disk, wire, 'rootfs'),
        logs=_measured(Disk, wire, 'logs'))


def _network(wire: dict) -> Network | None:
    if not wire:
        return None
    return Network(
        _time(wire, 'at'), _text(wire, 'default'),
        tuple(Interface(_name(each, 'name'), *(
            _amount(each, name)
            for name in ('rx', 'rx_errors', 'tx', 'tx_errors')))
            for each in fields.mappings(wire, 'interfaces',
                                        _MAX_INTERFACES)))


def _volumes(wire: dict) -> tuple[Volume, ...] | None:
    if wire.get('volumes') is None:
        return None
    found = []
    for each in fields.mappings(wire, 'volumes', _MAX_VOLUMES):
        disk = _measured(Disk, each, 'disk')
        if disk is None:
            raise fields.Malformed('an item of volumes has no disk')
        found.append(Volume(_name(each, 'name'), disk))
    return tuple(found)


_Measured = typing.TypeVar('_Measured', Cpu, Memory, Swap, Disk)


def _measured(kind: type[_Measured], wire: dict,
              name: str) -> _Measured | None:
    """Return a set of amounts; None where it is missing."""
    found = fields.mapping(wire, name)
    if not found:
        return None
    return kind(_time(found, 'at'), **{
        each.name: _amount(found, each.name)
        for each in dataclasses.fields(kind) if each.name != 'at'})


def _amount(wire: dict, name: str) -> int | None:
    if wire.get(name) is None:
        return None
    found = fields.integer(wire, name)
    if found > MAX_AMOUNT:
        raise fields.Malformed(f'{name} is beyond 64 bits')
    return found


def _time(wire: dict, name: str) -> float:
    found = fields.number(wire, name)
    if found > _MAX_TIME:
        raise fields.Malformed(f'{name} is no time')
    return float(found)


def _text(wire: dict, name: str) -> str:
    return fields.text(wire, name, _MAX_TEXT)


def _name(wire: dict, name: str) -> str:
    found = _text(wire, name)
    if not found:
        raise fields.Malformed(f'{name} is missing')
    return found
