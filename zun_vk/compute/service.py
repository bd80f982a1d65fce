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
"""zun-vk-compute: all its parts, built and run.

The only place on a host that knows all parts. A stop leaves every container
as it is: the next start takes up what it finds, from the records and from
what the runtime shows.
"""

from collections.abc import Collection
import threading

from oslo_config import cfg
from oslo_log import log as logging
import oslo_messaging as messaging
from oslo_service import systemd

from zun_vk import backoff
from zun_vk import exceptions
from zun_vk import health as health_module
from zun_vk import process
from zun_vk.compute import collector as collector_module
from zun_vk.compute import diskusage as diskusage_module
from zun_vk.compute import endpoint as endpoint_module
from zun_vk.compute import hosting as hosting_module
from zun_vk.compute import pods as pods_module
from zun_vk.compute import publisher as publisher_module
from zun_vk.compute import stats as stats_module
from zun_vk.compute import store as store_module
from zun_vk.compute.cri import client as cri
from zun_vk.compute.cri import watcher as watcher_module
from zun_vk.compute.network import binding as binding_module
from zun_vk.compute.network import ports as ports_module
from zun_vk.compute.network import server as cni_server
from zun_vk.compute.streams import logsource
from zun_vk.compute.streams import service as streams_module
from zun_vk.compute.work import assembly
from zun_vk.compute.work import housekeeping as housekeeping_module
from zun_vk.rpc import bus as bus_module
from zun_vk.rpc import streams

LOG = logging.getLogger(__name__)

_STOP_PATIENCE = 10.0


class Compute(process.Process):
    """The service that oslo.service runs on a host.

    :param conf: all sections registered and parsed
    :raises ConfigError: an option is wrong
    """

    def __init__(self, conf: cfg.ConfigOpts):
        super().__init__(conf)
        options = conf.compute
        self._host = options.host
        self._bus = bus_module.Bus(conf)
        self._runtime = cri.Runtime(options.runtime_endpoint)
        self._publisher = publisher_module.Publisher(self._bus, self._host)
        self._store = store_module.RecordStore(f'{options.run_root}/pods')
        self._pods = pods_module.Pods(self._store)
        self._parts = assembly.Parts(
            conf, self._runtime, self._bus, self._pods, self._publisher,
            self._store)
        self._hosting = hosting_module.Hosting(
            self._bus, self._host, self._runtime, self._pods, self._store,
            options.log_root, self._parts.tasks, self._publisher.record)
        self._cni = cni_server.CniServer(
            f'{options.run_root}/cni.sock', self._vif_of,
            ports_module.Ports(self._bus, self._host,
                               self._stop).wait_active,
            binding_module.Binding(),
            store_module.RecordStore(f'{options.run_root}/plugged'))
        self._watcher = watcher_module.Watcher(
            self._runtime, self._pods.queue.add)
        self._collector = collector_module.Collector(
            self._runtime, self._pods.known, options.image_gc_high_percent,
            options.image_gc_low_percent, self._tidy)
        self._housekeeping = housekeeping_module.Housekeeping(
            self._pods, self._runtime, self._parts.volumes, options)
        self._disk = diskusage_module.DiskUsage(self._parts.volumes.used)
        self._stats = stats_module.HostStats(
            self._runtime, self._pods, options, self._disk,
            self._parts.probes.counts)
        self._streams = streams_module.Streams(
            options, lambda uid: self._pods.get(uid) is not None)
        self._streams.register(streams.LOGS, logsource.LogSource(
            self._pods, self._store, options.log_root,
            logsource.attempts(self._runtime)).prepare)
        self._endpoint = endpoint_module.Endpoint(
            self._pods, self._stats.told, self._hosting.clear, self._report,
            self._hosting.forget, self._streams.opened)
        self._health = health_module.Health()
        # The runtime was asked; before, pods would be judged by what an
        # older one can do.
        self._learned = False

    def preflight(self) -> None:
        """Try what the options name.

        :raises ConfigError: an option names what cannot be
        """
        self._parts.open()
        self._streams.open()
        try:
            self._cni.open()
        except OSError as error:
            raise exceptions.ConfigError('[compute] run_root',
                                         str(error)) from error
        try:
            self._learn()
        except exceptions.RuntimeUnavailable as error:
            LOG.warning('Not checked, for it does not answer: %s', error)
        except exceptions.RemoteError as error:
            raise exceptions.ConfigError(
                '[compute] runtime_endpoint', str(error)) from error

    def _learn(self) -> None:
        """Ask the runtime what it is and can do.

        :raises RemoteError: it does not say
        """
        version = self._runtime.version()
        LOG.info('The runtime is %s %s', version.runtime_name,
                 version.runtime_version)
        self._parts.learn(self._runtime.status())
        self._pods.runtime = version.runtime_name
        self._learned = True

    def stop(self) -> None:
        """End all threads; every container stays as it is."""
        self._stop.set()
        self._streams.stop()
        self._pods.queue.shut_down()
        self._publisher.wake()
        self._parts.close()
        self._disk.close()
        self._join(_STOP_PATIENCE)
        self._streams.close()
        self._runtime.close()

    def _main(self) -> None:
        """Run all parts; the bus last, when we can do what it asks."""
        pause = backoff.Backoff(1.0, 10.0)
        while not self._learned and not self._health.attempt(
                'ask the container runtime', self._learn):
            if self._stop.wait(pause.next()):
                return
        self._pods.restore()
        stop, spawn = self._stop, self._threads.spawn
        self._parts.start()
        spawn('cni', self._cni.run, stop)
        for number in range(self._conf.compute.workers):
            spawn(f'pod-{number}', self._pods.work, self._parts.worker.look,
                  stop)
        self._streams.start(self._threads)
        spawn('watcher', self._watcher.run, stop)
        spawn('states', self._publisher.run_states, stop)
        spawn('events', self._publisher.run_events, stop)
        spawn('beats', self._publisher.run_beats, self._pods.nodes, stop)
        spawn('capsules', self._hosting.run, stop)
        spawn('collector', self._collector.run, stop)
        for number, run in enumerate(self._housekeeping.runs()):
            spawn(f'housekeeping-{number}', run, stop)
        self._serve()

    def _serve(self) -> None:
        pause = backoff.Backoff(0.5, 5.0)
        server = self._new_server()
        while not self._health.attempt('serve on the message bus',
                                       self._bus.start, server):
            if self._stop.wait(pause.next()):
                return
            server = self._new_server()
        LOG.info('Serving host %s', self._host)
        systemd.notify_once()
        self._stop.wait(threading.TIMEOUT_MAX)
        server.stop()
        server.wait()

    def _new_server(self) -> messaging.MessageHandlingServer:
        return self._bus.server(bus_module.COMPUTE, self._host,
                                self._endpoint)

    def _tidy(self, known: Collection[str]) -> None:
        """Remove what is kept of pods and images that are no more."""
        self._parts.puller.records.prune(
            lambda: [image.id for image in self._runtime.images()])
        for uid in self._parts.volumes.uids() - set(known):
            # One that has come meanwhile stays.
            if self._pods.get(uid) is None:
                self._remove_volumes(uid)

    def _remove_volumes(self, uid: str) -> None:
        try:
            self._parts.volumes.remove(uid)
        except exceptions.VolumeFailed as error:
            # Those of others must go all the same.
            LOG.warning('What is left of pod %s stays for now: %s', uid,
                        error)

    def _vif_of(self, capsule: str) -> dict:
        pod = self._pods.of_capsule(capsule)
        return pod.capsule.vif if pod else {}

    def _report(self, node: str) -> None:
        self._publisher.report(node, self._pods.states(node),
                               self._pods.all_told(node))
