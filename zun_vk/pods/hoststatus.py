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
"""The status of a pod, from what its host tells. Pure.

What a container is, the host says; what that makes of the pod is decided
here as a kubelet does, and what was over once stays over: neither a late
message nor a host that is out of its mind brings a container back that may
not be started again, nor a pod that has ended.
"""

import dataclasses
import typing

from zun_vk.pods import amounts
from zun_vk.pods import podconditions
from zun_vk.pods import status as pod_status
from zun_vk.rpc import states

# What the API server keeps of a containerStatus, and its kinds.
_FIELDS: dict[str, tuple[type, ...]] = {
    'image': (str,), 'imageID': (str,), 'containerID': (str,),
    'ready': (bool,), 'started': (bool,), 'restartCount': (int,),
    'state': (dict,), 'lastState': (dict,), 'resources': (dict,),
    'allocatedResources': (dict,), 'volumeMounts': (list,), 'user': (dict,),
    'stopSignal': (str,)}
_STATES = ('running', 'terminated', 'waiting')
_NOT_HEARD = 'HostNotResponding'
_OURS = ('PodScheduled', 'PodReadyToStartContainers', 'Initialized',
         'ContainersReady', 'Ready')


def from_state(pod: dict, state: states.PodState,
               addresses: tuple[str, ...], host_ip: str, at: str,
               failure: tuple[str, str] | None = None) -> dict:
    """Return the status of a pod of which its host told ``state``.

    :param addresses: the pod's, where the host tells none
    :param host_ip: address of the node
    :param at: the present, RFC 3339
    :param failure: reason and message of a pod that was made to end
    """
    if state.ended and failure:
        state = dataclasses.replace(
            state, reason=failure[0], message=failure[1])
    spec = pod['spec']
    init = _entries(pod, 'initContainers', state.init_containers, state, at)
    entries = _entries(pod, 'containers', state.containers, state, at)
    phase = _settled(pod, state, phase_of(spec, init, entries, state.ended))
    status = pod_status.assemble(
        pod, phase, init, entries, state.addresses or addresses, host_ip, at,
        state.sandbox_ready and not state.ended)
    # None removes words of before.
    failed = phase == pod_status.FAILED
    status['reason'] = (state.reason if failed else '') or None
    status['message'] = (state.message if failed else '') or None
    return status


def not_heard(pod: dict, status: dict, host: str, at: str) -> dict:
    """Return ``status`` of a pod whose host is silent: it is not ready.

    Kubernetes: so do its pods fare whose node is not heard of.
    """
    ready = podconditions.condition(
        pod, 'Ready', False, _NOT_HEARD,
        f'nothing is heard from host {host}', at)
    conditions = [ready if each['type'] == 'Ready' else each
                  for each in status['conditions']]
    return status | {'conditions': conditions}


def as_before(pod: dict) -> dict:
    """Return the status that the pod has, of our own fields."""
    before = pod.get('status') or {}
    return {'phase': before.get('phase') or pod_status.PENDING,
            'conditions': [dict(each) for each
                           in before.get('conditions') or []
                           if each.get('type') in _OURS]}


def phase_of(spec: dict, init: list[dict], entries: list[dict],
             ended: bool) -> str:
    """Return the phase as the kubelet's getPhase does.

    :param ended: nothing is started again, whatever the restart policy
    """
    never = spec.get('restartPolicy', 'Always') == 'Never'
    pending, failed = _initialization(spec, init)
    if failed and (never or ended):
        return pod_status.FAILED
    sidecars = _sidecars(spec, init)
    kinds = [_kind(entry) for entry in sidecars + entries]
    begun = any(map(podconditions.was_started, entries))
    starting = not begun and any(
        _kind(entry) == 'running' and not entry['started']
        for entry in sidecars)
    if pending or starting or 'waiting' in kinds:
        return pod_status.FAILED if ended else pod_status.PENDING
    if 'running' in kinds:
        return pod_status.RUNNING
    return _stopped(spec, entries, ended)


def _stopped(spec: dict, entries: list[dict], ended: bool) -> str:
    """Return the phase of a pod no container of which runs."""
    policy = spec.get('restartPolicy', 'Always')
    well = all((_last_end(entry) or {}).get('exitCode') == 0
               for entry in entries)
    if not ended and policy == 'Always':
        return pod_status.RUNNING
    if well:
        return pod_status.SUCCEEDED
    if ended or policy == 'Never':
        return pod_status.FAILED
    return pod_status.RUNNING


def _settled(pod: dict, state: states.PodState, phase: str) -> str:
    """Return the phase that may be told.

    Kubernetes: no pod is told to have ended while something of it runs, and
    none that ended begins again.
    """
    before = (pod.get('status') or {}).get('phase') or pod_status.PENDING
    if before in pod_status.TERMINAL:
        return before
    if state.ended and state.reason:
        return pod_status.FAILED
    if phase in pod_status.TERMINAL and not state.ended:
        return before
    return phase


def _initialization(spec: dict, init: list[dict]) -> tuple[int, int]:
    """Return how many init containers are to come, and have failed."""
    pending = failed = 0
    for container, entry in zip(spec.get('initContainers') or [], init,
                                strict=True):
        if amounts.is_sidecar(container):
            continue
        end = _last_end(entry)
        if _kind(entry) == 'running' or end is None:
            pending += 1
        elif end.get('exitCode') != 0:
            failed += 1
    return pending, failed


def _sidecars(spec: dict, init: list[dict]) -> list[dict]:
    return [entry for container, entry in zip(
        spec.get('initContainers') or [], init, strict=True)
        if amounts.is_sidecar(container)]


def _kind(entry: dict) -> str:
    """Return running, stopped (it was started before) or waiting."""
    if entry['state'].get('running') is not None:
        return 'running'
    return 'waiting' if _last_end(entry) is None else 'stopped'


def _last_end(entry: dict) -> dict | None:
    """Return how the container ended: now, or before it waits again."""
    state = entry['state']
    if state.get('terminated') is not None:
        return state['terminated']
    if state.get('running') is not None:
        return None
    return entry['lastState'].get('terminated')


def _entries(pod: dict, kind: str, told: tuple[dict, ...],
             state: states.PodState, at: str) -> list[dict]:
    """Return an entry of each container, in the order of the pod's spec."""
    by_name = {entry.get('name'): entry for entry in told}
    before = {entry.get('name'): entry for entry in
              (pod.get('status') or {}).get(
                  'initContainerStatuses' if kind == 'initContainers'
                  else 'containerStatuses') or []}
    return [_entry(pod, spec, by_name.get(spec['name']),
                   before.get(spec['name']), state, at,
                   kind == 'initContainers')
            for spec in pod['spec'].get(kind) or []]


def _entry(pod: dict, spec: dict, told: dict | None, before: dict | None,
           state: states.PodState, at: str, init: bool) -> dict:
    entry = _read(pod, spec, told or before or {})
    # A runtime may have lost the containers that it was counted by.
    entry['restartCount'] = max(entry['restartCount'],
                                (before or {}).get('restartCount') or 0)
    if before and _is_over(pod, spec, before, init) and (
            entry['state'].get('terminated') is None):
        entry = _read(pod, spec, before)
    if not state.ended or entry['state'].get('terminated') is not None:
        return entry
    if entry.get('containerID'):
        return pod_status.ended_entry(entry, at)
    if told is None and before and before.get('containerID'):
        return pod_status.ended_entry(_read(pod, spec, before), at)
    return entry | {'ready': False, 'started': False}


def _is_over(pod: dict, spec: dict, before: dict, init: bool) -> bool:
    """Tell whether a container has ended and may not be started again.

    Kubernetes: an API server refuses to have it started again.
    """
    end = (before.get('state') or {}).get('terminated')
    policy = pod['spec'].get('restartPolicy', 'Always')
    if init and amounts.is_sidecar(spec):
        return False
    policy = spec.get('restartPolicy') or policy
    if end is None or spec.get('restartPolicyRules') or (
            policy == 'Always' and not init):
        return False
    failed = end.get('exitCode') != 0
    return not (failed and policy != 'Never')


def _read(pod: dict, spec: dict, told: dict) -> dict[str, typing.Any]:
    """Return a containerStatus in which every field has its kind."""
    entry = {'image': spec['image'], 'imageID': '', 'ready': False,
             'restartCount': 0, 'started': False}
    entry |= {name: told[name] for name, kinds in _FIELDS.items()
              if isinstance(told.get(name), kinds)}
    entry['name'] = spec['name']
    entry['lastState'] = _one_of(entry.get('lastState'))
    entry['state'] = _one_of(entry.get('state'))
    if not entry['state']:
        waiting = (pod_status.INITIALIZING
                   if pod['spec'].get('initContainers')
                   else pod_status.CONTAINER_CREATING)
        entry['state'] = {'waiting': {'reason': waiting.reason}}
    return entry


def _one_of(state: dict | None) -> dict:
    """Return a container's state: at most one, the first that is there."""
    for kind in _STATES:
        found = (state or {}).get(kind)
        if isinstance(found, dict):
            return {kind: found}
    return {}
