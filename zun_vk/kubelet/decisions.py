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
"""What the API server has said of users, kept for a while; and how it is
asked.

Flows in: answers, each with the time up to which it counts. Flows out: those
that still count. A failure is never kept. Everything is bounded: who cannot
log in can neither fill the memory nor keep the API server busy.
"""

import collections
from collections.abc import Callable
import contextlib
import threading
import time
import typing

from zun_vk import exceptions

#: Seconds that the API server has for an answer: of clients for reviews.
TIMEOUT = 5.0
_SIZE = 4096
# Reviews of one kind under way at once.
_AT_ONCE = 16
# An answer that fails at once is asked for again: a connection that the API
# server had closed is found out only by using it.
_AT_ONCE_SECONDS = 1.0

Decision = typing.TypeVar('Decision')


class Decisions(typing.Generic[Decision]):
    """The newest decisions, by key; the one used least recently goes first.

    Safe to share by threads.

    :param clock: monotonic seconds
    :param size: how many are kept at most
    """

    def __init__(self, clock: Callable[[], float], size: int = _SIZE):
        self._clock = clock
        self._size = size
        self._lock = threading.Lock()  # guards all below
        self._kept: collections.OrderedDict[
            bytes, tuple[float, Decision]] = collections.OrderedDict()

    def __len__(self) -> int:
        with self._lock:
            return len(self._kept)

    def get(self, key: bytes) -> Decision | None:
        """Return a decision that still counts, else None."""
        with self._lock:
            until, decision = self._kept.get(key, (None, None))
            if until is None:
                return None
            if self._clock() >= until:
                del self._kept[key]
                return None
            self._kept.move_to_end(key)
            return decision

    def put(self, key: bytes, decision: Decision, until: float) -> None:
        """Keep a decision.

        :param until: the clock's time at which it counts no more
        """
        with self._lock:
            self._kept[key] = (until, decision)
            self._kept.move_to_end(key)
            if len(self._kept) > self._size:
                self._kept.popitem(last=False)


class Asking:
    """Asks the API server for reviews of one kind, a few at a time."""

    def __init__(self, at_once: int = _AT_ONCE, timeout: float = TIMEOUT,
                 clock: Callable[[], float] = time.monotonic):
        self._turns = threading.BoundedSemaphore(at_once)
        self._timeout = timeout
        self._clock = clock

    def __call__(self, call: Callable[[dict], dict], review: dict) -> dict:
        """Return the review as the API server has answered it.

        :raises RemoteError: it did not answer, or not in time
        """
        if not self._turns.acquire(timeout=self._timeout):
            raise exceptions.NotSent('kubernetes', 'too many reviews at once')
        with contextlib.ExitStack() as stack:
            stack.callback(self._turns.release)
            began = self._clock()
            try:
                return call(review)
            except exceptions.Unreachable:
                if self._clock() - began > _AT_ONCE_SECONDS:
                    raise
            return call(review)
