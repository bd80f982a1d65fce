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
"""What the controller keeps in mind of a pod, and what follows from it.

Nothing here must survive a restart: what must is in the API server
(startTime) and in Zun (labels). No I/O.
"""

import dataclasses

from zun_vk.pods import deadlines
from zun_vk.pods import discretion
from zun_vk.pods import lifecycle
from zun_vk.pods import status


@dataclasses.dataclass(slots=True)
class Memory:
    """What this process knows of a pod beyond the API server and Zun.

    :param acknowledged: this process wrote the pod's startTime, so no other
        has sent a request for its capsule
    :param capsule_seen: a capsule of the pod was seen
    :param ran: a container was seen, though the API server may not know yet
    :param no_room: Zun's words, where it found no host at the last try
    :param held_up_at: time of the epoch at which something else than lack of
        room last kept it from a capsule
    :param absent_after: only a list begun after this monotonic time proves
        that there is no capsule
    :param retry_at: monotonic time before which no capsule is made
    :param read_after: what its variables refer to must be read as it was
        at this monotonic time, or later
    :param removed_at: monotonic time the Pod object was removed
    :param secrets: what the last capsule was given of Secrets, while its
        words may have to be searched; None: not known
    :param end_by: monotonic time its containers must have ended by, as its
        host was told
    :param end_told_at: monotonic time its host was last told
    :param ended_at: monotonic time its host was first seen to say that it
        has ended
    :param made: what its capsule was made of, see ``changes.as_made``
    """

    acknowledged: bool = False
    capsule_seen: bool = False
    ran: bool = False
    no_room: str = ''
    held_up_at: float = float('-inf')
    absent_after: float = float('-inf')
    retry_at: float = float('-inf')
    read_after: float = float('-inf')
    removed_at: float = float('-inf')
    secrets: discretion.Secrets | None = dataclasses.field(
        default=None, repr=False)
    end_by: float = float('inf')
    end_told_at: float = float('-inf')
    ended_at: float | None = None
    made: dict[str, str] | None = None


@dataclasses.dataclass(frozen=True)
class Policy:
    """What the operator chose.

    :param daemonsets: lifecycle.IGNORE, RUN or FAIL
    :param placement_deadline: seconds a pod may wait for room, without what
        it waited for anything else before; 0: for ever
    """

    daemonsets: str = lifecycle.IGNORE
    placement_deadline: float = 0


def known(pod: dict, memory: Memory, policy: Policy, absence_certain: bool,
          now: float, host: lifecycle.Hosted = lifecycle.NOWHERE
          ) -> lifecycle.Known:
    """Return what the decision about a pod stands on.

    :param host: what the host of its capsule makes of it
    :param now: seconds since the epoch
    """
    active, room = _deadlines(pod, memory, policy, now)
    return lifecycle.Known(
        absence_certain, memory.ran, overdue=active is not None
        and active <= 0, unplaceable=room is not None and room <= 0,
        daemonsets=policy.daemonsets, host=host)


def next_deadline(pod: dict, memory: Memory, policy: Policy,
                  now: float) -> float | None:
    """Return the seconds until a deadline of the pod is over, if any is."""
    if status.is_terminal(pod):
        return None
    return min((left for left in _deadlines(pod, memory, policy, now)
                if left is not None and left > 0), default=None)


def _deadlines(pod: dict, memory: Memory, policy: Policy,
               now: float) -> tuple[float | None, float | None]:
    room = deadlines.left(pod, policy.placement_deadline, now,
                          memory.held_up_at)
    return deadlines.active(pod, now), room if memory.no_room else None
