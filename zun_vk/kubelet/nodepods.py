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
"""The pods of a node, as the kubelet's API sees them.

Flows in: what the reflector, the writer of statuses, the capsule runtime and
the hosts know by themselves. Flows out: one view of it, from memory.
"""

import typing

from oslo_log import log as logging

from zun_vk import exceptions
from zun_vk.kube import reflector
from zun_vk.pods import capsule as capsule_module
from zun_vk.pods import hosted
from zun_vk.pods import status as pod_status
from zun_vk.pods import writer as writer_module
from zun_vk.pods.runtimes import base

LOG = logging.getLogger(__name__)

# For the first list of pods.
_SYNC_SECONDS = 3.0


class NodePods:
    """See context.Pods; safe to share by threads.

    Whoever asks for pods is refused while they are not known.

    :param up: returns Zun's hosts that may have had pods of the node
    """

    def __init__(self, mirror: reflector.Reflector,
                 writer: writer_module.StatusWriter,
                 runtime: base.CapsuleRuntime,
                 hosts: hosted.Hosts | hosted.NoHosts,
                 up: typing.Callable[[], typing.Iterable[str]] = tuple):
        self._mirror = mirror
        self._writer = writer
        self._runtime = runtime
        self._hosts = hosts
        self._up = up

    def find(self, namespace: str, name: str, uid: str = '') -> dict | None:
        for pod in self._known():
            metadata = pod['metadata']
            if (metadata.get('name') == name
                    and metadata.get('namespace') == namespace
                    and uid in ('', metadata['uid'])):
                return self._newest(pod)
        return None

    def all(self) -> list[dict]:
        return [self._newest(pod) for pod in self._known()]

    def host_of(self, uid: str) -> str | None:
        capsules = self._runtime.of_pod(uid)
        known = [capsule.host for capsule in capsules if capsule.host]
        if known:
            return known[0]
        if not capsules:
            # Of a pod that ended its host keeps the logs.
            told = min(self._hosts.hosts_of(uid), default=None)
            if told is None:
                self._need_capsules()
            return told
        try:
            # One that has just been made: Zun may know more by now.
            found = self._runtime.located(capsules[0].uuid)
        except exceptions.RemoteError as error:
            LOG.warning('The host of pod %s is not known: %s', uid, error)
            return None
        return found.host or None if found else None

    def hosts(self) -> set[str]:
        # Else a node that was just taken would seem to use nothing.
        self._need_capsules()
        return self._hosts_known()

    def all_hosts(self) -> set[str]:
        return self._hosts_known() | set(self._up())

    def _need_capsules(self) -> None:
        if self._runtime.listed_at() == float('-inf'):
            raise exceptions.Refused(
                503, 'the hosts of the node are not known yet')

    def _hosts_known(self) -> set[str]:
        return {capsule.host for uid in self._runtime.uids()
                for capsule in self._runtime.of_pod(uid) if capsule.host}

    def _known(self) -> list[dict]:
        # The API server finds this agent before it has listed the pods of a
        # node that it has just taken: none of them is gone.
        if not self._mirror.synced.wait(_SYNC_SECONDS):
            raise exceptions.Refused(
                503, 'the pods of the node are not known yet')
        return list(self._mirror.snapshot().values())

    def _newest(self, pod: dict) -> dict:
        """Return a pod with the newest of its statuses.

        Its hosts may have told what is not yet written.
        """
        pod = self._writer.newest(pod)
        if pod_status.is_terminal(pod):
            return pod
        capsule = self._capsule(pod)
        status = self._hosts.status(pod, capsule) if capsule else None
        return {**pod, 'status': status} if status else pod

    def _capsule(self, pod: dict) -> capsule_module.Capsule | None:
        capsules = self._runtime.of_pod(pod['metadata']['uid'])
        return next(iter(capsules), None)


def running(pods: typing.Iterable[dict]) -> list[dict]:
    """Return the pods that have running containers, as a runtime knows them.

    Kubernetes: /runningpods/ of the kubelet; no more than names, images and
    identity.
    """
    found = []
    for pod in pods:
        containers = [
            {'name': one['name'], 'image': one.get('image', ''),
             'resources': {}}
            for kind in ('initContainerStatuses', 'containerStatuses',
                         'ephemeralContainerStatuses')
            for one in (pod.get('status') or {}).get(kind) or []
            if (one.get('state') or {}).get('running') is not None]
        if containers:
            metadata = pod['metadata']
            found.append({
                'metadata': {name: metadata[name]
                             for name in ('name', 'namespace', 'uid')},
                'spec': {'containers': containers}, 'status': {}})
    return found
