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
"""Placement's REST API, the little of it that capacity needs."""

import typing

from zun_vk import exceptions
from zun_vk import remote
from zun_vk.cloud import sessions

SERVICE = 'placement'
# 1.20 is Train's; what is read here has not changed since.
_HEADERS = {'OpenStack-API-Version': 'placement 1.20'}


class PlacementClient:
    """Reads resource providers; safe to share by threads.

    :param guard: called before anything is changed; what it raises stops
        the change
    """

    def __init__(self, access: sessions.ServiceAccess,
                 guard: typing.Callable[[], None] = lambda: None):
        self._access = access
        self._guard = guard

    def find_provider(self, name: str) -> str | None:
        """Return the UUID of the resource provider called ``name``."""
        def first(answer: dict) -> str | None:
            providers = answer['resource_providers']
            return str(providers[0]['uuid']) if providers else None

        return self._get('find provider', '/resource_providers', first,
                         {'name': name})

    def inventories(self, provider: str) -> dict[str, dict]:
        """Return inventories by resource class.

        :returns: of each total and reserved (units) and allocation_ratio
        :raises NotFound: the provider is gone
        """
        return self._get('get inventories',
                         f'/resource_providers/{provider}/inventories',
                         lambda answer: _each(answer['inventories'],
                                              _inventory))

    def usages(self, provider: str) -> dict[str, int]:
        """Return what is allocated, by resource class.

        :raises NotFound: the provider is gone
        """
        return self._get('get usages',
                         f'/resource_providers/{provider}/usages',
                         lambda answer: _each(answer['usages'], int))

    def delete_allocations(self, consumer: str) -> bool:
        """Give back all that a consumer holds.

        :returns: it held something
        """
        adapter = self._access.adapter()
        try:
            with remote.measured(SERVICE, 'delete allocations') as measured, (
                    sessions.translated(SERVICE)):
                self._guard()
                measured.status = adapter.delete(
                    f'/allocations/{consumer}', headers=_HEADERS).status_code
        except exceptions.NotFound:
            return False
        return True

    def _get(self, call: str, path: str,
             read: typing.Callable[[typing.Any], typing.Any],
             query: dict | None = None) -> typing.Any:
        adapter = self._access.adapter()
        with remote.measured(SERVICE, call) as measured, (
                sessions.translated(SERVICE)):
            answer = adapter.get(path, params=query or {}, headers=_HEADERS)
            measured.status = answer.status_code
            try:
                return read(answer.json())
            except (ValueError, TypeError, KeyError,
                    AttributeError) as error:
                raise exceptions.Unavailable(
                    SERVICE, f'{call}: an answer that makes no sense'
                ) from error


def _each(by_class: dict, read: typing.Callable) -> dict:
    return {name: read(value) for name, value in by_class.items()}


def _inventory(raw: dict) -> dict:
    return {'total': int(raw['total']),
            'reserved': int(raw.get('reserved', 0)),
            'allocation_ratio': float(raw.get('allocation_ratio', 1.0))}
