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
"""What the demo shows: the same pods as each part of the cloud sees them."""

from collections.abc import Sequence
from typing import Any

from devcloud import api
from devcloud import hosts
from devcloud import identity
from devcloud import status

UID_LABEL = 'zun.openstack.org/uid'


class View:
    """Looks where people would look, and prints tables of it."""

    def __init__(self, cloud: api.Devcloud):
        self._cloud = cloud

    def capsules(self) -> dict[str, dict]:
        """All capsules, by the UID of their pod."""
        rows = self._cloud.openstack('admin').zun.must(
            'GET', '/capsules/?all_projects=1').json()['capsules']
        return {(row.get('labels') or {}).get(UID_LABEL, row['uuid']): row
                for row in rows}

    def ports(self) -> dict[str, dict]:
        """All Neutron ports, by ID."""
        rows = self._cloud.openstack('admin').neutron.must(
            'GET', '/ports').json()['ports']
        return {row['id']: row for row in rows}

    def show(self, pods: list[dict]) -> None:
        """Print what these pods look like on every side."""
        node = self._cloud.kubernetes().must(
            'GET', f'/api/v1/nodes/{api.NODE}').json()
        capsules = self.capsules()
        shown = [capsules[pod['metadata']['uid']] for pod in pods
                 if pod['metadata']['uid'] in capsules]
        self._nodes(node)
        table('Pods (kubectl get pods -o wide)',
              ('NAME', 'PHASE', 'READY', 'IP', 'NODE', 'STARTED AFTER'),
              [(pod['metadata']['name'], pod['status'].get('phase', ''),
                str(is_ready(pod)), pod['status'].get('podIP', '-'),
                pod['spec'].get('nodeName', '-'), started_after(pod))
               for pod in pods])
        table('Capsules (openstack capsule list)',
              ('UUID', 'NAME', 'STATUS', 'ADDRESS', 'HOST'),
              [(row['uuid'], row['name'], row['status'],
                ','.join(address for address, _ in addresses(row)),
                row.get('host') or '-') for row in shown])
        ports = self.ports()
        table('Neutron ports (openstack port list)',
              ('ID', 'FIXED IP', 'STATUS', 'BOUND TO', 'DEVICE'),
              [(port, ','.join(entry['ip_address'] for entry
                               in ports[port]['fixed_ips']),
                ports[port]['status'], ports[port]['binding:host_id'],
                ports[port]['device_id'])
               for row in shown for _, port in addresses(row)
               if port in ports])
        self._allocations(shown)

    def _nodes(self, node: dict) -> None:
        offered = node['status'].get('allocatable', {})
        for host in self._cloud.hosts():
            admin = self._cloud.openstack('admin')
            provider = hosts.provider(admin, host)
            if provider is None:
                continue
            stock, used = inventory(admin, provider)
            table(f'Node {api.NODE} beside Placement (host {host})',
                  ('RESOURCE', 'NODE ALLOCATABLE', 'PLACEMENT', 'TOTAL',
                   'RESERVED', 'RATIO', 'USED', 'FREE'),
                  [(name, offered.get(name, '-'), kind,
                    *figures(stock[kind], used[kind]))
                   for name, kind in (('cpu', 'VCPU'),
                                      ('memory', 'MEMORY_MB'),
                                      ('ephemeral-storage', 'DISK_GB'))
                   if kind in stock])

    def _allocations(self, capsules: list[dict]) -> None:
        placement = self._cloud.openstack('admin').placement
        lines = []
        for row in capsules:
            found = placement.must(
                'GET', f'/allocations/{row["uuid"]}').json()['allocations']
            lines += [(row['uuid'], provider, ' '.join(
                f'{kind}={amount}' for kind, amount
                in sorted(held['resources'].items())))
                for provider, held in found.items()]
        table('Allocations in Placement',
              ('CONSUMER (CAPSULE)', 'PROVIDER', 'RESOURCES'), lines)


def is_ready(pod: dict[str, Any]) -> bool:
    return any(condition['type'] == 'Ready' and condition['status'] == 'True'
               for condition in pod.get('status', {}).get('conditions', []))


def addresses(capsule: dict[str, Any]) -> list[tuple[str, str]]:
    """A capsule's addresses, each with the ID of its Neutron port."""
    return [(entry['addr'], entry['port'])
            for entries in (capsule.get('addresses') or {}).values()
            for entry in entries]


def free_vcpus(admin: identity.OpenStack, host: str) -> int:
    """What Placement has free on a host."""
    if not (provider := hosts.provider(admin, host)):
        return 0
    stock, used = inventory(admin, provider)
    return int(figures(stock['VCPU'], used['VCPU'])[-1])


def inventory(admin: identity.OpenStack,
              provider: dict[str, Any]) -> tuple[dict, dict]:
    """A provider's inventories and usages, by resource class."""
    base = f'/resource_providers/{provider["uuid"]}'
    return (admin.placement.must(
                'GET', f'{base}/inventories').json()['inventories'],
            admin.placement.must('GET', f'{base}/usages').json()['usages'])


def figures(stock: dict[str, Any], used: int) -> tuple[str, ...]:
    """Total, reserved, ratio, used and free of an inventory."""
    size = int((stock['total'] - stock['reserved'])
               * stock['allocation_ratio'])
    return (str(stock['total']), str(stock['reserved']),
            str(stock['allocation_ratio']), str(used), str(size - used))


def started_after(pod: dict[str, Any]) -> str:
    """Seconds from the pod's creation to Ready, as the cluster saw it."""
    def when(text: str) -> float:
        return hosts.reported(text.replace('Z', '+00:00'))

    for condition in pod['status'].get('conditions', []):
        if condition['type'] == 'Ready' and condition['status'] == 'True':
            took = (when(condition['lastTransitionTime'])
                    - when(pod['metadata']['creationTimestamp']))
            return f'{took:.0f} s'
    return '-'


def table(title: str, titles: tuple[str, ...],
          lines: Sequence[tuple[str, ...]]) -> None:
    print(f'\n{title}\n{status.table(titles, lines)}')
