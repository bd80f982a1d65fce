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
"""How long to wait before trying again.

One object per thing that is tried, used by one thread at a time (or under
its owner's lock). It only counts and computes: it never waits itself.
"""

from collections.abc import Callable
import random
import time


class Backoff:
    """Delays that grow exponentially, each shortened at random.

    :param base: the first delay, seconds
    :param cap: the longest delay, seconds
    :param factor: each delay over the one before it
    :param jitter: the largest part of a delay that chance takes off, 0..1
    :param reset_after: seconds without a failure after which the next delay
        is the first again; None: only reset() does that
    :param clock: monotonic seconds
    :param chance: uniform numbers in [0, 1)
    """

    def __init__(self, base: float, cap: float, factor: float = 2.0,
                 jitter: float = 0.5, reset_after: float | None = None, *,
                 clock: Callable[[], float] = time.monotonic,
                 chance: Callable[[], float] = random.random):
        self._base = min(base, cap)
        self._cap = cap
        self._factor = factor
        self._jitter = jitter
        self._reset_after = reset_after
        self._clock = clock
        self._chance = chance
        self._delay = self._base
        self._waited_until: float | None = None

    def next(self) -> float:
        """Count a failure and return the seconds to wait before retrying."""
        now = self._clock()
        if self._healthy_since_last(now):
            self._delay = self._base
        delay = self._delay * (1 - self._jitter * self._chance())
        self._delay = min(self._cap, self._delay * self._factor)
        self._waited_until = now + delay
        return delay

    def reset(self) -> None:
        """Forget all failures."""
        self._delay = self._base
        self._waited_until = None

    def _healthy_since_last(self, now: float) -> bool:
        if self._reset_after is None or self._waited_until is None:
            return False
        return now - self._waited_until >= self._reset_after
