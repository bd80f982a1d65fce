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
"""How fast one endpoint may be asked.

Flows in: callers that are about to send a request, and what the service
answered when it wanted fewer. Flows out: their turn, one after the other.
A token bucket protects the service from an agent that runs away; a service
that asks for a pause (Retry-After) gets it from all callers at once. It
sends nothing itself, and never keeps a caller beyond its patience.
"""

import collections
from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import random
import threading
import time

from zun_vk import exceptions
from zun_vk import metrics

# The pause for a service that wants fewer requests and does not say when.
_DEFAULT_PAUSE = 1.0
# Part of a pause that chance adds: agents must not come back all at once.
_JITTER = 0.2


class Throttle:
    """The gate before one endpoint, safe to share by threads.

    :param service: who is asked, for errors and metrics
    :param rate: requests a second; as many may come at once after a rest
    :param clock: monotonic seconds
    :param chance: uniform numbers in [0, 1)
    """

    def __init__(self, service: str, rate: float, *,
                 clock: Callable[[], float] = time.monotonic,
                 chance: Callable[[], float] = random.random):
        self._service = service
        self._rate = rate
        self._burst = max(1.0, rate)
        self._clock = clock
        self._chance = chance
        # The one lock: it guards everything below.
        self._changed = threading.Condition()
        # Who waits, in the order they came: a list behind a thousand
        # creations waits no longer than those that came before it.
        self._line: collections.deque[object] = collections.deque()
        self._tokens = self._burst
        self._counted_at = clock()
        self._paused_until = float('-inf')
        self._closed = False

    @contextlib.contextmanager
    def turn(self, patience: float) -> Iterator[None]:
        """Wait for a turn, then send; what the service says is obeyed.

        :param patience: seconds to wait at most
        :raises Throttled: the turn would come too late, or the agent stops;
            nothing was sent
        """
        self.admit(patience)
        try:
            yield
        except exceptions.Unavailable as error:
            if isinstance(error, exceptions.Throttled) or error.retry_after:
                self.pause(error.retry_after or _DEFAULT_PAUSE)
            raise

    def admit(self, patience: float) -> None:
        """Wait for a turn; see turn()."""
        began = self._clock()
        ticket = object()
        with self._changed:
            self._line.append(ticket)
            try:
                self._wait(ticket, began + patience)
            finally:
                self._line.remove(ticket)
                self._changed.notify_all()
                metrics.THROTTLE_SECONDS.labels(self._service).inc(
                    self._clock() - began)

    def pause(self, seconds: float) -> None:
        """Let nobody pass for some seconds."""
        seconds *= 1 + _JITTER * self._chance()
        with self._changed:
            self._paused_until = max(self._paused_until,
                                     self._clock() + seconds)
            self._changed.notify_all()

    def close(self) -> None:
        """Send everyone away who waits or comes: the agent stops."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    # Below here the caller holds the lock.

    def _wait(self, ticket: object, deadline: float) -> None:
        while True:
            if self._closed:
                raise self._too_late('the agent stops', 0)
            delay = self._delay()
            first = self._line[0] is ticket
            if first and delay <= 0:
                self._tokens -= 1
                return
            left = deadline - self._clock()
            hopeless = delay if first else self._pause_left()
            if left <= 0 or hopeless > left:
                raise self._too_late('waits before it asks again', delay)
            self._changed.wait(min(left, delay) if first else left)

    def _delay(self) -> float:
        """Return seconds until the first in the line may pass."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + self._rate * (
            now - self._counted_at))
        self._counted_at = now
        return max(self._pause_left(), (1 - self._tokens) / self._rate)

    def _pause_left(self) -> float:
        return self._paused_until - self._clock()

    def _too_late(self, why: str, delay: float) -> exceptions.Throttled:
        return exceptions.Throttled(self._service, why, max(0.0, delay))


class Throttles:
    """The gates of one service, one for each endpoint of it.

    :param service: who is asked
    :param rate: requests a second to one endpoint
    """

    def __init__(self, service: str, rate: float):
        self._service = service
        self._rate = rate
        self._lock = threading.Lock()  # guards the two below
        self._gates: dict[str, Throttle] = {}
        self._closed = False

    def at(self, endpoint: str) -> Throttle:
        """Return the gate before an endpoint, the same for every caller."""
        with self._lock:
            if endpoint not in self._gates:
                gate = Throttle(self._service, self._rate)
                self._gates[endpoint] = gate
                if self._closed:
                    gate.close()
            return self._gates[endpoint]

    def close(self) -> None:
        """Let nobody wait any more: the agent stops."""
        with self._lock:
            self._closed = True
            for gate in self._gates.values():
                gate.close()
