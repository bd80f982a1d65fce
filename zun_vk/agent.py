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
"""The agent: every part, built from the configuration and run.

The only place that knows all parts. Nothing is global: each part is handed
what it needs. Threads have a name, are started here and end by the one stop
event; they are daemons, for nothing they hold is lost if they are cut off.
"""

import signal
import socket
import threading
import time
import typing

from oslo_config import cfg
from oslo_log import log as logging
from oslo_service import service
from oslo_service import systemd

from zun_vk import exceptions
from zun_vk import health as health_module
from zun_vk import metrics
from zun_vk.cloud import placement
from zun_vk.cloud import sessions
from zun_vk.cloud import zun
from zun_vk.kube import backoff
from zun_vk.kube import client as kube_client
from zun_vk.kube import events
from zun_vk.kube import lease
from zun_vk.kube import podsource
from zun_vk.kube import reflector
from zun_vk.kube import workqueue
from zun_vk.node import controller as node_controller
from zun_vk.node import observer
from zun_vk.pods import controller as pod_controller
from zun_vk.pods import identity
from zun_vk.pods import writer
from zun_vk.pods.runtimes import base

LOG = logging.getLogger(__name__)

_RESYNC_INTERVAL = 60.0
# Seconds that a stop waits for threads in the middle of a remote call.
_STOP_PATIENCE = 10.0
_START_CHECK = 'read the cluster identity'


class Agent(service.ServiceBase):
    """The service that oslo.service runs.

    :param conf: all sections registered and parsed
    :raises ConfigError: an option is wrong, or credentials are refused
    """

    def __init__(self, conf: cfg.ConfigOpts):
        self._conf = conf
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._health = health_module.Health()
        self._client = kube_client.KubeClient(conf)
        self._lease_client = kube_client.KubeClient(conf)
        self._zun_access = sessions.ServiceAccess(conf, 'zun')
        self._placement_access = sessions.ServiceAccess(conf, 'placement')
        self._queue = workqueue.WorkQueue()
        self._recorder = events.EventRecorder(self._client, conf.node.name)
        self._writer = writer.StatusWriter(self._client, self._health,
                                           self._queue.add)
        self._make_runtime = base.find(conf)
        self._runtime: base.CapsuleRuntime | None = None

    def preflight(self) -> None:
        """Try every credential once, and take the port of the metrics.

        A service that does not answer is no error: it will be tried again.

        :raises ConfigError: credentials are refused, or lack a right; the
            port cannot be had
        """
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

    def start(self) -> None:
        """Start all threads; does not wait for them."""
        # oslo.service ends a service that runs in the main process on
        # SIGHUP; what can be changed at run time is read anew instead.
        signal.signal(signal.SIGHUP, self._reload)
        self._spawn('events', self._recorder.run, self._stop)
        self._spawn('main', self._main)

    def stop(self) -> None:
        """End all threads; capsules and the node stay as they are."""
        self._stop.set()
        self._queue.shut_down()
        self._recorder.wake()
        self._writer.wake()
        if self._runtime:
            self._runtime.look_soon()
        deadline = time.monotonic() + _STOP_PATIENCE
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                LOG.warning('Thread %s is cut off in a remote call',
                            thread.name)

    def wait(self) -> None:
        """Block until a signal ends the process."""
        # Not an Event: stop() runs in a signal handler of this thread and
        # must not need a lock that this thread may hold.
        while not self._stop.is_set():
            signal.pause()

    def reset(self) -> None:
        """Nothing to do: see _reload."""

    def _reload(self, *_signal) -> None:
        LOG.info('Reading the configuration again')
        try:
            self._conf.mutate_config_files()
        except (cfg.Error, ValueError) as error:
            LOG.error('The configuration stays as it was: %s', error)

    def _main(self) -> None:
        """Build what needs the cluster's identity, and run it."""
        cluster = self._cluster_id()
        if cluster is None:
            return
        node = self._conf.node.name
        owner = identity.Owner(cluster, node)
        self._runtime = self._make_runtime(self._conf, owner, self._health)
        pods = pod_controller.PodController(
            self._client, self._runtime, self._recorder, self._queue,
            self._writer, str(self._conf.node.address))
        mirror = reflector.Reflector(
            podsource.PodSource(self._client, node), name='pods',
            on_change=pods.pod_changed, on_delete=pods.pod_gone)
        pods.follow(mirror)
        nodes = node_controller.NodeController(
            self._conf, self._client,
            observer.CloudObserver(
                zun.ZunClient(self._zun_access),
                placement.PlacementClient(self._placement_access)),
            self._health, self._recorder, pods.claims, pods.capacity_grew)
        self._spawn('node', nodes.run, self._stop, self._registered)
        self._spawn('capsules', self._runtime.run, self._queue.add,
                    self._stop)
        self._spawn('status', self._writer.run, self._stop)
        self._spawn('pods', mirror.run, self._stop)
        for number in range(self._conf.pods.workers):
            self._spawn(f'worker-{number}', pods.work, self._stop)
        # On its own: a crash of it must not build all of this again.
        self._keep_up('resync', self._resync, pods)

    def _resync(self, pods: pod_controller.PodController) -> None:
        while not self._stop.wait(_RESYNC_INTERVAL):
            pods.resync()

    def _registered(self, node: dict) -> None:
        """The node exists: keep its heart beating and tell systemd."""
        heartbeat = lease.LeaseHeartbeat(
            self._lease_client, self._conf.node.name, socket.gethostname(),
            self._health)
        self._spawn('lease', heartbeat.run, node['metadata']['uid'],
                    self._stop)
        LOG.info('Node %s is registered', self._conf.node.name)
        systemd.notify_once()

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

    def _spawn(self, name: str, run: typing.Callable, *args) -> None:
        thread = threading.Thread(target=self._keep_up, name=name,
                                  args=(name, run, *args), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _keep_up(self, name: str, run: typing.Callable, *args) -> None:
        """Run a part; one that crashes is begun again, not missed."""
        pause = backoff.Backoff(1.0, 60.0, reset_after=120.0)
        while not self._stop.is_set():
            try:
                run(*args)
                return
            except Exception:  # the top of a thread
                metrics.CRASHES.labels(name.rstrip('-0123456789')).inc()
                LOG.exception('%s failed and is begun again', name)
                self._stop.wait(pause.next())


def _unless_down(check: typing.Callable[[], object]) -> None:
    try:
        check()
    except (exceptions.Unreachable, exceptions.Unavailable) as error:
        if 300 <= error.status < 400:
            # Whatever listens there, it is another service.
            raise exceptions.Rejected(error.service, error.message,
                                      error.status) from error
        LOG.warning('Not checked, for it does not answer: %s', error)
