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
"""The directory that belongs to one agent, and the name it gives it.

The name survives restarts, so that an agent that comes back finds its
nodes' leases its own. A lock on the directory makes sure that of two
processes with one name only one lives.
"""

import fcntl
import os
import pathlib
import re
import socket
import stat
import uuid

from oslo_config import cfg

from zun_vk import exceptions

_FILE = 'agent-id'
OPTION = '[agent] state_path'
# What of a mode is for others than the owner.
OTHERS = stat.S_IRWXG | stat.S_IRWXO


class AgentState:
    """The agent's directory, locked until the process ends.

    :raises ConfigError: the directory cannot be used, or is another's
    """

    def __init__(self, conf: cfg.ConfigOpts):
        path = pathlib.Path(conf.agent.state_path)
        make_private(path)
        try:
            # Kept open: closing it would end the lock.
            self._file = os.fdopen(os.open(
                path / _FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600),
                'r+')
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.name = self._read_or_make()
        except BlockingIOError as error:
            raise exceptions.ConfigError(
                OPTION, f'{path} is in use by another agent') from error
        except OSError as error:
            raise exceptions.ConfigError(OPTION, str(error)) from error

    def close(self) -> None:
        """Let another process use the directory."""
        self._file.close()

    def _read_or_make(self) -> str:
        """Return ``<host>_<8 hex digits>``, the digits kept in the file."""
        digits = self._file.read(64).strip()
        if not re.fullmatch(r'[0-9a-f]{8}', digits):
            digits = uuid.uuid4().hex[:8]
            self._file.seek(0)
            self._file.truncate()
            self._file.write(digits + '\n')
            self._file.flush()
            os.fsync(self._file.fileno())
        return f'{socket.gethostname()}_{digits}'


def make_private(directory: pathlib.Path) -> None:
    """Make a directory for its owner only, or see that it is one.

    :param directory: the option's, or one below it
    :raises ConfigError: it cannot be made, or others may look into it
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = directory.stat()
    except OSError as error:
        raise exceptions.ConfigError(
            OPTION, f'{directory}: {error.strerror}') from error
    if found.st_uid != os.geteuid():
        raise exceptions.ConfigError(
            OPTION, f'{directory} belongs to another user')
    if found.st_mode & OTHERS:
        raise exceptions.ConfigError(
            OPTION, f'{directory} holds keys and others than its owner may '
            'use it: chmod 0700')
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise exceptions.ConfigError(
            OPTION, f'{directory} cannot be read and written')
