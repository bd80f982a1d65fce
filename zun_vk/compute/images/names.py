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
"""Names of images: a repository of a registry, a tag, a digest.

Kubernetes: Images, image names. The grammar is that of container
registries; what leaves the registry out means Docker's.
"""

import dataclasses
import re

from zun_vk import exceptions

INVALID = 'InvalidImageName'
ALWAYS = 'Always'
IF_NOT_PRESENT = 'IfNotPresent'
NEVER = 'Never'

_DOMAIN = 'docker.io'
_OLD_DOMAIN = 'index.docker.io'
_OFFICIAL = 'library/'
_LATEST = 'latest'
_MAX_PATH = 255
# A domain, a path, a tag and a digest are shorter together.
_MAX_LENGTH = 1024
_HEX_LENGTHS = {'sha256': 64, 'sha384': 96, 'sha512': 128}

_LABEL = r'[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?'
_HOST = rf'(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?'
_PART = r'[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*'
_GRAMMAR = re.compile(
    rf'(?P<domain>{_HOST})/(?P<path>{_PART}(?:/{_PART})*)'
    r'(?::(?P<tag>\w[\w.-]{0,127}))?'
    r'(?:@(?P<algorithm>[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*)'
    r':(?P<hex>[0-9a-fA-F]{32,}))?', re.ASCII)
_IDENTITY = re.compile('[a-f0-9]{64}')


@dataclasses.dataclass(frozen=True)
class Name:
    """The name of an image.

    :param repository: with its registry, ``docker.io/library/busybox``
    :param tag: ``latest`` where there is neither tag nor digest; ''
    :param digest: ``sha256:...``; ''
    """

    repository: str
    tag: str
    digest: str


def parse(image: str) -> Name:
    """Return the parts of an image's name.

    :raises ImageProblem: InvalidImageName, in the kubelet's words
    """
    if _IDENTITY.fullmatch(image):
        raise _invalid(
            image, f'invalid repository name ({image}), cannot specify '
            '64-byte hexadecimal strings')
    domain, rest = _split(image)
    path = rest.partition(':')[0]
    if path.lower() != path:
        raise _invalid(image, 'invalid reference format: repository name '
                       f'({path[:_MAX_PATH]}) must be lowercase')
    match = None
    if len(image) <= _MAX_LENGTH:
        match = _GRAMMAR.fullmatch(f'{domain}/{rest}')
    if match is None:
        raise _invalid(image, 'invalid reference format')
    if len(match['path']) > _MAX_PATH:
        raise _invalid(image, 'repository name must not be more than '
                       f'{_MAX_PATH} characters')
    digest = _digest(image, match)
    tag = match['tag'] or ('' if digest else _LATEST)
    return Name(f'{match["domain"]}/{match["path"]}', tag, digest)


def tagged(image: str) -> str:
    """Return the name with a tag, where it has neither tag nor digest.

    It is not changed else: which registry a short name means is the
    runtime's to say.

    :raises ImageProblem: InvalidImageName
    """
    name = parse(image)
    if name.digest or image.endswith(f':{name.tag}'):
        return image
    return f'{image}:{name.tag}'


def registry(image: str) -> str:
    """Return the registry that a name means, be it a name or not."""
    return _split(image)[0]


def policy(container: dict) -> str:
    """Return the pull policy of a container.

    Where it has none, its image's name tells.

    :raises ImageProblem: InvalidImageName
    """
    said = container.get('imagePullPolicy')
    if said in (ALWAYS, IF_NOT_PRESENT, NEVER):
        return said
    latest = parse(container.get('image') or '').tag == _LATEST
    return ALWAYS if latest else IF_NOT_PRESENT


def _split(image: str) -> tuple[str, str]:
    """Return the registry that a name means, and the rest of the name."""
    first, slash, rest = image.partition('/')
    if not slash:
        return _DOMAIN, _OFFICIAL + image
    if first in (_DOMAIN, _OLD_DOMAIN):
        return _DOMAIN, rest if '/' in rest else _OFFICIAL + rest
    if first == 'localhost' or first.lower() != first or (
            '.' in first or ':' in first):
        return first, rest
    return _DOMAIN, image


def _digest(image: str, match: re.Match[str]) -> str:
    algorithm, digits = match['algorithm'], match['hex']
    if not algorithm:
        return ''
    length = _HEX_LENGTHS.get(algorithm)
    if length is None:
        raise _invalid(image, 'unsupported digest algorithm')
    if len(digits) != length:
        raise _invalid(image, 'invalid checksum digest length')
    if digits.lower() != digits:
        raise _invalid(image, 'invalid checksum digest format')
    return f'{algorithm}:{digits}'


def _invalid(image: str, why: str) -> exceptions.ImageProblem:
    shown = image[:_MAX_PATH]
    return exceptions.ImageProblem(
        INVALID, f'Failed to apply default image tag "{shown}": '
        f"couldn't parse image name \"{shown}\": {why}")
