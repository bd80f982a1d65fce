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
"""A pod's payload, from the pod and all that it refers to.

Pure: what is missing becomes an error in the payload, for the host to tell
and to ask again; what the pod's author should know becomes notes.
"""

from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import json

from zun_vk import exceptions
from zun_vk.kube import objects as kube_objects
from zun_vk.pods import environment
from zun_vk.pods.resolved import containers
from zun_vk.pods.resolved import credentials
from zun_vk.pods.resolved import naming
from zun_vk.pods.resolved import volumes
from zun_vk.rpc import payload

# Of the object, what a host has to do with, and what does not change while
# nothing does.
_METADATA = ('name', 'namespace', 'uid', 'labels', 'annotations',
             'creationTimestamp')
_CONTAINERS = ('initContainers', 'containers')
# The first are resolved; containers of the last kind are not run.
_LEFT_OUT = (*_CONTAINERS, 'ephemeralContainers')
_PULL_SECRETS = 'FailedToRetrieveImagePullSecret'
# Of all bytes, what containers with their environments may take.
_CONTAINERS_SHARE = 0.5
# Beside these: as much as one Secret may hold.
_CREDENTIAL_BYTES = 1024 ** 2


@dataclasses.dataclass(frozen=True)
class Material:
    """What was read for a pod.

    :param pull_secrets: by name, in the pod's order; None: not there
    :param handler: that its RuntimeClass names
    :param handler_error: why there is none
    """

    environment: environment.Material
    volumes: volumes.Material
    pull_secrets: Mapping[str, kube_objects.Secret | None] = (
        dataclasses.field(default_factory=dict))
    handler: str = ''
    handler_error: str = ''


def assemble(pod: dict, material: Material, cluster: naming.Cluster
             ) -> tuple[payload.PodPayload, list[environment.Note]]:
    """Return the payload of ``pod`` without a generation, and what to tell.

    :param pod: one that ``hostsupport`` does not refuse; it stays
    """
    made = environment.resolve_each(pod, material.environment)
    resolving = naming.resolving(pod, cluster)
    hostname = naming.hostname(pod, cluster)
    credential, pull_notes = _credentials(material.pull_secrets)
    bare, size, errors = _pod(pod, made)
    files, volume_errors = _volumes(
        pod, material.volumes, payload.MAX_BYTES - size)
    assembled = payload.PodPayload(
        generation='', pod=bare,
        host_ip=next(iter(material.environment.host_ips), ''),
        volumes=files, container_errors=errors,
        volume_errors=tuple(volume_errors), credentials=credential,
        runtime_handler=material.handler,
        runtime_error=material.handler_error,
        dns=resolving.dns, dns_extra=resolving.extra,
        hostname=hostname.name, domain=hostname.domain,
        refresh_after=_refresh_after(material.volumes))
    return assembled, [*made.notes, *resolving.notes, *pull_notes]


def _pod(pod: dict, made: environment.Environment
         ) -> tuple[dict, int, dict[str, str]]:
    """Return the pod as a host needs it, and why containers cannot be.

    :returns: it, its bytes, and the errors by container
    """
    errors = {name: error.message for name, error in made.errors.items()}
    most = left = int(payload.MAX_BYTES * _CONTAINERS_SHARE)
    spec = {name: value for name, value in pod['spec'].items()
            if name not in _LEFT_OUT}
    metadata = {name: pod['metadata'][name] for name in _METADATA
                if name in pod['metadata']}
    size = len(json.dumps([metadata, spec]))
    for field in _CONTAINERS:
        if field not in pod['spec']:
            continue
        spec[field] = []
        for container in pod['spec'][field] or []:
            resolved = _container(container, made, errors)
            if containers.size(resolved) > left:
                errors[container['name']] = (
                    "the variables and arguments of the pod's containers "
                    f'take more than {most} bytes')
                resolved = containers.unresolved(container)
            left -= containers.size(resolved)
            spec[field].append(resolved)
    return ({'apiVersion': 'v1', 'kind': 'Pod', 'metadata': metadata,
             'spec': spec}, size + most - left, errors)


def _container(container: dict, made: environment.Environment,
               errors: dict[str, str]) -> dict:
    name = container['name']
    if name not in errors:
        try:
            return containers.resolved(container, made.variables[name])
        except exceptions.NotYetResolvable as error:
            errors[name] = error.message
    return containers.unresolved(container)


def _volumes(pod: dict, material: volumes.Material, left: int
             ) -> tuple[dict[str, tuple[payload.File, ...]], list[str]]:
    """Return files by volume, and why there are none of others."""
    made, errors = {}, []
    for volume in volumes.with_files(pod):
        name = volume['name']
        try:
            files = volumes.make(pod, volume, material)
        except exceptions.NotYetResolvable as error:
            errors.append(_mount_failed(name, error.message))
            continue
        size = sum(payload.file_size(file) for file in files)
        if size > left:
            errors.append(_mount_failed(
                name, "with it, the pod's files and variables take more "
                f'than {payload.MAX_BYTES} bytes'))
            continue
        left -= size
        made[name] = files
    return made, errors


def _mount_failed(volume: str, message: str) -> str:
    # Kubernetes: people grep for these words.
    return f'MountVolume.SetUp failed for volume "{volume}" : {message}'


def _credentials(secrets: Mapping[str, kube_objects.Secret | None]
                 ) -> tuple[tuple[payload.Credential, ...],
                            list[environment.Note]]:
    found: list[payload.Credential] = []
    missing, notes = [], []
    for name, secret in secrets.items():
        if secret is None:
            missing.append(name)
            continue
        try:
            found += credentials.read(secret)
        except credentials.Unusable as error:
            notes.append(environment.Note(
                _PULL_SECRETS, f'Image pull secret {name} is not used: '
                f'{error}'))
    if missing:
        notes.append(environment.Note(_PULL_SECRETS, (
            'Unable to retrieve some image pull secrets '
            f'({", ".join(missing)}); attempting to pull the image may not '
            'succeed.')))
    used = _first(found)
    if len(used) < len(found):
        notes.append(environment.Note(_PULL_SECRETS, (
            f'Only the first {len(used)} of {len(found)} credentials in image '
            'pull secrets are used: the others are too many or too large.')))
    return used, notes


def _first(found: list[payload.Credential]
           ) -> tuple[payload.Credential, ...]:
    """Return as many credentials as may be sent."""
    left = _CREDENTIAL_BYTES
    for index, credential in enumerate(found[:payload.MAX_CREDENTIALS]):
        left -= sum(map(len, dataclasses.astuple(credential)))
        if left < 0:
            return tuple(found[:index])
    return tuple(found[:payload.MAX_CREDENTIALS])


def _refresh_after(material: volumes.Material) -> float:
    return min(_refreshes(material), default=0)


def _refreshes(material: volumes.Material) -> Iterator[float]:
    for token in material.tokens.values():
        if not isinstance(token, exceptions.NotYetResolvable):
            yield token.refresh_at
