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
"""The images that the tests name, made here: busybox and static Go programs.

Each is two layers: the devcloud's busybox, and what the image has beside
it. They go into the devcloud's registry under the names that the tests use,
so every host finds them where it looks for the published ones.

What of the published images is not here: what is no program of Go. The
tests that need such a thing are seen in the report, not here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
import hashlib
import io
import json
from pathlib import Path
import tarfile

from devcloud import own_images
from devcloud import paths
from devcloud.conformance import programs

PUBLISHED = 'registry.k8s.io'
TESTS = f'{PUBLISHED}/e2e-test-images'
PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
# busybox' shell does what the tests' scripts ask of bash
BASH = b'#!/bin/sh\nexec /bin/sh "$@"\n'
# Of curl the tests use: URL, and options that wget has under other names
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
exec wget -q -O - -T "$seconds" "$url"
'''
# The tests of supplemental groups look for this user and its group
PASSWD = (b'root:x:0:0:root:/root:/bin/sh\n'
          b'nobody:x:65534:65534:nobody:/home:/bin/false\n'
          b'user-defined-in-image:x:1000:1000::/home:/bin/sh\n')
GROUP = (b'root:x:0:\nnogroup:x:65534:\nuser-defined-in-image:x:1000:\n'
         b'group-defined-in-image:x:50000:user-defined-in-image\n')


@dataclass(frozen=True)
class File:
    """A file of an image.

    :param source: the name of a program of ours, or its bytes
    """

    source: str | bytes
    mode: int = 0o644


@dataclass(frozen=True)
class Recipe:
    """An image.

    :param names: as the tests name it
    :param config: what its configuration says, as OCI writes it
    :param files: by absolute path
    :param links: symbolic ones: path to target
    :param folders: that everybody may write to
    """

    names: tuple[str, ...]
    config: Mapping[str, object]
    files: Mapping[str, File] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()


RECIPES = (
    Recipe((f'{TESTS}/agnhost:2.63.0', f'{TESTS}/agnhost:2.55'),
           {'Entrypoint': ['/agnhost'], 'Cmd': ['pause']},
           files={'/agnhost': File('agnhost', 0o755),
                  '/localhost.crt': File('localhost.crt'),
                  '/localhost.key': File('localhost.key'),
                  '/bin/bash': File(BASH, 0o755),
                  '/usr/bin/curl': File(CURL, 0o755),
                  '/etc/passwd': File(PASSWD), '/etc/group': File(GROUP)},
           links={'/agnhost-2': 'agnhost'}, folders=('/uploads',)),
    # The tests that name nginx or the libc of another system bring their own
    # command for the shell
    Recipe((f'{TESTS}/busybox:1.37.0-1', f'{TESTS}/nginx:1.15-4',
            f'{TESTS}/nginx:1.27-0', f'{TESTS}/glibc-dns-testing:2.0.0'),
           {'Cmd': ['sh']}),
    Recipe((f'{TESTS}/nonroot:1.5',), {'Cmd': ['sh'], 'User': '1234'}),
    Recipe((f'{TESTS}/nonewprivs:1.4',), {'Cmd': ['nnp']},
           files={'/usr/local/bin/nnp': File('nnp', 0o6755)}),
    Recipe((f'{PUBLISHED}/pause:3.10.2',),
           {'Entrypoint': list(own_images.DOCKER_PAUSE)}),
)


def layer(recipe: Recipe, built: programs.Programs) -> bytes:
    """What an image has beside busybox, as a tar; always the same bytes."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode='w') as archive:
        for name in sorted(recipe.folders):
            entry = tarfile.TarInfo(name.lstrip('/'))
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777
            archive.addfile(entry)
        for name, file in sorted(recipe.files.items()):
            data = file.source if isinstance(file.source, bytes) else \
                built.path(file.source).read_bytes()
            _add(archive, name.lstrip('/'), data, file.mode)
        for name, target in sorted(recipe.links.items()):
            entry = tarfile.TarInfo(name.lstrip('/'))
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    return made.getvalue()


def archive(name: str, layers: list[bytes],
            config: Mapping[str, object]) -> bytes:
    """An image as `docker save` writes it."""
    described = json.dumps({
        'architecture': 'amd64', 'os': 'linux',
        'config': {'Env': [PATH], **config},
        'rootfs': {'type': 'layers',
                   'diff_ids': [own_images.digest(data) for data in layers]},
        'history': [{'created_by': 'zun-vk devcloud'} for _ in layers],
    }, sort_keys=True).encode()
    parts = [f'layer{number}.tar' for number in range(len(layers))]
    ident = f'{hashlib.sha256(described).hexdigest()}.json'
    manifest = [{'Config': ident, 'RepoTags': [name], 'Layers': parts}]
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode='w') as tar:
        _add(tar, ident, described)
        for part, data in zip(parts, layers, strict=True):
            _add(tar, part, data)
        _add(tar, 'manifest.json', json.dumps(manifest).encode())
    return made.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes,
         mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), mode
    tar.addfile(entry, io.BytesIO(data))


def busybox() -> bytes:
    """The layer that all have."""
    return own_images.layer(own_images.busybox(), own_images.FOLDERS)


def make(where: paths.Paths, built: programs.Programs) -> dict[str, Path]:
    """Have all of them as archives in the cache, by name."""
    folder = where.cache / 'images'
    folder.mkdir(parents=True, exist_ok=True)
    base, made = busybox(), {}
    for recipe in RECIPES:
        layers = [base]
        if recipe.files or recipe.links or recipe.folders:
            layers.append(layer(recipe, built))
        # One archive for all names: only they differ
        data = archive(recipe.names[0], layers, recipe.config)
        key = hashlib.sha256(data).hexdigest()[:12]
        short = recipe.names[0].rpartition('/')[2].partition(':')[0]
        path = folder / f'e2e_{short}-{key}.tar'
        if not path.exists():
            new = path.with_suffix('.new')
            new.write_bytes(data)
            new.rename(path)
        made.update(dict.fromkeys(recipe.names, path))
    return made
