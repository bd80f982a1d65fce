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
"""What every benchmark shares: progress to stderr, one JSON line to stdout."""

import json
import os
import pathlib
import platform
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
_STARTED = time.monotonic()


def say(text: str) -> None:
    """Print one line of progress, with the seconds since the start."""
    print(f'{time.monotonic() - _STARTED:7.1f} s  {text}', file=sys.stderr,
          flush=True)


def report(result: dict) -> None:
    """Print the one line of the result."""
    print(json.dumps({**result, 'machine': machine()}), flush=True)


def machine() -> dict:
    """Return what a reader needs to know of the machine.

    :returns: number of processors, load of the last minute, Python
    """
    return {'cpus': os.cpu_count(), 'load': round(os.getloadavg()[0], 2),
            'python': platform.python_version()}


def percentile(values: list[float], share: float) -> float:
    """Return the value below which ``share`` (0..1) of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def ratio(ours: float, theirs: float) -> float | None:
    """Return ours over theirs, None where theirs is nothing."""
    return round(ours / theirs, 3) if theirs else None
