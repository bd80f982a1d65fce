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
"""Puts the parts together that work on pods."""

from collections.abc import Callable
import contextlib
import dataclasses
import json
from pathlib import Path
import threading
import typing

from oslo_config import cfg

from zun_vk import exceptions
from zun_vk.compute import hooks
from zun_vk.compute import model
from zun_vk.compute import pods as pods_module
from zun_vk.compute import publisher as publisher_module
from zun_vk.compute import store as store_module
from zun_vk.compute.configs import settings as configs
from zun_vk.compute.cri import client as cri
from zun_vk.compute.images import puller as puller_module
from zun_vk.compute.probes import manager as probes_module
from zun_vk.compute.volumes import volumes as volumes_module
from zun_vk.compute.work import background as background_module
from zun_vk.compute.work import fetcher as fetcher_module
from zun_vk.compute.work import killer as killer_module
from zun_vk.compute.work import observer as observer_module
from zun_vk.compute.work import pod as pod_module
from zun_vk.compute.work import probing as probing_module
from zun_vk.compute.work import sandboxes as sandboxes_module
from zun_vk.compute.work import starter as starter_module
from zun_vk.compute.work import tasks as tasks_module
from zun_vk.compute.work import worker as worker_module
from zun_vk.rpc import bus as bus_module

# Sandboxes and starts of many pods at once. Apart from them what takes as
# long as somebody likes, an hour too: kills, hooks and pulls, and removals of
# volumes.
_TASKS = 64
# Of sandboxes that are being made, and of all else.
_TASKS_OF_ONE = 48
_KILLS = 1000
_HOOKS = 1000
_PULLS = 256
_REMOVALS = 16
_FETCHES = 32
# Of one registry, and of one node: who does not answer holds up no other.
_PULLS_OF_ONE = 64
_FETCHES_OF_ONE = 8


class Parts:
    """All that a worker needs; ``worker`` is what it is for."""

    def __init__(self, conf: cfg.ConfigOpts, runtime: cri.Runtime,
                 bus: bus_module.Bus, pods: pods_module.Pods,
                 publisher: publisher_module.Publisher,
                 store: store_module.RecordStore):
        options, wake = conf.compute, pods.queue.add
        self._runtime = runtime
        self._publisher = publisher
        self._pods = pods
        self._store = store
        self.tasks = tasks_module.Tasks('task', _TASKS, _TASKS_OF_ONE)
        self._kills = tasks_module.Tasks('kill', _KILLS)
        self._fetches = tasks_module.Tasks('fetch', _FETCHES,
                                           _FETCHES_OF_ONE)
        self._hooks = tasks_module.Tasks('hook', _HOOKS)
        self._removals = tasks_module.Tasks('volumes', _REMOVALS)
        self._pulls = tasks_module.Tasks('pull', _PULLS, _PULLS_OF_ONE)
        background = background_module.Background(
            self.tasks, wake, {'hook': self._hooks, 'pull': self._pulls,
                               'volumes': self._removals})
        self._settings = configs.from_conf(conf)
        self.volumes = volumes_module.PodVolumes(options)
        self._observer = observer_module.Observer(
            runtime, self.volumes, options.log_root)
        sandboxes = sandboxes_module.Sandboxes(
            runtime, self._host_settings, options.log_root,
            options.resolv_conf, background, self._recorder)
        self.puller = puller_module.ImagePuller(
            runtime, str(Path(options.pod_root).parent / 'images'))
        starter = starter_module.Starter(
            runtime, self._host_settings, sandboxes, self.volumes,
            self.puller, background, self._recorder, self._hook)
        self.probes = probes_module.ProbeManager(
            runtime.exec_sync, self._netns_pid, self._told, wake)
        self.worker = worker_module.Worker(
            self._observer,
            fetcher_module.Fetcher(bus, options.host, self._fetches, wake,
                                   store.save_payload),
            self.volumes, sandboxes, starter,
            killer_module.Killer(runtime.stop_container, self._pre_stop,
                                 self._kills, wake),
            probing_module.Probing(self.probes), background, self._recorder,
            publisher.state, pods.save)

    def open(self) -> None:
        """Make the directories.

        :raises ConfigError: one cannot be
        """
        self.volumes.open()
        self._store.open()

    def learn(self, status: typing.Any) -> None:
        """Take note of what the runtime can do.

        :param status: message StatusResponse; an older runtime says less
        """
        self._settings = dataclasses.replace(
            self._settings,
            strict_groups=status.features.supplemental_groups_policy,
            recursive_read_only=any(
                handler.features.recursive_read_only_mounts
                for handler in status.runtime_handlers if not handler.name))

    def start(self) -> None:
        self.probes.start()

    def close(self) -> None:
        """Begin nothing new."""
        self.probes.stop()
        for tasks in (self.tasks, self._kills, self._fetches, self._hooks,
                      self._pulls, self._removals):
            tasks.close()

    def _host_settings(self) -> configs.Settings:
        return self._settings

    def _recorder(self, pod: pod_module.Pod) -> background_module.Recorder:
        return background_module.Recorder(pod, self._publisher.event)

    def _told(self, event) -> None:
        pod = self._pods.get(event.uid)
        if pod is not None:
            self._publisher.event(pod.capsule.node, event)

    def _netns_pid(self, uid: str) -> int:
        """Return the process whose network namespace is the pod's; 0."""
        pod = self._pods.get(uid)
        return self._observer.pid(pod) if pod is not None else 0

    def _hook(self, pod: pod_module.Pod, name: str, identity: str,
              handler: dict, seconds: float,
              stop: threading.Event) -> hooks.Outcome:
        address = next(iter(pod.capsule.addresses), '')
        container = {'name': name} if pod.payload is None else (
            pod.spec_of(name))
        return hooks.run(
            handler, hooks.Hook(
                pod.uid, pod.capsule.namespace, pod.capsule.pod,
                container, identity, address),
            seconds, self._runtime.exec_sync, self._netns_pid, stop)

    def _pre_stop_handler(self, pod: pod_module.Pod, name: str,
                          identity: str) -> dict | None:
        if pod.payload is not None:
            with contextlib.suppress(KeyError):
                return (pod.spec_of(name).get('lifecycle')
                        or {}).get('preStop')
            return None
        # Kubernetes: of a pod that is not known, the container has it.
        with contextlib.suppress(exceptions.RemoteError, ValueError):
            found = json.loads(self._runtime.container_status(
                identity).annotations.get(model.ANNOTATION_PRE_STOP, 'null'))
            return found if isinstance(found, dict) else None
        return None

    def _pre_stop(self, pod: pod_module.Pod, name: str, identity: str,
                  ) -> Callable[[float, threading.Event], None] | None:
        handler = self._pre_stop_handler(pod, name, identity)
        if not handler:
            return None

        def run(seconds: float, stop: threading.Event) -> None:
            try:
                outcome = self._hook(pod, name, identity, handler, seconds,
                                     stop)
            except exceptions.ZunVkError as error:
                outcome = hooks.Outcome(False, str(error))
            if not outcome.ok:
                self._recorder(pod).event(
                    background_module.WARNING, hooks.PRE_STOP_FAILED,
                    'PreStopHook failed', name)

        return run
