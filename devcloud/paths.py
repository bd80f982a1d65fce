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
"""Where the cloud keeps things.

``state``  this cloud: databases, configuration, keys, logs (.devcloud)
``cache``  downloads and builds, shared by all clouds of this user
``run``    process records and sockets, under /run: short enough for socket
           names, gone after a reboot, and the same place for every checkout,
           so that one cloud finds what another left behind
"""

from collections.abc import Mapping
from dataclasses import dataclass
import hashlib
import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
REGISTRY = Path('/run/zun-vk-devcloud')


def cloud_id(state: Path) -> str:
    """Four hex digits that tell clouds of one machine apart."""
    return hashlib.sha256(str(state).encode()).hexdigest()[:4]


@dataclass(frozen=True)
class Paths:
    """The folders of one cloud; nothing here touches the disk but make()."""

    checkout: Path
    state: Path
    cache: Path
    registry: Path = REGISTRY

    @classmethod
    def from_environment(
            cls, environ: Mapping[str, str] = os.environ) -> 'Paths':
        """Take $DEVCLOUD_DIR and $XDG_CACHE_HOME, or the defaults."""
        state = environ.get('DEVCLOUD_DIR') or CHECKOUT / '.devcloud'
        home_cache = Path(environ.get('HOME') or '/root') / '.cache'
        cache = Path(environ.get('XDG_CACHE_HOME') or home_cache)
        return cls(CHECKOUT, Path(state).absolute(),
                   cache.absolute() / 'zun-vk-devcloud')

    @property
    def ident(self) -> str:
        return cloud_id(self.state)

    @property
    def run(self) -> Path:
        return self.registry / self.ident

    @property
    def etc(self) -> Path:
        return self.state / 'etc'

    @property
    def pki(self) -> Path:
        return self.state / 'pki'

    @property
    def logs(self) -> Path:
        return self.state / 'log'

    @property
    def data(self) -> Path:
        return self.state / 'data'

    @property
    def bin(self) -> Path:
        return self.state / 'bin'

    @property
    def done(self) -> Path:
        """Markers of work that is done once in a cloud's life."""
        return self.state / 'done'

    def log(self, name: str) -> Path:
        return self.logs / f'{name}.log'

    def make(self) -> None:
        """Make the folders, closed to other users: they hold keys."""
        for folder in (self.state, self.etc, self.pki, self.logs, self.data,
                       self.bin, self.done, self.run):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        link = self.state / 'run'
        if not link.is_symlink():
            link.symlink_to(self.run)
        owner = self.run / 'state-dir'
        if not owner.exists():
            owner.write_text(f'{self.state}\n')


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, all of it or nothing."""
    new = path.with_name(f'.{path.name}.new')
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, 'w') as stream:
        stream.write(text)
    new.replace(path)


def link(path: Path, target: Path) -> None:
    """Have a symbolic link there, whatever it pointed to before."""
    if path.is_symlink() and Path(os.readlink(path)) == target:
        return
    new = path.with_name(f'.{path.name}.new')
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(path)
