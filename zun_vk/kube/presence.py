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
"""Which agents are alive: a Lease of each in a namespace of their own.

Flows in: the Leases of all agents of one virtual cloud. Flows out: our own,
renewed. Only the spreading of nodes depends on it, never who may act.
"""

import hashlib

from zun_vk import exceptions
from zun_vk.kube import client as kube_client
from zun_vk.kube import lease as lease_module
from zun_vk.kube import times

GROUP = 'zun.openstack.org/agents-of'


class Presence:
    """The agents that may hold the nodes of one group.

    :param client: with the agent's own rights
    :param namespace: of the Leases
    :param group: name all agents of the same nodes share
    :param agent: name of this agent
    """

    def __init__(self, client: kube_client.KubeClient, namespace: str,
                 group: str, agent: str,
                 clock: lease_module.Clock = lease_module.boottime):
        self._client = client
        self._namespace = namespace
        self._agent = agent
        self._clock = clock
        # Label values and names are short: digests keep long names apart.
        self._group = _digest(group)
        self._name = f'zun-vk-agent-{_digest(group + "/" + agent)}'
        self._renewed_at = float('-inf')
        self._watched: dict[str, lease_module.Watched] = {}

    def renew(self) -> None:
        """Say that this agent is alive, if it did not say so just now.

        :raises RemoteError: it could not be said
        """
        at = self._clock()
        if at - self._renewed_at < lease_module.INTERVAL:
            return
        self._write(self._agent)
        self._renewed_at = at

    def withdraw(self) -> None:
        """Say that this agent ends.

        :raises RemoteError: it could not be said
        """
        self._write(None)

    def alive(self) -> set[str]:
        """Return the names of the agents that live, this one among them.

        Of another that is only those that were seen to renew.

        :raises RemoteError: the API server did not say
        """
        leases = self._client.list_leases(
            self._namespace, label_selector=f'{GROUP}={self._group}')
        alive = {self._agent}
        names = set()
        for lease in map(lease_module.checked, leases):
            name = lease['metadata']['name']
            names.add(name)
            watched = self._watched.setdefault(
                name, lease_module.Watched(self._clock))
            watched.see(lease)
            holder = watched.holder(lease)
            if holder and watched.renewed:
                alive.add(holder)
        self._watched = {name: watched for name, watched
                         in self._watched.items() if name in names}
        return alive

    def _write(self, holder: str | None) -> None:
        spec = {'holderIdentity': holder, 'renewTime': times.now_micro(),
                'leaseDurationSeconds': lease_module.DURATION}
        try:
            self._client.patch_lease(self._namespace, self._name,
                                     {'spec': spec})
        except exceptions.NotFound:
            if holder is None:
                return
            self._client.create_lease(self._namespace, {
                'apiVersion': 'coordination.k8s.io/v1', 'kind': 'Lease',
                'metadata': {'name': self._name,
                             'labels': {GROUP: self._group}},
                'spec': spec})


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
