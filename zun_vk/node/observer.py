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
"""What the cloud has for the node right now: Zun's hosts, their providers.

Flows in: Zun's services and Placement's inventories and usages. Flows out:
one Observation, or the error of the service that failed.
"""

import dataclasses

from oslo_log import log as logging

from zun_vk import exceptions
from zun_vk.cloud import placement as placement_module
from zun_vk.cloud import zun as zun_module
from zun_vk.node import capacity
from zun_vk.node import zones

LOG = logging.getLogger(__name__)

# What Linux calls a machine, and what Kubernetes does.
_ARCHITECTURES = {'x86_64': 'amd64', 'aarch64': 'arm64'}
_BINARY = 'zun-compute'


@dataclasses.dataclass(frozen=True)
class Observation:
    """The hosts that can take capsules, and what they have.

    :param hosts: names of the hosts that are up and enabled
    :param providers: their resource providers
    :param architecture: Kubernetes' word for their CPU, where all have the
        same, else ''
    :param zone_exists: there are hosts, up or not, enabled or not
    :param up: names of the hosts that are up, enabled or not
    """

    hosts: tuple[str, ...]
    providers: tuple[capacity.Provider, ...]
    architecture: str = ''
    zone_exists: bool = True
    up: tuple[str, ...] = ()


class CloudObserver:
    """Looks at the cloud; used by one thread.

    :param zun: with credentials that may list services
    :param zone: availability zone to look at; None: the whole cloud
    """

    def __init__(self, zun: zun_module.ZunClient,
                 placement: placement_module.PlacementClient,
                 zone: str | None = None):
        self._zun = zun
        self._placement = placement
        self._zone = zone
        # UUIDs of resource providers by host name.
        self._known: dict[str, str] = {}
        # Looked up only when the set of hosts changes.
        self._hosts: tuple[str, ...] = ()
        self._architecture = ''

    def observe(self) -> Observation:
        """Return what is there now.

        :raises RemoteError: a service failed
        """
        services = self._zun.list_services()
        zone_exists = (self._zone is None
                       or self._zone in zones.zones(services))
        hosts = usable_hosts(services, self._zone)
        providers = [self._provider(host) for host in hosts]
        if hosts != self._hosts:
            self._architecture = architecture(self._zun.list_hosts(), hosts)
            self._hosts = hosts
        return Observation(hosts, tuple(filter(None, providers)),
                           self._architecture, zone_exists,
                           hosts_up(services, self._zone))

    def _provider(self, host: str) -> capacity.Provider | None:
        uuid = self._known.get(host) or self._placement.find_provider(host)
        if uuid is None:
            LOG.debug('Host %s has no resource provider yet', host)
            return None
        try:
            provider = capacity.Provider(self._placement.inventories(uuid),
                                         self._placement.usages(uuid), uuid)
        except exceptions.NotFound:
            self._known.pop(host, None)
            return None
        self._known[host] = uuid
        return provider


def usable_hosts(services: list[dict],
                 zone: str | None = None) -> tuple[str, ...]:
    """Return the hosts whose zun-compute is up and enabled, sorted.

    Placement still has the inventory of the others: they are left out here.

    :param zone: only hosts of this availability zone; None: of any
    """
    return hosts_up([service for service in services
                     if not service.get('disabled')], zone)


def hosts_up(services: list[dict],
             zone: str | None = None) -> tuple[str, ...]:
    """Return the hosts whose zun-compute is up, enabled or not, sorted."""
    return tuple(sorted(
        service['host'] for service in services
        if service.get('binary') == _BINARY and service.get('state') == 'up'
        and zone in (None, service.get('availability_zone'))))


def architecture(records: list[dict], hosts: tuple[str, ...]) -> str:
    """Return the architecture that all of ``hosts`` share, else ''.

    :param records: Zun's hosts
    """
    found = {record.get('architecture') for record in records
             if record.get('hostname') in hosts}
    if len(found) != 1:
        return ''
    name = found.pop() or ''
    return _ARCHITECTURES.get(name, name)
