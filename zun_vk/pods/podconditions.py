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
"""The conditions of a pod, as a kubelet sets them. Pure.

Only the kubelet's own are made: others are their makers'. What does not
change keeps its time.
"""

from zun_vk.pods import amounts

SUCCEEDED, FAILED = 'Succeeded', 'Failed'


def conditions(pod: dict, phase: str, init: list[dict], entries: list[dict],
               sandbox: bool, at: str) -> list[dict]:
    """Return the conditions of a pod.

    :param init: initContainerStatuses
    :param entries: containerStatuses
    :param sandbox: it is there, with its network
    :param at: the present, RFC 3339
    """
    ready, reason, message = _readiness(pod, phase, init, entries)
    gates = _closed_gates(pod)
    pod_ready = ready and not gates
    if ready and gates:
        reason, message = 'ReadinessGatesNotReady', (
            'not true: ' + ', '.join(gates))
    wanted = [('PodScheduled', True, '', ''),
              ('PodReadyToStartContainers',
               sandbox and phase not in (SUCCEEDED, FAILED), '', ''),
              ('Initialized', *_initialized(pod, phase, init, entries)),
              ('ContainersReady', ready, *(('', '') if ready
                                           else (reason, message))),
              ('Ready', pod_ready, *(('', '') if pod_ready
                                     else (reason, message)))]
    return [condition(pod, kind, value, why, words, at)
            for kind, value, why, words in wanted]


def condition(pod: dict, kind: str, value: bool, reason: str, message: str,
              at: str) -> dict:
    """Return one condition, with the time of its last change."""
    all_before = (pod.get('status') or {}).get('conditions') or []
    before: dict = next(
        (each for each in all_before if each['type'] == kind), {})
    word = 'True' if value else 'False'
    since = before.get('lastTransitionTime')
    if before.get('status') != word or not since:
        since = at
    made = {'type': kind, 'status': word, 'lastTransitionTime': since,
            'reason': reason, 'message': message}
    return made | observed(pod)


def observed(pod: dict) -> dict[str, int]:
    """Return which generation of the pod a status or condition is of.

    API servers before 1.33 give pods no generation.
    """
    generation = pod['metadata'].get('generation')
    return {'observedGeneration': generation} if generation else {}


def _readiness(pod: dict, phase: str, init: list[dict],
               entries: list[dict]) -> tuple[bool, str, str]:
    if phase == SUCCEEDED:
        return False, 'PodCompleted', ''
    if phase == FAILED:
        return False, 'PodFailed', ''
    unready = [entry['name'] for entry in _sidecars(pod, init) + entries
               if not entry['ready']]
    if unready:
        return (False, 'ContainersNotReady',
                f'containers with unready status: [{" ".join(unready)}]')
    return True, '', ''


def _sidecars(pod: dict, init: list[dict]) -> list[dict]:
    names = {container['name']
             for container in pod['spec'].get('initContainers') or []
             if amounts.is_sidecar(container)}
    return [entry for entry in init if entry['name'] in names]


def _initialized(pod: dict, phase: str, init: list[dict],
                 entries: list[dict]) -> tuple[bool, str, str]:
    """Return the condition Initialized: value, reason and message.

    Kubernetes: once a container was started it stays true, whatever becomes
    of sidecars.
    """
    if phase == SUCCEEDED:
        return True, 'PodCompleted', ''
    sidecars = {entry['name'] for entry in _sidecars(pod, init)}
    incomplete = [entry['name'] for entry in init if not (
        entry.get('started') if entry['name'] in sidecars
        else entry['ready'])]
    if not incomplete or any(map(was_started, entries)):
        return True, '', ''
    return (False, 'ContainersNotInitialized', 'containers with incomplete '
            f'status: [{" ".join(incomplete)}]')


def was_started(entry: dict) -> bool:
    """Tell whether a container runs, or did."""
    state, last = entry.get('state') or {}, entry.get('lastState') or {}
    return any(state.get(kind) is not None
               for kind in ('running', 'terminated')) or (
        last.get('terminated') is not None)


def _closed_gates(pod: dict) -> list[str]:
    values = {each['type']: each['status'] for each in
              (pod.get('status') or {}).get('conditions') or []}
    return [gate['conditionType']
            for gate in pod['spec'].get('readinessGates') or []
            if values.get(gate['conditionType']) != 'True']
