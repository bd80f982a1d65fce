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
"""Tokens: each opens one stream, once, and not for long.

Kept as digests: what a wrong token shares with a right one shows in no time
that somebody could measure, and a dump of this process has none.
"""

from collections.abc import Callable
import hashlib
import secrets
import threading
import time
import typing

from zun_vk import exceptions
from zun_vk.rpc import streams

SECONDS = 30.0
_MOST = 1000
_BYTES = 32

T = typing.TypeVar('T')


class Tickets(typing.Generic[T]):
    """What waits to be fetched with a token; any thread may call.

    :param most: of them at the same time
    :param clock: seconds, monotonic
    """

    def __init__(self, most: int = _MOST,
                 clock: Callable[[], float] = time.monotonic):
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()  # guards the dict below
        # By digest, oldest first: until when, and what for.
        self._waiting: dict[bytes, tuple[float, T]] = {}

    def issue(self, what: T) -> str:
        """Return a token that is good for ``what``.

        :raises Refused: too many wait already
        """
        token = secrets.token_urlsafe(_BYTES)
        with self._lock:
            self._forget_late()
            if len(self._waiting) >= self._most:
                raise exceptions.Refused(
                    503, 'too many streams wait on the host of the pod')
            self._waiting[_digest(token)] = self._clock() + SECONDS, what
        return token

    def redeem(self, token: str) -> T | None:
        """Return what a token is good for, which it is no more; None."""
        if not streams.is_token(token):
            return None
        with self._lock:
            self._forget_late()
            _until, what = self._waiting.pop(_digest(token), (0.0, None))
        return what

    def waiting(self) -> int:
        """Return how many tokens are good now."""
        with self._lock:
            self._forget_late()
            return len(self._waiting)

    def _forget_late(self) -> None:
        now = self._clock()
        late = [digest for digest, (until, _what) in self._waiting.items()
                if until <= now]
        for digest in late:
            del self._waiting[digest]


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
