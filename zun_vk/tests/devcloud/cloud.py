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
from devcloud import containerd
from devcloud import hosts as zun_hosts
from devcloud import web

UID = 'zun.openstack.org/uid'
CAPSULE = 'zun.openstack.org/capsule'
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

    def uids(self) -> dict[str, str]:
        """Return by the UUID of each capsule the UID of its pod."""
        return {capsule['uuid']: (capsule['labels'] or {}).get(UID, '')
                for capsule in self.every_capsule()}

    def host_of(self, capsule: dict[str, Any]) -> str:
        """Return the host a capsule is on: Zun tells admins only."""
        return self.admin.zun.must(
            'GET', f'/capsules/{capsule["uuid"]}?all_projects=1'
        ).json()['host']

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

    def every_port(self) -> set[str]:
        """Return the IDs of all Neutron ports, whose ever they are."""
        found = self.admin.neutron.must('GET', '/ports?fields=id').json()
        return {port['id'] for port in found['ports']}

    def every_container(self) -> set[str]:
        """Return what names each container on all hosts, sandboxes too."""
        where = self.devcloud.paths
        found = {row['Names'][0].lstrip('/')
                 for host in self.devcloud.hosts()
                 for row in zun_hosts.docker(where, host).must(
                     'GET', '/containers/json?all=1').json()}
        if self.devcloud.capsule_driver != 'docker':
            found |= {named(labels) for host in self.devcloud.hosts()
                      for labels in containerd.containers(where, host)}
        return found

    def containers_of(self, capsule: dict[str, Any],
                      pod: dict[str, Any]) -> set[str]:
        """Return the names that a capsule's containers are to have."""
        if self.devcloud.capsule_driver == 'docker':
            return {f'zun-{each["uuid"]}'
                    for each in (capsule, *capsule['containers'])}
        return {f'{capsule["uuid"]}/{name}' for name in (
            '', *(each['name'] for each in pod['spec']['containers']))}

    # Placement

    def allocation(self, consumer: str) -> dict[str, Any]:
        """Return what a consumer holds, {} where it holds nothing."""
        return self.admin.placement.must(
            'GET', f'/allocations/{consumer}').json()['allocations']

    def free(self, *hosts: str) -> dict[str, int]:
        """Return what Placement has free.

        :param hosts: on these; without any, on all that take capsules
        """
        total = {'VCPU': 0, 'MEMORY_MB': 0}
        for host in hosts or self.hosts():
            used = self._ask(host, 'usages')
            for kind, amount in self.capacity(host).items():
                total[kind] += amount - used[kind]
        return total

    def capacity(self, host: str) -> dict[str, int]:
        """Return what a host has to give while nothing is claimed."""
        stock = self._ask(host, 'inventories')
        return {kind: int((stock[kind]['total'] - stock[kind]['reserved'])
                          * stock[kind]['allocation_ratio'])
                for kind in ('VCPU', 'MEMORY_MB')}

    def claims(self, *hosts: str) -> dict[str, dict[str, int]]:
        """Return what is claimed on hosts, by who holds it."""
        return {consumer: held['resources'] for host in hosts
                for consumer, held in self._ask(
                    host, 'allocations').items()}

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

    def zones(self) -> dict[str, str]:
        """Return the availability zone of each host, up or not."""
        rows = self.admin.zun.must('GET', '/services').json()['services']
        return {row['host']: row['availability_zone'] for row in rows}

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

    def _ask(self, host, what):
        return self.admin.placement.must(
            'GET', f'/resource_providers/{self._provider(host)}/{what}'
        ).json()[what]

    @staticmethod
    def _there(peer: web.Peer, path: str) -> bool:
        status = peer.call('GET', path).status
        if status not in (200, 404):
            raise AssertionError(f'GET {path}: HTTP {status}')
        return status == 200


def named(labels: dict[str, str]) -> str:
    """Return what names a container of the project's driver."""
    return (f'{labels.get(CAPSULE, "nobody")}/'
            f'{labels.get("io.kubernetes.container.name", "")}')
