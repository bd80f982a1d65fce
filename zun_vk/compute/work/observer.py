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
"""Sees what the runtime has of a pod.

Flows out: plain data for the decision. Statuses of containers that exited
cannot change and are kept, so that a look costs two lists and a status for
each container that may change.
"""

import dataclasses
import os
import threading

from zun_vk import exceptions
from zun_vk.compute import logs
from zun_vk.compute import model
from zun_vk.compute.cri import client as cri
from zun_vk.compute.cri import cri_pb2
from zun_vk.compute.cri import seen
from zun_vk.compute.volumes import volumes as volumes_module
from zun_vk.compute.work import pod as pod_module


class Observer:
    """Looks at the runtime.

    :param log_root: where the logs of pods are
    """

    def __init__(self, runtime: cri.Runtime,
                 volumes: volumes_module.PodVolumes, log_root: str):
        self._runtime = runtime
        self._volumes = volumes
        self._log_root = log_root
        self._lock = threading.Lock()  # guards the dicts below
        # By pod: what cannot change any more, by container id.
        self._exited: dict[str, dict[str, model.SeenContainer]] = {}
        # By pod: the status of each sandbox that is ready, by its id.
        self._sandboxes: dict[str, dict[str, cri.SandboxStatus]] = {}

    def look(self, pod: pod_module.Pod) -> model.Seen:
        """Return all that the runtime has of a pod.

        :raises RemoteError: it does not say
        """
        labels = {model.LABEL_UID: pod.uid,
                  model.LABEL_CAPSULE: pod.capsule.uuid,
                  model.LABEL_MANAGED_BY: model.MANAGED_BY}
        sandboxes = [self._sandbox(pod, each)
                     for each in self._runtime.sandboxes(labels)]
        listed = self._runtime.containers(labels)
        containers = [self._container(pod, each) for each in listed]
        self._prune(pod, {each.id for each in sandboxes if each.ready},
                    {each.id for each in listed})
        return seen.seen(sandboxes, filter(None, containers))

    def pid(self, pod: pod_module.Pod) -> int:
        """Return a process of the pod's ready sandbox; 0 where none is.

        :raises RemoteError: the runtime does not say
        """
        for each in self._runtime.sandboxes(
                {model.LABEL_UID: pod.uid,
                 model.LABEL_CAPSULE: pod.capsule.uuid}):
            if each.state == cri_pb2.SANDBOX_READY:
                return self._status(pod, each.id).pid
        return 0

    def forget(self, pod: pod_module.Pod) -> None:
        with self._lock:
            self._exited.pop(pod.uid, None)
            self._sandboxes.pop(pod.uid, None)

    def _prune(self, pod: pod_module.Pod, ready: set[str],
               containers: set[str]) -> None:
        """Forget what was removed since, and sandboxes that have ended."""
        with self._lock:
            for known, there in ((self._sandboxes, ready),
                                 (self._exited, containers)):
                of_pod = known.get(pod.uid, {})
                for identity in set(of_pod) - there:
                    del of_pod[identity]

    def _sandbox(self, pod: pod_module.Pod,
                 listed: cri_pb2.PodSandbox) -> model.SeenSandbox:
        found = seen.sandbox(listed)
        if not found.ready:
            # Stopped, it has no address in the runtime any more; the pod
            # keeps the one it had, as a kubelet's does.
            return dataclasses.replace(found,
                                       addresses=pod.capsule.addresses)
        return dataclasses.replace(found, addresses=seen.addresses(
            self._status(pod, listed.id).status.network))

    def _status(self, pod: pod_module.Pod,
                sandbox: str) -> cri.SandboxStatus:
        with self._lock:
            known = self._sandboxes.get(pod.uid, {}).get(sandbox)
        if known is not None:
            return known
        status = self._runtime.sandbox_status(sandbox)
        if status.pid:
            with self._lock:
                self._sandboxes.setdefault(pod.uid, {})[sandbox] = status
        return status

    def _container(self, pod: pod_module.Pod, listed: cri_pb2.Container,
                   ) -> model.SeenContainer | None:
        with self._lock:
            known = self._exited.get(pod.uid, {}).get(listed.id)
        if known is not None:
            return known
        try:
            status = self._runtime.container_status(listed.id)
        except exceptions.RuntimeNotFound:
            # Removed since the list was made.
            return None
        found = seen.container(status, listed.pod_sandbox_id)
        if found.state is model.ContainerState.EXITED:
            found = dataclasses.replace(
                found, message=self._last_words(pod, status)
                or found.message)
            with self._lock:
                self._exited.setdefault(pod.uid, {})[found.id] = found
        return found

    def _last_words(self, pod: pod_module.Pod,
                    status: cri_pb2.ContainerStatus) -> str:
        capsule, metadata = pod.capsule, status.metadata
        path = os.path.join(
            logs.pod_dir(self._log_root, capsule.namespace, capsule.pod,
                         capsule.uid),
            logs.container_log(metadata.name, metadata.attempt))
        spec = pod.payload.pod['spec'] if pod.payload else {}
        count = sum(len(spec.get(kind) or ())
                    for kind in ('containers', 'initContainers'))
        try:
            return self._volumes.termination_message(
                pod.uid, metadata.name, metadata.attempt,
                status.annotations.get(
                    model.ANNOTATION_MESSAGE_POLICY, 'File'),
                path, status.exit_code, max(1, count))
        except exceptions.ZunVkError as error:
            return f'its message cannot be read: {error}'
