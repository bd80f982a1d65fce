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
"""What image pull secrets hold, for the registries they name.

Pure. Kubernetes: Secrets of type ``kubernetes.io/dockerconfigjson`` and
``kubernetes.io/dockercfg``; of each registry a user name and a password, or
both in ``auth``. What else Docker keeps there is not for nodes.
"""

import base64
import binascii
from collections.abc import Iterator
import json

from zun_vk.kube import objects
from zun_vk.rpc import payload

_KEYS = {'kubernetes.io/dockerconfigjson': '.dockerconfigjson',
         'kubernetes.io/dockercfg': '.dockercfg'}
_AUTHS = 'auths'
_MAX_TEXT = 64 * 1024


class Unusable(ValueError):
    """A Secret cannot be used for pulling; the words show nothing of it."""


def read(secret: objects.Secret) -> tuple[payload.Credential, ...]:
    """Return the credentials in ``secret``, in its order.

    :raises Unusable: it is none for pulling images, or broken
    """
    key = _KEYS.get(secret.kind)
    if key is None:
        raise Unusable(f'its type is neither {" nor ".join(_KEYS)}')
    if not secret.data.get(key):
        raise Unusable(f'it has no key {key}')
    entries = _object(_parsed(secret.data[key], key), key)
    if key == '.dockerconfigjson':
        entries = _object(entries.get(_AUTHS) or {}, f'{_AUTHS} in {key}')
    return tuple(_credentials(entries))


def _credentials(entries: dict) -> Iterator[payload.Credential]:
    for number, (registry, entry) in enumerate(entries.items(), 1):
        where = f'entry {number}'
        fields = _object(entry, where)
        user, password, auth = (
            _text(fields, name, where)
            for name in ('username', 'password', 'auth'))
        if auth:
            user, password = _decoded(auth, where)
        if registry:
            yield payload.Credential(registry, user, password)


def _parsed(data: bytes, key: str) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        # Not chained: such an error shows the data.
        raise Unusable(f'{key} is not JSON') from None


def _object(found: object, what: str) -> dict:
    if not isinstance(found, dict):
        raise Unusable(f'{what} is no object')
    return found


def _text(fields: dict, name: str, where: str) -> str:
    found = fields.get(name)
    if found is None:
        return ''
    if not isinstance(found, str) or len(found) > _MAX_TEXT:
        raise Unusable(f'{name} of {where} is no string')
    return found


def _decoded(auth: str, where: str) -> tuple[str, str]:
    """Return user name and password; padding may be left out."""
    text = auth.strip()
    try:
        both = base64.b64decode(
            text + '=' * (-len(text) % 4), validate=True).decode()
    except (binascii.Error, ValueError):
        raise Unusable(f'auth of {where} is not base64') from None
    user, colon, password = both.partition(':')
    if not colon:
        raise Unusable(
            f'auth of {where} is not of the form user:password')
    return user, password
