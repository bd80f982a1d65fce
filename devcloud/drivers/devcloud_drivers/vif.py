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
"""How CRI capsules get to their network: the bridge that docker's use, too.

Zun translates a Neutron port into a VIF (in zun-compute) and zun-cni-daemon
plugs that: Zun itself knows Open vSwitch only. The bridge is made when a
sandbox is plugged, not when its port is made: after a reboot the ports are
there and the bridge is not.
"""

import hashlib
import ipaddress
import os
from pathlib import Path
import subprocess

from os_vif import objects
from os_vif import plugin

NET = Path('/sys/class/net')
SECONDS = 10


def bridge_name(network_id):
    return os.environ['DEVCLOUD_BRIDGE_PREFIX'] + network_id[:8]


def translate(vif_plugin, neutron_port, network, subnets):
    """The VIF of a port that ml2.py bound: vif_type bridge."""
    # zun-vk-compute, which only plugs, has no Zun.
    from zun.common import utils
    from zun.network import os_vif_util
    return objects.vif.VIFBridge(
        id=neutron_port['id'], address=neutron_port['mac_address'],
        network=os_vif_util._make_vif_network(
            neutron_port, network, subnets),
        has_traffic_filtering=False, preserve_on_delete=False,
        active=utils.is_port_active(neutron_port), plugin='devcloud',
        vif_name=os_vif_util._get_vif_name(neutron_port),
        bridge_name=bridge_name(network['id']))


class BridgePlugin(plugin.PluginBase):
    """Has the bridge be there; Zun's binding makes the veth pair."""

    def describe(self):
        return objects.host_info.HostPluginInfo(
            plugin_name='devcloud',
            vif_info=[objects.host_info.HostVIFInfo(
                vif_object_name=objects.vif.VIFBridge.__name__,
                min_version='1.0', max_version='1.0')])

    def plug(self, vif, instance_info):
        ensure_bridge(vif.bridge_name, [
            ipaddress.ip_interface(
                f'{subnet.gateway}/{subnet.cidr.prefixlen}')
            for subnet in vif.network.subnets.objects
            if subnet.obj_attr_is_set('gateway')])

    def unplug(self, vif, instance_info):
        """The veth pair goes with the sandbox's network namespace."""


def ensure_bridge(name, gateways):
    """Have a bridge with these addresses; several may try at once."""
    if not (NET / name).is_dir():
        _ip('link', 'add', name, 'address', hardware_address(name), 'type',
            'bridge', check=False)
    for gateway in gateways:
        _ip('address', 'replace', str(gateway), 'dev', name)
    _ip('link', 'set', name, 'up')


def hardware_address(name):
    """A bridge's own MAC address, the same whoever makes it.

    Without one it takes the lowest of its ports', and neighbours lose it
    whenever a pod comes or goes.
    """
    digest = hashlib.sha256(name.encode()).digest()
    return '02:42:' + digest[:4].hex(':')


def _ip(*words, check=True):
    subprocess.run(['ip', *words], check=check, timeout=SECONDS,
                   stdin=subprocess.DEVNULL)
