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
"""Which of a pod's credentials are for the registry of an image.

Kubernetes: Pull an Image from a Private Registry, config.json globs. Pure.
The values are secrets: nothing here shows one.
"""

import base64
import binascii
from collections.abc import Iterable
import dataclasses
import urllib.parse

from zun_vk.compute.cri import cri_pb2
from zun_vk.compute.images import globs
from zun_vk.rpc import payload as rpc

_DOCKER = 'docker.io'
_DOCKER_KEY = 'index.docker.io'
_SCHEMES = ('https://', 'http://')
_API_PATHS = ('/v1/', '/v2/')
_HIDDEN = '***'
# Shorter than that a secret is in any text by chance.
_MIN_SECRET = 4


@dataclasses.dataclass(frozen=True)
class Place:
    """A registry, or a part of one.

    :param host: may have globs in its parts between dots
    :param port: '' for the default
    :param path: '' or from its slash on
    """

    host: str
    port: str
    path: str

    @property
    def key(self) -> str:
        """What decides which of two places is tried first."""
        port = f':{self.port}' if self.port else ''
        return self.host + port + self.path


def matching(credentials: Iterable[rpc.Credential],
             repository: str) -> list[rpc.Credential]:
    """Return the credentials to try for a repository, in order.

    The longer paths come before the shorter ones, as a key in reverse order
    does; within one key the order is the pod's.

    :param repository: as in ``names.Name``
    """
    usable = [(_place(credential.registry), decoded)
              for credential in credentials
              if (decoded := _decoded(credential)) is not None]
    target = split(repository)
    found = sorted(((place.key, credential) for place, credential in usable
                    if covers(place, target)),
                   key=lambda pair: pair[0], reverse=True)
    if not found and target.host in (_DOCKER, _DOCKER_KEY):
        found = [(place.key, credential) for place, credential in usable
                 if place.key == _DOCKER_KEY]
    return [credential for _, credential in found]


def covers(place: Place, target: Place) -> bool:
    """Tell whether credentials of a place are for a target.

    Ports are equal, hosts have as many parts, each as the place's glob says,
    and the target's path begins as the place's does.
    """
    parts, others = place.host.split('.'), target.host.split('.')
    return (place.port == target.port and len(parts) == len(others)
            and target.path.startswith(place.path)
            and all(map(globs.matches, parts, others)))


def split(location: str) -> Place:
    """Return the parts of a registry's name without scheme."""
    authority, slash, path = location.partition('/')
    authority = authority.rpartition('@')[2]
    host, colon, port = authority.rpartition(':')
    if not colon or authority.endswith(']'):
        return Place(authority, '', slash + path)
    return Place(host.removeprefix('[').removesuffix(']'), port,
                 slash + path)


def auth_config(credential: rpc.Credential) -> cri_pb2.AuthConfig:
    """Return a credential as the runtime takes it."""
    return cri_pb2.AuthConfig(
        username=credential.username, password=credential.password,
        identity_token=credential.identity_token,
        registry_token=credential.registry_token)


def scrub(text: str, credentials: Iterable[rpc.Credential]) -> str:
    """Return a text without any of the secrets."""
    secrets = {secret for credential in credentials
               for secret in _secrets(credential)
               if len(secret) >= _MIN_SECRET}
    # The longest first: one may be a part of another.
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, _HIDDEN)
    return text


def _place(registry: str) -> Place:
    """Return the place that a docker configuration names.

    It may be an URL with the path of the registry's API.
    """
    for scheme in _SCHEMES:
        registry = registry.removeprefix(scheme)
    for end in '?#':
        registry = registry.partition(end)[0]
    place = split(registry)
    path = place.path
    if path.startswith(_API_PATHS):
        path = path[3:]
    return dataclasses.replace(place, path='' if path == '/' else path)


def _decoded(credential: rpc.Credential) -> rpc.Credential | None:
    """Return a credential with user and password; None if it is of no use.

    ``auth`` is both in one, and counts before them.
    """
    if credential.auth:
        pair = _pair(credential.auth)
        if pair is None:
            return None
        credential = dataclasses.replace(credential, username=pair[0],
                                         password=pair[1])
    said = (credential.username + credential.password
            + credential.identity_token + credential.registry_token)
    return credential if said and _is_text(said) else None


def _is_text(said: str) -> bool:
    """Tell whether it can be sent: JSON may hold halves of characters."""
    try:
        said.encode()
    except UnicodeEncodeError:
        return False
    return True


def _pair(auth: str) -> tuple[str, str] | None:
    text = auth.strip()
    try:
        text = base64.b64decode(text + '=' * (-len(text) % 4),
                                validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    username, colon, password = text.partition(':')
    return (username, password) if colon else None


def _secrets(credential: rpc.Credential) -> Iterable[str]:
    decoded = _decoded(credential) or credential
    plain = (credential.password, decoded.password, credential.auth,
             credential.identity_token, credential.registry_token)
    yield from plain
    for secret in plain:
        yield urllib.parse.quote(secret, safe='', errors='replace')
    if decoded.password:
        both = f'{decoded.username}:{decoded.password}'
        yield base64.b64encode(both.encode(errors='replace')).decode()
