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
"""The kubelet's API of one node that this agent holds.

Flows in: the parts of the node, and its certificate for serving. Flows out:
a server and the port that the Node tells of. Without a certificate, or a
port, the node works all the same; its logs cannot be read then.
"""

import threading

from oslo_config import cfg
from oslo_log import log as logging

from zun_vk import exceptions
from zun_vk import health
from zun_vk.kube import node_identity
from zun_vk.kubelet import audit
from zun_vk.kubelet import authn
from zun_vk.kubelet import authz
from zun_vk.kubelet import context
from zun_vk.kubelet import decisions
from zun_vk.kubelet import dispatch
from zun_vk.kubelet import server as server_module
from zun_vk.kubelet import tls

LOG = logging.getLogger(__name__)


def check(conf: cfg.ConfigOpts) -> None:
    """Try the files and the address that the options name.

    :raises ConfigError: one cannot be used
    """
    tls.check(conf)
    options = conf.kubelet_api
    if options.port:
        try:
            server_module.listen(options.address, 0).close()
        except OSError as error:
            raise exceptions.ConfigError('[kubelet_api] address',
                                         str(error)) from error


class KubeletApi:
    """Serves one node.

    :param node: who we are for the node
    """

    def __init__(self, conf: cfg.ConfigOpts, services: context.Services,
                 node: node_identity.NodeIdentity):
        self._conf = conf
        self._name = services.node
        self._address = services.node_address
        self._node = node
        self._contexts = tls.Contexts(conf.kubelet_api.client_ca_file)
        client = node.client(guard=services.guard,
                             timeout=decisions.TIMEOUT)
        self._serve = dispatch.Dispatcher(
            services, authn.Authenticator(client), authz.Authorizer(client),
            audit.Audit(services.node))
        self._server: server_module.Server | None = None

    @property
    def port(self) -> int:
        """Where it is served; 0: it is not."""
        return self._server.port if self._server else 0

    def open(self) -> None:
        """Take a port; to be called once, before the threads run."""
        options = self._conf.kubelet_api
        if not options.port:
            return
        try:
            listener = server_module.listen(options.address, options.port)
        except OSError as error:
            LOG.error('Node %s: the kubelet API is not served, for no port '
                      'from %d on can be had: %s', self._name, options.port,
                      error)
            return
        self._server = server_module.Server(
            self._name, listener, options.max_connections, self._contexts,
            self._serve)
        LOG.info('Node %s: the kubelet API is on port %d', self._name,
                 self.port)
        if not options.client_ca_file:
            LOG.warning('Without [kubelet_api] client_ca_file no client '
                        'certificate is believed: the API server cannot '
                        'reach node %s', self._name)

    def run(self) -> None:
        """Serve until ``stop``, and until all connections have ended."""
        if self._server:
            self._server.run()

    def stop(self) -> None:
        """Tell ``run`` to end; does not wait."""
        if self._server:
            self._server.stop()

    def certify(self, stop: threading.Event) -> None:
        """Keep a certificate to serve with until ``stop`` is set.

        :raises ConfigError: the directory of certificates cannot be used
        """
        options = self._conf.kubelet_api
        if options.cert_file:
            self._contexts.use(options.cert_file, options.key_file)
        elif self._server:
            # A health of its own: pods run without this certificate.
            certificate = self._node.serving_certificate(
                (self._address, self._name), health.Health())
            credentials = certificate.ensure(stop)
            if credentials is not None:
                self._contexts.use(credentials.path)
                certificate.run(
                    stop, lambda renewed: self._contexts.use(renewed.path))
