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
"""What works and what does not, said once.

Every loop that calls a remote service reports each outcome under a name of
its own. The first failure and the recovery are logged, the repetitions are
not; the node's Ready condition is made from what is failing now.
"""

import dataclasses
import threading
import time
import typing

from oslo_log import log as logging

from zun_vk import exceptions

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Problem:
    """A check that fails now.

    :param service: the service at fault: keystone, zun, placement, ...
    :param message: what it said last
    :param since: monotonic time of the first failure in a row, seconds
    """

    service: str
    message: str
    since: float


class Health:
    """The failing checks of this process.

    :param clock: monotonic clock, seconds
    """

    def __init__(self, clock: typing.Callable[[], float] = time.monotonic):
        self._clock = clock
        self._lock = threading.Lock()  # guards _problems
        self._problems: dict[str, Problem] = {}

    def attempt(self, check: str, call: typing.Callable[..., object],
                *args: typing.Any) -> bool:
        """Call ``call(*args)``, report the outcome, tell if it succeeded."""
        return self.outcome(check, call, *args) is None

    def outcome(self, check: str, call: typing.Callable[..., object],
                *args: typing.Any) -> exceptions.RemoteError | None:
        """Do what ``attempt`` does, and return the error or None."""
        error = _error_of(call, *args)
        # Not while the exception is handled: oslo.log would repeat it.
        if error is None:
            self.ok(check)
        else:
            self.failed(check, error)
        return error

    def ok(self, check: str) -> None:
        """Report that ``check`` succeeded."""
        with self._lock:
            problem = self._problems.pop(check, None)
        if problem:
            LOG.info('%s: works again after %.0f s', check,
                     self._clock() - problem.since)

    def failed(self, check: str, error: exceptions.RemoteError) -> None:
        """Report that ``check`` failed with ``error``."""
        with self._lock:
            known = self._problems.get(check)
            self._problems[check] = Problem(
                error.service, error.message,
                known.since if known else self._clock())
        if known is None or known.service != error.service:
            LOG.warning('%s: failed, will be tried until it works: %s',
                        check, error)

    def problems(self) -> list[Problem]:
        """Return the failing checks, the oldest first."""
        with self._lock:
            return sorted(self._problems.values(), key=lambda p: p.since)


def _error_of(call: typing.Callable[..., object],
              *args: typing.Any) -> exceptions.RemoteError | None:
    try:
        call(*args)
    except exceptions.RemoteError as error:
        return error
    return None
