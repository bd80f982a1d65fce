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
"""The devcloud's OpenStack as the tests look at it.

Reads what Zun, Placement and Neutron say of a pod, and does what a Nova or
an operator would do: claims, cordons. Nothing here goes through the agent.
"""

from typing import Any
import uuid

from devcloud import api
from devcloud import web

UID = 'zun.openstack.org/uid'
EVERY = '/capsules/?limit=1000'


class Cloud:
    """One running devcloud, seen by its admin and by its tenant."""

    def __init__(self) -> None:
        self.devcloud = api.Devcloud()
        self.admin = self.devcloud.openstack('admin')
        self.demo = self.devcloud.openstack('demo')

    # capsules

    def capsules(self, *uids: str) -> list[dict[str, Any]]:
        """Return the capsules of the pods with these UIDs."""
        return [capsule for capsule in self.every_capsule()
                if (capsule['labels'] or {}).get(UID) in uids]

    def every_capsule(self) -> list[dict[str, Any]]:
        return self.demo.zun.must('GET', EVERY).json()['capsules']

    def exists(self, capsule: dict[str, Any]) -> bool:
        return self._there(self.demo.zun, f'/capsules/{capsule["uuid"]}')

    def port_ids(self, capsule: dict[str, Any]) -> list[str]:
        """Return the IDs of the Neutron ports of a capsule."""
        return [address['port']
                for addresses in (capsule['addresses'] or {}).values()
                for address in addresses]

    def port(self, ident: str) -> dict[str, Any]:
        return self.demo.neutron.must('GET', f'/ports/{ident}').json()['port']

    def port_exists(self, ident: str) -> bool:
        return self._there(self.demo.neutron, f'/ports/{ident}')

    # Placement

    def allocation(self, consumer: str) -> dict[str, Any]:
        """Return what a consumer holds, {} where it holds nothing."""
        return self.admin.placement.must(
            'GET', f'/allocations/{consumer}').json()['allocations']

    def free(self) -> dict[str, int]:
        """Return what Placement has free on hosts that take capsules."""
        total = {'VCPU': 0, 'MEMORY_MB': 0}
        for host in self.hosts():
            provider = self._provider(host)
            stock = self._ask(provider, 'inventories')
            used = self._ask(provider, 'usages')
            for kind in total:
                has = stock[kind]
                total[kind] += int(
                    (has['total'] - has['reserved'])
                    * has['allocation_ratio']) - used[kind]
        return total

    def claim(self, host: str, resources: dict[str, int]) -> str:
        """Claim resources as another service would; return who holds."""
        consumer = str(uuid.uuid4())
        self.admin.placement.must('PUT', f'/allocations/{consumer}', {
            'allocations': {self._provider(host): {'resources': resources}},
            'project_id': uuid.uuid4().hex, 'user_id': uuid.uuid4().hex,
            'consumer_generation': None, 'consumer_type': 'INSTANCE'})
        return consumer

    def release(self, consumer: str) -> None:
        """Give a claim back; one that is gone is no error."""
        self.admin.placement.call('DELETE', f'/allocations/{consumer}')

    # hosts

    def hosts(self) -> list[str]:
        """Return the hosts that are up and enabled."""
        rows = self.admin.zun.must('GET', '/services').json()['services']
        return [row['host'] for row in rows
                if row['state'] == 'up' and not row['disabled']]

    def cordon(self, host: str, cordoned: bool = True) -> None:
        """Keep new capsules off a host, or let them in again."""
        action = 'disable' if cordoned else 'enable'
        self.admin.zun.must(
            'PUT', f'/services/{action}?host={host}&binary=zun-compute')

    def _provider(self, host):
        found, = self.admin.placement.must(
            'GET', f'/resource_providers?name={host}'
        ).json()['resource_providers']
        return found['uuid']

    def _ask(self, provider, what):
        return self.admin.placement.must(
            'GET', f'/resource_providers/{provider}/{what}').json()[what]

    @staticmethod
    def _there(peer: web.Peer, path: str) -> bool:
        status = peer.call('GET', path).status
        if status not in (200, 404):
            raise AssertionError(f'GET {path}: HTTP {status}')
        return status == 200
