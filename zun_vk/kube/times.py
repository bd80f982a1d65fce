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
"""The present, as Kubernetes writes it: RFC 3339 in UTC."""

import datetime


def now() -> str:
    """Return the time to the second, as metav1.Time has it."""
    return datetime.datetime.now(datetime.UTC).strftime('%Y-%m-%dT%H:%M:%SZ')


def now_micro() -> str:
    """Return the time to the microsecond, as metav1.MicroTime has it."""
    return datetime.datetime.now(datetime.UTC).strftime(
        '%Y-%m-%dT%H:%M:%S.%fZ')


def seconds(text: str) -> float:
    """Return an RFC 3339 time as seconds since the epoch.

    :raises ValueError: it is none
    """
    return datetime.datetime.fromisoformat(text).timestamp()
