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
    """Reads resource providers; safe to share by threads."""

    def __init__(self, access: sessions.ServiceAccess):
        self._access = access

    def find_provider(self, name: str) -> str | None:
        """Return the UUID of the resource provider called ``name``."""
        answer = self._get('find provider', '/resource_providers',
                           {'name': name})
        providers = answer['resource_providers']
        return providers[0]['uuid'] if providers else None

    def inventories(self, provider: str) -> dict[str, dict]:
        """Return inventories by resource class: total, reserved, ratio.

        :raises NotFound: the provider is gone
        """
        return self._get('get inventories',
                         f'/resource_providers/{provider}/inventories',
                         {})['inventories']

    def usages(self, provider: str) -> dict[str, int]:
        """Return what is allocated, by resource class.

        :raises NotFound: the provider is gone
        """
        return self._get('get usages',
                         f'/resource_providers/{provider}/usages',
                         {})['usages']

    def _get(self, call: str, path: str, query: dict) -> typing.Any:
        adapter = self._access.adapter()
        with remote.measured(SERVICE, call), sessions.translated(SERVICE):
            answer = adapter.get(path, params=query, headers=_HEADERS)
            try:
                return answer.json()
            except ValueError as error:
                raise exceptions.Unavailable(
                    SERVICE, f'{call}: an answer that is not JSON') from error
