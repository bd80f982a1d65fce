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

import contextlib
import datetime
import email.utils
import math
import time
import typing

from zun_vk import exceptions
from zun_vk import metrics

# Seconds; a service that asks for a longer pause is asked again after it.
_LONGEST_PAUSE = 300.0


@contextlib.contextmanager
def measured(service: str, call: str) -> typing.Iterator[None]:
    """Count and time one call; the outcome is the class of its error.

    :param service: kubernetes, keystone, zun or placement
    :param call: name of the call, from a small fixed set
    """
    started = time.monotonic()
    outcome = 'ok'
    try:
        yield
    except BaseException as error:
        outcome = type(error).__name__
        raise
    finally:
        metrics.API_CALLS.labels(service, call, outcome).inc()
        metrics.API_SECONDS.labels(service, call).observe(
            time.monotonic() - started)


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
