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
"""Probes of a pod's running containers, as the decision about it sees them.
"""

import dataclasses

from zun_vk.compute import model
from zun_vk.compute.probes import manager as manager_module
from zun_vk.compute.probes import spec
from zun_vk.compute.work import pod as pod_module

_NANO = 1e9


class Probing:
    """Keeps the probes in step with what runs, and a pod with its probes."""

    def __init__(self, manager: manager_module.ProbeManager):
        self._manager = manager

    def look(self, pod: pod_module.Pod, seen: model.Seen) -> None:
        """Probe what runs of a pod, and note what was found."""
        if pod.payload is None:
            return
        running = [each for each in seen.containers
                   if each.state is model.ContainerState.RUNNING]
        by_id = {}
        for each in running:
            try:
                by_id[each.id] = pod.spec_of(each.name)
            except KeyError:
                continue
        address = next(iter(_addresses(pod, seen)), '')
        self._manager.sync(pod.uid, [
            manager_module.Target(
                pod.uid, pod.capsule.namespace, pod.capsule.pod,
                by_id[each.id], each.id, each.started_at / _NANO, address,
                _reported(pod, each, 'started'), _reported(pod, each, 'ready'),
                pod.path_of(each.name))
            for each in running if each.id in by_id],
            ending=pod.ends)
        pod.memory.probes = {
            identity: self._probed(identity, container)
            for identity, container in by_id.items()
            if spec.probes_of(container)}

    def forget(self, pod: pod_module.Pod) -> None:
        self._manager.forget(pod.uid)

    def _probed(self, identity: str, container: dict) -> model.Probed:
        found = model.Probed(
            started=self._manager.started(identity, container),
            ready=self._manager.ready(identity, container))
        failed = self._manager.failed(identity)
        if failed is None:
            return found
        return dataclasses.replace(found, failed=model.Failure(
            failed.kind.capitalize()))


def _addresses(pod: pod_module.Pod, seen: model.Seen) -> tuple[str, ...]:
    ready = next((each for each in seen.sandboxes if each.ready), None)
    return (ready.addresses if ready else ()) or pod.capsule.addresses


def _reported(pod: pod_module.Pod, running: model.SeenContainer,
              field: str) -> bool:
    """Return a flag that was last reported of this very container.

    Probes of a service that has begun anew go on from there: a restart is
    no reason to take a pod out of its Services.
    """
    status = pod.memory.reported.get(running.name) or {}
    return (status.get('containerID')
            == f'{pod.memory.runtime}://{running.id}'
            and bool(status.get(field)))
