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
"""A pod as its host needs it: everything that it refers to is in it.

Made by the agent, which alone may read the cluster, and sent only to the
host that Zun says the pod's capsule is on. It holds the values of Secrets:
it is kept in memory and in root's files on a tmpfs, and no repr shows it.

``pod`` is the Kubernetes object of the API, but that every container's
``env`` has values only, ``envFrom`` is gone, ``command`` and ``args`` are
expanded, and each ``subPathExpr`` has become a ``subPath``.
"""

import base64
import binascii
from collections.abc import Mapping
import dataclasses
import re
import typing

from zun_vk.rpc import fields

VERSION = 1
#: Kubernetes bounds a Secret to 1 MiB; a pod may have several. RabbitMQ 4
#: takes 16 MiB in a message, in which quotes are escaped once more.
MAX_BYTES = 10 * 1024 ** 2
MAX_VOLUMES = 256
MAX_FILES = 4096
MAX_CREDENTIALS = 256
# Kubernetes: a DNS label. Directories are called so.
_CONTAINER = re.compile(r'[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?')


@dataclasses.dataclass(frozen=True)
class File:
    """One file of a volume.

    :param path: relative, below the volume
    :param mode: permission bits
    """

    path: str
    data: bytes = dataclasses.field(repr=False)
    mode: int


@dataclasses.dataclass(frozen=True)
class Credential:
    """What a registry may be asked for images with.

    :param registry: as in a docker configuration: host, host:port, with a
        path, or an URL
    """

    registry: str
    username: str = dataclasses.field(default='', repr=False)
    password: str = dataclasses.field(default='', repr=False)
    auth: str = dataclasses.field(default='', repr=False)
    identity_token: str = dataclasses.field(default='', repr=False)
    registry_token: str = dataclasses.field(default='', repr=False)


@dataclasses.dataclass(frozen=True)
class Dns:
    """What the containers' resolv.conf says."""

    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class PodPayload:
    """A resolved pod.

    :param generation: another one with every change of anything here
    :param pod: the Kubernetes object
    :param host_ip: address of the virtual node
    :param volumes: the files of secret, configMap, downwardAPI and projected
        volumes, by the volume's name
    :param host_paths: directories of the host that are volumes, by the
        volume's name; only of a capsule that no agent made, from zun-compute
    :param container_errors: why the environment of a container cannot be
        made, by its name
    :param volume_errors: why volumes cannot be made
    :param credentials: for pulling its images, first match first
    :param runtime_handler: '' for the runtime's default
    :param runtime_error: why there is no such handler
    :param dns: None: as the host's, with ``dns_extra`` added
    :param dns_extra: what dnsConfig adds to the host's
    :param hostname: of the sandbox
    :param domain: that makes it a fully qualified one; ''
    :param refresh_after: seconds since the epoch at which something of it
        must be renewed; 0: never
    """

    generation: str
    pod: dict = dataclasses.field(repr=False)
    host_ip: str = ''
    volumes: Mapping[str, tuple[File, ...]] = dataclasses.field(
        default_factory=dict, repr=False)
    host_paths: Mapping[str, str] = dataclasses.field(default_factory=dict)
    container_errors: Mapping[str, str] = dataclasses.field(
        default_factory=dict)
    volume_errors: tuple[str, ...] = ()
    credentials: tuple[Credential, ...] = dataclasses.field(
        default=(), repr=False)
    runtime_handler: str = ''
    runtime_error: str = ''
    dns: Dns | None = None
    dns_extra: Dns = dataclasses.field(default_factory=Dns)
    hostname: str = ''
    domain: str = ''
    refresh_after: float = 0

    def to_wire(self) -> dict[str, typing.Any]:
        """Return it as JSON types."""
        wire = {field.name: getattr(self, field.name)
                for field in dataclasses.fields(self)}
        wire['version'] = VERSION
        wire['volumes'] = {name: [_file_to_wire(file) for file in files]
                           for name, files in self.volumes.items()}
        wire['host_paths'] = dict(self.host_paths)
        wire['container_errors'] = dict(self.container_errors)
        wire['volume_errors'] = list(self.volume_errors)
        wire['credentials'] = [dataclasses.asdict(credential)
                               for credential in self.credentials]
        wire['dns'] = None if self.dns is None else _dns_to_wire(self.dns)
        wire['dns_extra'] = _dns_to_wire(self.dns_extra)
        return wire


def from_wire(message: object) -> PodPayload:
    """Return the payload that ``message`` is.

    :raises Malformed: it is none, or too large
    """
    wire = fields.whole(message)
    if fields.integer(wire, 'version') != VERSION:
        raise fields.Malformed(f'version is not {VERSION}')
    pod = _pod(fields.mapping(wire, 'pod'))
    return PodPayload(
        generation=fields.text(wire, 'generation'), pod=pod,
        host_ip=fields.text(wire, 'host_ip'),
        volumes=_volumes(fields.mapping(wire, 'volumes')),
        host_paths=_texts_by_name(wire, 'host_paths'),
        container_errors=_texts_by_name(wire, 'container_errors'),
        volume_errors=fields.texts(wire, 'volume_errors', MAX_VOLUMES),
        credentials=tuple(map(_credential, fields.mappings(
            wire, 'credentials', MAX_CREDENTIALS))),
        runtime_handler=fields.text(wire, 'runtime_handler'),
        runtime_error=fields.text(wire, 'runtime_error'),
        dns=_dns(wire, 'dns') if wire.get('dns') is not None else None,
        dns_extra=_dns(wire, 'dns_extra'),
        hostname=fields.text(wire, 'hostname'),
        domain=fields.text(wire, 'domain'),
        refresh_after=fields.number(wire, 'refresh_after'))


def file_size(file: File) -> int:
    """Return how many bytes a file has there, about."""
    return len(file.data) * 4 // 3 + len(file.path)


def _pod(pod: dict) -> dict:
    metadata, spec = (fields.mapping(pod, part)
                      for part in ('metadata', 'spec'))
    for name in ('uid', 'name', 'namespace'):
        if not fields.text(metadata, name):
            raise fields.Malformed(f'pod.metadata.{name} is missing')
    containers = [*fields.mappings(spec, 'containers', MAX_VOLUMES),
                  *fields.mappings(spec, 'initContainers', MAX_VOLUMES)]
    if not all(_CONTAINER.fullmatch(fields.text(container, 'name'))
               for container in containers):
        raise fields.Malformed(
            'the name of a container of the pod is missing or none')
    return pod


def _texts_by_name(wire: dict, name: str) -> dict[str, str]:
    found = fields.mapping(wire, name)
    return {key: fields.text(found, key) for key in found}


def _volumes(wire: dict) -> dict[str, tuple[File, ...]]:
    if len(wire) > MAX_VOLUMES:
        raise fields.Malformed(f'volumes are more than {MAX_VOLUMES}')
    left = MAX_BYTES
    made = {}
    for name in wire:
        made[name] = tuple(map(_file, fields.mappings(
            wire, name, MAX_FILES)))
        left -= sum(len(file.data) for file in made[name])
        if left < 0:
            raise fields.Malformed(
                f'volumes have more than {MAX_BYTES} bytes')
    return made


def _file_to_wire(file: File) -> dict:
    return {'path': file.path, 'mode': file.mode,
            'data': base64.b64encode(file.data).decode()}


def _file(wire: dict) -> File:
    try:
        data = base64.b64decode(
            fields.text(wire, 'data', MAX_BYTES * 2), validate=True)
    except binascii.Error:
        raise fields.Malformed('data of a file is not base64') from None
    path, mode = fields.text(wire, 'path'), fields.integer(wire, 'mode')
    if not path or path.startswith('/') or '\0' in path or (
            '..' in path.split('/')):
        raise fields.Malformed('path of a file leads out of its volume')
    if mode > 0o777:
        raise fields.Malformed('mode of a file is more than 0777')
    return File(path, data, mode)


def _credential(wire: dict) -> Credential:
    return Credential(**{field.name: fields.text(wire, field.name)
                         for field in dataclasses.fields(Credential)})


def _dns_to_wire(dns: Dns) -> dict:
    return {name: list(items)
            for name, items in dataclasses.asdict(dns).items()}


def _dns(wire: Mapping, name: str) -> Dns:
    found = fields.mapping(wire, name)
    return Dns(*(fields.texts(found, field.name, 64)
                 for field in dataclasses.fields(Dns)))
