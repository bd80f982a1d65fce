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
"""What Neutron wants of a pod's interface, as zun-compute noted it down.

Pure: in goes os-vif's VIF as oslo.versionedobjects writes it, out comes what
is set in the pod's network namespace and what CNI is told.
"""

from collections.abc import Mapping
import dataclasses
import ipaddress
import typing

from zun_vk.compute import cni
from zun_vk.rpc import fields

# Ethernet's, where Neutron's network has none.
_MTU = 1500
# Linux: IFNAMSIZ, without its NUL.
_MAX_NAME = 15
_MOST = 64


@dataclasses.dataclass(frozen=True)
class Route:
    """To ``target``, a CIDR, over ``gateway``, an address."""

    target: str
    gateway: str


@dataclasses.dataclass(frozen=True)
class Interface:
    """An interface of a pod, and what it is plugged into.

    :param name: of its end on the host
    :param mac: of its end in the pod
    :param bridge: that the host's end belongs to
    :param addresses: with the length of their subnet's prefix
    :param gateways: default ones, at most one of each family
    :param servers: of DNS
    :param active: Neutron had the port active when it was made
    """

    name: str
    mac: str
    mtu: int
    bridge: str
    addresses: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    gateways: tuple[str, ...] = ()
    servers: tuple[str, ...] = ()
    active: bool = False


def interface(vif: object) -> Interface:
    """Return the interface that a VIF describes.

    :raises Malformed: it describes none
    """
    try:
        return _interface(_bare(vif))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise fields.Malformed(f'no VIF: {error!r}') from None


def result(made: Interface, environ: Mapping[str, str]) -> dict:
    """Return what CNI is told of an interface that is there.

    :param environ: what the container runtime gave the plugin
    """
    gateways = {_family(each): each for each in made.gateways}
    addresses = []
    for address in made.addresses:
        family = _family(address)
        described: dict[str, typing.Any] = {
            'version': family, 'address': address, 'interface': 0}
        if family in gateways:
            described['gateway'] = gateways[family]
        addresses.append(described)
    told: dict[str, typing.Any] = {
        'cniVersion': cni.VERSION,
        'interfaces': [{'name': environ.get('CNI_IFNAME', ''),
                        'mac': made.mac,
                        'sandbox': environ.get('CNI_NETNS', '')}],
        'ips': addresses,
        'routes': [{'dst': route.target, 'gw': route.gateway}
                   for route in made.routes]}
    if made.servers:
        told['dns'] = {'nameservers': list(made.servers)}
    return told


def _interface(vif: dict) -> Interface:
    network = _bare(vif['network'])
    subnets = _all(network['subnets'])
    gateways: dict[str, str] = {}
    for subnet in subnets:
        if subnet.get('gateway'):
            address = str(ipaddress.ip_address(subnet['gateway']))
            gateways.setdefault(_family(address), address)
    name = vif['vif_name']
    if not 0 < len(name) <= _MAX_NAME or '/' in name:
        raise ValueError('vif_name is no name of an interface')
    return Interface(
        name=name, mac=str(vif['address']), mtu=int(network['mtu'] or _MTU),
        bridge=str(vif.get('bridge_name') or ''),
        addresses=tuple(address for subnet in subnets
                        for address in _addresses(subnet)),
        routes=tuple(_route(each) for subnet in subnets
                     for each in _all(subnet.get('routes'))),
        gateways=tuple(gateways.values()),
        servers=tuple(str(server) for subnet in subnets
                      for server in subnet.get('dns') or ())[:_MOST],
        active=vif.get('active') is True)


def _addresses(subnet: dict) -> list[str]:
    length = ipaddress.ip_network(subnet['cidr']).prefixlen
    return [str(ipaddress.ip_interface(f'{each["address"]}/{length}'))
            for each in _all(subnet['ips'])]


def _route(route: dict) -> Route:
    return Route(str(ipaddress.ip_network(route['cidr'])),
                 str(ipaddress.ip_address(route['gateway'])))


def _family(address: str) -> str:
    """Return CNI's name of the kind of an address."""
    return '6' if ':' in address else '4'


def _bare(item: typing.Any) -> dict:
    """Return the fields of a versioned object."""
    found = item['versioned_object.data']
    if not isinstance(found, dict):
        raise TypeError('an object without fields')
    return found


def _all(item: typing.Any) -> list[dict]:
    """Return the fields of each object in a list of versioned objects."""
    found = [_bare(each) for each in _bare(item)['objects']] if item else []
    if len(found) > _MOST:
        raise ValueError('too many of a kind')
    return found
