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
"""Images: made of busybox-static, kept in the registry, put on the hosts.

The registry stands in for docker.io: dockerd asks it first for names
without a registry of their own. Images of other registries' names are kept
there too, under a path that begins with that registry, and tagged on every
host, where IfNotPresent finds them.
"""

from collections.abc import Iterator
import contextlib
from dataclasses import dataclass
import gzip
import hashlib
import io
import json
from pathlib import Path
import re
import subprocess
import tarfile
from typing import IO
import urllib.parse

from devcloud import errors
from devcloud import hosts
from devcloud import infrastructure
from devcloud import paths
from devcloud import web

BUSYBOX = Path('/bin/busybox')
MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json'
CONFIG = 'application/vnd.docker.container.image.v1+json'
LAYER = 'application/vnd.docker.image.rootfs.diff.tar'
FOLDERS = ('bin', 'dev', 'etc', 'home', 'proc', 'root', 'sys', 'tmp', 'usr',
           'usr/bin', 'var', 'var/run', 'var/www')
PART = r'[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*'
NAME = re.compile(r'(?:[a-zA-Z0-9][a-zA-Z0-9-]*\.)*[a-zA-Z0-9][a-zA-Z0-9-]*'
                  rf'(?::[0-9]+)?(?:/{PART})+'
                  r':\w[\w.-]{0,127}', re.ASCII)
# The sandbox of each capsule: ends on SIGTERM, so deletion is quick
PAUSE = ['/bin/sh', '-c', 'trap exit TERM INT; while :; do sleep 3600 & '
         'wait $!; done']
OWN = {'busybox:latest': ['sh'], 'zun-vk-devcloud/pause:latest': PAUSE}


@dataclass(frozen=True)
class Reference:
    """An image's name, complete: registry, path and tag."""

    registry: str
    path: str
    tag: str

    def __str__(self) -> str:
        return f'{self.registry}/{self.path}:{self.tag}'

    @property
    def repository(self) -> str:
        """Where the devcloud's registry keeps it."""
        if self.registry == 'docker.io':
            return self.path
        return f'{self.registry.replace(":", "-")}/{self.path}'


def parse(name: str) -> Reference:
    """Complete a name as docker does.

    :raises errors.DevcloudError: no name, or one with a digest
    """
    rest, tag = name, 'latest'
    if ':' in name.rsplit('/', 1)[-1]:
        rest, tag = name.rsplit(':', 1)
    first, slash, path = rest.partition('/')
    if not slash or not (first == 'localhost' or set(first) & set('.:')):
        first, path = 'docker.io', rest
    if first == 'docker.io' and '/' not in path:
        path = f'library/{path}'
    reference = Reference(first, path, tag)
    if not NAME.fullmatch(str(reference)):
        raise errors.DevcloudError(f'{name!r} is not an image name')
    return reference


def layer(program: bytes, applets: list[str]) -> bytes:
    """A root file system of busybox, as a tar; always the same bytes."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode='w') as archive:
        for folder in FOLDERS:
            entry = tarfile.TarInfo(folder)
            entry.type = tarfile.DIRTYPE
            entry.mode = 0o1777 if folder == 'tmp' else 0o755
            archive.addfile(entry)
        _add(archive, 'bin/busybox', program, 0o755)
        for applet in sorted(set(applets) - {'busybox'}):
            entry = tarfile.TarInfo(f'bin/{applet}')
            entry.type = tarfile.SYMTYPE
            entry.linkname = 'busybox'
            archive.addfile(entry)
        _add(archive, 'etc/passwd', b'root:x:0:0:root:/root:/bin/sh\n'
             b'nobody:x:65534:65534:nobody:/home:/bin/false\n', 0o644)
        _add(archive, 'etc/group', b'root:x:0:\nnogroup:x:65534:\n', 0o644)
    return made.getvalue()


def _add(archive: tarfile.TarFile, name: str, data: bytes,
         mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    entry.mode = mode
    archive.addfile(entry, io.BytesIO(data))


def archive(reference: Reference, rootfs: bytes, command: list[str]) -> bytes:
    """An image of one layer, as `docker save` writes it."""
    config = json.dumps({
        'architecture': 'amd64', 'os': 'linux',
        'config': {'Cmd': command,
                   'Env': ['PATH=/bin:/usr/bin:/sbin:/usr/sbin']},
        'rootfs': {'type': 'layers', 'diff_ids': [digest(rootfs)]},
        'history': [{'created_by': 'zun-vk devcloud'}],
    }).encode()
    name = f'{hashlib.sha256(config).hexdigest()}.json'
    manifest = [{'Config': name, 'RepoTags': [str(reference)],
                 'Layers': ['layer.tar']}]
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode='w') as tar:
        _add(tar, name, config)
        _add(tar, 'layer.tar', rootfs)
        _add(tar, 'manifest.json', json.dumps(manifest).encode())
    return made.getvalue()


def digest(data: bytes) -> str:
    return f'sha256:{hashlib.sha256(data).hexdigest()}'


def make_own(where: paths.Paths) -> dict[str, Path]:
    """The devcloud's own images as archives in the cache, by name."""
    program = BUSYBOX.read_bytes()
    applets = subprocess.run([BUSYBOX, '--list'], capture_output=True,
                             text=True, check=True).stdout.split()
    folder = where.cache / 'images'
    folder.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256(program + json.dumps(OWN).encode()).hexdigest()[:12]
    made = {}
    for name, command in OWN.items():
        reference = parse(name)
        base = reference.path.replace('/', '_')
        path = folder / f'{base}-{key}.tar'
        if not path.exists():
            new = path.with_suffix('.new')
            new.write_bytes(
                archive(reference, layer(program, applets), command))
            new.rename(path)
        made[name] = path
    return made


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
        for name, path in make_own(self._where).items():
            self.push(parse(name), path)

    def add(self, name: str, path: Path) -> None:
        """Make an archive known under a name to every host, now and later.

        :raises errors.DevcloudError: bad name or archive
        """
        reference = parse(name)
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
                self.load(host, parse(name))

    def load(self, host: str, reference: Reference) -> None:
        """Pull an image from our registry and tag it with its own name."""
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

    def push(self, reference: Reference, path: Path) -> None:
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

    def _push_parts(self, reference: Reference,
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

    def _layer(self, reference: Reference, tar: tarfile.TarFile,
               name: str) -> dict:
        stream = _member(tar, name)
        packed = stream.read(2) == b'\x1f\x8b'
        stream.seek(0)
        kind = f'{LAYER}.gzip'
        if packed:
            return self._blob(reference, stream, kind)
        with _zipped(stream) as small:
            return self._blob(reference, small, kind)

    def _blob(self, reference: Reference, stream: IO[bytes],
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
