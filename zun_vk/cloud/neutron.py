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
"""Neutron's REST API, the little of it that failed capsules need."""

import dataclasses
import typing

from zun_vk import exceptions
from zun_vk import remote
from zun_vk.cloud import sessions

SERVICE = 'neutron'


@dataclasses.dataclass(frozen=True)
class Port:
    """One port.

    :param device_id: what it is plugged into, as whoever made it says
    :param device_owner: who plugged it in, such as compute:zun
    :param project: ID of the project it belongs to
    """

    uuid: str
    device_id: str
    device_owner: str
    project: str


class NeutronClient:
    """Finds and deletes ports; safe to share by threads.

    :param guard: called before anything is changed; what it raises stops
        the change
    """

    def __init__(self, access: sessions.ServiceAccess,
                 guard: typing.Callable[[], None] = lambda: None):
        self._access = access
        self._guard = guard

    def ports_of(self, device: str) -> list[Port]:
        """Return the ports with this ``device_id``, whoever's they are."""
        adapter = self._access.adapter()
        with remote.measured(SERVICE, 'list ports'), (
                sessions.translated(SERVICE)):
            answer = adapter.get('/v2.0/ports', params={'device_id': device})
            try:
                return [_port(raw) for raw in answer.json()['ports']]
            except (ValueError, TypeError, KeyError) as error:
                raise exceptions.Unavailable(
                    SERVICE, 'list ports: an answer that makes no sense'
                ) from error

    def delete_port(self, uuid: str) -> bool:
        """Delete a port.

        :returns: it was there
        :raises Conflict: something else uses it, a trunk for example
        """
        adapter = self._access.adapter()
        try:
            with remote.measured(SERVICE, 'delete port'), (
                    sessions.translated(SERVICE)):
                self._guard()
                adapter.delete(f'/v2.0/ports/{uuid}')
        except exceptions.NotFound:
            return False
        return True


def _port(raw: dict) -> Port:
    return Port(uuid=str(raw['id']), device_id=str(raw['device_id']),
                device_owner=str(raw['device_owner']),
                project=str(raw['project_id']))
