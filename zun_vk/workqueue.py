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
"""Which object needs work next: a queue of keys, not of events.

In flow keys (pod UIDs) from whoever saw a change; out they flow to workers,
first in first out but for those that are nearly done. A key is never queued
twice and never held by two workers at once; a key added while it is held is
queued again when its worker is done. So a worker always looks at the newest
state, and no change is missed.

It has no thread of its own: keys that wait for their time are handed out by
whichever worker asks next.
"""

import collections
from collections.abc import Callable
import heapq
import random
import threading
import time

from zun_vk import backoff


class WorkQueue:
    """A queue of keys for many adders and many workers.

    :param base: the first delay of retry(), seconds
    :param cap: the longest delay of retry(), seconds
    :param clock: monotonic seconds
    :param chance: uniform numbers in [0, 1), for the jitter of retry()
    """

    def __init__(self, base: float = 1.0, cap: float = 300.0, *,
                 clock: Callable[[], float] = time.monotonic,
                 chance: Callable[[], float] = random.random):
        self._base = base
        self._cap = cap
        self._clock = clock
        self._chance = chance
        # The one lock: it guards everything below.
        self._changed = threading.Condition()
        self._ready: collections.deque[str] = collections.deque()
        # Keys that need work: those in _ready, and those held and re-added.
        self._wanted: set[str] = set()
        self._held: set[str] = set()
        # The time each waiting key is due; the heap may also hold entries
        # that an earlier time has overtaken.
        self._due: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        self._failures: dict[str, backoff.Backoff] = {}
        self._shut_down = False

    def add(self, key: str) -> None:
        """Ask for work on the key as soon as a worker is free."""
        with self._changed:
            self._add(key)

    def add_first(self, key: str) -> None:
        """As add(), but before all that wait: little is left to do for it.

        What is finished first gives way soonest, and nobody waits longer in
        the end. A key that waits already keeps its place.
        """
        with self._changed:
            self._add(key, first=True)

    def add_after(self, key: str, seconds: float) -> None:
        """Ask for work on the key later; of several times the earliest."""
        with self._changed:
            self._add_after(key, seconds)

    def retry(self, key: str, at_least: float = 0.0) -> float:
        """Ask for work on a key that failed, later each time.

        :param at_least: seconds that a remote service asked to wait
        :returns: the seconds it will wait
        """
        with self._changed:
            if key not in self._failures:
                self._failures[key] = backoff.Backoff(
                    self._base, self._cap, clock=self._clock,
                    chance=self._chance)
            delay = max(at_least, self._failures[key].next())
            self._add_after(key, delay)
            return delay

    def forget(self, key: str) -> None:
        """Forget the key's failures: its next retry is a first one."""
        with self._changed:
            self._failures.pop(key, None)

    def get(self, timeout: float | None = None) -> str | None:
        """Take the next key; the caller must give it back with done().

        :param timeout: seconds to wait at most, None for as long as it takes
        :returns: None after the timeout or once the queue is shut down
        """
        deadline = None if timeout is None else self._clock() + timeout
        with self._changed:
            while not self._shut_down:
                self._add_due()
                if self._ready:
                    return self._take()
                wait = self._wait(deadline)
                if wait is not None and wait <= 0:
                    return None
                self._changed.wait(wait)
        return None

    def done(self, key: str) -> None:
        """Give a key back; it is queued again if it was added meanwhile.

        :raises KeyError: the key is not held
        """
        with self._changed:
            self._held.remove(key)
            if key in self._wanted:
                self._enqueue(key)

    def shut_down(self) -> None:
        """Let every get() return None from now on; keys added are ignored."""
        with self._changed:
            self._shut_down = True
            self._changed.notify_all()

    def __len__(self) -> int:
        """Return how many keys wait for a free worker now."""
        with self._changed:
            self._add_due()
            return len(self._ready)

    # Below here the caller holds the lock.

    def _add(self, key: str, first: bool = False) -> None:
        if self._shut_down or key in self._wanted:
            return
        self._wanted.add(key)
        if key not in self._held:
            self._enqueue(key, first)

    def _add_after(self, key: str, seconds: float) -> None:
        if self._shut_down:
            return
        if seconds <= 0:
            self._add(key)
            return
        due = self._clock() + seconds
        if due >= self._due.get(key, float('inf')):
            return
        self._due[key] = due
        heapq.heappush(self._heap, (due, key))
        if self._heap[0] == (due, key):
            # All, not one: the one might be about to give up.
            self._changed.notify_all()

    def _enqueue(self, key: str, first: bool = False) -> None:
        if first:
            self._ready.appendleft(key)
        else:
            self._ready.append(key)
        self._changed.notify()

    def _take(self) -> str:
        key = self._ready.popleft()
        self._wanted.remove(key)
        self._held.add(key)
        return key

    def _add_due(self) -> None:
        now = self._clock()
        while self._heap and self._heap[0][0] <= now:
            due, key = heapq.heappop(self._heap)
            if self._due.get(key) == due:
                del self._due[key]
                self._add(key)

    def _wait(self, deadline: float | None) -> float | None:
        """Return seconds until a key is due or the deadline, None: neither.

        Zero or less only when the deadline has passed.
        """
        now = self._clock()
        left = None if deadline is None else deadline - now
        if not self._heap or (left is not None and left <= 0):
            return left
        # A key that came due since _add_due() needs another round, not None.
        until_due = max(self._heap[0][0] - now, 0.001)
        wait = until_due if left is None else min(left, until_due)
        return min(wait, threading.TIMEOUT_MAX)
