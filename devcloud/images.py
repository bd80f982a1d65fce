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
"""Images: in the devcloud's registry, and from there on the hosts.

The registry stands in for docker.io: dockerd asks it first for names
without a registry of their own. Images of other registries' names are kept
there too, under a path that begins with that registry. containerd knows to
ask for them there; for dockerd, which does not, they are tagged on every
host, where IfNotPresent finds them.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import gzip
import hashlib
import io
import json
from pathlib import Path
import tarfile
from typing import IO
import urllib.parse

from devcloud import capsule_driver
from devcloud import containerd
from devcloud import errors
from devcloud import hosts
from devcloud import infrastructure
from devcloud import own_images
from devcloud import paths
from devcloud import references
from devcloud import web

MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json'
CONFIG = 'application/vnd.docker.container.image.v1+json'
LAYER = 'application/vnd.docker.image.rootfs.diff.tar'


class Images:
    """The images of one cloud."""

    def __init__(self, where: paths.Paths):
        self._where = where
        self._store = where.state / 'images.json'

    def names(self) -> list[str]:
        """What was added by hand."""
        if not self._store.exists():
            return []
        return json.loads(self._store.read_text())

    def push_own(self) -> None:
        """Have the devcloud's own images in the registry."""
        self._push_all(own_images.PLAIN)

    def push_for_kubernetes(self, programs: Path) -> None:
        """Have those in the registry that need programs built before."""
        self._push_all(own_images.for_kubernetes(programs))

    def _push_all(self, wanted: Iterable[own_images.Image]) -> None:
        for name, path in own_images.make(self._where, wanted).items():
            self.push(references.parse(name), path)

    def add(self, name: str, path: Path) -> None:
        """Make an archive known under a name to every host, now and later.

        :raises errors.DevcloudError: bad name or archive
        """
        reference = references.parse(name)
        self.push(reference, path)
        if str(reference) not in self.names():
            paths.write_private(
                self._store, json.dumps([*self.names(), str(reference)]))
        for host in hosts.names(self._where):
            self.load(host, reference)

    def load_all(self, host: str) -> None:
        """Have what was added by hand on a host."""
        docker = hosts.docker(self._where, host)
        for name in self.names():
            quoted = urllib.parse.quote(name, safe='')
            if not docker.call('GET', f'/images/{quoted}/json').ok:
                self._load_docker(host, references.parse(name))
        if capsule_driver.has_containerd(self._where, host):
            there = containerd.images(self._where, host)
            for name in set(self.names()) - there:
                containerd.pull(self._where, host, name)

    def load(self, host: str, reference: references.Reference) -> None:
        """Have an image of our registry on a host, under its own name."""
        self._load_docker(host, reference)
        if capsule_driver.has_containerd(self._where, host):
            containerd.pull(self._where, host, str(reference))

    def _load_docker(self, host: str, reference: references.Reference) -> None:
        docker = hosts.docker(self._where, host)
        address = infrastructure.REGISTRY.url.partition('//')[2]
        source = f'{address}/{reference.repository}'
        query = urllib.parse.urlencode(
            {'fromImage': source, 'tag': reference.tag})
        reply = docker.must('POST', f'/images/create?{query}', timeout=300)
        if b'"error"' in reply.body:
            words = reply.body.decode(errors='replace').splitlines()[-1]
            raise errors.DevcloudError(f'{host}: {reference}: {words}')
        name = urllib.parse.quote(f'{source}:{reference.tag}', safe='')
        query = urllib.parse.urlencode({
            'repo': f'{reference.registry}/{reference.path}',
            'tag': reference.tag})
        docker.must('POST', f'/images/{name}/tag?{query}')

    def push(self, reference: references.Reference, path: Path) -> None:
        """Put an archive into the registry under a name.

        :raises errors.DevcloudError: not an archive of exactly one image
        """
        problem = f'{path} is not an image archive'
        try:
            with tarfile.open(path) as tar:
                manifest = self._push_parts(reference, tar)
        except OSError as error:
            raise errors.DevcloudError(
                f'{path}: {error.strerror or error}') from error
        except tarfile.TarError as error:
            raise errors.DevcloudError(problem) from error
        except (KeyError, ValueError, TypeError) as error:
            raise errors.DevcloudError(f'{problem}: {error}') from error
        infrastructure.REGISTRY.must(
            'PUT', f'/v2/{reference.repository}/manifests/{reference.tag}',
            json.dumps(manifest).encode(), {'Content-Type': MANIFEST})
        containerd.stand_in(self._where, reference.registry,
                            reference.prefix)

    def _push_parts(self, reference: references.Reference,
                    tar: tarfile.TarFile) -> dict:
        described = json.load(_member(tar, 'manifest.json'))
        if len(described) != 1:
            raise ValueError(f'{len(described)} images in it')
        config = _member(tar, described[0]['Config']).read()
        return {
            'schemaVersion': 2, 'mediaType': MANIFEST,
            'config': self._blob(reference, io.BytesIO(config), CONFIG),
            'layers': [self._layer(reference, tar, name)
                       for name in described[0]['Layers']],
        }

    def _layer(self, reference: references.Reference, tar: tarfile.TarFile,
               name: str) -> dict:
        stream = _member(tar, name)
        packed = stream.read(2) == b'\x1f\x8b'
        stream.seek(0)
        kind = f'{LAYER}.gzip'
        if packed:
            return self._blob(reference, stream, kind)
        with _zipped(stream) as small:
            return self._blob(reference, small, kind)

    def _blob(self, reference: references.Reference, stream: IO[bytes],
              kind: str) -> dict:
        hashed, size = hashlib.sha256(), 0
        while block := stream.read(1 << 20):
            hashed.update(block)
            size += len(block)
        name = f'sha256:{hashed.hexdigest()}'
        base = f'/v2/{reference.repository}/blobs'
        registry = infrastructure.REGISTRY
        if not self._there(f'{base}/{name}'):
            begun = registry.must('POST', f'{base}/uploads/')
            target = urllib.parse.urlsplit(begun.headers['Location'])
            query = f'{target.query}&' if target.query else ''
            stream.seek(0)
            registry.must(
                'PUT', f'{target.path}?{query}'
                       f'digest={urllib.parse.quote(name)}', stream,
                {'Content-Type': 'application/octet-stream',
                 'Content-Length': str(size)}, timeout=300)
        return {'mediaType': kind, 'size': size, 'digest': name}

    @staticmethod
    def _there(path: str) -> bool:
        try:
            return infrastructure.REGISTRY.call('HEAD', path).ok
        except web.UNREACHABLE as error:
            raise errors.DevcloudError(
                f'the registry does not answer: {error}') from error


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    found = tar.extractfile(name)
    if found is None:
        raise ValueError(f'{name} in it is not a file')
    return found


@contextlib.contextmanager
def _zipped(stream: IO[bytes]) -> Iterator[IO[bytes]]:
    """The stream compressed, the same bytes every time."""
    made = io.BytesIO()
    with gzip.GzipFile(fileobj=made, mode='wb', compresslevel=1,
                       mtime=0) as packed:
        while block := stream.read(1 << 20):
            packed.write(block)
    made.seek(0)
    yield made
