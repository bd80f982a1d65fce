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
"""Start programs, wait for them with progress, end them with their children.

Every child gets a process group of its own, so that ending it ends what it
started and nothing else.
"""

import contextlib
import os
import pathlib
import signal
import subprocess
import time
import typing

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BEAT = 15  # seconds between two lines of progress
GRACE = 20  # seconds between SIGTERM and SIGKILL


class StepFailed(Exception):
    """A step that a layer needs did not succeed."""


def say(line: str) -> None:
    print(line, flush=True)


def start(args: typing.Sequence[object],
          **kwargs: typing.Any) -> subprocess.Popen:
    """Start a program in the checkout; ``kwargs`` go to Popen."""
    kwargs.setdefault('stdin', subprocess.DEVNULL)
    return subprocess.Popen([str(arg) for arg in args], cwd=ROOT,
                            start_new_session=True, **kwargs)


def end(child: subprocess.Popen) -> None:
    """End a child and its children, by force after ``GRACE`` seconds."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(GRACE)
            return


def wait(child: subprocess.Popen, title: str, minutes: float,
         quiet: bool = False) -> int:
    """Wait for a child, with a line of progress now and then.

    :param quiet: no line of progress: the child writes its own
    :returns: its exit code
    :raises StepFailed: it took longer than ``minutes`` and was ended
    """
    began = time.monotonic()
    try:
        while True:
            elapsed = time.monotonic() - began
            if elapsed > minutes * 60:
                raise StepFailed(f'{title} took over {minutes:g} min')
            try:
                return child.wait(min(BEAT, minutes * 60))
            except subprocess.TimeoutExpired:
                if not quiet:
                    say(f'{title}: {time.monotonic() - began:.0f} s')
    finally:
        if child.poll() is None:
            end(child)


def step(title: str, args: typing.Sequence[object], minutes: float,
         env: dict[str, str] | None = None) -> None:
    """Run a program to its end.

    :raises StepFailed: it failed or took too long
    """
    say(f'== {title}')
    code = wait(start(args, env=env), title, minutes)
    if code:
        raise StepFailed(f'{title} ended with exit code {code}')


def succeeds(*args: object) -> bool:
    """Say whether a program exists and ends with 0; its output is dropped."""
    try:
        child = start(args, stdout=subprocess.DEVNULL,
                      stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        return False
    return child.wait() == 0
