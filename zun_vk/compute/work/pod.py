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
"""A capsule of this host, and what its worker keeps of the pod in it."""

import collections
from collections.abc import Callable
import dataclasses
import re
import typing

from zun_vk import backoff
from zun_vk.compute import model
from zun_vk.compute import store
from zun_vk.rpc import fields
from zun_vk.rpc import payload as payload_module
from zun_vk.rpc import states

_MAX_ADDRESSES = 64
# Kubernetes: UUIDs. Directories and cgroups are called so.
_UID = re.compile(r'[A-Za-z0-9]([A-Za-z0-9-]{0,62}[A-Za-z0-9])?')

# Kubernetes: a DNS name. AMQP: 255 bytes, with the topic before it.
_NODE = re.compile(r'[a-z0-9]([a-z0-9.-]{0,240}[a-z0-9])?')


@dataclasses.dataclass(frozen=True)
class Capsule:
    """A capsule, as Zun has it.

    :param uid: of the pod that it stands for
    :param node: of that pod; '' for a capsule that no agent made
    :param pod: name of the pod
    :param addresses: of its Neutron port
    :param runtime: handler that Zun wants, '' for the runtime's default
    :param vif: of its Neutron port: os-vif's object, as
        oslo.versionedobjects writes it; {} without a network
    """

    uuid: str
    uid: str
    node: str
    namespace: str
    pod: str
    project_id: str = ''
    addresses: tuple[str, ...] = ()
    runtime: str = ''
    vif: dict[str, typing.Any] = dataclasses.field(default_factory=dict)

    def to_wire(self) -> dict[str, typing.Any]:
        return dict(vars(self), addresses=list(self.addresses))


def capsule_from_wire(message: object) -> Capsule:
    """Return the capsule that ``message`` is.

    :raises Malformed: it is none
    """
    wire = fields.whole(message)
    made = Capsule(
        **{name: fields.text(wire, name, 1024) for name in
           ('uuid', 'uid', 'node', 'namespace', 'pod', 'project_id',
            'runtime')},
        addresses=fields.texts(wire, 'addresses', _MAX_ADDRESSES),
        vif=fields.mapping(wire, 'vif'))
    if not (store.valid(made.uuid) and _UID.fullmatch(made.uid)):
        raise fields.Malformed('uuid or uid of a capsule is none')
    if made.node and not _NODE.fullmatch(made.node):
        raise fields.Malformed('node of a capsule is none')
    if not (_is_name(made.namespace) and _is_name(made.pod)):
        raise fields.Malformed('namespace or pod of a capsule is no name')
    return made


def _is_name(text: str) -> bool:
    """Tell whether this can be a part of the name of a directory."""
    return bool(text) and text[0] != '.' and not {'/', '\0', '_'} & set(text)


class Fetched(typing.NamedTuple):
    """The outcome of a pull.

    :ivar name: of the image, as the pod names it
    :ivar image: as the puller returns it, where there is no error
    """

    name: str
    image: typing.Any
    error: Exception | None


@dataclasses.dataclass
class Pod:
    """One pod of this host.

    All of it belongs to the worker that holds the pod's key, but for
    ``inbox``: whoever has something for the worker puts a function there,
    which the worker calls with the pod before it decides.

    :param payload: None while the agent has not told it
    :param generation: of the state that was published last
    :param removing: Zun wants the capsule deleted
    :param gone: nothing of it is left but logs
    :param unsaved: its record could not be written
    :param fetched_at: monotonic time the payload was last known to be new
    :param fetch_at: monotonic time it must be asked for again
    :param untold: the agent did not answer when it was asked last
    :param changed: the Pod object did since the agent was asked last
    :param volumes_of: generation of the payload its volumes were made of
    :param volumes_at: monotonic time before which they are not tried again
    :param released: its volumes were removed, for it has ended
    :param emptied: its volumes and cgroup were removed
    :param empty_tries: how often that was tried
    :param remove_at: monotonic time before which its removal, which
        failed, is not tried again
    :param under_way: keys of work in the background
    :param creating: names of containers that the runtime is making; those
        whose images are being pulled are in ``memory.starting`` as well
    :param fetched: by container name: its image, pulled before its turn
    """

    capsule: Capsule
    memory: model.PodMemory = dataclasses.field(
        default_factory=model.PodMemory)
    payload: payload_module.PodPayload | None = None
    generation: int = 0
    published: states.PodState | None = None
    removing: bool = False
    gone: bool = False
    unsaved: bool = False
    inbox: collections.deque[Callable[['Pod'], None]] = dataclasses.field(
        default_factory=collections.deque)
    fetched_at: float = float('-inf')
    fetch_at: float = float('-inf')
    untold: bool = False
    changed: bool = False
    fetch_pause: backoff.Backoff = dataclasses.field(
        default_factory=lambda: backoff.Backoff(0.5, 60.0))
    volumes_of: str = ''
    volumes_at: float = float('-inf')
    volumes_pause: backoff.Backoff = dataclasses.field(
        default_factory=lambda: backoff.Backoff(2.0, 60.0))
    released: bool = False
    emptied: bool = False
    empty_tries: int = 0
    remove_at: float = float('-inf')
    sandbox_pause: backoff.Backoff = dataclasses.field(
        default_factory=lambda: backoff.Backoff(2.0, 60.0))
    start_pauses: dict[str, backoff.Backoff] = dataclasses.field(
        default_factory=dict)
    under_way: set[tuple] = dataclasses.field(default_factory=set)
    creating: set[str] = dataclasses.field(default_factory=set)
    fetched: dict[str, Fetched] = dataclasses.field(default_factory=dict)

    @property
    def uid(self) -> str:
        return self.capsule.uid

    @property
    def told(self) -> payload_module.PodPayload:
        """The resolved pod, where it must be known."""
        if self.payload is None:
            raise ValueError('the pod is not known yet')
        return self.payload

    @property
    def ends(self) -> bool:
        """Whether nothing of it starts any more."""
        return (self.removing or self.memory.ending is not None
                or self.memory.finishing is not None)

    def spec_of(self, name: str) -> dict:
        """Return the spec of a container.

        :raises KeyError: the pod has none of that name
        """
        spec = self.payload.pod['spec'] if self.payload else {}
        for container in (*(spec.get('initContainers') or ()),
                          *(spec.get('containers') or ())):
            if container['name'] == name:
                return container
        raise KeyError(name)

    def path_of(self, name: str) -> str:
        """Return the field path of a container, as events have it."""
        spec = self.payload.pod['spec'] if self.payload else {}
        kind = 'initContainers' if any(
            container['name'] == name
            for container in spec.get('initContainers') or ()
        ) else 'containers'
        return f'spec.{kind}{{{name}}}'


def to_record(pod: Pod) -> dict[str, typing.Any]:
    """Return what of a pod must outlive the service, as JSON types."""
    memory = pod.memory
    return {
        'capsule': pod.capsule.to_wire(), 'generation': pod.generation,
        'removing': pod.removing, 'ended': memory.ended,
        'ending': memory.ending and dataclasses.asdict(memory.ending),
        'finishing': (memory.finishing
                      and dataclasses.asdict(memory.finishing)),
        'backoff': {name: dataclasses.asdict(each)
                    for name, each in memory.backoff.items()},
        'reported': memory.reported,
    }


def from_record(record: dict, payload: dict | None) -> Pod:
    """Return a pod as it was recorded.

    :raises Malformed: it is no record
    """
    memory = model.PodMemory(
        ended=fields.flag(record, 'ended'),
        ending=_made(model.Ending, record.get('ending')),
        finishing=_made(model.Ending, record.get('finishing')),
        backoff={name: typing.cast(model.Backoff, _made(
            model.Backoff, each)) for name, each
            in fields.mapping(record, 'backoff').items()},
        reported=fields.mapping(record, 'reported'))
    return Pod(
        capsule_from_wire(record.get('capsule')), memory,
        payload_module.from_wire(payload) if payload else None,
        generation=fields.integer(record, 'generation'),
        removing=fields.flag(record, 'removing'))


def _made(kind: type, stored: object) -> typing.Any:
    if stored is None:
        return None
    try:
        return kind(**fields.whole(stored))
    except TypeError:
        raise fields.Malformed(f'no {kind.__name__}') from None
