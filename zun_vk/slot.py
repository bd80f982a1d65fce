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
"""A node that this agent may hold: its Lease, and its parts while held.

A slot is empty (nobody's or another agent's), held, or ending: given up or
lost, with threads of ours that are still in a remote call. Only an empty
one can be taken, so no two generations of a node's parts run side by side.
"""

import threading
import time
import typing

from oslo_config import cfg
from oslo_log import log as logging

from zun_vk import exceptions
from zun_vk import health as health_module
from zun_vk import held_node
from zun_vk import metrics
from zun_vk import threads
from zun_vk.cloud import throttle
from zun_vk.cloud import zun
from zun_vk.kube import lease as lease_module
from zun_vk.kube import node_identity
from zun_vk.node import zones
from zun_vk.pods import identity
from zun_vk.pods.runtimes import base
from zun_vk.rpc import bus as bus_module

LOG = logging.getLogger(__name__)


class Slot:
    """One node.

    All methods are for one thread, that of the keeper.

    :param agent: name of this agent
    :param cluster: the cluster's identity
    :param services: shows Zun's services and hosts to all nodes
    :param throttles: the gates before Zun's endpoints, of the whole agent
    :param bus: to the hosts, where the runtime needs them
    :param node: who we are for the node. Before there is such an identity
        the node is neither looked at nor taken.
    """

    def __init__(self, conf: cfg.ConfigOpts, which: zones.VirtualNode,
                 agent: str, cluster: str, services: zun.ZunClient,
                 throttles: throttle.Throttles, make_runtime: base.Factory,
                 node: node_identity.NodeIdentity,
                 bus: bus_module.Bus | None = None):
        self.which = which
        # Who else holds the node, as last seen; None: nobody we know of.
        self.holder: str | None = None
        # Monotonic time it was first seen free, None while it is not.
        self.free_since: float | None = None
        # The Node object exists and is as it should be.
        self.registered = threading.Event()
        # Not held, so far.
        self._lease_held = metrics.LEASE_HELD.labels(which.name)
        self._conf = conf
        self._owner = identity.Owner(cluster, which.name, which.zone)
        self._services = services
        self._throttles = throttles
        self._make_runtime = make_runtime
        self._bus = bus
        self._fence = lease_module.Fence(which.name)
        self._health = health_module.Health()
        self._lease = lease_module.NodeLease(
            node.client(timeout=lease_module.TIMEOUT), which.name,
            agent, self._fence, self._health)
        self._held: held_node.HeldNode | None = None
        self._renewing = threads.Threads()
        # Set by the renewing thread when another agent has the lease.
        self._lost = threading.Event()
        self._node = node
        self._known = threading.Event()
        self._certifying = threads.Threads(which.name)
        self._certifying.spawn('certificate', self._certify)

    @property
    def held(self) -> bool:
        """This agent acts for the node."""
        return self._held is not None and not self._ending

    @property
    def _ending(self) -> bool:
        return self._lost.is_set() or self._renewing.stop.is_set()

    def look(self) -> None:
        """See who holds the node, unless we do.

        :raises RemoteError: the API server did not say
        """
        if self._held and self._ending and not (
                self._held.join(0) or self._renewing.running()):
            self._held = None
        if self._held or not self._known.is_set():
            return
        self.holder = self._lease.look()
        if self.holder:
            self.free_since = None
        elif self.free_since is None:
            self.free_since = time.monotonic()

    def take(self) -> None:
        """Hold the node that was seen free, unless another was quicker.

        :raises RemoteError: it is not known whether the lease was taken
        :raises ConfigError: a file that the options name is gone or bad
        """
        # First: an agent that cannot build the parts must leave the node to
        # another.
        held = held_node.HeldNode(
            self._conf, self.which, self._owner, self._node, self._fence,
            self._health, self._services, self._throttles,
            self._make_runtime, self._node_registered, self._bus)
        if not self._lease.take():
            return
        LOG.info('Node %s: this agent holds it', self.which.name)
        self._lease_held.set(1)
        self.free_since = None
        self.registered.clear()
        self._lost.clear()
        self._held = held
        self._held.start()
        self._renewing = threads.Threads(self.which.name)
        self._renewing.spawn('lease', self._renew, self._held)

    def end(self) -> None:
        """Tell the parts to end; the node stays ours until ``release``."""
        if self._held:
            LOG.info('Node %s: this agent gives it up', self.which.name)
            self._held.stop()

    def join(self, seconds: float) -> list[str]:
        """Wait for our threads; return the names of those that still run."""
        return self._held.join(seconds) if self._held else []

    def close(self) -> None:
        """Let nothing more of ours pass, whatever still runs.

        A call that is under way is to the next holder what that of an agent
        that died would be.
        """
        self._fence.close()
        self._renewing.stop.set()
        self._lease_held.set(0)

    def release(self) -> None:
        """Let another agent take the node that was closed."""
        if self._renewing.join(2 * lease_module.TIMEOUT):
            return
        try:
            self._lease.release()
        except exceptions.RemoteError as error:
            LOG.warning('Node %s can be taken when its lease expires, for '
                        'it could not be released: %s', self.which.name,
                        error)

    def forget(self) -> None:
        """Let the identity go: the node is not looked at any more."""
        self._certifying.stop.set()
        metrics.forget_node(self.which.name)

    def _certify(self) -> None:
        if self._node.ensure(self._certifying.stop):
            self._known.set()
            self._node.run(self._certifying.stop)

    def _renew(self, held: held_node.HeldNode) -> None:
        if self._lease.run(self._renewing.stop, held.resync):
            return
        self._lease_held.set(0)
        held.stop()
        self._lost.set()

    def _node_registered(self, node: dict[str, typing.Any]) -> None:
        self._lease.node_uid = node['metadata']['uid']
        self.registered.set()
        LOG.info('Node %s is registered', self.which.name)
