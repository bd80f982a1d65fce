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
"""Deletes capsules, with what Zun forgets of them.

A capsule that fails on its host after it was scheduled loses its host, and
Zun then drops its record alone: its allocation in Placement and its ports in
Neutron stay for ever. So those of a capsule that never ran are given back
first. First, because the record is the only memory of them: after a crash in
between the capsule is still there, and all is done again. The consumer of an
allocation and the device of a port is the capsule's UUID, as Zun gave it: no
other is ever touched.
"""

from collections.abc import Iterable
import typing

from oslo_log import log as logging

from zun_vk import exceptions
from zun_vk.cloud import neutron as neutron_module
from zun_vk.cloud import placement as placement_module
from zun_vk.pods import capsule as capsule_module
from zun_vk.pods.runtimes import base

LOG = logging.getLogger(__name__)

# What Zun's network drivers, cni and kuryr, call themselves.
_ZUN = ('compute:zun', 'compute:kuryr')


class Removal:
    """Deletes capsules of this node.

    :param placement: with credentials that may delete allocations
    :param neutron: with credentials that may delete ports
    """

    def __init__(self, runtime: base.CapsuleRuntime,
                 placement: placement_module.PlacementClient,
                 neutron: neutron_module.NeutronClient):
        self._runtime = runtime
        self._placement = placement
        self._neutron = neutron
        self._denied: set[str] = set()

    def remove(self, capsule: capsule_module.Capsule) -> None:
        """Have a capsule deleted; to be called again until it is gone.

        :raises RemoteError: Zun, Placement or Neutron failed, call again
            later
        """
        if capsule.failed_to_start:
            self._unless_denied(self._release, capsule)
            self._unless_denied(self._delete_ports, capsule)
        self._runtime.delete(capsule)

    def _unless_denied(
            self, give_back: typing.Callable[[capsule_module.Capsule], None],
            capsule: capsule_module.Capsule) -> None:
        try:
            give_back(capsule)
        except exceptions.AccessDenied as error:
            # Worth a word to the operator, not a pod that is stuck.
            if error.service not in self._denied:
                LOG.warning('What failed capsules leave behind cannot be '
                            'given back: %s', error)
            self._denied.add(error.service)

    def _release(self, capsule: capsule_module.Capsule) -> None:
        if self._placement.delete_allocations(capsule.uuid):
            LOG.info('Capsule %s: gave back the allocation that it held in '
                     'Placement though it failed', capsule.uuid)

    def _delete_ports(self, capsule: capsule_module.Capsule) -> None:
        found = self._neutron.ports_of(capsule.uuid)
        for port in left_behind(capsule, found):
            try:
                if self._neutron.delete_port(port.uuid):
                    LOG.info('Capsule %s: deleted port %s, which it had '
                             'though it failed', capsule.uuid, port.uuid)
            except exceptions.Conflict as error:
                # Somebody has found a use for it: theirs to end.
                LOG.warning('Capsule %s failed, but its port %s stays: %s',
                            capsule.uuid, port.uuid, error)


def left_behind(capsule: capsule_module.Capsule,
                ports: Iterable[neutron_module.Port],
                ) -> list[neutron_module.Port]:
    """Return those of ``ports`` that Zun made for a capsule.

    In Neutron a port that Zun was given looks as one that it made: only the
    capsule's record tells them apart. A device can be claimed by anybody
    who makes a port, so the project must be the capsule's, too.
    """
    return [port for port in ports
            if port.device_id == capsule.uuid
            and port.device_owner in _ZUN
            and port.project == capsule.project
            and port.uuid not in capsule.given_ports]
