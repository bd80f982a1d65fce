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
"""Which hosts answer, as far as this agent can tell.

A host is silent when it was asked and has said nothing for a while. One
that could not be asked, for the bus was down, is not: it is we who hear
nothing then. Nor is it while this process was not running.
"""

import threading
import time
import typing

# Kubernetes: a node that is not heard of for as long is taken for lost.
PATIENCE = 40.0
# Seconds between two calls of ``turned_silent``; a much longer gap means
# that this process was stopped.
INTERVAL = 5.0
_GAP = 2 * INTERVAL


class HostWatch:
    """Knows which hosts are silent.

    :param clock: monotonic seconds
    """

    def __init__(self, clock: typing.Callable[[], float] = time.monotonic):
        self._clock = clock
        self._lock = threading.Lock()  # guards all below
        # Since when a host owes an answer; None: it does not.
        self._asked: dict[str, float | None] = {}
        self._heard: dict[str, float] = {}
        self._silent: set[str] = set()
        self._looked = clock()

    def asked(self, host: str) -> None:
        """Note that a host was asked for a report."""
        with self._lock:
            if self._asked.get(host) is None:
                self._asked[host] = self._clock()

    def heard(self, host: str) -> bool:
        """Note that a host said something; tell whether it was silent."""
        with self._lock:
            if host not in self._asked:
                # Never asked: none of ours, or not yet.
                return False
            self._asked[host] = None
            self._heard[host] = self._clock()
            was_silent = host in self._silent
            self._silent.discard(host)
            return was_silent

    def deaf(self) -> None:
        """Note that the bus is away: what hosts owe they cannot give."""
        with self._lock:
            self._ask_anew(self._clock())

    def is_silent(self, host: str) -> bool:
        with self._lock:
            return host in self._silent

    def quiet_for(self, host: str) -> float:
        """Return for how many seconds a host has said nothing."""
        with self._lock:
            return self._clock() - self._heard.get(host, float('-inf'))

    def turned_silent(self) -> set[str]:
        """Return the hosts that have become silent since the last call."""
        with self._lock:
            now = self._clock()
            if now - self._looked > _GAP:
                # What they said meanwhile is still on its way to us.
                self._ask_anew(now)
            self._looked = now
            turned = {host for host, at in self._asked.items()
                      if at is not None and now - at >= PATIENCE
                      } - self._silent
            self._silent |= turned
            return turned

    def _ask_anew(self, now: float) -> None:
        """Give those that owe an answer all their time; in the lock."""
        self._asked = {host: None if at is None else now
                       for host, at in self._asked.items()}
