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
"""One node that this agent holds: all its parts, built and run.

Flows in: the configuration, the cluster's identity and clients. Flows out:
a Node that is true and pods that run, until ``stop``. Nothing here outlives
a stop: capsules, Pods and the Node stay as they are, and whoever holds the
node next begins with what the API server and Zun know.
"""

import typing

from oslo_config import cfg

from zun_vk import health as health_module
from zun_vk import metrics
from zun_vk import threads
from zun_vk import workqueue
from zun_vk.cloud import neutron
from zun_vk.cloud import placement
from zun_vk.cloud import sessions
from zun_vk.cloud import throttle
from zun_vk.cloud import zun
from zun_vk.kube import events
from zun_vk.kube import lease
from zun_vk.kube import node_identity
from zun_vk.kube import objects
from zun_vk.kube import podsource
from zun_vk.kube import reflector
from zun_vk.kubelet import context
from zun_vk.kubelet import nodepods
from zun_vk.kubelet import service
from zun_vk.kubelet.stats import gather
from zun_vk.node import capacity
from zun_vk.node import controller as node_controller
from zun_vk.node import observer
from zun_vk.node import zones
from zun_vk.pods import admission
from zun_vk.pods import controller as pod_controller
from zun_vk.pods import hosted
from zun_vk.pods import hostlink
from zun_vk.pods import identity
from zun_vk.pods import memory
from zun_vk.pods import notices
from zun_vk.pods import payload
from zun_vk.pods import removal
from zun_vk.pods import resolver
from zun_vk.pods import tokens
from zun_vk.pods import writer
from zun_vk.pods.runtimes import base
from zun_vk.rpc import bus as bus_module

_RESYNC_INTERVAL = 60.0


class HeldNode:
    """The parts of one node.

    :param which: the node
    :param owner: the node, and the cluster it is in
    :param node: who we are for the node
    :param fence: open while this agent may act for the node
    :param services: shows Zun's services and hosts to all nodes
    :param throttles: the gates before Zun's endpoints, of the whole agent
    :param make_runtime: from ``base.find``
    :param bus: to the hosts, where the runtime needs them
    :param on_registered: called with the Node when it exists
    """

    def __init__(self, conf: cfg.ConfigOpts, which: zones.VirtualNode,
                 owner: identity.Owner, node: node_identity.NodeIdentity,
                 fence: lease.Fence,
                 health: health_module.Health, services: zun.ZunClient,
                 throttles: throttle.Throttles,
                 make_runtime: base.Factory,
                 on_registered: typing.Callable[[dict], None],
                 bus: bus_module.Bus | None = None):
        self._conf = conf
        self._node = which.name
        self._address = str(conf.node.address)
        self._guard = fence.check
        self._health = health
        self._bus = bus
        self._on_registered = on_registered
        self._threads = threads.Threads(which.name)
        self._queue = workqueue.WorkQueue()
        self._client = node.client(guard=fence.check)
        self._objects = objects.ObjectCache(self._client)
        self._placement = sessions.ServiceAccess(conf, 'placement')
        self._recorder = events.EventRecorder(self._client, which.name)
        self._writer = writer.StatusWriter(self._client, health,
                                           self._queue.add)
        self._runtime = make_runtime(conf, owner, health, throttles,
                                     fence.check)
        self._hosts = hosted.Hosts(
            bus, which.name, self._address, self._runtime, health,
            fence.check, self._queue.add_first) if bus else None
        self._pods = self._make_pods()
        self._mirror = reflector.Reflector(
            podsource.PodSource(self._client, which.name), name='pods',
            on_change=self._pods.pod_changed, on_delete=self._pods.pod_gone)
        self._pods.follow(self._mirror)
        self._link = self._make_link(self._hosts) if self._hosts else None
        self._kubelet = self._make_kubelet(node)
        self._nodes = self._make_nodes(which, services)
        self._figures = metrics.NodeFigures(
            which.name, self._queue.__len__, self._capsule_statuses)

    def _make_pods(self) -> pod_controller.PodController:
        conf = self._conf
        return pod_controller.PodController(
            self._client, self._runtime,
            removal.Removal(
                self._runtime,
                placement.PlacementClient(self._placement, self._guard),
                neutron.NeutronClient(
                    sessions.ServiceAccess(conf, 'neutron'), self._guard)),
            self._recorder, self._queue, self._writer, self._address,
            memory.Policy(conf.pods.daemonsets,
                          conf.pods.placement_deadline),
            self._room,
            # A host is given variables when it asks for the pod.
            resolver.Nothing() if self._hosts else resolver.Resolver(
                conf, self._objects, self._node, self._address),
            self._hosts or hosted.NoHosts(self._address))

    def _make_link(self, hosts: hosted.Hosts) -> hostlink.HostLink:
        return hostlink.HostLink(
            self._node, self._guard, self._mirror, self._runtime,
            payload.PayloadMaker(
                self._conf, self._objects, self._node, self._address,
                tokens.Tokens(self._client),
                notices.Notices(self._recorder).noted),
            hosts, self._recorder)

    def _make_kubelet(self, node: node_identity.NodeIdentity
                      ) -> service.KubeletApi:
        return service.KubeletApi(self._conf, context.Services(
            self._conf, self._node, self._address,
            nodepods.NodePods(self._mirror, self._writer, self._runtime,
                              self._hosts or hosted.NoHosts(self._address),
                              lambda: self._nodes.hosts()),
            self._bus, self._runtime.on_hosts, self._guard,
            gather.Gatherer()), node)

    def _make_nodes(self, which: zones.VirtualNode, services: zun.ZunClient
                    ) -> node_controller.NodeController:
        return node_controller.NodeController(
            self._conf, which, self._client,
            observer.CloudObserver(
                services, placement.PlacementClient(self._placement),
                which.zone),
            self._health, self._recorder, self._pods.claims,
            self._pods.capacity_grew, lambda: self._kubelet.port)

    def start(self) -> None:
        """Start all threads; does not wait for them."""
        metrics.HELD_NODES.add(self._figures)
        stop, spawn = self._threads.stop, self._threads.spawn
        # First: the Node tells of its port.
        self._kubelet.open()
        spawn('kubelet', self._kubelet.run)
        spawn('kubelet-certificate', self._kubelet.certify, stop)
        spawn('events', self._recorder.run, stop)
        spawn('node', self._nodes.run, stop, self._on_registered)
        spawn('capsules', self._runtime.run, self._queue.add_first, stop)
        for number in range(writer.THREADS):
            spawn(f'status-{number}', self._writer.run, stop)
        spawn('pods', self._mirror.run, stop)
        for number in range(self._conf.pods.workers):
            spawn(f'worker-{number}', self._pods.work, stop)
        spawn('resync', self._resync)
        if self._bus and self._hosts and self._link:
            spawn('hosts-hear', hostlink.serve, self._bus, self._node,
                  self._link, self._health, stop)
            spawn('hosts-tell', self._hosts.tell, stop)
            spawn('hosts-watch', self._hosts.watch, stop)

    def stop(self) -> None:
        """Tell all threads to end; does not wait for them."""
        metrics.HELD_NODES.remove(self._figures)
        self._threads.stop.set()
        self._kubelet.stop()
        self._queue.shut_down()
        self._recorder.wake()
        self._writer.wake()
        if self._hosts:
            self._hosts.wake()
        self._runtime.look_soon()

    def join(self, seconds: float) -> list[str]:
        """Wait for the threads; return the names of those that still run."""
        return self._threads.join(seconds)

    def resync(self) -> None:
        """Look at every pod now: for a while nothing could be done."""
        self._pods.resync()
        if self._hosts:
            self._hosts.resync()

    def _room(self) -> admission.Room:
        """Return what the node had when it was last looked at."""
        providers = self._nodes.providers()
        per_host = self._conf.node.pods_per_host
        return admission.Room(
            tuple(_host(provider.total(), provider.free())
                  for provider in providers), len(providers) * per_host)

    def _capsule_statuses(self) -> list[str]:
        return [capsule.status for uid in self._runtime.uids()
                for capsule in self._runtime.of_pod(uid)]

    def _resync(self) -> None:
        while not self._threads.stop.wait(_RESYNC_INTERVAL):
            self._pods.resync()


def _host(total: capacity.Amounts, free: capacity.Amounts) -> admission.Host:
    return admission.Host(
        admission.Amount(total.milli_cpu, free.milli_cpu),
        admission.Amount(total.memory, free.memory))
