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
"""More agents of the devcloud's node: child processes of a test.

Each has the generated configuration, a state directory of its own, and a
log beside it. They end with the test, however that ends.
"""

import os
import pathlib
import shutil
import signal
import socket
import sys
import tempfile

import fixtures

from devcloud import api
from devcloud import settings
from zun_vk.tests.fixtures import process
from zun_vk.tests.fixtures.wait import wait_for


class Agent(fixtures.Fixture):
    """One agent; start() runs it, as often as a test likes."""

    def __init__(self, devcloud: api.Devcloud):
        super().__init__()
        self._devcloud = devcloud
        self._child: process.Process | None = None
        self._frozen = False

    def _setUp(self) -> None:
        self._directory = pathlib.Path(tempfile.mkdtemp(prefix='agent-'))
        self.addCleanup(shutil.rmtree, self._directory)
        self._log = self._directory / 'agent.log'
        self._log.touch()
        (self._directory / 'own.conf').write_text(settings.ini(
            {'agent': {'state_path': self._directory / 'state'}}))
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self._notify.close)
        self._notify.bind(str(self._directory / 'notify'))
        self._notify.setblocking(False)
        self.addCleanup(self._end)

    @property
    def identity(self) -> str:
        """The name it has given itself at its first start."""
        path = self._directory / 'state' / 'agent-id'
        return f'{os.uname().nodename}_{path.read_text().strip()}'

    @property
    def works(self) -> bool:
        """It runs and is not frozen."""
        return bool(self._child and self._child.alive and not self._frozen)

    def start(self) -> None:
        """Run it and wait until it says that it is ready."""
        files = (self._devcloud.paths.etc / 'zun-vk.conf',
                 self._directory / 'own.conf')
        self._child = process.Process(
            [sys.executable, '-m', 'zun_vk.cmd.agent',
             *(f'--config-file={path}' for path in files)], self._log,
            process.with_path({
                'NOTIFY_SOCKET': str(self._directory / 'notify'),
                'PYTHONPATH': str(self._devcloud.paths.checkout)}))
        wait_for(self._says_ready, 'READY=1 from the agent', 60,
                 seen=self.tail)

    def stop(self, timeout: float = 15) -> int:
        """Send SIGTERM; return the exit code."""
        code, _seconds = self._child.terminate(timeout)
        return code

    def kill(self) -> None:
        """Send SIGKILL."""
        self._child.kill()
        self._frozen = False

    def freeze(self) -> None:
        """Send SIGSTOP."""
        os.kill(self._child.pid, signal.SIGSTOP)
        self._frozen = True

    def thaw(self) -> None:
        """Send SIGCONT."""
        os.kill(self._child.pid, signal.SIGCONT)
        self._frozen = False

    def revive(self) -> None:
        """Have it run and act, whatever a test has done to it."""
        if self._frozen:
            self.thaw()
        if not self.works:
            self.start()

    def text(self) -> str:
        """Return all it has logged, over all its runs."""
        return self._log.read_text(errors='replace')

    def tail(self) -> str:
        """Return the log's last lines, for a failure message."""
        return '\n'.join(self.text().splitlines()[-40:])

    def _says_ready(self) -> bool:
        try:
            return 'READY=1' in self._notify.recv(4096).decode().split()
        except BlockingIOError:
            return False

    def _end(self) -> None:
        if self._frozen:
            self.thaw()
        if self._child is not None:
            self._child.end()
