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
"""Where a Python process spends its time, by py-spy.

It looks from outside, a hundred times a second, at the thread that holds
the interpreter's lock, and needs root or the right to trace the process.
What is measured gets slower by it.
"""

import collections
import contextlib
import functools
import os
import pathlib
import signal
import subprocess
import sys
import typing

from benchmarks import common
from devcloud import paths

PY_SPY = 'py-spy==0.4.3'
_MOST = 25


@functools.cache
def program() -> pathlib.Path:
    """Return py-spy, fetched by pip into the cache of the devcloud."""
    folder = paths.Paths.from_environment().cache / PY_SPY
    found = folder / 'bin' / 'py-spy'
    if not os.access(found, os.X_OK):
        common.say(f'fetching {PY_SPY}, once')
        subprocess.run(
            [sys.executable, '-m', 'pip', 'install', '--quiet', '--upgrade',
             '--target', str(folder), PY_SPY],
            check=True, stdout=subprocess.DEVNULL)
    return found


@contextlib.contextmanager
def profile(pid: int, path: pathlib.Path) -> typing.Iterator[None]:
    """Look at a process while the context lasts, and say what was most.

    :param path: gets one line for each stack that was seen: its functions,
        outermost first, and how often (what flame graphs are made from)
    :raises RuntimeError: py-spy may not look, or failed
    """
    with subprocess.Popen(
            [str(program()), 'record', '--pid', str(pid), '--gil',
             '--function', '--format', 'raw', '--output', str(path)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True) as looking:
        try:
            yield
        finally:
            looking.send_signal(signal.SIGINT)
            said = looking.communicate(timeout=60)[1]
    if looking.returncode:
        raise RuntimeError(f'py-spy: {said[-1000:]}')
    for line in summary(path.read_text()):
        print(line, file=sys.stderr)


def summary(stacks: str) -> list[str]:
    """Return a table of the functions that were seen most.

    Share of all samples in the function itself, and with what it called.
    """
    own: collections.Counter[str] = collections.Counter()
    within: collections.Counter[str] = collections.Counter()
    for line in stacks.splitlines():
        functions, _, count = line.rpartition(' ')
        frames = functions.split(';')
        own[frames[-1]] += int(count)
        within.update(dict.fromkeys(frames, int(count)))
    total = own.total()
    return ['  self   with callees'] + [
        f'{own[name] / total:6.1%} {count / total:6.1%}  {name}'
        for name, count in sorted(
            within.items(), key=lambda item: (-own[item[0]], -item[1]))
        [:_MOST]]
