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
"""Which virtual nodes there are: one, or one for each availability zone.

Flows in: Zun's services, and the nodes that carry our label. Flows out: the
nodes that should be held. A zone that vanishes from Zun keeps its node for
as long as the Node object exists: pods may still be on it.
"""

import dataclasses
import hashlib
import re

from oslo_config import cfg

from zun_vk.cloud import zun as zun_module
from zun_vk.kube import client as kube_client

# On the Node: the name of the group it belongs to, and its zone as Zun
# writes it, which may be no label value.
GROUP = 'zun.openstack.org/virtual-node'
ZONE = 'zun.openstack.org/availability-zone'
_COMPUTE = 'zun-compute'
# Kubernetes: what a label value can hold; a node's name is one.
_LABEL_LENGTH = 63
_LABEL = re.compile(r'[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?')


@dataclasses.dataclass(frozen=True)
class VirtualNode:
    """One node that stands for the cloud, or for a part of it.

    :param name: of the Node object
    :param zone: Zun's availability zone; None: all of the cloud
    """

    name: str
    zone: str | None = None


class NodeNames:
    """Finds the nodes of one cloud.

    :param client: with the right to list nodes
    """

    def __init__(self, conf: cfg.ConfigOpts, zun: zun_module.ZunClient,
                 client: kube_client.KubeClient):
        self._conf = conf
        self._zun = zun
        self._client = client

    def find(self) -> list[VirtualNode]:
        """Return the nodes that should be held, by name.

        :raises RemoteError: Zun or the API server did not say
        """
        base = self._conf.node.name
        if not self._conf.node.per_availability_zone:
            return [VirtualNode(base)]
        known = self._client.list_nodes(
            label_selector=f'{GROUP}={label_value(base)}')
        found = {zone: VirtualNode(zone_node_name(base, zone), zone)
                 for zone in zones(self._zun.list_services())}
        for node in known:
            zone = (node['metadata'].get('annotations') or {}).get(ZONE)
            if zone:
                found.setdefault(
                    zone, VirtualNode(node['metadata']['name'], zone))
        return sorted(found.values(), key=lambda node: node.name)


def zones(services: list[dict]) -> set[str]:
    """Return the zones that have hosts, up or not.

    :param services: Zun's services
    """
    return {service['availability_zone'] for service in services
            if service.get('binary') == _COMPUTE
            and isinstance(service.get('availability_zone'), str)
            and service['availability_zone']}


def zone_node_name(base: str, zone: str) -> str:
    """Return the name of the node of ``zone``: ``<base>-<zone>``.

    What a node's name cannot hold is replaced, and then a digest keeps two
    zones apart.
    """
    plain = re.sub(r'[^a-z0-9]+', '-', zone.lower()).strip('-')
    name = f'{base}-{plain}' if plain else base
    if plain == zone and len(name) <= _LABEL_LENGTH:
        return name
    return _with_digest(name, zone)


def label_value(text: str) -> str:
    """Return ``text`` as a label's value: unchanged where it can be one."""
    if len(text) <= _LABEL_LENGTH and _LABEL.fullmatch(text):
        return text
    plain = re.sub(r'[^-A-Za-z0-9_.]+', '-', text).strip('-_.')
    return _with_digest(plain, text)


def _with_digest(plain: str, text: str) -> str:
    """Return ``plain``, cut, with what keeps it apart from other texts."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    room = _LABEL_LENGTH - len(digest) - 1
    return f'{plain[:room].rstrip("-_.")}-{digest}'.lstrip('-')
