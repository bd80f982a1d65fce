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
"""How long an image that could not be pulled is left alone.

Kubernetes: ImagePullBackOff. For each pod and image 10 s after the first
failure, twice as long after each next one, 5 min at most; forgotten when
nothing failed for 10 min.
"""

from collections.abc import Callable
from collections.abc import Hashable
import dataclasses
import threading

from zun_vk import backoff

FIRST = 10.0
LONGEST = 300.0
_FORGOTTEN = 2 * LONGEST


@dataclasses.dataclass
class _Pause:
    delays: backoff.Backoff
    failed_at: float = 0
    until: float = 0
    message: str = ''


class Pauses:
    """The pauses of all; any thread may ask.

    :param clock: monotonic seconds
    """

    def __init__(self, clock: Callable[[], float]):
        self._clock = clock
        self._lock = threading.Lock()
        # Guarded by the lock.
        self._pauses: dict[Hashable, _Pause] = {}

    def holding(self, key: Hashable) -> str | None:
        """Return why something is left alone; None where it is not."""
        with self._lock:
            pause = self._pauses.get(key)
            if pause is None or self._clock() >= pause.until:
                return None
            return pause.message

    def failed(self, key: Hashable, message: str) -> None:
        """Leave something alone for a while."""
        with self._lock:
            self._forget_old()
            pause = self._pauses.setdefault(key, _Pause(backoff.Backoff(
                FIRST, LONGEST, jitter=0, clock=self._clock)))
            pause.failed_at = self._clock()
            pause.until = pause.failed_at + pause.delays.next()
            pause.message = message

    def succeeded(self, key: Hashable) -> None:
        """Begin anew with the next failure."""
        with self._lock:
            self._pauses.pop(key, None)

    def _forget_old(self) -> None:
        old = [key for key, pause in self._pauses.items()
               if self._clock() - pause.failed_at > _FORGOTTEN]
        for key in old:
            del self._pauses[key]
