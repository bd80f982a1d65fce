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
"""The agent: what it shares among its nodes, built and run.

The only place that knows all parts. Nothing is global: each part is handed
what it needs.
"""

import typing

from oslo_config import cfg
from oslo_log import log as logging
from oslo_service import systemd

from zun_vk import backoff
from zun_vk import exceptions
from zun_vk import health as health_module
from zun_vk import keeper
from zun_vk import metrics
from zun_vk import process
from zun_vk import slot
from zun_vk import state
from zun_vk.cloud import sessions
from zun_vk.cloud import throttle
from zun_vk.cloud import zun
from zun_vk.kube import client as kube_client
from zun_vk.kube import lease
from zun_vk.kube import node_identity
from zun_vk.kube import presence
from zun_vk.kubelet import service as kubelet_service
from zun_vk.node import restriction
from zun_vk.node import zones
from zun_vk.pods.runtimes import base
from zun_vk.rpc import bus as bus_module

LOG = logging.getLogger(__name__)

# Seconds that a stop waits for nodes to be given up.
_STOP_PATIENCE = 15.0
_START_CHECK = 'read the cluster identity'


class Agent(process.Process):
    """The service that oslo.service runs.

    :param conf: all sections registered and parsed
    :raises ConfigError: an option is wrong, or credentials are refused
    """

    def __init__(self, conf: cfg.ConfigOpts):
        super().__init__(conf)
        self._health = health_module.Health()
        self._client = kube_client.KubeClient(conf)
        self._presence_client = kube_client.KubeClient(
            conf, timeout=lease.TIMEOUT)
        self._zun_access = sessions.ServiceAccess(conf, 'zun')
        self._placement_access = sessions.ServiceAccess(conf, 'placement')
        self._neutron_access = sessions.ServiceAccess(conf, 'neutron')
        self._throttles = throttle.Throttles(
            zun.SERVICE, conf.zun.requests_per_second)
        self._make_runtime = base.find(conf)
        self._bus = bus_module.Bus(conf) if (
            self._make_runtime.on_hosts) else None
        self._state = state.AgentState(conf)
        node_identity.prepare(conf)

    def preflight(self) -> None:
        """Try every credential once, and take the port of the metrics.

        A service that does not answer is no error: it will be tried again.

        :raises ConfigError: credentials are refused, or lack a right; the
            port or an address cannot be had; a label cannot be set; a file
            cannot be used
        """
        _check_labels(self._conf)
        kubelet_service.check(self._conf)
        if self._bus and not bus_module.is_named(self._conf):
            raise exceptions.ConfigError(
                '[DEFAULT] transport_url', 'is not set: the bus of Zun, over '
                'which its hosts get their pods')
        listen = self._conf.metrics
        try:
            metrics.serve(listen.address, listen.port)
        except OSError as error:
            raise exceptions.ConfigError('[metrics] address, port',
                                         str(error)) from error
        tenant = sessions.ServiceAccess(self._conf, 'zun',
                                        self._conf.tenants.default_project)
        _unless_down(lambda: sessions.check(self._zun_access))
        _unless_down(lambda: sessions.check(self._placement_access))
        _unless_down(lambda: sessions.check(self._neutron_access))
        try:
            _unless_down(lambda: sessions.check(tenant))
        except exceptions.ConfigError as error:
            raise exceptions.ConfigError(
                '[tenants] default_project', str(error)) from error
        try:
            _unless_down(self._client.cluster_id)
        except (exceptions.AccessDenied, exceptions.NotFound,
                exceptions.Rejected) as error:
            raise exceptions.ConfigError(
                '[kubernetes] kubeconfig', error.message) from error

    def stop(self) -> None:
        """End all threads; capsules and the node stay as they are."""
        self._stop.set()
        self._throttles.close()
        self._join(_STOP_PATIENCE)
        self._state.close()

    def _main(self) -> None:
        """Build what needs the cluster's identity, and run it."""
        cluster = self._cluster_id()
        if cluster is None:
            return
        conf, name = self._conf, self._state.name
        LOG.info('This agent is %s', name)
        services = zun.SharedZunClient(self._zun_access, self._throttles)
        nodes = keeper.NodeKeeper(
            conf, name,
            zones.NodeNames(conf, services, self._client),
            presence.Presence(self._presence_client, conf.agent.namespace,
                              conf.node.name, name),
            self._health,
            lambda which: slot.Slot(
                conf, which, name, cluster, services, self._throttles,
                self._make_runtime, node_identity.NodeIdentity(
                    conf, self._client, which.name, self._health),
                self._bus),
            systemd.notify_once)
        self._threads.spawn('nodes', nodes.find, self._stop)
        # On its own: a crash of it must not build all of this again.
        self._threads.keep_up('keeper', nodes.run, self._stop)

    def _cluster_id(self) -> str | None:
        """Return the cluster's identity, None if stopped before it came."""
        pause = backoff.Backoff(1.0, 30.0)
        while not self._stop.is_set():
            try:
                cluster = self._client.cluster_id()
                self._health.ok(_START_CHECK)
                return cluster
            except exceptions.RemoteError as error:
                self._health.failed(_START_CHECK, error)
                self._stop.wait(pause.next())
        return None


def _check_labels(conf: cfg.ConfigOpts) -> None:
    forbidden = restriction.forbidden_labels(conf.node.labels)
    if conf.kubernetes.node_identity == 'csr' and forbidden:
        raise exceptions.ConfigError(
            '[node] labels', 'Kubernetes lets no node give itself: '
            + ', '.join(forbidden))


def _unless_down(check: typing.Callable[[], object]) -> None:
    try:
        check()
    except (exceptions.Unreachable, exceptions.Unavailable) as error:
        if 300 <= error.status < 400:
            # Whatever listens there, it is another service.
            raise exceptions.Rejected(error.service, error.message,
                                      error.status) from error
        LOG.warning('Not checked, for it does not answer: %s', error)
