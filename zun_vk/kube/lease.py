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
"""The node's heartbeat: its Lease in namespace kube-node-lease.

One thread renews the Lease on a connection of its own, so that nothing
else the agent does can make the node look dead. It says that an agent
lives, never that the cloud works: that is the Ready condition.
"""

import threading

from zun_vk import exceptions
from zun_vk import health as health_module
from zun_vk.kube import backoff
from zun_vk.kube import client as kube_client
from zun_vk.kube import times

NAMESPACE = 'kube-node-lease'
# Kubernetes: nodeLeaseDurationSeconds of the kubelet, renewed at a quarter.
DURATION = 40
INTERVAL = 10
_CHECK = 'renew node lease'


class LeaseHeartbeat:
    """Renews the Lease of one node until told to stop.

    :param client: a client no other thread uses
    :param node: name of the node, and so of its Lease
    :param holder: name of this agent
    """

    def __init__(self, client: kube_client.KubeClient, node: str, holder: str,
                 health: health_module.Health):
        self._client = client
        self._node = node
        self._holder = holder
        self._health = health
        # The Lease as the API server last returned it; owned by run().
        self._lease: dict | None = None

    def run(self, node_uid: str, stop: threading.Event) -> None:
        """Renew every INTERVAL seconds; after a failure try again sooner.

        :param node_uid: UID of the Node object, the Lease's owner
        """
        pause = backoff.Backoff(0.2, 7.0)
        while not stop.is_set():
            if self._health.attempt(_CHECK, self._renew, node_uid):
                pause.reset()
                stop.wait(INTERVAL)
            else:
                self._lease = None
                stop.wait(pause.next())

    def _renew(self, node_uid: str) -> None:
        if self._lease is None:
            self._lease = self._get()
        if self._lease is None:
            self._lease = self._client.create_lease(
                NAMESPACE, self._body({'name': self._node}, node_uid))
        else:
            version = self._lease['metadata']['resourceVersion']
            self._lease = self._client.patch_lease(
                NAMESPACE, self._node,
                self._body({'resourceVersion': version}, node_uid))

    def _get(self) -> dict | None:
        try:
            return self._client.get_lease(NAMESPACE, self._node)
        except exceptions.NotFound:
            return None

    def _body(self, metadata: dict, node_uid: str) -> dict:
        # The Lease goes with its Node.
        owner = {'apiVersion': 'v1', 'kind': 'Node',
                 'name': self._node, 'uid': node_uid}
        return {
            'apiVersion': 'coordination.k8s.io/v1', 'kind': 'Lease',
            'metadata': metadata | {'ownerReferences': [owner]},
            'spec': {'holderIdentity': self._holder,
                     'leaseDurationSeconds': DURATION,
                     'renewTime': times.now_micro()},
        }
