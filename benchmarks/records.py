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
"""When capsules become what they are, by Zun's own records.

Zun tells nobody, and asking its API often enough would slow down what is
measured: its database is asked instead, which costs it nothing to speak of.
"""

import pathlib
import subprocess
import threading
import time

# Seconds between two looks: how exact the times are.
_PACE = 0.01
# One line for each look, whatever there is. Type 1 are the capsules
# themselves, not their containers.
_QUERY = """SELECT CONCAT('-', COALESCE(GROUP_CONCAT(
    name, '=', COALESCE(status, 'None') SEPARATOR ' '), ''))
    FROM container WHERE container_type = 1;
"""


class Records:
    """Follows the capsules of one devcloud; usable as a context.

    :param socket: of its MariaDB
    """

    def __init__(self, socket: pathlib.Path):
        self._client = subprocess.Popen(
            ['mariadb', '--no-defaults', '--user=root',
             f'--socket={socket}', '--batch', '--skip-column-names',
             '--unbuffered', 'zun'],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        # Owned by _follow(); the seconds since 1970 at which a capsule of
        # that name was first seen in that status.
        self._seen: dict[tuple[str, str], float] = {}
        self._there: set[str] = set()
        self._changed = threading.Condition()   # guards the two above
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._follow, name='records', daemon=True)
        self._ended = False

    def __enter__(self) -> 'Records':
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()
        self._client.stdin.close()
        self._client.wait(10)

    def wait(self, name: str, status: str, timeout: float) -> float:
        """Return when a capsule got a status, seconds since 1970.

        :raises RuntimeError: it got status Error instead, or none in time
        """
        with self._changed:
            found = self._changed.wait_for(
                lambda: self._ended or (name, 'Error') in self._seen
                or (name, status) in self._seen, timeout)
            if not found or (name, status) not in self._seen:
                raise RuntimeError(
                    f'capsule {name} is not {status}: it was '
                    f'{[what for who, what in self._seen if who == name]}')
            return self._seen[name, status]

    def wait_gone(self, name: str, timeout: float) -> None:
        """Wait until Zun has no capsule of that name any more.

        :raises RuntimeError: it has
        """
        with self._changed:
            if not self._changed.wait_for(
                    lambda: self._ended or name not in self._there, timeout):
                raise RuntimeError(f'capsule {name} is not gone')

    def _follow(self) -> None:
        try:
            while not self._stop.wait(_PACE):
                self._client.stdin.write(_QUERY)
                self._client.stdin.flush()
                line = self._client.stdout.readline()
                if not line:
                    return
                self._note(read(line), time.time())
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _note(self, statuses: dict[str, str], at: float) -> None:
        with self._changed:
            for pair in statuses.items():
                self._seen.setdefault(pair, at)
            self._there = set(statuses)
            self._changed.notify_all()


def read(line: str) -> dict[str, str]:
    """Return the status of each capsule from one line of the answer."""
    return dict(word.split('=') for word in line[1:].split())
