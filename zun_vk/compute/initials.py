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
"""Init containers: one after the other, and the sidecars among them.

Kubernetes: init containers, sidecar containers. An init container is done
when it exited with 0, a sidecar when it has started: its startup probe
passed and its postStart hook ended. What counts is the newest sandbox, as
everything is done again in a new one; the last container that was made in
it says how far the pod got, since older ones may have been collected.
"""

from zun_vk.compute import model
from zun_vk.compute import policy
from zun_vk.compute import upkeep
from zun_vk.compute import view as views

_EXITED = model.ContainerState.EXITED
_RUNNING = model.ContainerState.RUNNING
_UNKNOWN = model.ContainerState.UNKNOWN


def done_before(view: views.View) -> bool:
    """Tell whether a regular container was made in the newest sandbox."""
    return any(view.here(container['name']) is not None
               for container in policy.regulars(view.pod))


def care(view: views.View, draft: views.Draft) -> bool:
    """Plan what the init containers need; tell whether they are done."""
    initials = policy.initials(view.pod)
    all_passed = done_before(view)
    made = [index for index, container in enumerate(initials)
            if view.here(container['name'])]
    passed = len(initials) if all_passed else max(made, default=0)
    for container in initials[:passed]:
        if policy.is_sidecar(container):
            _keep_sidecar(view, draft, container)
    for container in initials[passed:]:
        found = view.here(container['name'])
        if found is None:
            upkeep.start(view, draft, container)
            return False
        if not _pass(view, draft, container, found):
            return False
    return True


def failed(view: views.View) -> model.SeenContainer | None:
    """Return the init container that exited, and the pod has failed of."""
    if done_before(view):
        return None
    for container in policy.initials(view.pod):
        if policy.is_sidecar(container):
            continue
        found = view.here(container['name']) or _lost(view, container)
        if (found is not None and found.state == _EXITED and found.exit_code
                and not policy.starts_again(
                    view.pod, container, found.exit_code)):
            return found
    return None


def _pass(view: views.View, draft: views.Draft, container: dict,
          found: model.SeenContainer) -> bool:
    """Tell whether the one that the pod got to is done; else care for it."""
    if policy.is_sidecar(container):
        _keep_sidecar(view, draft, container)
        return (view.started(container, found)
                and not view.hook_runs(container, found))
    if found.state == _EXITED and found.exit_code == 0:
        return True
    if found.state == _UNKNOWN:
        upkeep.kill_unknown(view, draft, container, found)
    elif found.state != _RUNNING:
        upkeep.start(view, draft, container)
    return False


def _keep_sidecar(view: views.View, draft: views.Draft,
                  container: dict) -> None:
    found = view.here(container['name'])
    if found is not None and found.state == _RUNNING:
        upkeep.keep(view, draft, container, found)
    elif found is not None and found.state == _UNKNOWN:
        upkeep.kill_unknown(view, draft, container, found)
    else:
        upkeep.start(view, draft, container)


def _lost(view: views.View, container: dict) -> model.SeenContainer | None:
    """Return one that ran in the pod's only sandbox, and is no more."""
    if view.sandbox is not None and view.sandbox.attempt > 0:
        return None
    return view.vanished(container['name'])
