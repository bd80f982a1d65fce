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
"""Who the agent is when it acts for a node.

Flows in: the node's certificate, as the cluster issues and renews it. Flows
out: clients of the API server that always call with the one in use. Where
the kubeconfig's own credentials are the node's, there is nothing to get and
to renew.
"""

import pathlib
import threading
import typing
import weakref

from oslo_config import cfg

from zun_vk import health as health_module
from zun_vk import state
from zun_vk.kube import certificates
from zun_vk.kube import client as kube_client
from zun_vk.kube import keypair


def prepare(conf: cfg.ConfigOpts) -> None:
    """Make sure that keys can be kept.

    :raises ConfigError: the directory of certificates cannot be used
    """
    if conf.kubernetes.node_identity == 'csr':
        state.make_private(_directory(conf))


def _directory(conf: cfg.ConfigOpts) -> pathlib.Path:
    return pathlib.Path(conf.agent.state_path) / 'pki'


class NodeIdentity:
    """The identity of one node.

    :param agent: a client with the agent's own rights
    :raises ConfigError: the directory of certificates cannot be used
    """

    def __init__(self, conf: cfg.ConfigOpts, agent: kube_client.KubeClient,
                 node: str, health: health_module.Health):
        self._conf = conf
        self._node = node
        self._certificate: certificates.NodeCertificate | None = None
        if conf.kubernetes.node_identity == 'csr':
            self._certificate = certificates.NodeCertificate(
                agent, _directory(conf), node, health,
                connect=self._connect)
        self._lock = threading.Lock()  # guards what is below
        self._credentials: keypair.Credentials | None = None
        self._clients: weakref.WeakSet[kube_client.KubeClient] = (
            weakref.WeakSet())

    def ensure(self, stop: threading.Event) -> bool:
        """Wait until there is an identity.

        :returns: False if ``stop`` is set
        """
        if self._certificate is None:
            return True
        credentials = self._certificate.ensure(stop)
        if credentials is None:
            return False
        self._use(credentials)
        return True

    def run(self, stop: threading.Event) -> None:
        """Renew it in time until ``stop`` is set."""
        if self._certificate is not None:
            self._certificate.run(stop, self._use)

    def serving_certificate(self, addresses: tuple[str, ...],
                            health: health_module.Health
                            ) -> certificates.NodeCertificate:
        """Return the certificate that a server of the node has.

        Requested as the node, and approved by an admin or an approver.

        :param addresses: all of the node's
        :param health: told of what fails
        :raises ConfigError: the directory of certificates cannot be used
        """
        directory = _directory(self._conf)
        state.make_private(directory)
        return certificates.NodeCertificate(
            self.client(), directory, self._node, health,
            keypair.serving(*addresses))

    def client(self, **options: typing.Any) -> kube_client.KubeClient:
        """Return a new client that calls as the node.

        Before there is an identity it calls as the agent.

        :param options: of KubeClient
        """
        with self._lock:
            client = self._connect(self._credentials, **options)
            self._clients.add(client)
        return client

    def _connect(self, credentials: keypair.Credentials | None,
                 **options: typing.Any) -> kube_client.KubeClient:
        return kube_client.KubeClient(self._conf, credentials=credentials,
                                      node=self._node, **options)

    def _use(self, credentials: keypair.Credentials) -> None:
        with self._lock:
            self._credentials = credentials
            for client in self._clients:
                client.use(credentials)
