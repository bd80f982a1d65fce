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
"""How long a pod may still wait or run: pure, of the pod and the time.

All is counted from startTime, which the API server keeps, or from what this
process saw later: a restart of the agent gives nobody more time.
"""

from zun_vk.kube import times


def left(pod: dict, allowed: float | None, now: float,
         since: float = float('-inf')) -> float | None:
    """Return how many of ``allowed`` seconds since startTime are left.

    :param now: seconds since the epoch
    :param since: they count from here, where that is later; of the epoch
    :returns: 0 or less once they are over; None: there is no such limit, or
        the pod was not taken up yet
    """
    started = (pod.get('status') or {}).get('startTime')
    if not allowed or not started:
        return None
    return max(times.seconds(started), since) + allowed - now


def active(pod: dict, now: float) -> float | None:
    """Return the seconds left of the pod's activeDeadlineSeconds."""
    return left(pod, pod['spec'].get('activeDeadlineSeconds'), now)
