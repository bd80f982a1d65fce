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
Zun then drops its record alone: its allocation in Placement stays for ever.
So the allocation of a capsule that never ran is given back first. First,
because the record is the only memory of it: after a crash in between the
capsule is still there, and all is done again. The consumer of an allocation
is the capsule's UUID, as Zun gave it: no other is ever touched.
"""

from oslo_log import log as logging

from zun_vk import exceptions
from zun_vk.cloud import placement as placement_module
from zun_vk.pods import capsule as capsule_module
from zun_vk.pods.runtimes import base

LOG = logging.getLogger(__name__)


class Removal:
    """Deletes capsules of this node.

    :param placement: with credentials that may delete allocations
    """

    def __init__(self, runtime: base.CapsuleRuntime,
                 placement: placement_module.PlacementClient):
        self._runtime = runtime
        self._placement = placement
        self._denied = False

    def remove(self, capsule: capsule_module.Capsule) -> None:
        """Have a capsule deleted; to be called again until it is gone.

        :raises RemoteError: Zun or Placement failed, call again later
        """
        if capsule.failed_to_start:
            self._release(capsule)
        self._runtime.delete(capsule)

    def _release(self, capsule: capsule_module.Capsule) -> None:
        try:
            if self._placement.delete_allocations(capsule.uuid):
                LOG.info('Capsule %s: gave back the allocation that it held '
                         'in Placement though it failed', capsule.uuid)
        except exceptions.AccessDenied as error:
            # Worth a word to the operator, not a pod that is stuck.
            if not self._denied:
                LOG.warning('What failed capsules hold in Placement cannot '
                            'be given back: %s', error)
            self._denied = True
