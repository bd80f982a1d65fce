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
"""Bounds the lines of a log that anybody can cause.

So many pass in each second; what is over is counted, and whoever passes next
is told how many were held, to say so.
"""

from collections.abc import Callable
import threading
import time

_LINES_A_SECOND = 10


class Pace:
    """Lets so many lines pass in each second, and counts the others.

    Safe to share by threads.

    :param clock: monotonic seconds
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic,
                 lines: int = _LINES_A_SECOND):
        self._clock = clock
        self._lines = lines
        self._lock = threading.Lock()  # guards all below
        self._second = 0.0
        self._passed = 0
        self._held = 0

    def may_pass(self) -> int | None:
        """Return how many were held since the last that passed.

        :returns: None: this one is held, too
        """
        with self._lock:
            now = self._clock()
            if now - self._second >= 1:
                self._second, self._passed = now, 0
            if self._passed >= self._lines:
                self._held += 1
                return None
            self._passed += 1
            held, self._held = self._held, 0
            return held
