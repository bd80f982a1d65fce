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
"""The programs of the tests, built once from the Go module proxy.

e2e.test has the tests, ginkgo runs it in several processes. The versions are
those of devcloud/kubernetes/go.mod; the build takes a few minutes of all
processors and is kept in the cache.
"""

from collections.abc import Mapping
import os
from pathlib import Path

from devcloud import binaries
from devcloud import commands
from devcloud import once
from devcloud import paths

# Program: how go makes it, and of which package
PACKAGES = {
    'e2e.test': (('test', '-c', '-vet=off'), 'k8s.io/kubernetes/test/e2e'),
    'ginkgo': (('build',), 'github.com/onsi/ginkgo/v2/ginkgo'),
}


class Programs:
    """Finds or builds them.

    :param where: the cloud's folders; only the cache is written
    """

    def __init__(self, where: paths.Paths, runner: commands.Commands,
                 environ: Mapping[str, str] = os.environ):
        self._run = runner
        self._binaries = binaries.Binaries(where, runner, environ)
        self.folder = where.cache / 'e2e' / binaries.VERSION
        self.log = where.cache / 'log' / 'e2e-build.log'

    def path(self, name: str) -> Path:
        """Where a program is."""
        return self.folder / name

    def complete(self) -> bool:
        """Whether all are there. The folder appears in one piece."""
        return all(self.path(name).exists() for name in PACKAGES)

    def ensure(self) -> None:
        """Have all.

        :raises errors.DevcloudError: no Go, or the build failed
        """
        once.build(self.folder, self.log, self.complete, self._build)

    def _build(self, new: Path) -> None:
        new.mkdir()
        go = self._binaries.go()
        for name, (words, package) in PACKAGES.items():
            self._run.run(
                (go, *words, *binaries.BUILD, '-o', new / name, package),
                self.log, cwd=binaries.MODULE,
                env=binaries.BUILD_ENVIRONMENT)
