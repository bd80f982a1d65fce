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
"""What must be done for running pods from time to time: logs, disks."""

from collections.abc import Callable
import functools
import os
import threading

from oslo_config import cfg
from oslo_log import log as logging

from zun_vk import exceptions
from zun_vk.compute import logs
from zun_vk.compute import model
from zun_vk.compute import pods as pods_module
from zun_vk.compute.cri import client as cri
from zun_vk.compute.cri import cri_pb2
from zun_vk.compute.volumes import volumes as volumes_module
from zun_vk.compute.work import pod as pod_module

LOG = logging.getLogger(__name__)

_INTERVAL = 10.0


class Housekeeping:
    """Rotates logs and bounds emptyDir volumes.

    :param options: of the section ``[compute]``
    """

    def __init__(self, pods: pods_module.Pods, runtime: cri.Runtime,
                 volumes: volumes_module.PodVolumes,
                 options: cfg.ConfigOpts.GroupAttr):
        self._pods = pods
        self._runtime = runtime
        self._volumes = volumes
        self._log_root = options.log_root
        self._rotator = logs.Rotator(options.container_log_max_size,
                                     options.container_log_max_files)

    def runs(self) -> tuple[Callable[[threading.Event], None], ...]:
        """Return what is to be run, each in a thread of its own.

        To measure what a pod has written may take minutes; logs grow.
        """
        return self._run_volumes, self._run_logs

    def _run_volumes(self, stop: threading.Event) -> None:
        while not stop.wait(_INTERVAL):
            for pod in self._pods.all():
                try:
                    self._bound(pod)
                except (OSError, exceptions.ZunVkError) as error:
                    # One such must not hide the others.
                    LOG.warning('Volumes of pod %s cannot be measured: %s',
                                pod.uid, error)

    def _run_logs(self, stop: threading.Event) -> None:
        while not stop.wait(_INTERVAL):
            try:
                self._rotate()
            except exceptions.RemoteError as error:
                LOG.debug('Logs are not rotated: %s', error)

    def _bound(self, pod: pod_module.Pod) -> None:
        """End a pod that wrote more into an emptyDir than it may.

        Kubernetes: a pod over the sizeLimit of an emptyDir is evicted.
        """
        memory = pod.memory
        if (pod.payload is None or memory.ending or memory.ended
                or pod.removing):
            return
        over = self._volumes.over_limit(pod.payload)
        if over:
            self._pods.end(pod.uid, 0, 'Evicted', ''.join(
                each.message for each in over))

    def _rotate(self) -> None:
        running = self._runtime.containers(
            {model.LABEL_MANAGED_BY: model.MANAGED_BY})
        for container in running:
            if container.state != cri_pb2.CONTAINER_RUNNING:
                continue
            pod = self._pods.get(container.labels.get(model.LABEL_UID, ''))
            if pod is None:
                continue
            capsule = pod.capsule
            path = os.path.join(
                logs.pod_dir(self._log_root, capsule.namespace, capsule.pod,
                             capsule.uid),
                logs.container_log(container.metadata.name,
                                   container.metadata.attempt))
            try:
                self._rotator.look(path, functools.partial(
                    self._runtime.reopen_log, container.id))
            except (OSError, exceptions.ZunVkError) as error:
                LOG.warning('Log of container %s is not rotated: %s',
                            container.metadata.name, error)
