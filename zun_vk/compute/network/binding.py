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
"""Plugs a pod's sandbox into its network, and out of it.

A pair of virtual interfaces: one end in the sandbox's network namespace, the
other where os-vif's plugin of the network says. That is what Zun's own
zun-cni-daemon does; here it takes some hundredths of a second, for nothing
is asked of a database and no process is begun.
"""

from collections.abc import Callable
import contextlib
import errno
import os
import socket
import typing

import os_vif
from os_vif import exception as os_vif_exception
from os_vif.objects import base as objects
from os_vif.objects import instance_info
from os_vif.objects import vif as kinds
from oslo_log import log as logging
import pyroute2
from vif_plug_ovs import privsep

from zun_vk import exceptions
from zun_vk.compute import netns
from zun_vk.compute.network import vif as vif_module
from zun_vk.rpc import fields

LOG = logging.getLogger(__name__)

SERVICE = 'network'
_IPV6 = '/proc/sys/net/ipv6/conf/all/disable_ipv6'
# Linux: the address is used at once. Neutron gives none twice.
_NO_DUPLICATES = 0x02
# In the kernel's alias of the host's end: whose it is.
_ALIAS = 'zun-vk:'


class Binding:
    """Plugs interfaces.

    Loads os-vif's plugins, and lets them do what only root may themselves:
    we are root, and each would start a helper process.
    """

    def __init__(self) -> None:
        privsep.vif_plug.set_client_mode(False)
        os_vif.initialize()

    def plug(self, vif: dict, capsule: str, sandbox: str, name: str,
             namespace: str, wanted: Callable[[], bool] = lambda: True
             ) -> vif_module.Interface:
        """Have an interface in a network namespace; again is no error.

        :param vif: os-vif's VIF, as oslo.versionedobjects writes it
        :param capsule: UUID
        :param sandbox: identity of the sandbox in the container runtime
        :param name: of the interface within
        :param namespace: path of the network namespace
        :param wanted: tells whether somebody waits for it still
        :raises Unavailable: it could not be plugged
        :raises Malformed: the VIF is none
        """
        made = vif_module.interface(vif)
        with _words(), contextlib.ExitStack() as undo:
            descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
            undo.callback(os.close, descriptor)
            os_vif.plug(_object(vif), _instance(capsule))
            if not wanted():
                # That took too long. By now a later sandbox may have it.
                raise exceptions.Unavailable(
                    SERVICE, f'sandbox {sandbox} was given up')
            with pyroute2.IPRoute() as link:
                _connect(link, made, sandbox, name, descriptor)
            netns.run_in(namespace, lambda: _configure(made, name))
        return made

    def unplug(self, vif: dict, capsule: str, sandbox: str) -> None:
        """Have no interface of this sandbox; none is fine.

        :raises Unavailable: it may still be plugged
        :raises Malformed: the VIF is none
        """
        made = vif_module.interface(vif)
        with _words(), pyroute2.IPRoute() as link:
            found = _end(link, made.name)
            if found and found[1] not in ('', _ALIAS + sandbox):
                # A later sandbox of the pod has it.
                return
            os_vif.unplug(_object(vif), _instance(capsule))
            # Unless that has taken it away.
            found = _end(link, made.name)
            if found:
                link.link('del', index=found[0])


@contextlib.contextmanager
def _words() -> typing.Iterator[None]:
    """Turn what goes wrong into an error of ours."""
    try:
        yield
    except (OSError, os_vif_exception.ExceptionBase,
            pyroute2.NetlinkError, exceptions.NoNetwork) as error:
        raise exceptions.Unavailable(SERVICE, str(error)) from error


def _object(vif: dict) -> kinds.VIFBase:
    """Return the VIF, to be made a port of Open vSwitch where it is one."""
    try:
        found = objects.VersionedObject.obj_from_primitive(vif)
    except Exception as error:
        raise fields.Malformed(f'no VIF: {error}') from None
    if isinstance(found, kinds.VIFOpenVSwitch):
        found.port_profile.create_port = True
    return found


def _instance(capsule: str) -> instance_info.InstanceInfo:
    return instance_info.InstanceInfo(uuid=capsule, name=capsule)


def _end(link: typing.Any, name: str) -> tuple[int, str] | None:
    """Return index and alias of an interface of the host, if it is there."""
    try:
        found = link.link('get', ifname=name)[0]
    except pyroute2.NetlinkError as error:
        if error.code == errno.ENODEV:
            return None
        raise
    return found['index'], found.get_attr('IFLA_IFALIAS') or ''


def _connect(link: typing.Any, made: vif_module.Interface, sandbox: str,
             name: str, descriptor: int) -> None:
    """Make the pair, one end in the namespace of ``descriptor``."""
    left = _end(link, made.name)
    if left:
        # Of a sandbox that was lost, or of a try that failed.
        link.link('del', index=left[0])
    link.link('add', ifname=made.name, kind='veth', mtu=made.mtu,
              peer={'ifname': name, 'address': made.mac, 'mtu': made.mtu,
                    'net_ns_fd': descriptor})
    index = link.link_lookup(ifname=made.name)[0]
    more = {}
    if made.bridge and os.path.isdir(f'/sys/class/net/{made.bridge}/bridge'):
        more['master'] = link.link_lookup(ifname=made.bridge)[0]
    link.link('set', index=index, state='up', ifalias=_ALIAS + sandbox,
              **more)


def _configure(made: vif_module.Interface, name: str) -> None:
    """Give the end within its addresses and routes; runs within."""
    if any(':' in address for address in made.addresses):
        # Some runtimes turn it off in new namespaces.
        with open(_IPV6, 'w') as switch:
            switch.write('0')
    with pyroute2.IPRoute() as link:
        index = link.link_lookup(ifname=name)[0]
        link.link('set', index=index, state='up')
        for address in made.addresses:
            host, _, length = address.partition('/')
            six = ':' in host
            link.addr('replace', index=index, address=host,
                      prefixlen=int(length),
                      family=socket.AF_INET6 if six else socket.AF_INET,
                      **({'flags': _NO_DUPLICATES} if six else {}))
        for route in made.routes:
            link.route('replace', dst=route.target, gateway=route.gateway,
                       oif=index)
        for gateway in made.gateways:
            link.route('replace', dst='::/0' if ':' in gateway
                       else '0.0.0.0/0', gateway=gateway, oif=index)
