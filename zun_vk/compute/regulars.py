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
"""The regular containers of a pod: started in order, kept, restarted.

Those after one with a postStart hook wait for the hook, as they do on a
kubelet; the others do not wait for each other.
"""

from zun_vk.compute import model
from zun_vk.compute import policy
from zun_vk.compute import upkeep
from zun_vk.compute import view as views


def care(view: views.View, draft: views.Draft) -> None:
    """Plan what the regular containers need, once initialization is done."""
    held_up = False
    for container in policy.regulars(view.pod):
        found = view.last(container['name'])
        if found is not None and found.state == model.ContainerState.RUNNING:
            upkeep.keep(view, draft, container, found)
            held_up = held_up or view.hook_runs(container, found)
        elif found is not None and (
                found.state == model.ContainerState.UNKNOWN):
            upkeep.kill_unknown(view, draft, container, found)
        elif not wanted(view, container):
            upkeep.stop_leftovers(view, draft, container)
        elif not held_up:
            starts = upkeep.start(view, draft, container)
            held_up = starts and policy.has_hook(container, 'postStart')


def wanted(view: views.View, container: dict) -> bool:
    """Tell whether a container that does not run is to be started."""
    found = view.last(container['name'])
    if found is None or found.state != model.ContainerState.EXITED:
        return True
    return (found.id in view.memory.again
            or policy.starts_again(view.pod, container, found.exit_code))


def all_ended(view: views.View) -> bool:
    """Tell whether all have ended, and none is to be started again."""
    containers = policy.regulars(view.pod)
    return bool(containers) and not any(
        wanted(view, container) or _lives(view, container)
        for container in containers)


def _lives(view: views.View, container: dict) -> bool:
    return any(each.name == container['name'] for each in view.live)
