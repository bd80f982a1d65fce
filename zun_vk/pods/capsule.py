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
"""A capsule, as the pod controller wants to see it.

Made from what Zun's API says, which is checked here once: the rest of the
code can rely on every field.
"""

import dataclasses
import re
import typing

from zun_vk.pods import identity
from zun_vk.rpc import marks

CREATING = 'Creating'
RUNNING = 'Running'
ERROR = 'Error'
STOPPED = 'Stopped'
_DELETING = ('Deleting', 'Deleted')
# Zun's words where its scheduler finds no host, and where the host that it
# chose finds that it has no room after all.
_NO_ROOM = ('There are not enough hosts available',
            'Insufficient compute resources')
_EXITED = re.compile(r'Exited\s*\((\d{1,3})\)')


@dataclasses.dataclass(frozen=True, slots=True)
class Container:
    """One container of a capsule.

    :param name: its name in the pod
    :param uuid: its UUID in Zun
    :param status: Zun's status word, such as Running
    :param exit_code: where Zun tells one
    :param started_at: RFC 3339 time of the last change Zun recorded
    """

    name: str
    uuid: str
    status: str
    reason: str
    image: str
    exit_code: int | None
    started_at: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class Capsule:
    """One capsule of this node.

    :param uid: UID of the pod it stands for
    :param addresses: IP addresses, Neutron's order
    :param created_at: RFC 3339 time
    :param delete_asked: Zun was asked to delete it not long ago; Zun's API
        does not show that
    :param project: ID of the Keystone project that it belongs to
    :param given_ports: Neutron ports it uses that Zun did not make
    :param host: Zun's name of the host it is on; '' where Zun does not show
        it, or has none
    """

    uuid: str
    uid: str
    namespace: str
    pod: str
    status: str
    reason: str
    addresses: tuple[str, ...]
    containers: tuple[Container, ...]
    created_at: str
    delete_asked: bool = False
    project: str = ''
    given_ports: tuple[str, ...] = ()
    host: str = ''

    @property
    def creating(self) -> bool:
        return self.status in (CREATING, 'Created', '')

    @property
    def deleting(self) -> bool:
        return self.delete_asked or self.status in _DELETING

    @property
    def unplaced(self) -> bool:
        """No host has taken it up, as far as Zun shows.

        One that shows its host has its claim in Placement, however long its
        containers take to start.
        """
        return self.creating and not self.host

    @property
    def in_transition(self) -> bool:
        """Zun is at work on it: its status will change soon."""
        return self.unplaced or self.deleting

    @property
    def failed_to_start(self) -> bool:
        """It is in error and none of its containers ever ran."""
        started = any(c.status in ('Running', 'Stopped', 'Paused', 'Dead')
                      for c in self.containers)
        return self.status == ERROR and not started

    @property
    def ran(self) -> bool:
        """It ran, and does no more."""
        return (self.status in (STOPPED, ERROR)
                and not self.failed_to_start)

    @property
    def words(self) -> str:
        """Why it is as it is, in Zun's words."""
        return '; '.join(dict.fromkeys(self._reasons())) or (
            'Zun gave no reason')

    @property
    def has_words(self) -> bool:
        """Zun said something about it."""
        return bool(self._reasons())

    def _reasons(self) -> list[str]:
        return list(filter(None, (
            self.reason, *(c.reason for c in self.containers))))

    @property
    def no_room(self) -> bool:
        """No host could take it."""
        return self.failed_to_start and self.reason.startswith(_NO_ROOM)


def fixed_words(reason: str) -> str:
    """Return what of ``reason`` Zun says in the same words of any capsule.

    :returns: '' for a reason that is not known
    """
    for words in _NO_ROOM:
        if reason.startswith(words):
            return reason if reason == f'{words}.' else words
    return ''


def from_zun(raw: dict) -> Capsule:
    """Return the capsule that Zun's API object ``raw`` describes.

    :raises ValueError: it has no UUID
    """
    if not _text(raw, 'uuid'):
        raise ValueError('a capsule without a UUID')
    labels = _kind(raw.get('labels'), dict)
    names = identity.container_names(raw.get('annotations'))
    containers = _kind(raw.get('containers'), list)
    return Capsule(
        uuid=_text(raw, 'uuid'),
        uid=_text(labels, marks.UID),
        namespace=_text(labels, marks.NAMESPACE),
        pod=_text(labels, marks.POD),
        status=_text(raw, 'status'),
        reason=_text(raw, 'status_reason'),
        addresses=_addresses(raw.get('addresses')),
        containers=tuple(_container(_kind(c, dict), name)
                         for name, c in zip(names, containers, strict=False)),
        created_at=_rfc3339(raw.get('created_at')) or '',
        project=_text(raw, 'project_id'),
        given_ports=_given_ports(raw.get('addresses')),
        host=_text(raw, 'host'))


def _container(raw: dict, name: str) -> Container:
    exited = _EXITED.search(_text(raw, 'status_detail'))
    return Container(
        name=name,
        uuid=_text(raw, 'uuid'),
        status=_text(raw, 'status'),
        reason=_text(raw, 'status_reason'),
        image=_text(raw, 'image'),
        exit_code=int(exited.group(1)) if exited else None,
        started_at=_rfc3339(raw.get('updated_at') or raw.get('created_at')))


def _addresses(by_network: object) -> tuple[str, ...]:
    """Flatten Zun's addresses, {network: [{addr: ...}, ...]}."""
    found = [_text(port, 'addr') for port in _ports(by_network)]
    return tuple(dict.fromkeys(filter(None, found)))


def _given_ports(by_network: object) -> tuple[str, ...]:
    """Return the IDs of the ports that Zun means to keep."""
    return tuple(_text(port, 'port') for port in _ports(by_network)
                 if port.get('preserve_on_delete'))


def _ports(by_network: object) -> list[dict]:
    return [_kind(port, dict)
            for ports in _kind(by_network, dict).values()
            for port in _kind(ports, list)]


def _kind(value: typing.Any, kind: type) -> typing.Any:
    """Return ``value``, or an empty one where Zun sent something else."""
    return value if isinstance(value, kind) else kind()


def _text(fields: dict, name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ''


def _rfc3339(text: object) -> str | None:
    """Return Zun's time, ``2026-01-31 12:00:00+00:00``, as Kubernetes'."""
    if not isinstance(text, str):
        return None
    match = re.match(r'(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)', text)
    return f'{match.group(1)}T{match.group(2)}Z' if match else None
