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
"""The devcloud's own images: busybox, and what Kubernetes' e2e tests name.

Those of the tests are stand-ins, static programs on Debian's busybox under
the names and with the users, entry points and files that the tests rely on.
Made once, as archives in the cache.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
import gzip
import hashlib
import io
import json
from pathlib import Path
import subprocess
import tarfile

from devcloud import paths
from devcloud import references

BUSYBOX = Path('/bin/busybox')
FOLDERS = ('bin', 'dev', 'etc', 'home', 'proc', 'root', 'sys', 'tmp', 'usr',
           'usr/bin', 'var', 'var/run', 'var/www')
PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
PASSWD = ('root:x:0:0:root:/root:/bin/sh\n'
          'nobody:x:65534:65534:nobody:/home:/bin/false\n')
GROUP = 'root:x:0:\nnogroup:x:65534:\n'
# Whatever these are in an image, everybody may write to them
OPEN = ('tmp', 'uploads')
# busybox' shell does what the tests' scripts ask of bash
BASH = b'#!/bin/sh\nexec /bin/sh "$@"\n'
# Of curl the tests use: URL, and options; Debian's static wget crashes when
# it is to watch the time itself
CURL = b'''#!/bin/sh
seconds=60
while [ $# -gt 0 ]; do
    case $1 in
    --max-time | -m) seconds=$2; shift ;;
    --connect-timeout) shift ;;
    -*) ;;
    *) url=$1 ;;
    esac
    shift
done
exec timeout "$seconds" wget -q -O - "$url"
'''
E2E = 'registry.k8s.io/e2e-test-images'
# As test/utils/image/manifest.go of Kubernetes has them
PAUSE = 'registry.k8s.io/pause:3.10.2'
AGNHOST = f'{E2E}/agnhost:2.63.0'
# A docker capsule's sandbox: ends on SIGTERM, so deletion is quick
DOCKER_PAUSE = ('/bin/sh', '-c', 'trap exit TERM INT; while :; do '
                'sleep 3600 & wait $!; done')


@dataclass(frozen=True)
class File:
    """One file of an image.

    :ivar source: a file of this machine, or the content, or the target of
        a symbolic link
    """

    source: Path | bytes | str
    mode: int = 0o644


@dataclass(frozen=True)
class Image:
    """What is in an image, but for busybox, and how it runs."""

    name: str
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    user: str = ''
    files: Mapping[str, File] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    busybox: bool = True


PLAIN = (Image('busybox:latest', ('sh',)),
         Image('zun-vk-devcloud/pause:latest', DOCKER_PAUSE))


def for_kubernetes(programs: Path) -> list[Image]:
    """The sandbox of pods, and what the e2e tests of VERSION run.

    :param programs: the folder that binaries.Programs gave
    """
    agnhost = {
        'agnhost': File(programs / 'agnhost', 0o755),
        'agnhost-2': File('agnhost'),
        'localhost.crt': File(programs / 'localhost.crt'),
        'localhost.key': File(programs / 'localhost.key'),
        'bin/bash': File(BASH, 0o755),
        'usr/bin/curl': File(CURL, 0o755),
        'etc/passwd': File(
            f'{PASSWD}user-defined-in-image:x:1000:1000::'
            '/home:/bin/sh\n'.encode()),
        'etc/group': File(
            f'{GROUP}user-defined-in-image:x:1000:\n'
            'group-defined-in-image:x:50000:user-defined-in-image\n'
            .encode()),
    }
    return [
        Image(PAUSE, entrypoint=('/pause',), user='65535:65535',
              files={'pause': File(programs / 'pause', 0o755)},
              busybox=False),
        *(Image(name, ('pause',), ('/agnhost',), files=agnhost,
                folders=('uploads',))
          for name in (AGNHOST, f'{E2E}/agnhost:2.55')),
        Image(f'{E2E}/busybox:1.37.0-1', ('sh',)),
        Image(f'{E2E}/nonroot:1.5', ('sh',), user='1234'),
        Image(f'{E2E}/nonewprivs:1.4', ('nnp',), files={
            'usr/local/bin/nnp': File(programs / 'nnp', 0o6755)}),
    ]


def busybox() -> dict[str, File]:
    """A root file system of busybox."""
    applets = subprocess.run([BUSYBOX, '--list'], capture_output=True,
                             text=True, check=True).stdout.split()
    return busybox_files(BUSYBOX, applets)


def busybox_files(program: Path,
                  applets: Iterable[str]) -> dict[str, File]:
    return {
        'bin/busybox': File(program, 0o755),
        **{f'bin/{applet}': File('busybox')
           for applet in sorted(set(applets) - {'busybox'})},
        'etc/passwd': File(PASSWD.encode()),
        'etc/group': File(GROUP.encode()),
    }


def layer(files: Mapping[str, File], folders: Iterable[str] = ()) -> bytes:
    """A layer of an image, as a tar; always the same bytes."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode='w') as archive:
        for folder in folders:
            entry = tarfile.TarInfo(folder)
            entry.type = tarfile.DIRTYPE
            entry.mode = 0o1777 if folder in OPEN else 0o755
            archive.addfile(entry)
        for name, file in files.items():
            add(archive, name, file)
    return made.getvalue()


def add(archive: tarfile.TarFile, name: str, file: File) -> None:
    entry = tarfile.TarInfo(name)
    entry.mode = file.mode
    if isinstance(file.source, str):
        entry.type = tarfile.SYMTYPE
        entry.linkname = file.source
        archive.addfile(entry)
        return
    data = (file.source if isinstance(file.source, bytes)
            else file.source.read_bytes())
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


def digest(data: bytes) -> str:
    return f'sha256:{hashlib.sha256(data).hexdigest()}'


def archive(image: Image, layers: Iterable[bytes]) -> bytes:
    """An image as `docker save` writes it, the layers compressed."""
    layers = list(layers)
    config = json.dumps({
        'architecture': 'amd64', 'os': 'linux',
        'config': {'Entrypoint': list(image.entrypoint) or None,
                   'Cmd': list(image.command) or None,
                   'User': image.user, 'Env': [PATH]},
        'rootfs': {'type': 'layers',
                   'diff_ids': [digest(each) for each in layers]},
        'history': [{'created_by': 'zun-vk devcloud'} for _ in layers],
    }).encode()
    name = f'{hashlib.sha256(config).hexdigest()}.json'
    names = [f'{number}.tar' for number in range(len(layers))]
    manifest = [{'Config': name, 'Layers': names,
                 'RepoTags': [str(references.parse(image.name))]}]
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode='w') as tar:
        add(tar, name, File(config))
        for each, packed in zip(names, layers, strict=True):
            add(tar, each, File(gzip.compress(packed, 1, mtime=0)))
        add(tar, 'manifest.json', File(json.dumps(manifest).encode()))
    return made.getvalue()


def make(where: paths.Paths, images: Iterable[Image]) -> dict[str, Path]:
    """The images as archives in the cache, by name."""
    return {image.name: _make(where, image) for image in images}


def _make(where: paths.Paths, image: Image) -> Path:
    folder = where.cache / 'images'
    folder.mkdir(parents=True, exist_ok=True)
    base = references.parse(image.name)
    path = folder / (f'{base.path.replace("/", "_")}-{base.tag}-'
                     f'{_key(image)}.tar')
    if not path.exists():
        layers = [layer(busybox(), FOLDERS)] if image.busybox else []
        if image.files or image.folders:
            layers.append(layer(image.files, image.folders))
        new = path.with_suffix('.new')
        new.write_bytes(archive(image, layers))
        new.rename(path)
    return path


def _key(image: Image) -> str:
    """Changes with whatever the archive is made of."""
    sources = [BUSYBOX, *(file.source for file in image.files.values()
                          if isinstance(file.source, Path))]
    stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns)
             for path in sources]
    return hashlib.sha256(
        f'{image}\n{stats}'.encode()).hexdigest()[:12]
