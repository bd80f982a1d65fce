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
"""Which files on this host are the log that an agent asks for.

The pod and the container are named by whoever asks, but only directories of
pods that are or were here are looked into, and none of a name that leads
elsewhere.
"""

from collections.abc import Callable

from zun_vk import exceptions
from zun_vk.compute import logs
from zun_vk.compute import model
from zun_vk.compute import pods as pods_module
from zun_vk.compute import store as store_module
from zun_vk.compute.cri import client as cri
from zun_vk.compute.streams import logfiles
from zun_vk.compute.streams import logreader
from zun_vk.compute.streams import sink as sink_module
from zun_vk.rpc import states
from zun_vk.rpc import streams


def attempts(runtime: cri.Runtime) -> Callable[[str, str], int | None]:
    """Return what finds the attempt of a container of a pod, by its ID."""

    def attempt_of(uid: str, container_id: str) -> int | None:
        try:
            status = runtime.container_status(container_id)
        except exceptions.RemoteError:
            return None
        if status.labels.get(model.LABEL_UID) != uid:
            return None
        return status.metadata.attempt

    return attempt_of


class LogSource:
    """The logs of this host's pods, also of those that are gone.

    :param root: directory of all logs
    :param attempt_of: returns the attempt of a container, by the UID of its
        pod and its ID in the runtime, None: unknown
    """

    def __init__(self, pods: pods_module.Pods,
                 store: store_module.RecordStore, root: str,
                 attempt_of: Callable[[str, str], int | None]):
        self._pods = pods
        self._store = store
        self._root = root
        self._attempt_of = attempt_of

    def prepare(self, request: streams.StreamRequest) -> sink_module.Writer:
        """Return what writes the log that is asked for.

        :raises Refused: there is none
        """
        options = request.logs or streams.LogOptions()
        uid, container = request.uid, request.container
        attempt = options.attempt
        if request.container_id:
            known = self._attempt_of(uid, request.container_id)
            attempt = attempt if known is None else known

        def open_directory() -> logfiles.Directory:
            return self._directory(uid, container, attempt)

        directory = open_directory()
        try:
            if not directory.exists():
                raise _no_log(container)
        finally:
            directory.close()
        return logreader.LogStream(open_directory, options, lambda: self._runs(
            uid, container, attempt))

    def _runs(self, uid: str, container: str, attempt: int) -> bool:
        pod = self._pods.get(uid)
        return pod is not None and may_speak(pod.published, container,
                                             attempt)

    def _directory(self, uid: str, container: str,
                   attempt: int) -> logfiles.Directory:
        name = self._pod_name(uid)
        if name is None or container in ('', '.', '..') or '/' in container:
            raise _no_log(container)
        try:
            # Checked like the one that was made.
            logs.pod_dir(self._root, *name, uid)
            return logfiles.Directory(
                self._root, ('_'.join((*name, uid)), container),
                f'{attempt}.log')
        except (OSError, ValueError):
            raise _no_log(container) from None

    def _pod_name(self, uid: str) -> tuple[str, str] | None:
        pod = self._pods.get(uid)
        if pod is not None:
            return pod.capsule.namespace, pod.capsule.pod
        remnant = self._store.remnant(uid)
        if remnant is None:
            return None
        return str(remnant.get('namespace')), str(remnant.get('pod'))


def _no_log(container: str) -> exceptions.Refused:
    return exceptions.Refused(
        404, f'the log of container "{container}" is not on its host')


def may_speak(state: states.PodState | None, container: str,
              attempt: int) -> bool:
    """Tell whether a container may still say something.

    :param state: what was told of its pod, None: nothing since the start
    """
    if state is None:
        return True
    if state.ended or state.gone:
        return False
    for status in state.containers + state.init_containers:
        if status['name'] == container:
            count = status.get('restartCount', 0)
            return count < attempt or (
                count == attempt and 'running' in status['state'])
    return False
