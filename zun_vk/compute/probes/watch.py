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
"""What is known of one probe of one container: pure, given the time.

Kubernetes: a liveness probe passes until it fails, a readiness probe fails
until it passes, a startup probe is unknown until then; a result counts once
it came as often in a row as its threshold says.
"""

import enum

from zun_vk.compute.probes import outcome
from zun_vk.compute.probes import prober
from zun_vk.compute.probes import spec


class Result(enum.Enum):
    SUCCESS = 'success'
    FAILURE = 'failure'
    UNKNOWN = 'unknown'


_INITIAL = {spec.LIVENESS: Result.SUCCESS, spec.READINESS: Result.FAILURE,
            spec.STARTUP: Result.UNKNOWN}


class Watch:
    """One probe of one container.

    Owned by the manager, whose lock guards it.
    """

    def __init__(self, target: prober.Target, probe: spec.Probe):
        self.target = target
        self.probe = probe
        self.result = _initial(target, probe)
        #: Nobody asks for it any more.
        self.dropped = False
        #: What it would find is of no interest any more.
        self.quieted = False
        self._last: Result | None = None
        self._run = 0

    @property
    def key(self) -> tuple[str, str]:
        return self.target.container_id, self.probe.kind

    @property
    def over(self) -> bool:
        """Whether there is nothing left to find out.

        A container that failed is killed: to probe it meanwhile would only
        disturb that. One that has started will not start again.
        """
        return (self.probe.kind == spec.STARTUP
                and self.result is not Result.UNKNOWN
                or self.probe.kind == spec.LIVENESS
                and self.result is Result.FAILURE)

    def first_at(self, now: float, wall: float, jitter: float) -> float:
        """Return when it is to be run first.

        :param now: on the monotonic clock
        :param wall: seconds since the epoch
        :param jitter: seconds; to spread the probes of a host
        """
        age = max(wall - self.target.started_at, 0)
        return now + max(self.probe.initial_delay - age, jitter, 0)

    def next_at(self, due: float, now: float) -> float:
        """Return when it is to be run again; late ones are not made up."""
        return max(due + self.probe.period, now)

    def note(self, found: outcome.Outcome) -> bool:
        """Take in how a run went; return whether the result is another."""
        if found.verdict is outcome.Verdict.ERROR:
            return False
        result = (Result.FAILURE if found.verdict is outcome.Verdict.FAILURE
                  else Result.SUCCESS)
        self._run = self._run + 1 if result is self._last else 1
        self._last = result
        threshold = (self.probe.failure_threshold
                     if result is Result.FAILURE
                     else self.probe.success_threshold)
        if self._run < threshold or result is self.result:
            return False
        self.result = result
        return True

    def quiet(self) -> None:
        """The pod ends: what fails now is no failure."""
        self.quieted = True
        self.result = Result.SUCCESS


def _initial(target: prober.Target, probe: spec.Probe) -> Result:
    # A restart of this service is no reason to doubt a container.
    if (probe.kind == spec.STARTUP and target.started
            or probe.kind == spec.READINESS and target.ready):
        return Result.SUCCESS
    return _INITIAL[probe.kind]
