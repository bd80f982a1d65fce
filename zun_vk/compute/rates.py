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
"""How fast something uses CPU, from how much it has used. Pure.

Kubernetes: the kubelet samples every 10 s for itself. Here those who ask make
the samples, so that a host that nobody asks does nothing: a rate is that
since a sample of 10 s ago or more, where there is one. Some runtimes tell
rates too, but 0 at first, and then over whatever passed since anybody asked
them (containerd): theirs are not taken.
"""

import dataclasses

from zun_vk.rpc import stats

# Seconds from one base to the next; below the least, a rate would mostly be
# chance; beyond the most, it would tell of the past.
_WINDOW, _LEAST, _MOST = 10.0, 1.0, 600.0


@dataclasses.dataclass
class _Known:
    """What was sampled of one container or sandbox.

    :param at: seconds since the epoch, of the base
    :param total: nanoseconds, likewise
    :param rate: over the window that ended with the base
    """

    at: float
    total: int
    rate: int | None = None


class Rates:
    """The last samples; for one thread at a time."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def rated(self, identity: str, cpu: stats.Cpu | None
              ) -> stats.Cpu | None:
        """Return what was measured with its rate, if it can be told.

        :param identity: no two things ever have the same
        """
        if cpu is None or cpu.total is None:
            return cpu
        return dataclasses.replace(
            cpu, rate=self._rate(identity, cpu.at, cpu.total))

    def keep(self, identities: set[str]) -> None:
        """Forget all others."""
        for identity in set(self._known) - identities:
            del self._known[identity]

    def _rate(self, identity: str, at: float, total: int) -> int | None:
        known = self._known.get(identity)
        if known is None or total < known.total or not (
                0 <= at - known.at <= _MOST):
            self._known[identity] = _Known(at, total)
            return None
        elapsed = at - known.at
        if elapsed < _LEAST or elapsed < _WINDOW and known.rate is not None:
            return known.rate
        rate = int((total - known.total) / elapsed)
        if elapsed >= _WINDOW:
            self._known[identity] = _Known(at, total, rate)
        return rate
