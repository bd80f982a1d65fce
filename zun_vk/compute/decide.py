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
"""What to do next about a pod: the kubelet's rules as one pure function.

In flow the pod's spec, what the runtime shows and what its worker remembers;
out flows a plan. Nothing is done here, and nothing is remembered: the same
look gives the same plan, and a service that began anew, which remembers
little, plans nothing for a pod that is as it should be.

The worker takes the actions in their order, stops at one that fails, and
looks again: when the runtime shows something new, when something that it
remembers changed, and at ``Plan.look_at``.
"""

import dataclasses

from zun_vk.compute import endings
from zun_vk.compute import initials
from zun_vk.compute import model
from zun_vk.compute import outcome
from zun_vk.compute import regulars
from zun_vk.compute import sandboxes
from zun_vk.compute import view as views


def what_to_do(pod: dict, seen: model.Seen, memory: model.PodMemory,
               now: float) -> model.Plan:
    """Return the next steps towards what the pod asks for.

    :param pod: the Kubernetes object
    :param now: seconds since the epoch
    """
    view = views.View(pod, seen, memory, now)
    if memory.ended or memory.ending or memory.finishing:
        return endings.plan(view)
    finishing = outcome.finishing(view)
    if finishing is not None:
        return _finish(view, finishing)
    draft = views.Draft()
    if not view.sound:
        sandboxes.renew(view, draft)
    elif initials.care(view, draft):
        regulars.care(view, draft)
    return draft.plan()


def _finish(view: views.View, finishing: model.Ending) -> model.Plan:
    memory = dataclasses.replace(view.memory, finishing=finishing)
    return dataclasses.replace(
        endings.plan(dataclasses.replace(view, memory=memory)),
        finishing=finishing)
