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
"""The status of a pod, from what its capsule is.

Pure: the pod as the API server has it, the capsule as Zun has it and the
time go in, the wanted ``status`` comes out. What does not change keeps its
times, so that equal input gives an equal status and nothing is written.
"""

import typing

from zun_vk.pods import capsule as capsule_module
from zun_vk.pods import podconditions

PENDING, RUNNING, SUCCEEDED, FAILED = (
    'Pending', 'Running', 'Succeeded', 'Failed')
TERMINAL = (SUCCEEDED, FAILED)
_RUNS = ('Running', 'Paused', 'Rebooting', 'Restarting')
_ENDED = ('Stopped', 'Dead', 'Error', 'Deleted')
# Kubernetes: what the kubelet reports for a container whose end it missed.
_UNKNOWN_EXIT = 137


class Waiting(typing.NamedTuple):
    """Why the containers of a pod do not run yet.

    :param reason: CamelCase word shown by kubectl
    """

    reason: str = 'ContainerCreating'
    message: str = ''


CONTAINER_CREATING = Waiting()
# Kubernetes: of all containers while a pod has init containers to run.
INITIALIZING = Waiting('PodInitializing')


def is_terminal(pod: dict) -> bool:
    return (pod.get('status') or {}).get('phase') in TERMINAL


def acknowledged(pod: dict) -> bool:
    """Tell whether a kubelet has taken note of the pod before."""
    return bool((pod.get('status') or {}).get('startTime'))


def has_run(pod: dict) -> bool:
    """Tell whether a container of the pod was seen to have an identity."""
    return any(entry.get('containerID') for entry in
               (pod.get('status') or {}).get('containerStatuses') or [])


def pending(pod: dict, host_ip: str, at: str,
            waiting: Waiting = CONTAINER_CREATING) -> dict:
    """Return the status of a pod that has no running capsule yet."""
    init = pod['spec'].get('initContainers') or []
    if init and waiting == CONTAINER_CREATING:
        waiting = INITIALIZING
    entries, init_entries = (
        [_entry(spec, {'waiting': drop_empty(waiting._asdict())}, None)
         for spec in specs]
        for specs in (pod['spec']['containers'], init))
    return assemble(pod, PENDING, init_entries, entries, (), host_ip, at)


def failed(pod: dict, host_ip: str, at: str, reason: str,
           message: str) -> dict:
    """Return the status of a pod that this node gives up."""
    before = pod.get('status') or {}
    seen = {entry['name']: entry
            for name in ('containerStatuses', 'initContainerStatuses')
            for entry in before.get(name) or []}
    entries, init = (
        [_ended_entry(spec, seen.get(spec['name']), at, reason)
         for spec in pod['spec'].get(name) or []]
        for name in ('containers', 'initContainers'))
    status = assemble(pod, FAILED, init, entries, known_ips(pod), host_ip,
                      at)
    return status | {'reason': reason, 'message': message}


def from_capsule(pod: dict, capsule: capsule_module.Capsule, host_ip: str,
                 at: str) -> dict:
    """Return the status of a pod whose capsule is made or runs.

    :param host_ip: address of the node
    :param at: the present, RFC 3339
    """
    if capsule.creating:
        return pending(pod, host_ip, at)
    seen = {entry['name']: entry for entry in
            (pod.get('status') or {}).get('containerStatuses') or []}
    by_name = {container.name: container for container in capsule.containers}
    entries = []
    for spec in pod['spec']['containers']:
        before = seen.get(spec['name'], {})
        state = _state(by_name.get(spec['name']), capsule, before, at)
        entries.append(_entry(spec, state, by_name.get(spec['name'])))
    return assemble(pod, _phase(pod, entries), [], entries,
                    capsule.addresses, host_ip, at)


def differs(current: dict, wanted: dict) -> bool:
    """Tell whether writing ``wanted`` would change ``current``."""
    return any(_differ(current.get(name), value)
               for name, value in wanted.items()
               # An API server that does not keep it never has it.
               if name in current or name != 'observedGeneration')


def _differ(current: typing.Any, wanted: typing.Any) -> bool:
    if isinstance(wanted, dict):
        current = current or {}
        return (differs(current, wanted)
                or bool(set(current) - set(wanted)))
    if isinstance(wanted, list) and wanted and 'type' in wanted[0]:
        # Conditions: those of others, and what the API server adds to
        # ours, are no difference.
        kept = {item.get('type'): item for item in current or []}
        return any(item['type'] not in kept
                   or differs(kept[item['type']], item) for item in wanted)
    if isinstance(wanted, list) and wanted and isinstance(wanted[0], dict):
        return (not isinstance(current, list) or len(current) != len(wanted)
                or any(map(_differ, current, wanted)))
    return (current or None) != (wanted or None)


def assemble(pod: dict, phase: str, init: list[dict], entries: list[dict],
             addresses: tuple[str, ...], host_ip: str, at: str,
             sandbox: bool | None = None) -> dict:
    """Return the status of which these are the parts.

    :param init: initContainerStatuses
    :param entries: containerStatuses
    :param sandbox: it is ready; None: if there are addresses
    """
    before = pod.get('status') or {}
    if sandbox is None:
        sandbox = bool(addresses)
    status = {
        'phase': phase,
        'startTime': before.get('startTime') or at,
        'hostIP': host_ip,
        'hostIPs': [{'ip': host_ip}],
        'containerStatuses': entries,
        'conditions': podconditions.conditions(
            pod, phase, init, entries, sandbox, at),
        **podconditions.observed(pod),
    }
    if init:
        status['initContainerStatuses'] = init
    # None removes what an earlier capsule of the pod had.
    status['podIP'] = addresses[0] if addresses else None
    status['podIPs'] = [{'ip': address} for address in addresses] or None
    return status


def _state(container: capsule_module.Container | None,
           capsule: capsule_module.Capsule, before: dict, at: str) -> dict:
    known = before.get('state') or {}
    if container is None:
        return {'waiting': {'reason': 'CreateContainerError',
                            'message': 'Zun shows no such container'}}
    if container.status in _RUNS:
        same = before.get('containerID') == container_id(container)
        started = (known.get('running') or {}).get('startedAt')
        if not (same and started):
            started = container.started_at or at
        return {'running': {'startedAt': started}}
    if container.status in _ENDED and container.status != 'Error':
        return {'terminated': _terminated(container, known, at)}
    if container.status == 'Error' or capsule.status == capsule_module.ERROR:
        message = container.reason or capsule.reason
        return {'waiting': drop_empty({'reason': 'CreateContainerError',
                                       'message': message})}
    return known or {'waiting': {'reason': 'ContainerCreating'}}


def _terminated(container: capsule_module.Container, known: dict,
                at: str) -> dict:
    before = known.get('terminated') or {}
    running = known.get('running') or {}
    started = (before.get('startedAt') or running.get('startedAt')
               or container.started_at or at)
    exit_code, reason = container.exit_code, 'Error'
    if exit_code is None:
        exit_code, reason = _UNKNOWN_EXIT, 'ContainerStatusUnknown'
    elif exit_code == 0:
        reason = 'Completed'
    return {'exitCode': exit_code, 'reason': reason, 'startedAt': started,
            'finishedAt': before.get('finishedAt') or at,
            'containerID': container_id(container)}


def container_id(container: capsule_module.Container) -> str:
    """Return the containerID shown in Kubernetes: runtime and identity."""
    return f'zun://{container.uuid}'


def _entry(spec: dict, state: dict,
           container: capsule_module.Container | None) -> dict:
    running = 'running' in state
    entry = {'name': spec['name'], 'image': spec['image'], 'imageID': '',
             'ready': running, 'started': running, 'restartCount': 0,
             'lastState': {}, 'state': state}
    if container and not state.get('waiting'):
        entry['image'] = container.image or spec['image']
        entry['containerID'] = container_id(container)
    return entry


def _ended_entry(spec: dict, seen: dict | None, at: str,
                 reason: str) -> dict:
    """Return the entry of a container that runs no more, or never did."""
    if not (seen and seen.get('containerID')):
        entry = _entry(spec, {'waiting': {'reason': reason}}, None)
        return entry | {'ready': False, 'started': False}
    return ended_entry(seen, at)


def ended_entry(seen: dict, at: str) -> dict:
    """Return the entry of a container that was seen and runs no more."""
    state = seen.get('state') or {}
    entry = seen | {'started': False}
    if state.get('terminated') is not None:
        return entry
    last = (seen.get('lastState') or {}).get('terminated')
    if last is None or state.get('running') is not None:
        started = (state.get('running') or {}).get('startedAt') or at
        last = {'exitCode': _UNKNOWN_EXIT, 'reason': 'ContainerStatusUnknown',
                'startedAt': started, 'finishedAt': at,
                'containerID': seen['containerID']}
    return entry | {'ready': False, 'state': {'terminated': last}}


def _phase(pod: dict, entries: list[dict]) -> str:
    """Return the phase as the kubelet's getPhase does."""
    states = [entry['state'] for entry in entries]
    if any('waiting' in state for state in states):
        return PENDING
    if any('running' in state for state in states):
        return RUNNING
    policy = pod['spec'].get('restartPolicy', 'Always')
    if policy == 'Always':
        return RUNNING
    if all(state['terminated']['exitCode'] == 0 for state in states):
        return SUCCEEDED
    return FAILED if policy == 'Never' else RUNNING


def known_ips(pod: dict) -> tuple[str, ...]:
    """Return the addresses that the pod is known by."""
    return tuple(entry['ip'] for entry in
                 (pod.get('status') or {}).get('podIPs') or [])


def drop_empty(fields: dict) -> dict:
    """Return the fields that have a value."""
    return {name: value for name, value in fields.items() if value}
