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
"""The end of a pod: containers first, sidecars after them, then sandboxes.

Kubernetes: pod termination. Regular containers are told at once. Sidecars
run until those have ended, and end in the reverse of the order in which they
started; their preStop hooks do not wait for that. When the grace is over,
all are told.
"""

import dataclasses

from zun_vk.compute import model
from zun_vk.compute import policy
from zun_vk.compute import view as views

# Seconds that two deadlines may differ by and still be the same.
_SAME = 1.0


def plan(view: views.View) -> model.Plan:
    """Return what to do next of a pod that ends, or has ended."""
    draft = views.Draft()
    if view.live:
        kill_all(view, draft, _deadline(view))
    over = not (view.live or view.memory.starting) and stop_all(
        view, draft, 'The pod ended')
    return dataclasses.replace(
        draft.plan(), ended=view.memory.ended or over, failed=failure(view))


def failure(view: views.View) -> model.Words | None:
    """Return what the pod has failed of, where its containers do not say.

    A pod that finished before it was told to end has finished.
    """
    end = view.memory.finishing or view.memory.ending
    if end is None or not end.reason:
        return None
    return model.Words(end.reason, end.message)


def kill_all(view: views.View, draft: views.Draft, deadline: float,
             renew: bool = False) -> None:
    """Plan the kill of all that runs, by ``deadline``.

    :param renew: it is to run again, however it ends now
    """
    names = {container.name for container in view.live}
    for container in view.live:
        _kill(view, draft, container, deadline,
              hold=view.now < deadline and _waits(
                  view.pod, container.name, names),
              restart=renew and policy.survives_failure(
                  view.pod, policy.find(view.pod, container.name)))


def stop_all(view: views.View, draft: views.Draft, why: str) -> bool:
    """Plan the stop of the sandboxes that hold a network; tell if none do.

    The newest may hold one though it is not ready.
    """
    left = [sandbox for sandbox in view.seen.sandboxes
            if sandbox.id not in view.memory.stopped
            and (sandbox.ready or sandbox is view.sandbox)]
    for sandbox in left:
        if draft.try_again(view, sandbox.id):
            draft.do(model.StopSandbox(sandbox.id, why))
    return not left


def _deadline(view: views.View) -> float:
    ends = (view.memory.ending, view.memory.finishing)
    return min((end.deadline for end in ends if end is not None),
               default=view.now + policy.grace_of(view.pod))


def _kill(view: views.View, draft: views.Draft,
          container: model.SeenContainer, deadline: float,
          hold: bool, restart: bool) -> None:
    known = view.memory.killing.get(container.id)
    hold = hold and (known is None or known.held)
    if hold:
        draft.look(deadline)
        if not policy.has_hook(policy.find(view.pod, container.name),
                               'preStop'):
            return
    # The kill comes with the least grace at least: no sooner than this.
    soonest = max(deadline, view.now + model.MIN_GRACE)
    if (known is not None and known.held == hold
            and known.deadline <= soonest + _SAME):
        return
    if not draft.try_again(view, container.id):
        return
    draft.do(model.KillContainer(
        container.id, container.name, max(deadline - view.now, 0),
        f'Stopping container {container.name}', hold=hold, restart=restart))


def _waits(pod: dict, name: str, live: set[str]) -> bool:
    """Tell whether a container is a sidecar that others end before."""
    if policy.kind_of(pod, name) != model.Kind.SIDECAR:
        return False
    names = [container['name'] for container in policy.initials(pod)]
    later = {container['name']
             for container in policy.initials(pod)[names.index(name) + 1:]
             if policy.is_sidecar(container)}
    return not live.isdisjoint(later | {
        container['name'] for container in policy.regulars(pod)})
