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
"""What a pod's spec says of its volumes: pure reading, nothing is made."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import posixpath
import re

from zun_vk import exceptions
from zun_vk import quantity
from zun_vk.compute.configs import amounts

FILES = frozenset({'secret', 'configMap', 'downwardAPI', 'projected'})
DISK = 'disk'
MEMORY = 'memory'
#: Kubernetes: names of volumes are DNS labels.
NAME = re.compile(r'[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?')
TOKEN_MODE = 0o600


@dataclasses.dataclass(frozen=True)
class Volume:
    """A volume that we can make.

    :param kind: ``disk``, ``memory`` (both emptyDir) or one of FILES
    :param limit: bytes, None for none
    :param tokens: paths of service account tokens in it
    """

    name: str
    kind: str
    limit: int | None = None
    tokens: frozenset[str] = frozenset()


def volumes(spec: Mapping) -> list[Volume]:
    """Return the volumes of a pod.

    :raises exceptions.VolumeRefused: one of them cannot be had here
    """
    return [_volume(f'spec.volumes[{index}]', each)
            for index, each in enumerate(spec.get('volumes') or ())]


def fs_group(spec: Mapping) -> int | None:
    """Return the gid that the pod's volumes belong to."""
    group = (spec.get('securityContext') or {}).get('fsGroup')
    return group if isinstance(group, int) else None


def only_user(spec: Mapping) -> int | None:
    """Return the uid that all containers run as, if there is one such.

    Kubernetes gives service account tokens to it, so that nobody else needs
    to be able to read them.
    """
    shared = (spec.get('securityContext') or {}).get('runAsUser')
    users = {(container.get('securityContext') or {}).get(
        'runAsUser', shared) for container in containers(spec)}
    user = users.pop() if len(users) == 1 else None
    return user if isinstance(user, int) else None


def containers(spec: Mapping) -> list[Mapping]:
    """Return all containers of a pod."""
    return [*(spec.get('initContainers') or ()),
            *(spec.get('containers') or ())]


def container(spec: Mapping, name: str) -> Mapping:
    """Return one of them.

    :raises KeyError: there is none of that name
    """
    for each in containers(spec):
        if each['name'] == name:
            return each
    raise KeyError(name)


def memory_limit(spec: Mapping) -> int | None:
    """Return the bytes that all containers may use; None: no limit.

    Kubernetes: as much as the pod's cgroup.
    """
    if not amounts.all_limited(spec, 'memory'):
        return None
    return amounts.total(spec, amounts.LIMITS).get('memory') or None


def size(volume: Volume, spec: Mapping) -> int | None:
    """Return how large a memory volume is: None for the kernel's default."""
    bounds = [bound for bound in (volume.limit, memory_limit(spec)) if bound]
    return min(bounds) if bounds else None


def _volume(field: str, volume: Mapping) -> Volume:
    name = volume.get('name')
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise exceptions.VolumeRefused(f'{field}.name')
    # None of a kind means that the volume is an emptyDir.
    kind = next((key for key, value in volume.items()
                 if key != 'name' and value is not None), 'emptyDir')
    if kind in FILES:
        return Volume(name, kind, tokens=_tokens(volume[kind]))
    if kind != 'emptyDir':
        raise exceptions.VolumeRefused(f'{field}.{kind}')
    return _empty_dir(field, name, volume.get(kind) or {})


def _empty_dir(field: str, name: str, source: Mapping) -> Volume:
    media = {'': DISK, 'Memory': MEMORY}
    medium = source.get('medium') or ''
    if medium not in media:
        raise exceptions.VolumeRefused(f'{field}.emptyDir.medium')
    limit = source.get('sizeLimit')
    try:
        found = quantity.parse_bytes(limit) if limit is not None else None
    except exceptions.InvalidQuantity:
        raise exceptions.VolumeRefused(
            f'{field}.emptyDir.sizeLimit') from None
    # Kubernetes: a limit of nothing is no limit.
    return Volume(name, media[medium], limit=found or None)


def _tokens(source: Mapping) -> frozenset[str]:
    sources: Sequence[Mapping] = source.get('sources') or ()
    return frozenset(
        posixpath.normpath(each['serviceAccountToken']['path'])
        for each in sources
        if (each.get('serviceAccountToken') or {}).get('path'))
