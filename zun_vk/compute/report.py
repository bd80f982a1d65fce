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
"""What a host reports of a pod: the statuses that a kubelet would.

Pure, from what the runtime shows and what the worker remembers. What was
reported before counts where the runtime has forgotten: a container never
goes back to one that had not run.
"""

import dataclasses

from zun_vk.compute import backoff
from zun_vk.compute import endings
from zun_vk.compute import initials
from zun_vk.compute import model
from zun_vk.compute import policy
from zun_vk.compute import regulars
from zun_vk.compute import statuses
from zun_vk.compute import view as views
from zun_vk.rpc import states

_STATE = model.ContainerState
_NOT_FOUND = 'The container ran, but the runtime no longer knows it'
_NEVER_RAN = 'The pod ended before the container was seen to end'
_INITIALIZED = ('The runtime no longer knows the container, but the pod '
                'was initialized')


def pod_state(pod: dict, seen: model.Seen, memory: model.PodMemory,
              now: float, *, capsule: str, node: str, generation: int,
              gone: bool = False) -> states.PodState:
    """Return all there is to tell of the pod.

    :param now: seconds since the epoch
    :param generation: greater than that of any state told before
    :param gone: the pod was removed from the host
    """
    view = views.View(pod, seen, memory, now)
    containers, init_containers = container_statuses(pod, seen, memory, now)
    failed = endings.failure(view) or model.Words()
    sandbox = view.sandbox or model.SeenSandbox('', ready=False)
    return states.PodState(
        uid=pod['metadata']['uid'], capsule=capsule, node=node,
        generation=generation, sandbox=sandbox.id,
        sandbox_ready=sandbox.ready, addresses=sandbox.addresses,
        containers=tuple(containers), init_containers=tuple(init_containers),
        reason=failed.reason, message=failed.message,
        ending=memory.ending is not None, ended=memory.ended, gone=gone)


def container_statuses(pod: dict, seen: model.Seen, memory: model.PodMemory,
                       now: float) -> tuple[list[dict], list[dict]]:
    """Return containerStatuses and initContainerStatuses, in pod order."""
    view = views.View(pod, _without_unborn(seen, memory), memory, now)
    ordinary = [_status(view, spec) for spec in policy.regulars(pod)]
    initial = [_status(view, spec) for spec in policy.initials(pod)]
    if memory.ended:
        _close(ordinary, initial)
    return ordinary, initial


def _without_unborn(seen: model.Seen, memory: model.PodMemory) -> model.Seen:
    """Leave out what is being started and has not run.

    Its restart count must not show before it does: whoever watches takes
    the end of the one before it for its own.
    """
    return dataclasses.replace(seen, containers=tuple(
        each for each in seen.containers
        if each.state != _STATE.CREATED or each.name not in memory.starting))


def newly_waiting(before: states.PodState | None, state: states.PodState,
                  reason: str) -> list[str]:
    """Return the containers that wait for that reason since ``before``."""
    return sorted(_waiting(state, reason)
                  - (_waiting(before, reason) if before else set()))


def _waiting(state: states.PodState, reason: str) -> set[str]:
    return {status['name']
            for status in state.init_containers + state.containers
            if (status['state'].get('waiting') or {}).get('reason')
            == reason}


def _status(view: views.View, spec: dict) -> dict:
    found = view.seen.newest(spec['name'])
    status = {'name': spec['name'], 'image': spec.get('image', ''),
              'imageID': '', 'restartCount': 0, 'ready': False,
              'started': False, 'state': _not_yet(view), 'lastState': {},
              **statuses.volume_mounts(spec)}
    status |= (_unseen(view, spec) if found is None
               else _seen(view, spec, found))
    if _is_to_start(view, spec):
        _explain(view, spec, status)
    return status


def _not_yet(view: views.View) -> dict:
    return statuses.waiting(
        statuses.INITIALIZING if policy.initials(view.pod)
        else statuses.CREATING)


def _unseen(view: views.View, spec: dict) -> dict:
    """Return what is known of one that the runtime does not show."""
    before = view.memory.reported.get(spec['name']) or {}
    state = before.get('state') or {}
    if 'terminated' in state:
        return before | {'started': False}
    if _must_be_done(view, spec):
        return {'state': statuses.completed(_INITIALIZED), 'ready': True,
                'restartCount': before.get('restartCount', 0)}
    last = before.get('lastState') or {}
    if 'running' in state:
        last = statuses.lost(_NOT_FOUND)
    return {'restartCount': before.get('restartCount', 0),
            'lastState': last}


def _must_be_done(view: views.View, spec: dict) -> bool:
    return (policy.kind_of(view.pod, spec['name']) == model.Kind.INIT
            and initials.done_before(view))


def _seen(view: views.View, spec: dict,
          found: model.SeenContainer) -> dict:
    started = view.started(spec, found)
    return {'containerID': view.full_id(found),
            'restartCount': found.attempt,
            'image': found.image or spec.get('image', ''),
            'imageID': found.image_ref,
            'state': _state(view, found), 'lastState': _last(view, found),
            'started': started, 'ready': _ready(view, spec, found, started),
            **statuses.resources(spec), **statuses.user(found)}


def _ready(view: views.View, spec: dict, found: model.SeenContainer,
           started: bool) -> bool:
    if policy.kind_of(view.pod, found.name) == model.Kind.INIT:
        return found.state == _STATE.EXITED and found.exit_code == 0
    return started and view.ready(spec, found)


def _state(view: views.View, found: model.SeenContainer) -> dict:
    if found.state == _STATE.RUNNING:
        return statuses.running(found)
    if found.state == _STATE.EXITED:
        return statuses.terminated(view, found)
    before = view.memory.reported.get(found.name) or {}
    if found.state == _STATE.UNKNOWN and (
            before.get('containerID') == view.full_id(found)
            and 'running' in (before.get('state') or {})):
        return statuses.lost(_NOT_FOUND)
    return _not_yet(view)


def _last(view: views.View, found: model.SeenContainer) -> dict:
    """Return how the one before it ended."""
    older = next((each for each in view.exits(found.name)
                  if each is not found), None)
    if older is not None:
        return statuses.terminated(view, older)
    before = view.memory.reported.get(found.name) or {}
    state = before.get('state') or {}
    if before.get('containerID') != view.full_id(found) and (
            'terminated' in state):
        return {'terminated': state['terminated']}
    return before.get('lastState') or {}


def _is_to_start(view: views.View, spec: dict) -> bool:
    """Tell whether it does not run, and will."""
    memory = view.memory
    if memory.ending or memory.finishing or memory.ended:
        return False
    found = view.last(spec['name'])
    if found is None or found.state == _STATE.CREATED:
        return True
    if found.state != _STATE.EXITED:
        return False
    if policy.kind_of(view.pod, spec['name']) == model.Kind.INIT and (
            found.exit_code == 0):
        return False
    return regulars.wanted(view, spec)


def _explain(view: views.View, spec: dict, status: dict) -> None:
    """Say in the status why the container does not run yet."""
    name = spec['name']
    state = _kept(view, name)
    if backoff.waits_until(view, spec) > view.now:
        state = statuses.waiting(statuses.CRASH_LOOP, statuses.back_off(
            view.memory.backoff[name].delay, view.pod, name))
    elif name in view.memory.waiting:
        words = view.memory.waiting[name]
        state = statuses.waiting(words.reason, words.message)
    if state is None:
        return
    if 'terminated' in status['state']:
        status['lastState'] = status['state']
    status['state'] = state


def _kept(view: views.View, name: str) -> dict | None:
    """Return the state of a crash loop until another container is made."""
    before = view.memory.reported.get(name) or {}
    state = before.get('state') or {}
    found = view.seen.newest(name)
    if found is not None and (
            before.get('containerID') == view.full_id(found)
            and (state.get('waiting') or {}).get('reason')
            == statuses.CRASH_LOOP):
        return state
    return None


def _close(ordinary: list[dict], initial: list[dict]) -> None:
    """Let no container of a pod that ended look as if it could still run.

    Kubernetes: what has not been seen to end counts as failed. But those
    whose turn never came stay as they are, as the pod was not initialized.
    """
    tried = [index for index, status in enumerate(initial)
             if _has_run(status)]
    unclosed = initial[:max(tried, default=0) + 1]
    if not initial or _is_done(initial[-1]) or any(map(_has_run, ordinary)):
        unclosed = unclosed + ordinary
    for status in unclosed:
        if 'terminated' not in status['state']:
            status['state'] = statuses.lost(_NEVER_RAN)
            status |= {'ready': False, 'started': False}


def _has_run(status: dict) -> bool:
    return 'waiting' not in status['state'] or bool(status['lastState'])


def _is_done(status: dict) -> bool:
    ended = status['state'].get('terminated')
    return status['started'] or (ended is not None
                                 and ended['exitCode'] == 0)
