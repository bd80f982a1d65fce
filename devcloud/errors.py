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
"""What the devcloud raises on purpose: messages meant for a screen.

A message names what is wrong and where to look; it never holds a password.
"""

from pathlib import Path


class DevcloudError(Exception):
    """Something the person at the screen has to know, in one line."""


class Aborted(DevcloudError):
    """Another step failed, or the run was interrupted."""


class LoggedFailure(DevcloudError):
    """Something failed and left a log.

    :param problem: what failed, in one line
    :param log: where its output is
    """

    def __init__(self, problem: str, log: Path):
        super().__init__(problem)
        self.log = log

    def report(self, lines: int = 15) -> str:
        """The problem, the log's last lines and its path."""
        tail = log_tail(self.log, lines)
        quoted = ''.join(f'    {line}\n' for line in tail)
        return f'{self}\n{quoted}  log: {self.log}'


def log_tail(path: Path, lines: int, block: int = 65536) -> list[str]:
    """The last lines of a file; empty when there is none."""
    try:
        with open(path, 'rb') as log:
            size = log.seek(0, 2)
            log.seek(max(0, size - block))
            text = log.read().decode(errors='replace')
    except FileNotFoundError:
        return []
    return text.splitlines()[-lines:]
