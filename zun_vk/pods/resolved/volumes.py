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
"""The files of a pod's volumes, as the kubelet would write them.

Pure: a pod whose fields were checked (``hostsupport``) and what its volumes
refer to go in; the files of a volume come out, or why there are none yet.
Volumes of Secrets, ConfigMaps, pod fields and tokens are one here: each is
projected from a list of sources, of which a later one wins.
"""

from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import posixpath
import typing

from zun_vk import exceptions
from zun_vk.pods import environment
from zun_vk.pods import fieldpaths
from zun_vk.pods import tokens as tokens_module
from zun_vk.rpc import payload

REASON = 'FailedMount'
_MODE = 0o644
# Kubernetes: what only the owner may read, which fsGroup widens.
_PRIVATE_MODE = 0o600
_PROJECTED = 'projected'
_KINDS = {'secret': environment.SECRET, 'configMap': environment.CONFIG_MAP}
# What Kubernetes says of a key that is not there.
_MISSING_KEYS = {
    environment.SECRET: 'references non-existent secret key: ',
    environment.CONFIG_MAP: 'configmap references non-existent config key: '}
_MAX_PATH = 4096
_MAX_NAME = 255


class TokenNeed(typing.NamedTuple):
    """A token of the pod's service account.

    :param audience: '' for that of the API server
    :param seconds: how long it shall be valid
    """

    audience: str
    seconds: int


@dataclasses.dataclass(frozen=True)
class Needs:
    """What must be read for a pod's volumes.

    :param objects: (kind, name) pairs, as in ``environment``
    :param allocatable: of the node
    """

    objects: frozenset[tuple[str, str]]
    tokens: frozenset[TokenNeed]
    allocatable: bool


@dataclasses.dataclass(frozen=True)
class Material:
    """What was read.

    :param objects: by kind and name their files, None where there is no
        such object, or why it could not be read
    :param tokens: likewise
    :param allocatable: what the node can give to pods
    """

    objects: Mapping[
        tuple[str, str],
        Mapping[str, bytes] | exceptions.NotYetResolvable | None
    ] = dataclasses.field(default_factory=dict, repr=False)
    tokens: Mapping[
        TokenNeed, tokens_module.Token | exceptions.NotYetResolvable
    ] = dataclasses.field(default_factory=dict, repr=False)
    allocatable: Mapping[str, str] = dataclasses.field(default_factory=dict)


def with_files(pod: dict) -> list[dict]:
    """Return the volumes of ``pod`` that have files from the API server."""
    return [volume for volume in pod['spec'].get('volumes') or []
            if _body(volume) is not None]


def needs(pod: dict) -> Needs:
    """Return what must be read for the volumes of ``pod``."""
    objects, wanted, allocatable = set(), set(), False
    by_name = _containers(pod)
    for volume in with_files(pod):
        for source in _sources(volume):
            for field, kind in _KINDS.items():
                if source.get(field) is not None:
                    objects.add((kind, source[field]['name']))
            if source.get('serviceAccountToken') is not None:
                wanted.add(_token_need(source['serviceAccountToken']))
            for item in (source.get('downwardAPI') or {}).get('items') or []:
                selector = item.get('resourceFieldRef')
                if selector:
                    allocatable |= fieldpaths.needs_allocatable(
                        by_name[selector['containerName']], selector)
    return Needs(frozenset(objects), frozenset(wanted), allocatable)


def make(pod: dict, volume: dict,
         material: Material) -> tuple[payload.File, ...]:
    """Return the files of ``volume``, in the order of their paths.

    :param volume: one of ``with_files``
    :raises NotYetResolvable: something is missing, or no file can be so
    """
    made: dict[str, payload.File] = {}
    errors = []
    mode = _mode((_body(volume) or {}).get('defaultMode'), _MODE)
    for source in _sources(volume):
        try:
            for file in _files(pod, source, mode, material):
                made[file.path] = file
        except exceptions.NotYetResolvable as error:
            errors.append(error.message)
    if errors:
        raise _failed(errors[0] if len(errors) == 1
                      else f'[{", ".join(errors)}]')
    _check(made)
    return tuple(made[path] for path in sorted(made))


def _body(volume: dict) -> dict | None:
    for kind in (*_KINDS, 'downwardAPI', _PROJECTED):
        if volume.get(kind) is not None:
            return volume[kind]
    return None


def _sources(volume: dict) -> list[dict]:
    """Return what a volume is made from, as projected volumes name it."""
    if volume.get(_PROJECTED) is not None:
        return volume[_PROJECTED].get('sources') or []
    if volume.get('secret') is not None:
        return [{'secret': {**volume['secret'],
                            'name': volume['secret'].get('secretName')}}]
    return [{kind: volume[kind] for kind in ('configMap', 'downwardAPI')
             if volume.get(kind) is not None}]


def _files(pod: dict, source: dict, mode: int,
           material: Material) -> Iterator[payload.File]:
    for field, kind in _KINDS.items():
        if source.get(field) is not None:
            yield from _of_object(kind, source[field], mode, material)
    if source.get('downwardAPI') is not None:
        for item in source['downwardAPI'].get('items') or []:
            yield payload.File(
                _path(item['path']),
                _value(pod, item, material).encode(errors='replace'),
                _mode(item.get('mode'), mode))
    if source.get('serviceAccountToken') is not None:
        yield _token(pod, source['serviceAccountToken'], mode, material)


def _of_object(kind: str, reference: dict, mode: int,
               material: Material) -> Iterator[payload.File]:
    name, optional = reference['name'], bool(reference.get('optional'))
    data = material.objects[kind, name]
    if isinstance(data, exceptions.NotYetResolvable):
        raise data
    if data is None:
        if not optional:
            raise _failed(f'{kind.lower()} "{name}" not found')
        data = {}
    if not reference.get('items'):
        for key, content in data.items():
            yield payload.File(_path(key), content, mode)
        return
    for item in reference['items']:
        if item['key'] in data:
            yield payload.File(_path(item['path']), data[item['key']],
                               _mode(item.get('mode'), mode))
        elif not optional:
            raise _failed(_MISSING_KEYS[kind] + item['key'])


def _value(pod: dict, item: dict, material: Material) -> str:
    if item.get('fieldRef'):
        return fieldpaths.field(pod, item['fieldRef'], ())
    selector = item['resourceFieldRef']
    return fieldpaths.resource(_containers(pod)[selector['containerName']],
                               selector, material.allocatable)


def _token(pod: dict, source: dict, mode: int,
           material: Material) -> payload.File:
    token = material.tokens[_token_need(source)]
    if isinstance(token, exceptions.NotYetResolvable):
        raise token
    context = pod['spec'].get('securityContext') or {}
    if context.get('fsGroup') is not None:
        mode = _PRIVATE_MODE
    return payload.File(_path(source['path']), token.value.encode(), mode)


def _token_need(source: dict) -> TokenNeed:
    return TokenNeed(source.get('audience') or '',
                     source.get('expirationSeconds') or tokens_module.SECONDS)


def _mode(own: int | None, otherwise: int) -> int:
    # Not empty here: 0 is a mode.
    return otherwise if own is None else own & 0o777


def _containers(pod: dict) -> dict[str, dict]:
    return {each['name']: each for each in environment.containers(pod)}


def _path(path: str) -> str:
    """Return a path below the volume, as Kubernetes lets it be."""
    parts = path.split('/')
    if (not path or path.startswith('/') or '\0' in path
            or '..' in parts or parts[0].startswith('..')
            or len(path.encode(errors='replace')) > _MAX_PATH
            or any(len(part.encode(errors='replace')) > _MAX_NAME
                   for part in parts)):
        raise _failed(f'invalid path: {path[:_MAX_NAME]!r}')
    normal = posixpath.normpath(path)
    if normal == '.':
        raise _failed(f'invalid path: {path[:_MAX_NAME]!r}')
    return normal


def _check(made: Mapping[str, payload.File]) -> None:
    """See that these can be files of one directory."""
    if len(made) > payload.MAX_FILES:
        raise _failed(f'it has more than {payload.MAX_FILES} files')
    for path in made:
        parent = posixpath.dirname(path)
        while parent:
            if parent in made:
                raise _failed(f'{parent} is a file and a directory')
            parent = posixpath.dirname(parent)


def _failed(message: str) -> exceptions.NotYetResolvable:
    return exceptions.NotYetResolvable(REASON, message)
