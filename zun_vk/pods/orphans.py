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
"""Capsules of this node that no pod needs: they go, and only they.

Flows in: capsules that carry this node's labels, as the runtime hands them
out; foreign ones never get here. Flows out: deletions in Zun. A capsule
without a Pod goes only when the API server itself says, and says again
after a grace, that there is none: what a watch shows may be old, and an API
server that is being put back from a backup may know less than it will.
"""

import typing

from oslo_log import log as logging

from zun_vk.kube import client as kube_client
from zun_vk.pods import capsule as capsule_module
from zun_vk.pods import removal as removal_module

LOG = logging.getLogger(__name__)

# Seconds a capsule may be without a Pod before it goes.
GRACE = 10.0


class Orphans:
    """Deletes capsules that nobody needs.

    :param client: the API server
    :param removal: deletes capsules
    :param clock: monotonic seconds
    """

    def __init__(self, client: kube_client.KubeClient,
                 removal: removal_module.Removal,
                 clock: typing.Callable[[], float]):
        self._client = client
        self._removal = removal
        self._clock = clock
        # When the capsules of a UID were first found without a Pod; an
        # entry is used by the worker that holds the UID only.
        self._since: dict[str, float] = {}
        # By UID, used alike: the capsules of which the log has told. Zun may
        # have to be asked more than once.
        self._told: dict[str, set[str]] = {}

    def reap(self, uid: str,
             capsules: list[capsule_module.Capsule]) -> None:
        """Delete the capsules of a pod that is gone, if it stays gone.

        To be called again until there are none.

        :param capsules: all those of the UID, at least one
        :raises RemoteError: ask again later
        """
        one = capsules[0]
        if kube_client.has_pod(self._client, one.namespace, one.pod, uid):
            self.forget(uid)
            return
        since = self._since.setdefault(uid, self._clock())
        if self._clock() - since < GRACE:
            return
        for capsule in capsules:
            if not capsule.deleting:
                self._tell(capsule, 'Capsule %s: its pod %s/%s is gone, '
                           'deleting it', capsule.uuid, capsule.namespace,
                           capsule.pod)
                self._removal.remove(capsule)

    def forget(self, uid: str) -> None:
        """Drop what is kept of a UID: it has a Pod, or no capsules."""
        self._since.pop(uid, None)
        self._told.pop(uid, None)

    def drop_doubles(self, capsules: list[capsule_module.Capsule]) -> None:
        """Delete all but the first of a pod's capsules."""
        for double in capsules[1:]:
            if not double.deleting:
                self._tell(double, 'Pod %s/%s: capsule %s stays, %s is '
                           'deleted', double.namespace, double.pod,
                           capsules[0].uuid, double.uuid)
                self._removal.remove(double)

    def _tell(self, capsule: capsule_module.Capsule, words: str,
              *args: str) -> None:
        told = self._told.setdefault(capsule.uid, set())
        if capsule.uuid not in told:
            told.add(capsule.uuid)
            LOG.warning(words, *args)
