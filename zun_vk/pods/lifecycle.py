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
"""What to do next with a pod: one pure decision.

The order of the rules is the contract: a pod that is being deleted or has
ended never gets a capsule, a capsule is made only after the API server
knows that the pod was taken up (so that a crash in between is seen), and
only once it is certain that there is none.
"""

import enum

from zun_vk.pods import capsule as capsule_module
from zun_vk.pods import status


class Step(enum.Enum):
    """One thing to do with a pod."""

    ACKNOWLEDGE = 'write startTime: from here on a capsule may exist'
    CREATE = 'make the capsule'
    REPORT = 'write what the capsule is'
    DISCARD = 'delete a capsule that never ran, and make another later'
    DELETE_CAPSULE = 'delete the capsule of a pod that goes or has ended'
    REMOVE_POD = 'remove the Pod object: nothing of it is left'
    LOST = 'fail the pod: its capsule is gone without our doing'
    WAIT = 'look again later'
    NOTHING = 'done'


def decide(pod: dict, capsules: list[capsule_module.Capsule],
           absence_certain: bool) -> Step:
    """Return the next step for ``pod``.

    :param capsules: its capsules, the one to keep first
    :param absence_certain: a capsule that is not in ``capsules`` does not
        exist and no request to make one is under way
    """
    capsule = capsules[0] if capsules else None
    deleted = bool(pod['metadata'].get('deletionTimestamp'))
    if deleted or status.is_terminal(pod):
        if capsule:
            return Step.DELETE_CAPSULE
        if not deleted:
            return Step.NOTHING
        return Step.REMOVE_POD if absence_certain else Step.WAIT
    if capsule:
        return _with_capsule(capsule)
    if not status.acknowledged(pod):
        return Step.ACKNOWLEDGE
    if not absence_certain:
        return Step.WAIT
    return Step.LOST if status.has_run(pod) else Step.CREATE


def _with_capsule(capsule: capsule_module.Capsule) -> Step:
    if capsule.failed_to_start:
        return Step.DISCARD
    if capsule.deleting:
        return Step.WAIT
    return Step.REPORT
