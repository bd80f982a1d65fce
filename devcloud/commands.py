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
"""Run a program to its end, its output in a log."""

from collections.abc import Mapping
from collections.abc import Sequence
import os
from pathlib import Path
import subprocess
import threading

from devcloud import errors


class Commands:
    """Runs programs; abort() ends those that run.

    Arguments show up in process lists, so secrets go through ``env`` or
    ``text`` only.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen] = set()
        self._aborted = False

    def run(self, command: Sequence[str | Path], log: Path, *,
            env: Mapping[str, str] | None = None, cwd: Path | None = None,
            text: str = '') -> None:
        """Run a program.

        :param env: added to this process's environment
        :param text: its standard input
        :raises errors.LoggedFailure: it ended with another code than 0
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, 'ab') as output:
            child = self._start(command, output, env, cwd)
        try:
            child.communicate(text.encode())
        finally:
            with self._lock:
                self._running.discard(child)
        if self._aborted:
            raise errors.Aborted(f'{Path(command[0]).name} was interrupted')
        if child.returncode:
            raise errors.LoggedFailure(
                f'{Path(command[0]).name} failed with code '
                f'{child.returncode}', log)

    def _start(self, command, output, env, cwd) -> subprocess.Popen:
        with self._lock:
            if self._aborted:
                raise errors.Aborted('interrupted')
            child = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.PIPE,
                stdout=output, stderr=subprocess.STDOUT, cwd=cwd,
                env={**os.environ, **(env or {})})
            self._running.add(child)
        return child

    def abort(self) -> None:
        """End the running programs; later ones do not start."""
        with self._lock:
            self._aborted = True
            running = list(self._running)
        for child in running:
            child.terminate()
