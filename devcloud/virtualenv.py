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
"""Virtual environments in the cache, made once for a set of pins."""

import fcntl
import hashlib
from pathlib import Path
import shutil
import subprocess
import sys

from devcloud import commands
from devcloud import errors
from devcloud import packages
from devcloud import paths

REQUIREMENTS = paths.CHECKOUT / 'devcloud' / 'requirements.txt'
DEBIAN_PYTHON = '/usr/bin/python3'


def python() -> str:
    """The interpreter that environments are made with.

    Debian's own where it exists: the devcloud installs its venv module, and
    it does not change under us as a version manager's may.
    """
    return DEBIAN_PYTHON if Path(DEBIAN_PYTHON).exists() else sys.executable


def can_make() -> bool:
    """Whether the interpreter has what Debian packs separately."""
    done = subprocess.run([python(), '-c', 'import ensurepip, venv'],
                          capture_output=True)
    return done.returncode == 0


class Virtualenv:
    """An environment named after what is in it.

    :param name: goes before the hash in the folder's name
    :param pins: a requirements file, complete: pip resolves nothing
    """

    def __init__(self, where: paths.Paths, runner: commands.Commands,
                 name: str, pins: str):
        self._run = runner
        self._pins = pins
        digest = hashlib.sha256(
            f'{Path(python()).resolve()}\n{pins}'.encode()).hexdigest()[:12]
        self.path = where.cache / f'{name}-{digest}'
        self.log = where.cache / 'log' / f'{name}-{digest}.log'

    @property
    def complete(self) -> bool:
        return (self.path / 'complete').exists()

    def ensure(self) -> Path:
        """Make it unless it is there; its folder.

        :raises errors.LoggedFailure: pip failed
        """
        if self.complete:
            return self.path
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Two commands at once make it once
        lock = self.path.with_name(f'.{self.path.name}.lock')
        with open(lock, 'w') as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            if not self.complete:
                self._make()
        return self.path

    def _make(self) -> None:
        self.log.unlink(missing_ok=True)
        if not can_make():
            packages.install(self._run, self.log, ['python3-venv'])
        shutil.rmtree(self.path, ignore_errors=True)
        self._run.run((python(), '-m', 'venv', self.path), self.log)
        pins = self.path / 'pins.txt'
        pins.write_text(self._pins)
        self._run.run(
            (self.path / 'bin' / 'python', '-m', 'pip', 'install',
             '--no-deps', '--prefer-binary', '--progress-bar', 'off',
             '--disable-pip-version-check', '-r', pins), self.log)
        (self.path / 'complete').touch()


def openstack(where: paths.Paths, runner: commands.Commands) -> Virtualenv:
    """The environment of the OpenStack servers."""
    try:
        pins = REQUIREMENTS.read_text()
    except FileNotFoundError as error:
        raise errors.DevcloudError(f'{REQUIREMENTS} is missing') from error
    return Virtualenv(where, runner, 'openstack', pins)
