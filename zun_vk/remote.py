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
"""What every call to a remote service shares: a timer and a counter."""

import contextlib
import time
import typing

from zun_vk import exceptions
from zun_vk import metrics


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
    return _error_class(status)(service, message, status)


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
