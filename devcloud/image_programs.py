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
"""The programs that own_images.py puts into images, built once."""

from collections.abc import Mapping
import hashlib
import os
from pathlib import Path
import shutil
import subprocess

from devcloud import binaries
from devcloud import commands
from devcloud import errors
from devcloud import once
from devcloud import paths

SOURCES = 'k8s.io/kubernetes/test/images'
# Program: its Go package
PACKAGES = {'agnhost': f'{SOURCES}/agnhost', 'nnp': f'{SOURCES}/nonewprivs',
            'pause': './pause'}
# What agnhost's porter serves TLS with, from beside its sources
FILES = ('localhost.crt', 'localhost.key')


class ImagePrograms:
    """Builds them into the cache, in a folder named after their sources."""

    def __init__(self, where: paths.Paths, runner: commands.Commands,
                 environ: Mapping[str, str] = os.environ):
        self._run = runner
        self._binaries = binaries.Binaries(where, runner, environ)
        self.folder = (where.cache / 'kubernetes' /
                       f'images-{binaries.VERSION}-{sources()}')
        self.log = where.cache / 'log' / 'image-programs-build.log'

    def ensure(self) -> Path:
        """The folder they are in, built if need be.

        :raises errors.DevcloudError: no Go, or the build failed
        """
        once.build(self.folder, self.log, self.folder.exists, self._build)
        return self.folder

    def _build(self, new: Path) -> None:
        new.mkdir()
        go = self._binaries.go()
        for name, package in PACKAGES.items():
            self._run.run(
                (go, 'build', '-v', *binaries.BUILD, '-o', new / name,
                 package), self.log, cwd=binaries.MODULE,
                env=binaries.BUILD_ENVIRONMENT)
        for name in FILES:
            shutil.copyfile(beside(go) / name, new / name)


def beside(go: str) -> Path:
    """The folder of the sources that FILES are in.

    :raises errors.DevcloudError: Go does not find it
    """
    done = subprocess.run(
        (go, 'list', '-mod=readonly', '-f', '{{.Dir}}',
         f'{PACKAGES["agnhost"]}/porter'), capture_output=True, text=True,
        cwd=binaries.MODULE, timeout=120,
        env={**os.environ, **binaries.BUILD_ENVIRONMENT})
    if done.returncode:
        raise errors.DevcloudError(f'go list: {done.stderr.strip()}')
    return Path(done.stdout.strip())


def sources() -> str:
    """A hash of what they are built from."""
    files = [binaries.MODULE / 'go.mod', *binaries.MODULE.glob('*/*.go')]
    return hashlib.sha256(b''.join(
        path.read_bytes() for path in sorted(files))).hexdigest()[:12]
