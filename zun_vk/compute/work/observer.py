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

import os
import threading

from zun_vk import exceptions
from zun_vk.compute import logs
from zun_vk.compute import model
from zun_vk.compute.cri import client as cri
from zun_vk.compute.cri import cri_pb2
from zun_vk.compute.volumes import volumes as volumes_module
from zun_vk.compute.work import pod as pod_module

_STATES = {
    cri_pb2.CONTAINER_CREATED: model.ContainerState.CREATED,
    cri_pb2.CONTAINER_RUNNING: model.ContainerState.RUNNING,
    cri_pb2.CONTAINER_EXITED: model.ContainerState.EXITED,
}


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
        # By sandbox that is ready: its status.
        self._sandboxes: dict[str, cri.SandboxStatus] = {}

    def look(self, pod: pod_module.Pod) -> model.Seen:
        """Return all that the runtime has of a pod.

        :raises RemoteError: it does not say
        """
        labels = {model.LABEL_UID: pod.uid,
                  model.LABEL_CAPSULE: pod.capsule.uuid,
                  model.LABEL_MANAGED_BY: model.MANAGED_BY}
        sandboxes = [self._sandbox(each)
                     for each in self._runtime.sandboxes(labels)]
        containers = [self._container(pod, each)
                      for each in self._runtime.containers(labels)]
        return model.Seen(
            tuple(sorted(sandboxes, reverse=True,
                         key=lambda each: (each.attempt, each.created_at))),
            tuple(sorted(filter(None, containers), reverse=True,
                         key=lambda each: (each.attempt, each.created_at))))

    def pid(self, pod: pod_module.Pod) -> int:
        """Return a process of the pod's ready sandbox; 0 where none is.

        :raises RemoteError: the runtime does not say
        """
        for each in self._runtime.sandboxes(
                {model.LABEL_UID: pod.uid,
                 model.LABEL_CAPSULE: pod.capsule.uuid}):
            if each.state == cri_pb2.SANDBOX_READY:
                return self._status(each.id).pid
        return 0

    def forget(self, pod: pod_module.Pod) -> None:
        with self._lock:
            self._exited.pop(pod.uid, None)

    def _sandbox(self, listed: cri_pb2.PodSandbox) -> model.SeenSandbox:
        ready = listed.state == cri_pb2.SANDBOX_READY
        addresses: tuple[str, ...] = ()
        if ready:
            network = self._status(listed.id).status.network
            addresses = tuple(filter(None, (
                network.ip, *(each.ip for each in network.additional_ips))))
        else:
            with self._lock:
                self._sandboxes.pop(listed.id, None)
        return model.SeenSandbox(
            listed.id, listed.metadata.attempt, ready, listed.created_at,
            addresses, listed.labels.get(model.LABEL_UID, ''),
            listed.labels.get(model.LABEL_CAPSULE, ''),
            listed.runtime_handler)

    def _status(self, sandbox: str) -> cri.SandboxStatus:
        with self._lock:
            known = self._sandboxes.get(sandbox)
        if known is not None:
            return known
        status = self._runtime.sandbox_status(sandbox)
        if status.pid:
            with self._lock:
                self._sandboxes[sandbox] = status
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
        seen = self._seen(pod, listed, status)
        if seen.state is model.ContainerState.EXITED:
            with self._lock:
                self._exited.setdefault(pod.uid, {})[seen.id] = seen
        return seen

    def _seen(self, pod: pod_module.Pod, listed: cri_pb2.Container,
              status: cri_pb2.ContainerStatus) -> model.SeenContainer:
        name, attempt = status.metadata.name, status.metadata.attempt
        state = _STATES.get(status.state, model.ContainerState.UNKNOWN)
        message = status.message
        if state is model.ContainerState.EXITED:
            message = self._last_words(pod, status) or message
        user = None
        if status.user.HasField('linux'):
            linux = status.user.linux
            user = model.User(linux.uid, linux.gid,
                              tuple(linux.supplemental_groups))
        return model.SeenContainer(
            status.id, name, attempt, state, status.created_at,
            status.started_at, status.finished_at, status.exit_code,
            status.reason, message,
            status.image.user_specified_image or status.image.image,
            status.image_id, status.image_ref, listed.pod_sandbox_id,
            pod.uid, status.annotations.get(model.ANNOTATION_SPEC_HASH, ''),
            status.log_path, user)

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
