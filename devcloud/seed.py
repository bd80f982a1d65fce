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
"""What a new cloud has to have in it: users, projects, network, quotas.

Everything is looked up before it is made, so this can run on any cloud.
"""

from typing import Any
import urllib.parse

from devcloud import identity
from devcloud import paths
from devcloud import settings
from devcloud import web

SERVICES = (
    ('placement', 'placement', settings.url('placement')),
    ('neutron', 'network', settings.url('neutron')),
    ('zun', 'container', settings.url('zun-api', '/v1')),
)
# Who may do what where. zun-vk: the agent lists Zun's services and reads
# Placement as an admin, and runs capsules as a member of the tenant.
ROLES = (
    ('placement', 'service', ('admin', 'service')),
    ('neutron', 'service', ('admin', 'service')),
    ('zun', 'service', ('admin', 'service')),
    ('zun-vk', 'service', ('admin', 'service')),
    ('zun-vk', 'demo', ('member',)),
    ('demo', 'demo', ('member', 'reader')),
)
NETWORK = 'podnet'
SUBNET = 'podsubnet'
NEUTRON_QUOTA = {'port': 1000, 'network': 20, 'subnet': 20,
                 'security_group': 50}
ZUN_QUOTA = {'containers': 500, 'cpu': 500, 'memory': 1024 * 1024,
             'disk': 10000}


def ensure(peer: web.Peer, kind: str, match: dict[str, Any],
           more: dict[str, Any] | None = None) -> dict[str, Any]:
    """The object of this kind that matches, made if there is none.

    :param kind: the singular, as in request bodies; the plural is with -s
    :param match: what it is found by, by query
    :param more: what it has besides when it is made
    """
    query = urllib.parse.urlencode(match)
    found = peer.must('GET', f'/{kind}s?{query}').json()[f'{kind}s']
    if found:
        return found[0]
    body = {kind: {**match, **(more or {})}}
    return peer.must('POST', f'/{kind}s', body).json()[kind]


def accounts(where: paths.Paths) -> None:
    """Projects, users, roles and the catalogue in Keystone."""
    keystone = identity.OpenStack(where, 'admin').keystone
    words = settings.passwords(where)
    projects, users, roles = {}, {}, {}
    for user, project, granted in ROLES:
        if project not in projects:
            projects[project] = ensure(
                keystone, 'project',
                {'name': project, 'domain_id': 'default'})['id']
        if user not in users:
            users[user] = ensure(
                keystone, 'user', {'name': user, 'domain_id': 'default'},
                {'password': words[user]})['id']
        for role in granted:
            if role not in roles:
                roles[role] = ensure(keystone, 'role', {'name': role})['id']
            keystone.must('PUT', f'/projects/{projects[project]}/users/'
                                 f'{users[user]}/roles/{roles[role]}')
    for name, kind, url in SERVICES:
        service = ensure(keystone, 'service', {'name': name, 'type': kind})
        for interface in ('public', 'internal'):
            ensure(keystone, 'endpoint',
                   {'service_id': service['id'], 'interface': interface},
                   {'url': url, 'region_id': settings.REGION})


def network(where: paths.Paths) -> None:
    """The tenant's network, from which capsules get their addresses."""
    demo = identity.OpenStack(where, 'demo')
    found = ensure(demo.neutron, 'network',
                   {'name': NETWORK, 'project_id': tenant(demo)})
    ensure(demo.neutron, 'subnet',
           {'name': SUBNET, 'network_id': found['id']},
           {'ip_version': 4, 'cidr': settings.POD_CIDR,
            'enable_dhcp': False})


def quotas(where: paths.Paths) -> None:
    """Room in the tenant for what one machine can run."""
    demo = tenant(identity.OpenStack(where, 'demo'))
    admin = identity.OpenStack(where, 'admin')
    admin.neutron.must('PUT', f'/quotas/{demo}', {'quota': NEUTRON_QUOTA})
    admin.zun.must('PUT', f'/quotas/{demo}', ZUN_QUOTA)


def tenant(user: identity.OpenStack) -> str:
    """The ID of the project that the user works in."""
    user.token()
    return user.project_id
