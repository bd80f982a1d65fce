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
"""Calls to the OpenStack APIs as one of the devcloud's users."""

from collections.abc import Mapping
import threading
import time

from devcloud import errors
from devcloud import paths
from devcloud import settings
from devcloud import web

# Tokens live for an hour
TOKEN_SECONDS = 1800
# User: the project it works in
PROJECTS = {'admin': 'admin', 'demo': 'demo', 'placement': 'service',
            'neutron': 'service', 'zun': 'service', 'zun-vk': 'service'}
ZUN_VERSION = {'OpenStack-API-Version': 'container 1.40'}
PLACEMENT_VERSION = {'OpenStack-API-Version': 'placement 1.39'}


class OpenStack:
    """One user's view of the cloud.

    :param user: a key of PROJECTS
    :param project: another project than that
    """

    def __init__(self, where: paths.Paths, user: str, project: str = ''):
        self._where = where
        self.user = user
        self.project = project or PROJECTS[user]
        self._lock = threading.Lock()
        self._token = ''
        self._until = 0.0
        self.project_id = ''

    def token(self) -> str:
        """A token, from before if it is good for a while yet."""
        with self._lock:
            if not self._token or time.monotonic() > self._until:
                self._fetch()
            return self._token

    def _fetch(self) -> None:
        default = {'name': 'Default'}
        reply = web.Peer(settings.KEYSTONE).must('POST', '/auth/tokens', {
            'auth': {
                'identity': {'methods': ['password'], 'password': {'user': {
                    'name': self.user, 'domain': default,
                    'password': settings.passwords(self._where)[self.user],
                }}},
                'scope': {'project': {'name': self.project,
                                      'domain': default}}}})
        headers = {name.lower(): value
                   for name, value in reply.headers.items()}
        self._token = headers['x-subject-token']
        self._until = time.monotonic() + TOKEN_SECONDS
        self.project_id = reply.json()['token']['project']['id']

    def _peer(self, url: str, headers: Mapping[str, str] = {}) -> web.Peer:
        return web.Peer(url, {'X-Auth-Token': self.token(),
                              'Accept': 'application/json', **headers})

    @property
    def keystone(self) -> web.Peer:
        return self._peer(settings.KEYSTONE)

    @property
    def neutron(self) -> web.Peer:
        return self._peer(settings.url('neutron', '/v2.0'))

    @property
    def placement(self) -> web.Peer:
        return self._peer(settings.url('placement'), PLACEMENT_VERSION)

    @property
    def zun(self) -> web.Peer:
        return self._peer(settings.url('zun-api', '/v1'), ZUN_VERSION)


def environment(where: paths.Paths, user: str) -> dict[str, str]:
    """The OS_ variables of the OpenStack clients for a user."""
    if user not in ('admin', 'demo'):
        raise errors.DevcloudError(f'no such user: {user}')
    return {
        'OS_AUTH_TYPE': 'password',
        'OS_AUTH_URL': settings.KEYSTONE,
        'OS_IDENTITY_API_VERSION': '3',
        'OS_REGION_NAME': settings.REGION,
        'OS_USERNAME': user,
        'OS_PASSWORD': settings.passwords(where)[user],
        'OS_PROJECT_NAME': PROJECTS[user],
        'OS_USER_DOMAIN_NAME': 'Default',
        'OS_PROJECT_DOMAIN_NAME': 'Default',
    }
