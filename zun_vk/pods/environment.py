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
"""The environment of a pod's containers, as the kubelet would make it.

Pure: a pod whose fields were checked (``support``, ``hostsupport``) and what
its variables refer to go in, the variables of each container come out, or
the reason why they cannot be made yet. Precedence is the kubelet's: variables
of Services, then ``envFrom``, then ``env``, each able to use those before it.

Values of Secrets are in the result and nowhere else: no message and no repr
has one.
"""

import collections
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import typing

from zun_vk import exceptions
from zun_vk.pods import expansion
from zun_vk.pods import fieldpaths

SECRET = 'Secret'
CONFIG_MAP = 'ConfigMap'
# The API server's own bound on a Secret or ConfigMap; also keeps variables
# that double one another from growing without end.
MAX_BYTES = 1024 ** 2
FAILED = 'Failed'
_INVALID_NAMES = 'InvalidEnvironmentVariableNames'
# The field of envFrom, and that of valueFrom, by the kind it refers to.
_FROM = {'secretRef': SECRET, 'configMapRef': CONFIG_MAP}
_KEY_REFS = {'secretKeyRef': SECRET, 'configMapKeyRef': CONFIG_MAP}
_Data = Mapping[str, bytes] | Mapping[str, str]
Objects = Mapping[tuple[str, str],
                  _Data | exceptions.NotYetResolvable | None]


class Note(typing.NamedTuple):
    """Something the author of a pod should know, as an event."""

    reason: str
    message: str


@dataclasses.dataclass(frozen=True)
class Needs:
    """What has to be read before a pod's environment can be made.

    :param objects: (SECRET or CONFIG_MAP, name) pairs
    :param services: of the pod's namespace
    :param allocatable: of the node
    """

    objects: frozenset[tuple[str, str]]
    services: bool
    allocatable: bool


@dataclasses.dataclass(frozen=True)
class Material:
    """What was read.

    :param objects: by kind and name their data, None where there is none,
        or why it could not be read
    :param services: variables of the Services
    :param allocatable: what the node can give to pods
    :param host_ips: addresses of the node
    :param addresses: of the pod, where it has some already
    """

    objects: Objects = dataclasses.field(default_factory=dict, repr=False)
    services: Mapping[str, str] = dataclasses.field(default_factory=dict)
    allocatable: Mapping[str, str] = dataclasses.field(default_factory=dict)
    host_ips: Sequence[str] = ()
    addresses: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Environment:
    """The variables of a pod.

    :param variables: of each container by its name
    :param sensitive: names of variables that hold a Secret's value
    :param notes: each once
    :param errors: why a container has no variables, by its name
    """

    variables: Mapping[str, Mapping[str, str]] = dataclasses.field(
        default_factory=dict, repr=False)
    sensitive: frozenset[str] = frozenset()
    notes: tuple[Note, ...] = ()
    errors: Mapping[str, exceptions.NotYetResolvable] = dataclasses.field(
        default_factory=dict)


def containers(pod: dict) -> list[dict]:
    """Return all containers of ``pod`` in the order they start."""
    return [*(pod['spec'].get('initContainers') or []),
            *pod['spec']['containers']]


def needs(pod: dict) -> Needs:
    """Return what must be read for ``pod``."""
    every = containers(pod)
    by_name = {each['name']: each for each in every}
    objects, allocatable = set(), False
    for container in every:
        for _, kind, reference in references(container):
            objects.add((kind, reference['name']))
        for entry in container.get('env') or []:
            selector = (entry.get('valueFrom') or {}).get('resourceFieldRef')
            if selector:
                about = by_name[selector.get('containerName')
                                or container['name']]
                allocatable |= fieldpaths.needs_allocatable(about, selector)
    return Needs(frozenset(objects),
                 pod['spec'].get('enableServiceLinks') is not False,
                 allocatable)


def references(container: dict) -> typing.Iterator[tuple[str, str, dict]]:
    """Yield the Secrets and ConfigMaps that a container's variables name.

    :returns: (field path within the container, kind, reference)
    """
    for index, entry in enumerate(container.get('envFrom') or []):
        for field, kind in _FROM.items():
            if entry.get(field):
                yield f'envFrom[{index}].{field}', kind, entry[field]
    for index, entry in enumerate(container.get('env') or []):
        for field, kind in _KEY_REFS.items():
            reference = (entry.get('valueFrom') or {}).get(field)
            if reference:
                yield f'env[{index}].valueFrom.{field}', kind, reference


def resolve(pod: dict, material: Material) -> Environment:
    """Return the environment of every container of ``pod``.

    :raises NotYetResolvable: something is missing, or cannot be a variable
    """
    made = resolve_each(pod, material)
    for error in made.errors.values():
        raise error
    return made


def resolve_each(pod: dict, material: Material) -> Environment:
    """Return the environment of those containers that can have one."""
    variables, errors = {}, {}
    builders = {container['name']: _Builder(pod, container, material)
                for container in containers(pod)}
    for name, builder in builders.items():
        try:
            variables[name] = builder.build()
        except exceptions.NotYetResolvable as error:
            errors[name] = error
    notes = dict.fromkeys(
        note for builder in builders.values() for note in builder.notes)
    return Environment(
        variables,
        frozenset().union(*(each.sensitive for each in builders.values())),
        tuple(notes), errors)


class _Builder:
    """Makes the variables of one container."""

    def __init__(self, pod: dict, container: dict, material: Material):
        self._pod = pod
        self._container = container
        self._material = material
        self._own: dict[str, str] = {}
        self._known = collections.ChainMap(
            self._own, dict(material.services))
        self._size = 0
        self.sensitive: set[str] = set()
        self.notes: list[Note] = []

    def build(self) -> dict[str, str]:
        for entry in self._container.get('envFrom') or []:
            for field, kind in _FROM.items():
                if entry.get(field):
                    self._take_all(kind, entry[field],
                                   entry.get('prefix') or '')
        for entry in self._container.get('env') or []:
            self._take(entry)
        return self._own | {
            name: value for name, value in self._material.services.items()
            if name not in self._own}

    def _take_all(self, kind: str, reference: dict, prefix: str) -> None:
        data = self._data(kind, reference)
        invalid = []
        for key in data or ():
            if valid_name(prefix + key):
                self._set(prefix + key, self._text(kind, reference, key),
                          kind == SECRET)
            else:
                invalid.append(prefix + key)
        if invalid:
            self.notes.append(Note(
                _INVALID_NAMES, f'{self._title(kind, reference)}: skipped, '
                'for these cannot be names of variables: '
                + ', '.join(sorted(invalid))))

    def _take(self, entry: dict) -> None:
        name, source = entry['name'], entry.get('valueFrom') or {}
        if not source:
            text = entry.get('value') or ''
            self._set(name, self._expand(text), not self.sensitive.isdisjoint(
                expansion.references(text)))
        for field, kind in _KEY_REFS.items():
            if source.get(field):
                self._take_key(name, kind, source[field])
        if source.get('fieldRef'):
            self._set(name, fieldpaths.field(
                self._pod, source['fieldRef'], self._material.host_ips,
                self._material.addresses))
        if source.get('resourceFieldRef'):
            self._set(name, self._resource(source['resourceFieldRef']))

    def _take_key(self, name: str, kind: str, reference: dict) -> None:
        data = self._data(kind, reference)
        if data is None:
            return
        if reference['key'] in data:
            self._set(name, self._text(kind, reference, reference['key']),
                      kind == SECRET)
            return
        self._missing(kind, reference, f"couldn't find key "
                      f'{reference["key"]} in {self._title(kind, reference)}')

    def _data(self, kind: str, reference: dict) -> _Data | None:
        """Return an object's data, None where it may be missing and is."""
        name = reference['name']
        data = self._material.objects[kind, name]
        if isinstance(data, exceptions.NotYetResolvable):
            raise data
        if data is None:
            self._missing(kind, reference,
                          f'{kind.lower()} "{name}" not found')
        return data

    def _missing(self, kind: str, reference: dict, message: str) -> None:
        if not reference.get('optional'):
            raise exceptions.NotYetResolvable(
                f'Mandatory{kind}NotFound', message)
        self.notes.append(Note(f'Optional{kind}NotFound', message))

    def _text(self, kind: str, reference: dict, key: str) -> str:
        value = (self._data(kind, reference) or {})[key]
        try:
            return value.decode() if isinstance(value, bytes) else value
        except UnicodeDecodeError:
            # Not chained: that error shows the value.
            raise exceptions.NotYetResolvable(
                FAILED, f'key {key} in {self._title(kind, reference)} is '
                'not UTF-8 text, so it cannot be a variable') from None

    def _resource(self, selector: dict) -> str:
        about = self._container
        for container in containers(self._pod):
            if container['name'] == selector.get('containerName'):
                about = container
        return fieldpaths.resource(about, selector,
                                   self._material.allocatable)

    def _expand(self, text: str) -> str:
        try:
            return expansion.expand(text, self._known, MAX_BYTES)
        except expansion.TooLong:
            raise self._too_much() from None

    def _set(self, name: str, value: str, sensitive: bool = False) -> None:
        if '\0' in value:
            raise exceptions.NotYetResolvable(
                FAILED, f'variable {name} of container '
                f'{self._container["name"]} has a NUL character in it')
        self._size += _bytes(name) + _bytes(value) - (
            _bytes(name) + _bytes(self._own[name]) if name in self._own
            else 0)
        if self._size > MAX_BYTES:
            raise self._too_much()
        self._own[name] = value
        (self.sensitive.add if sensitive else self.sensitive.discard)(name)

    def _too_much(self) -> exceptions.NotYetResolvable:
        return exceptions.NotYetResolvable(
            FAILED, f'the variables of container {self._container["name"]} '
            f'take more than {MAX_BYTES} bytes')

    def _title(self, kind: str, reference: dict) -> str:
        return (f'{kind} {self._pod["metadata"]["namespace"]}/'
                f'{reference["name"]}')


def valid_name(name: str) -> bool:
    """Tell whether a variable may be called so.

    Kubernetes (since 1.34): printable ASCII without "=".
    """
    return bool(name) and name.isascii() and name.isprintable() and (
        '=' not in name)


def _bytes(text: str) -> int:
    return len(text.encode(errors='surrogatepass'))
