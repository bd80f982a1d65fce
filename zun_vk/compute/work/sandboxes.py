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
"""Makes and stops the sandboxes of pods: network, cgroup, log directory."""

from collections.abc import Callable
from pathlib import Path
import time

from oslo_log import log as logging

from zun_vk import exceptions
from zun_vk.compute import cgroupfs
from zun_vk.compute import logs
from zun_vk.compute import model
from zun_vk.compute.configs import cgroups
from zun_vk.compute.configs import dns
from zun_vk.compute.configs import sandbox
from zun_vk.compute.configs import settings as configs
from zun_vk.compute.cri import client as cri
from zun_vk.compute.cri import cri_pb2
from zun_vk.compute.work import background as background_module
from zun_vk.compute.work import pod as pod_module
from zun_vk.rpc import payload as payload_module

LOG = logging.getLogger(__name__)

FAILED = 'FailedCreatePodSandBox'
# Seconds after which a stop or removal that failed is tried again.
_RETRY_STOP = 5.0
_RETRY_REMOVAL = 1.0
#: With these a pod fails for good: trying again cannot help.
_HOPELESS = ('SysctlForbidden', 'SupplementalGroupsPolicyNotSupported')


class Sandboxes:
    """The sandboxes of this host's pods.

    :param settings: returns what is the same for all pods
    :param log_root: where the directories of the pods' logs are
    :param resolv_conf: the host's resolver configuration
    :param record: returns a recorder of a pod's events
    """

    def __init__(self, runtime: cri.Runtime,
                 settings: Callable[[], configs.Settings],
                 log_root: str, resolv_conf: str,
                 background: background_module.Background,
                 record: Callable[[pod_module.Pod],
                                  background_module.Recorder],
                 wall: Callable[[], float] = time.time):
        self._runtime = runtime
        self._settings = settings
        self._log_root = log_root
        self._resolv_conf = Path(resolv_conf)
        self._background = background
        self._record = record
        self._wall = wall
        self._cgroups = cgroupfs.CgroupFs()

    def busy(self, pod: pod_module.Pod) -> bool:
        """Tell whether a sandbox of the pod is being made or stopped."""
        return self._background.running(pod, ('sandbox',))

    def config(self, pod: pod_module.Pod,
               attempt: int) -> cri_pb2.PodSandboxConfig:
        """Return the configuration of a pod's sandbox.

        :raises ConfigRefused: the pod asks for what cannot be
        """
        return sandbox.sandbox_config(
            pod.told, pod.capsule.uuid, attempt, self._settings(),
            self.log_directory(pod), self._host_dns())

    def log_directory(self, pod: pod_module.Pod) -> str:
        capsule = pod.capsule
        return logs.pod_dir(self._log_root, capsule.namespace, capsule.pod,
                            capsule.uid)

    def make(self, pod: pod_module.Pod, action: model.NewSandbox) -> None:
        """Begin to make a sandbox."""
        payload = pod.told
        if payload.runtime_error:
            self._failed(pod, payload.runtime_error)
            # Whether it is there by now, only the agent can say.
            pod.fetch_at = min(pod.fetch_at, time.monotonic() + 10.0)
            return
        if action.changed:
            self._record(pod).event(
                background_module.NORMAL, 'SandboxChanged', 'Pod sandbox '
                'changed, it will be killed and re-created.')
        self._background.start(
            pod, ('sandbox',), lambda: self._make(pod, action.attempt),
            # A network may take minutes to come.
            self._made, owner='network')

    def stop(self, pod: pod_module.Pod, action: model.StopSandbox) -> None:
        """Begin to stop a sandbox."""
        def stopped(pod: pod_module.Pod, result: object,
                    error: Exception | None) -> None:
            pod.memory.retry_at.pop(action.id, None)
            if error is None:
                pod.memory.stopped.add(action.id)
            else:
                pod.memory.retry_at[action.id] = self._wall() + _RETRY_STOP
                LOG.warning('Pod %s: its sandbox was not stopped: %s',
                            pod.uid, error)

        self._background.start(
            pod, ('sandbox',),
            lambda: self._runtime.stop_sandbox(action.id), stopped)

    def clear(self, pod: pod_module.Pod, seen: model.Seen) -> None:
        """Begin to remove all sandboxes, and with them the containers."""
        ids = [each.id for each in seen.sandboxes]
        loose = [each.id for each in seen.containers
                 if each.sandbox_id not in ids]

        def clear() -> None:
            for container in loose:
                self._runtime.remove_container(container)
            for each in ids:
                self._runtime.stop_sandbox(each)
                self._runtime.remove_sandbox(each)

        def cleared(pod: pod_module.Pod, result: object,
                    error: Exception | None) -> None:
            if error is not None:
                pod.remove_at = time.monotonic() + _RETRY_REMOVAL
                LOG.warning('Pod %s: its sandbox was not removed: %s',
                            pod.uid, error)

        self._background.start(pod, ('sandbox',), clear, cleared)

    def remove_cgroup(self, uid: str) -> bool:
        """Remove the cgroup of a pod without a sandbox.

        :returns: there is none; else try again, for what was killed may
            take a moment to be gone
        """
        if not cgroups.owns_cgroup(self._settings()):
            return True
        try:
            path = cgroups.pod_path(self._settings(), uid)
        except exceptions.ConfigRefused:
            # With such a UID none was made.
            return True
        try:
            return self._cgroups.remove(path)
        except OSError as error:
            LOG.warning('Pod %s: its cgroup is not removed: %s', uid,
                        error.strerror)
            return False

    def _make(self, pod: pod_module.Pod, attempt: int) -> None:
        payload = pod.told
        config = self.config(pod, attempt)
        spec = payload.pod['spec']
        logs.make_dirs(self.log_directory(pod), [
            container['name'] for container in
            (*(spec.get('initContainers') or ()), *spec['containers'])])
        path, limits = cgroups.pod_cgroup(self._settings(), pod.uid,
                                          payload.pod)
        if limits is not None:
            self._cgroups.apply(path, limits)
        self._runtime.run_sandbox(
            config, payload.runtime_handler or pod.capsule.runtime)

    def _made(self, pod: pod_module.Pod, result: object,
              error: Exception | None) -> None:
        if error is None:
            pod.memory.sandbox_error = None
            pod.sandbox_pause.reset()
        elif (isinstance(error, exceptions.ConfigRefused)
                and error.reason in _HOPELESS):
            now = self._wall()
            pod.memory.ending = model.Ending(now, 0, error.reason,
                                             error.message)
            self._record(pod).event(background_module.WARNING,
                                    error.reason, error.message)
        else:
            self._failed(pod, getattr(error, 'message', str(error)))

    def _failed(self, pod: pod_module.Pod, message: str) -> None:
        pod.memory.sandbox_error = model.Words(FAILED, message)
        pod.memory.sandbox_retry_at = (
            self._wall() + pod.sandbox_pause.next())
        self._record(pod).event(
            background_module.WARNING, FAILED,
            f'Failed to create pod sandbox: {message}')
        # What was planned before it failed does not know of the pause.
        self._background.wake(pod.uid)

    def _host_dns(self) -> payload_module.Dns:
        try:
            return dns.parse(self._resolv_conf.read_text())
        except OSError as error:
            LOG.error('[compute] resolv_conf: %s', error)
            return payload_module.Dns()
