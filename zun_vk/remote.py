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
"""What every call to a remote service shares: a timer, a counter, errors."""

import datetime
import email.utils
import functools
import http
import math
import time

from zun_vk import exceptions
from zun_vk import metrics

# Seconds; a service that asks for a longer pause is asked again after it.
_LONGEST_PAUSE = 300.0
_REGISTERED = frozenset(map(int, http.HTTPStatus))
# The first that fits counts.
_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (exceptions.NotSent, 'not_sent'),
    (exceptions.Unreachable, 'unreachable'),
    (exceptions.Unavailable, 'broken'),
    (BaseException, 'error'),
)
# The time series of each call: found here at a tenth of what labels() takes.
_counter = functools.cache(metrics.API_CALLS.labels)
_timer = functools.cache(metrics.API_SECONDS.labels)


class Measured:
    """One call in progress; counted and timed as it ends.

    Whoever makes the call sets ``status``, the HTTP status of an answer
    that is no error, where it gets to see it.
    """

    __slots__ = ('_call', '_service', '_started', 'status')

    def __init__(self, service: str, call: str):
        self.status = 0
        self._service = service
        self._call = call

    def __enter__(self) -> 'Measured':
        self._started = time.monotonic()
        return self

    def __exit__(self, _kind: type[BaseException] | None,
                 error: BaseException | None, _traceback: object) -> None:
        seconds = time.monotonic() - self._started
        code = code_of(error) if error else _text(self.status) or '2xx'
        _counter(self._service, self._call, code).inc()
        _timer(self._service, self._call).observe(seconds)


def measured(service: str, call: str) -> Measured:
    """Return what counts and times one call, to be used by ``with``.

    :param service: kubernetes, keystone, zun, placement, neutron or cri
    :param call: name of the call, from a small fixed set
    """
    return Measured(service, call)


def code_of(error: BaseException) -> str:
    """Return what a failed call is counted as: HTTP status or a word.

    ``unreachable``: no answer came; ``not_sent``: nobody was asked;
    ``broken``: an answer came and made no sense; ``error``: anything else.
    """
    status = error.status if isinstance(
        error, exceptions.RemoteError) else 0
    return _text(status) or next(
        word for kind, word in _WORDS if isinstance(error, kind))


def _text(status: int) -> str:
    """Return an HTTP status as text, '' for none.

    Of the registered ones only: a label has no end of values else.
    """
    if not status:
        return ''
    return str(status) if status in _REGISTERED else 'other'


def from_status(service: str, status: int, message: str,
                retry_after: float = 0) -> exceptions.RemoteError:
    """Return the error that an HTTP status outside 2xx means.

    :param status: HTTP status, 0 for no answer at all
    :param retry_after: seconds, from the header of that name
    """
    if status == 429:
        return exceptions.Throttled(service, message, retry_after)
    kind = _error_class(status)
    if issubclass(kind, exceptions.Unavailable):
        return kind(service, message, status, retry_after)
    return kind(service, message, status)


def seconds_to_wait(header: object) -> float:
    """Return the seconds that a Retry-After header asks for.

    :param header: seconds or an HTTP date
    :returns: within bounds; 0 for no header, or one that makes no sense
    """
    text = str(header or '').strip()
    try:
        seconds = float(text)
    except ValueError:
        seconds = _seconds_until(text)
    if not math.isfinite(seconds):
        return 0.0
    return min(max(seconds, 0.0), _LONGEST_PAUSE)


def _seconds_until(date: str) -> float:
    try:
        at = email.utils.parsedate_to_datetime(date)
        return (at - datetime.datetime.now(datetime.UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        # No date, or one without a time zone.
        return 0.0


def _error_class(status: int) -> type[exceptions.RemoteError]:
    known: dict[int, type[exceptions.RemoteError]] = {
        0: exceptions.Unreachable,
        401: exceptions.AccessDenied,
        403: exceptions.AccessDenied,
        404: exceptions.NotFound,
        409: exceptions.Conflict,
        410: exceptions.Expired,
    }
    if 400 <= status < 500:
        return known.get(status, exceptions.Rejected)
    return known.get(status, exceptions.Unavailable)
