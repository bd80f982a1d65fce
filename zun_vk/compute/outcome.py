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
"""Whether a pod is through with its work, and ends of its own.

Kubernetes: pod phases. A pod has finished when its regular containers have
ended for good, and has failed when an init container has. Sidecars do not
keep it; they are stopped then.
"""

from zun_vk.compute import initials
from zun_vk.compute import model
from zun_vk.compute import policy
from zun_vk.compute import regulars
from zun_vk.compute import sandboxes
from zun_vk.compute import view as views

SANDBOX_LOST = 'PodSandboxLost'


def finishing(view: views.View) -> model.Ending | None:
    """Return how the pod ends, where it does of its own from now on."""
    if regulars.all_ended(view) or initials.failed(view) is not None:
        return _ending(view)
    if sandboxes.is_final(view):
        unrun = [container['name']
                 for container in policy.regulars(view.pod)
                 if view.last(container['name']) is None]
        if not unrun:
            return _ending(view)
        return _ending(view, SANDBOX_LOST, 'The sandbox was lost before '
                       f'these containers ran: {", ".join(unrun)}')
    return None


def _ending(view: views.View, reason: str = '',
            message: str = '') -> model.Ending:
    grace = policy.grace_of(view.pod)
    return model.Ending(view.now + grace, grace, reason, message)
