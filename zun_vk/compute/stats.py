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
"""Measures what the pods of this host use, when an agent asks.

In: what the container runtime has measured, the kernel's counters, the sizes
of files. Out: the pods of one node, as zun_vk.rpc.stats has them. What cannot
be measured is left out; nothing is estimated.
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import os
import threading
import time
import typing

from oslo_log import log as logging

from zun_vk import exceptions
from zun_vk.compute import diskusage as diskusage_module
from zun_vk.compute import logs
from zun_vk.compute import model
from zun_vk.compute import netdev
from zun_vk.compute import pods as pods_module
from zun_vk.compute import rates as rates_module
from zun_vk.compute.cri import client as cri
from zun_vk.compute.cri import cri_pb2
from zun_vk.compute.cri import measured
from zun_vk.compute.cri import seen
from zun_vk.compute.work import pod as pod_module
from zun_vk.rpc import fields
from zun_vk.rpc import stats

LOG = logging.getLogger(__name__)

# Seconds to wait while another agent's question is answered; who asks waits
# no longer than five for all.
_PATIENCE = 3.0
#: How often a probe ended how: by container, kind and result; of a pod's uid
ProbeCounts = Callable[[str], Mapping[tuple[str, str, str], int]]


class HostStats:
    """Answers ``stats`` of the endpoint.

    :param roots: ``log_root`` and ``pod_root``, as of [compute]
    :param disk: measures volumes
    :param wall: seconds since the epoch
    """

    def __init__(self, runtime: cri.Runtime, pods: pods_module.Pods,
                 roots: typing.Any, disk: diskusage_module.DiskUsage,
                 probes: ProbeCounts, wall: Callable[[], float] = time.time):
        self._runtime = runtime
        self._pods = pods
        self._log_root = roots.log_root
        self._pod_root = roots.pod_root
        self._disk = disk
        self._probes = probes
        self._wall = wall
        # Held while the runtime is asked: one that hangs must not take all
        # threads of the bus. Guards what follows.
        self._turn = threading.Lock()
        self._rates = rates_module.Rates()
        # By id of each sandbox that is ready: a process of its network.
        self._pids: dict[str, int] = {}

    def told(self, node: str, kind: str) -> list[dict]:
        """As ``gather``, as JSON types."""
        return [pod.to_wire() for pod in self.gather(node, kind)]

    def gather(self, node: str, kind: str) -> list[stats.Pod]:
        """Return what the pods of one node use here.

        :param kind: of ``rpc.stats.KINDS``
        :raises Malformed: there is no such kind
        :raises RemoteError: the runtime does not say
        """
        if kind not in stats.KINDS:
            raise fields.Malformed('kind is none of those there are')
        pods = {pod.uid: pod for pod in self._pods.all()
                if pod.capsule.node == node}
        if kind == stats.PROBES:
            return [self._probed(uid) for uid in pods]
        if not self._turn.acquire(timeout=_PATIENCE):
            raise exceptions.Unavailable(
                'zun-vk-compute', 'the runtime is still being asked')
        try:
            return self._gather(pods, kind == stats.ALL)
        finally:
            self._turn.release()

    def _probed(self, uid: str) -> stats.Pod:
        return stats.Pod(uid, probed=tuple(
            stats.Probed(*key, count=count)
            for key, count in sorted(self._probes(uid).items())))

    def _gather(self, pods: Mapping[str, pod_module.Pod],
                everything: bool) -> list[stats.Pod]:
        sandboxes = [each for each in self._runtime.sandboxes(seen.OURS)
                     if each.state == cri_pb2.SANDBOX_READY]
        containers = [each for each in self._runtime.containers(seen.OURS)
                      if each.state == cri_pb2.CONTAINER_RUNNING]
        found = {each.attributes.id: each for each in
                 self._runtime.containers_stats(seen.OURS)}
        # It asks for the containers once more: not for what metrics-server
        # needs every few seconds.
        whole = self._of_sandboxes() if everything else {}
        self._forget(sandboxes, containers)
        made = []
        for uid, sandbox in _current(sandboxes, pods).items():
            inside = tuple(
                self._container(each, found[each.id])
                for each in containers
                if each.pod_sandbox_id == sandbox.id and each.id in found)
            pod = self._pod(uid, sandbox, inside, whole.get(sandbox.id))
            made.append(self._with_disks(pod, pods[uid], found)
                        if everything else pod)
        return made

    def _of_sandboxes(self) -> dict[str, typing.Any]:
        """Return messages LinuxPodSandboxStats; {} where there are none."""
        try:
            found = self._runtime.sandboxes_stats(seen.OURS)
        except exceptions.RuntimeRefused as error:
            # An older runtime; some fail for all where a sandbox has just
            # ended. The containers have it, too.
            LOG.debug('The runtime does not measure sandboxes: %s', error)
            return {}
        return {each.attributes.id: each.linux for each in found
                if each.HasField('linux')}

    def _forget(self, sandboxes: list, containers: list) -> None:
        ready = {each.id for each in sandboxes}
        self._rates.keep(ready | {each.id for each in containers})
        for identity in set(self._pids) - ready:
            del self._pids[identity]
        self._disk.keep({pod.uid for pod in self._pods.all()})

    def _container(self, listed: typing.Any,
                   found: typing.Any) -> stats.Container:
        return stats.Container(
            name=listed.metadata.name, id=listed.id,
            started_at=measured.seconds(listed.created_at),
            image=(listed.image.user_specified_image
                   or listed.image.image),
            cpu=self._rates.rated(listed.id, measured.cpu(found)),
            memory=measured.memory(found), swap=measured.swap(found))

    def _pod(self, uid: str, sandbox: typing.Any,
             containers: tuple[stats.Container, ...],
             whole: typing.Any) -> stats.Pod:
        pod = stats.Pod(uid, sandbox.id,
                        measured.seconds(sandbox.created_at), containers)
        if whole is None:
            return pod
        return dataclasses.replace(
            pod, cpu=self._rates.rated(sandbox.id, measured.cpu(whole)),
            memory=measured.memory(whole),
            network=measured.network(whole, self._wall()),
            processes=measured.processes(whole))

    def _with_disks(self, pod: stats.Pod, known: pod_module.Pod,
                    found: Mapping[str, typing.Any]) -> stats.Pod:
        """Add what takes more than a question to the runtime."""
        at, filesystem = self._wall(), diskusage_module.of_filesystem
        directory = logs.pod_dir(self._log_root, known.capsule.namespace,
                                 known.capsule.pod, pod.uid)
        log_disk = filesystem(self._log_root, at)
        return dataclasses.replace(
            pod, network=pod.network or self._network(pod.sandbox),
            volumes=self._disk.of(pod.uid),
            disk=filesystem(self._pod_root, at),
            containers=tuple(dataclasses.replace(
                each, rootfs=_rootfs(found[each.id]),
                logs=_on(diskusage_module.of_directory(
                    os.path.join(directory, each.name), at), log_disk))
                for each in pod.containers))

    def _network(self, sandbox: str) -> stats.Network | None:
        if sandbox not in self._pids:
            try:
                self._pids[sandbox] = self._runtime.sandbox_status(
                    sandbox).pid
            except exceptions.RemoteError:
                # It has just ended, as a rule.
                return None
        pid = self._pids[sandbox]
        return netdev.of_process(pid, self._wall()) if pid else None


def _current(sandboxes: list, pods: Mapping[str, pod_module.Pod],
             ) -> dict[str, typing.Any]:
    """Return the newest sandbox of each of these pods, by uid."""
    found: dict[str, typing.Any] = {}
    for each in sorted(sandboxes, key=lambda each: (
            each.metadata.attempt, each.created_at)):
        uid = seen.uid_of(each)
        if uid in pods and each.labels.get(
                model.LABEL_CAPSULE) == pods[uid].capsule.uuid:
            found[uid] = each
    return found


def _rootfs(found: typing.Any) -> stats.Disk | None:
    """Return what a container wrote, on the file system that it is on."""
    layer = measured.rootfs(found)
    where = found.writable_layer.fs_id.mountpoint
    if layer is None or not where:
        return layer
    return _on(layer, diskusage_module.of_filesystem(where, layer.at))


def _on(part: stats.Disk | None, filesystem: stats.Disk | None
        ) -> stats.Disk | None:
    """Return what a part takes, and what its file system has."""
    if part is None or filesystem is None:
        return part
    return dataclasses.replace(filesystem, at=part.at, used=part.used,
                               inodes_used=part.inodes_used)
