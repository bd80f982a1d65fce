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
"""What a host tells of a pod, and in which order it was true.

The container statuses are Kubernetes' own objects: what they become in the
pod's status is the agent's to decide, what they are is the host's.
"""

import dataclasses
import typing

from zun_vk.rpc import fields

MAX_CONTAINERS = 256
MAX_EVENTS = 1024
_MAX_WORDS = 8192


@dataclasses.dataclass(frozen=True)
class PodState:
    """A pod on its host.

    :param uid: of the pod
    :param capsule: UUID of its capsule
    :param node: the virtual node, '' for a capsule that no agent made
    :param generation: a later one is greater, over restarts of the host's
        service as well
    :param sandbox: its identity in the runtime; '' while there is none
    :param sandbox_ready: its network is there
    :param addresses: of the pod
    :param containers: containerStatuses, in the pod's order
    :param init_containers: initContainerStatuses, likewise
    :param reason: CamelCase word, where the host gave the pod up; such a pod
        has failed
    :param message: in words
    :param ending: it was told to end
    :param ended: nothing of it runs, nor will again
    :param gone: the host has nothing more of it but logs
    """

    uid: str
    capsule: str
    node: str
    generation: int
    sandbox: str = ''
    sandbox_ready: bool = False
    addresses: tuple[str, ...] = ()
    containers: tuple[dict, ...] = ()
    init_containers: tuple[dict, ...] = ()
    reason: str = ''
    message: str = ''
    ending: bool = False
    ended: bool = False
    gone: bool = False

    def to_wire(self) -> dict[str, typing.Any]:
        """Return it as JSON types."""
        wire = dict(vars(self))
        for name in ('addresses', 'containers', 'init_containers'):
            wire[name] = list(wire[name])
        return wire


@dataclasses.dataclass(frozen=True)
class PodEvent:
    """Something that happened to a pod, for its author to see.

    :param kind: Normal or Warning
    :param reason: CamelCase word
    :param container: field path of the container, such as
        ``spec.containers{web}``; '' where it is about the pod
    :param at: seconds since the epoch
    :param count: how often it happened since it was told last
    """

    uid: str
    namespace: str
    pod: str
    kind: str
    reason: str
    message: str
    container: str = ''
    at: float = 0
    count: int = 1

    def to_wire(self) -> dict[str, typing.Any]:
        return dict(vars(self))


def from_wire(message: object) -> PodState:
    """Return the state that ``message`` is.

    :raises Malformed: it is none
    """
    wire = fields.whole(message)
    state = PodState(
        uid=fields.text(wire, 'uid'), capsule=fields.text(wire, 'capsule'),
        node=fields.text(wire, 'node'),
        generation=fields.integer(wire, 'generation'),
        sandbox=fields.text(wire, 'sandbox'),
        sandbox_ready=fields.flag(wire, 'sandbox_ready'),
        addresses=fields.texts(wire, 'addresses', MAX_CONTAINERS),
        containers=_statuses(wire, 'containers'),
        init_containers=_statuses(wire, 'init_containers'),
        reason=fields.text(wire, 'reason', _MAX_WORDS),
        message=fields.text(wire, 'message', _MAX_WORDS),
        ending=fields.flag(wire, 'ending'),
        ended=fields.flag(wire, 'ended'), gone=fields.flag(wire, 'gone'))
    if not state.uid or not state.capsule:
        raise fields.Malformed('uid or capsule is missing')
    return state


def event_from_wire(message: object) -> PodEvent:
    """Return the event that ``message`` is.

    :raises Malformed: it is none
    """
    wire = fields.whole(message)
    event = PodEvent(
        **{name: fields.text(wire, name, _MAX_WORDS)
           for name in ('uid', 'namespace', 'pod', 'kind', 'reason',
                        'message', 'container')},
        at=fields.number(wire, 'at'), count=fields.integer(wire, 'count'))
    if event.kind not in ('Normal', 'Warning') or not (
            event.uid and event.reason):
        raise fields.Malformed('kind, uid or reason is missing')
    return event


def _statuses(wire: dict, name: str) -> tuple[dict, ...]:
    found = fields.mappings(wire, name, MAX_CONTAINERS)
    for status in found:
        if not fields.text(status, 'name'):
            raise fields.Malformed(f'an item of {name} has no name')
        fields.mapping(status, 'state')
        fields.mapping(status, 'lastState')
        fields.integer(status, 'restartCount')
    return tuple(found)
