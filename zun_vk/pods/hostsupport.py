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
"""What zun-vk-compute can carry of a pod, field by field.

A table of every field that is carried: whatever a pod asks for beside it is
refused by its path, what Kubernetes adds tomorrow as well. Pure.

A rule is ``_ANY`` (the host carries, or decides on, each value), a frozenset
of the values that may be, a dict of the rules of an object's fields, or a
list with the rule of each item. A field without a rule may be there with
what asks for nothing: false, 0 or empty.
"""

from collections.abc import Iterator
import typing

from zun_vk.pods import environment
from zun_vk.pods import fieldpaths
from zun_vk.pods import support
from zun_vk.rpc import payload

_ANY = object()


def _only(*values: typing.Hashable) -> frozenset:
    return frozenset(values)


def _any(*names: str) -> dict[str, typing.Any]:
    return dict.fromkeys(names, _ANY)


_AMOUNTS = _any('cpu', 'memory', 'ephemeral-storage')
_SECURITY = _any(
    'runAsUser', 'runAsGroup', 'runAsNonRoot', 'seccompProfile',
    'appArmorProfile', 'seLinuxOptions')
_POD_SECURITY = _SECURITY | _any(
    'supplementalGroups', 'supplementalGroupsPolicy', 'fsGroup',
    'fsGroupChangePolicy', 'seLinuxChangePolicy', 'sysctls')
_CONTAINER_SECURITY = _SECURITY | _any(
    'capabilities', 'privileged', 'readOnlyRootFilesystem',
    'allowPrivilegeEscalation', 'procMount')
_ACTION = _any('exec', 'httpGet', 'sleep')
_PROBE = _any(
    'exec', 'httpGet', 'tcpSocket', 'grpc', 'initialDelaySeconds',
    'timeoutSeconds', 'periodSeconds', 'successThreshold',
    'failureThreshold', 'terminationGracePeriodSeconds')
_CONTAINER = _any(
    'name', 'image', 'command', 'args', 'workingDir', 'stdin', 'stdinOnce',
    'tty', 'imagePullPolicy', 'terminationMessagePath',
    'terminationMessagePolicy', 'resizePolicy', 'restartPolicy',
    # Looked into below.
    'env', 'envFrom') | {
    'ports': [_any('name', 'containerPort', 'protocol')],
    'resources': {'requests': _AMOUNTS, 'limits': _AMOUNTS},
    'volumeMounts': [
        _any('name', 'readOnly', 'mountPath', 'subPath', 'subPathExpr',
             'mountPropagation', 'recursiveReadOnly')],
    'restartPolicyRules': [{'action': _only('Restart'), 'exitCodes': _ANY}],
    'livenessProbe': _PROBE, 'readinessProbe': _PROBE,
    'startupProbe': _PROBE,
    'lifecycle': {'postStart': _ACTION, 'preStop': _ACTION,
                  'stopSignal': _ANY},
    'securityContext': _CONTAINER_SECURITY}
_FILES = _any('name', 'items', 'optional')
_SOURCE = {
    'secret': _FILES, 'configMap': _FILES,
    'downwardAPI': _any('items'),
    'serviceAccountToken': _any('audience', 'expirationSeconds', 'path')}
_VOLUME = {
    'name': _ANY, 'emptyDir': {'medium': _only('Memory'), 'sizeLimit': _ANY},
    'secret': _any('secretName', 'items', 'defaultMode', 'optional'),
    'configMap': _FILES | _any('defaultMode'),
    'downwardAPI': _any('items', 'defaultMode'),
    'projected': {'defaultMode': _ANY, 'sources': [_SOURCE]}}
_KINDS = frozenset(_VOLUME) - {'name'}
_SPEC = _any(
    'restartPolicy', 'terminationGracePeriodSeconds', 'dnsPolicy',
    'dnsConfig', 'hostname', 'subdomain', 'hostnameOverride',
    'setHostnameAsFQDN', 'hostAliases', 'imagePullSecrets',
    'runtimeClassName', 'overhead', 'shareProcessNamespace',
    # Told to be without effect when they come.
    'ephemeralContainers') | dict.fromkeys(support.NO_CONCERN, _ANY) | {
    'os': {'name': _only('linux')}, 'hostUsers': _only(True),
    'securityContext': _POD_SECURITY,
    'containers': [_CONTAINER], 'initContainers': [_CONTAINER],
    'volumes': [_VOLUME]}


def refused(pod: dict) -> list[str]:
    """Return the paths of the fields that cannot be carried."""
    return list(dict.fromkeys([*_walk(pod['spec'], _SPEC, 'spec'),
                               *_containers(pod), *_volumes(pod)]))


def _walk(value: typing.Any, rule: typing.Any, path: str) -> Iterator[str]:
    if rule is _ANY or value is None:
        return
    if isinstance(rule, frozenset):
        if value != '' and value not in rule:
            yield path
    elif isinstance(rule, list):
        for index, item in enumerate(value):
            yield from _walk(item, rule[0], f'{path}[{index}]')
    else:
        for name, each in value.items():
            if name in rule:
                yield from _walk(each, rule[name], f'{path}.{name}')
            elif each:
                yield f'{path}.{name}'


def _containers(pod: dict) -> Iterator[str]:
    """Yield what cannot be resolved of the containers, or is too much."""
    names = frozenset(
        container['name'] for container in environment.containers(pod))
    for field in ('initContainers', 'containers'):
        found = pod['spec'].get(field) or []
        if len(found) > payload.MAX_VOLUMES:
            yield f'spec.{field}'
        for index, container in enumerate(found):
            yield from support.variables(
                container, f'spec.{field}[{index}]', names, addressed=True)


def _volumes(pod: dict) -> Iterator[str]:
    """Yield volumes that are of no kind, and files that have no value."""
    found = pod['spec'].get('volumes') or []
    if len(found) > payload.MAX_VOLUMES:
        yield 'spec.volumes'
    names = frozenset(
        container['name'] for container in environment.containers(pod))
    for index, volume in enumerate(found):
        path = f'spec.volumes[{index}]'
        kinds = [kind for kind in _KINDS if volume.get(kind) is not None]
        if len(kinds) != 1:
            # What is of another kind only has been named by that.
            if kinds or volume.keys() == {'name'}:
                yield path
            continue
        kind = kinds[0]
        if kind == 'projected':
            for number, source in enumerate(
                    volume[kind].get('sources') or []):
                yield from _source(
                    source, f'{path}.projected.sources[{number}]', names)
        elif kind != 'emptyDir':
            body = volume[kind]
            if kind == 'secret':
                body = body | {'name': body.get('secretName')}
            yield from _source({kind: body}, path, names)


def _source(source: dict, path: str, names: frozenset[str]
            ) -> Iterator[str]:
    kinds = [kind for kind in _SOURCE if source.get(kind) is not None]
    if len(kinds) != 1:
        yield path
        return
    kind, body = kinds[0], source[kinds[0]]
    if kind == 'downwardAPI':
        for index, item in enumerate(body.get('items') or []):
            if not _has_content(item, names):
                yield f'{path}.{kind}.items[{index}]'
    elif kind == 'serviceAccountToken':
        if not body.get('path'):
            yield f'{path}.{kind}.path'
    elif not body.get('name'):
        yield f'{path}.{kind}'
    else:
        for index, item in enumerate(body.get('items') or []):
            if not (item.get('key') and item.get('path')):
                yield f'{path}.{kind}.items[{index}]'


def _has_content(item: dict, names: frozenset[str]) -> bool:
    """Tell whether a file of the downward API can be made."""
    field = item.get('fieldRef') or {}
    resource = item.get('resourceFieldRef') or {}
    if not item.get('path') or bool(field) == bool(resource):
        return False
    if field:
        return fieldpaths.has_file_field(field)
    return (fieldpaths.has_resource(resource)
            and resource.get('containerName') in names)
