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
"""A new sandbox in place of one that is gone: everything begins anew.

Whatever ran in the old one is killed first, then the old one is stopped, so
that its network is given back before the new one asks for it.
"""

from zun_vk.compute import endings
from zun_vk.compute import model
from zun_vk.compute import policy
from zun_vk.compute import view as views


def renew(view: views.View, draft: views.Draft) -> None:
    """Plan the sandbox of a pod that has none that is sound."""
    if view.live:
        endings.kill_all(view, draft,
                         view.now + policy.grace_of(view.pod), renew=True)
        return
    if view.memory.starting:
        return
    # The new one is made right after the stops, or once they have come off.
    stopped = endings.stop_all(view, draft, 'The sandbox changed')
    if not view.memory.volumes_ready or not (stopped or draft.actions):
        return
    if view.memory.sandbox_retry_at > view.now:
        draft.look(view.memory.sandbox_retry_at)
        return
    attempt = max((sandbox.attempt for sandbox in view.seen.sandboxes),
                  default=-1) + 1
    draft.do(model.NewSandbox(attempt, changed=attempt > 0))


def is_final(view: views.View) -> bool:
    """Tell whether the loss of the sandbox is the end of the pod.

    Kubernetes: with restartPolicy Never nothing that ran runs again. While
    no container was made, another sandbox may still be tried.
    """
    return (not view.sound
            and policy.restart_policy(view.pod) == policy.NEVER
            and any(view.last(container['name']) is not None
                    for container in (policy.initials(view.pod)
                                      + policy.regulars(view.pod))))
