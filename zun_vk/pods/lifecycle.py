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

import dataclasses
import enum

from zun_vk.pods import capsule as capsule_module
from zun_vk.pods import status

IGNORE, RUN, FAIL = 'ignore', 'run', 'fail'


class Step(enum.Enum):
    """One thing to do with a pod."""

    ACKNOWLEDGE = 'write startTime: from here on a capsule may exist'
    CREATE = 'make the capsule'
    REPORT = 'write what the capsule is'
    END = 'have the host stop what runs of a pod that goes'
    DISCARD = 'delete a capsule that never ran, and make another later'
    DELETE_CAPSULE = 'delete the capsule of a pod that goes or has ended'
    REMOVE_POD = 'remove the Pod object: nothing of it is left'
    TERMINATED = 'fail the pod that goes: others keep its object, and look'
    LOST = 'fail the pod: its capsule is gone without our doing'
    FORGOTTEN = 'fail the pod: nobody knows any more what it came to'
    CUT_OFF = 'stop a pod that ran past its deadline'
    EXPIRE = 'fail the pod: it ran past its deadline, and runs no more'
    REJECT = 'fail the pod: Zun could not place it for too long'
    IGNORE = 'leave a pod of a DaemonSet as it is'
    TURN_AWAY = 'fail a pod of a DaemonSet'
    WAIT = 'look again later'
    NOTHING = 'done'


@dataclasses.dataclass(frozen=True)
class Hosted:
    """What the host of a pod's capsule makes of it.

    All False where nobody tells.

    :param told: it told something of this capsule
    :param running: something of the pod may run there, which the host can
        be told to end
    :param ending: it was told to end the pod
    :param ended: nothing of the pod runs there, nor will again
    :param settled: that could not be written for so long that it need not
        be waited for, if the pod is deleted anyway
    :param lost: it has nothing of the pod, though it ran, nor will again
    """

    told: bool = False
    running: bool = False
    ending: bool = False
    ended: bool = False
    settled: bool = False
    lost: bool = False


NOWHERE = Hosted()


@dataclasses.dataclass(frozen=True)
class Known:
    """What is known beside the pod and its capsules.

    :param absence_certain: a capsule that was not seen does not exist and
        no request to make one is under way
    :param ran: a container of the pod was seen, even if the API server does
        not know yet
    :param overdue: the pod's activeDeadlineSeconds are over
    :param unplaceable: Zun found no room for the pod, and the time that it
        may wait for some is over
    :param daemonsets: what to do with pods of DaemonSets
    :param host: what the host of its capsule makes of it
    """

    absence_certain: bool
    ran: bool = False
    overdue: bool = False
    unplaceable: bool = False
    daemonsets: str = IGNORE
    host: Hosted = NOWHERE


def decide(pod: dict, capsules: list[capsule_module.Capsule],
           known: Known) -> Step:
    """Return the next step for ``pod``.

    :param capsules: its capsules, the one to keep first
    """
    capsule = capsules[0] if capsules else None
    if pod['metadata'].get('deletionTimestamp'):
        return _going(pod, capsule, known)
    if status.is_terminal(pod):
        return Step.DELETE_CAPSULE if capsule else Step.NOTHING
    if known.overdue:
        return _overdue(capsule, known)
    if capsule:
        return _with_capsule(capsule, known)
    if not status.acknowledged(pod):
        return _newcomer(pod, known)
    return _certainly(_without_capsule(pod, known), known)


def from_daemonset(pod: dict) -> bool:
    """Tell whether a DaemonSet made the pod."""
    return any(owner.get('controller') and owner.get('kind') == 'DaemonSet'
               and str(owner.get('apiVersion')).startswith('apps/')
               for owner in pod['metadata'].get('ownerReferences') or [])


def ignored(pod: dict, daemonsets: str) -> bool:
    """Tell whether the pod is one that never had, nor gets, a capsule.

    One that was taken up before, under another setting, runs on.
    """
    return (daemonsets == IGNORE and from_daemonset(pod)
            and not status.acknowledged(pod))


def _going(pod: dict, capsule: capsule_module.Capsule | None,
           known: Known) -> Step:
    if capsule:
        return _ending(pod, known)
    if ignored(pod, known.daemonsets):
        return _removal(pod)
    return _certainly(_removal(pod), known)


def _removal(pod: dict) -> Step:
    """Return the next step of a pod that goes and has nothing more.

    Kubernetes: while it has finalizers its object stays, and goes with the
    last of them; a Job's is there until its controller sees that it ended.
    """
    metadata = pod['metadata']
    if not metadata.get('finalizers'):
        return Step.REMOVE_POD
    if not status.is_terminal(pod):
        return Step.TERMINATED
    return (Step.NOTHING if metadata.get('deletionGracePeriodSeconds') == 0
            else Step.REMOVE_POD)


def _ending(pod: dict, known: Known) -> Step:
    """Return the next step of a pod that goes and has a capsule.

    Kubernetes: first its containers end, then that is told, and only then
    does what it holds go.
    """
    if known.host.running:
        return Step.END
    if known.host.ended and not (
            known.host.settled or status.is_terminal(pod)):
        return Step.REPORT
    return Step.DELETE_CAPSULE


def _overdue(capsule: capsule_module.Capsule | None, known: Known) -> Step:
    if capsule is None:
        return _certainly(Step.EXPIRE, known)
    if known.host.ended:
        return Step.EXPIRE if known.host.ending else Step.REPORT
    return Step.CUT_OFF


def _with_capsule(capsule: capsule_module.Capsule, known: Known) -> Step:
    if capsule.failed_to_start and not known.host.told:
        return Step.REJECT if known.unplaceable else Step.DISCARD
    if capsule.deleting:
        return Step.WAIT
    return Step.FORGOTTEN if known.host.lost else Step.REPORT


def _newcomer(pod: dict, known: Known) -> Step:
    if not from_daemonset(pod) or known.daemonsets == RUN:
        return Step.ACKNOWLEDGE
    return Step.IGNORE if known.daemonsets == IGNORE else Step.TURN_AWAY


def _without_capsule(pod: dict, known: Known) -> Step:
    if known.ran or status.has_run(pod):
        return Step.LOST
    return Step.REJECT if known.unplaceable else Step.CREATE


def _certainly(step: Step, known: Known) -> Step:
    """Return ``step`` once there is surely no capsule."""
    return step if known.absence_certain else Step.WAIT
