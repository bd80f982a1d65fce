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
"""What stock Zun's REST API can carry of a pod, field by field.

Every field of a pod spec and of a container is either carried, of no
concern to the node, at a value that changes nothing, or refused by its
path: none is dropped silently, and one that Kubernetes adds tomorrow is
refused until it is listed here. Pure functions over plain data.
"""

import typing

from zun_vk.pods import fieldpaths

# Read by the scheduler, by admission or by other controllers, or honoured
# by the agent itself (activeDeadlineSeconds, readinessGates).
NO_CONCERN = frozenset((
    'activeDeadlineSeconds', 'affinity', 'automountServiceAccountToken',
    'enableServiceLinks', 'nodeName', 'nodeSelector', 'preemptionPolicy',
    'priority', 'priorityClassName', 'readinessGates', 'schedulerName',
    'schedulingGates', 'serviceAccount', 'serviceAccountName',
    'terminationGracePeriodSeconds', 'tolerations',
    'topologySpreadConstraints'))
_CARRIED = frozenset(('containers', 'restartPolicy', 'volumes'))
# Looked at part by part, so that a refusal names the part.
_IN_PARTS = frozenset(('securityContext',))
# Values the API server fills in, or that ask for what happens anyway.
_NEUTRAL: dict[str, tuple] = {
    'dnsPolicy': ('ClusterFirst', 'Default'),
    'os': ({'name': 'linux'},),
    'hostUsers': (True,),
}

_CONTAINER_CARRIED = frozenset((
    'args', 'command', 'env', 'envFrom', 'image', 'imagePullPolicy', 'name',
    'ports', 'resources', 'stdin', 'tty', 'volumeMounts', 'workingDir'))
_CONTAINER_NO_CONCERN = frozenset(('resizePolicy',))
_CONTAINER_NEUTRAL: dict[str, tuple] = {
    'terminationMessagePath': ('/dev/termination-log',),
    'terminationMessagePolicy': ('File',),
}
_SECURITY_NEUTRAL: dict[str, tuple] = {'procMount': ('Default',)}
# False asks for something here, unlike everywhere else.
_FALSE_ASKS = frozenset(('hostUsers', 'allowPrivilegeEscalation'))

_RESOURCES = frozenset(('cpu', 'memory'))
_VARIABLE_CARRIED = frozenset(('name', 'value', 'valueFrom'))
_VALUES = frozenset(('configMapKeyRef', 'fieldRef', 'resourceFieldRef',
                     'secretKeyRef'))
_SOURCES = frozenset(('configMapRef', 'prefix', 'secretRef'))
_PORT_CARRIED = frozenset(('containerPort', 'name', 'protocol'))
_PROTOCOLS = ('TCP', 'UDP')
TOKEN_PATH = '/var/run/secrets/kubernetes.io/serviceaccount'
_TOKEN_VOLUME = 'kube-api-access-'
_TOKEN_SOURCES = frozenset(('serviceAccountToken', 'configMap',
                            'downwardAPI'))


def refused(pod: dict) -> list[str]:
    """Return the paths of the fields that cannot be carried."""
    spec = pod['spec']
    paths = list(_others(spec, 'spec', _CARRIED | NO_CONCERN | _IN_PARTS,
                         _NEUTRAL))
    paths += _security_paths(spec, 'spec')
    tokens = token_volumes(pod)
    for index, volume in enumerate(spec.get('volumes') or []):
        if volume.get('name') not in tokens:
            paths.append(f'spec.volumes[{index}]')
    containers = spec.get('containers') or []
    names = frozenset(container['name'] for container in containers)
    for index, container in enumerate(containers):
        paths += _container(container, f'spec.containers[{index}]', tokens,
                            names)
    return paths


def token_volumes(pod: dict) -> frozenset[str]:
    """Return the names of the volumes that admission made for the token.

    Kubernetes: ServiceAccount admission adds a projected volume called
    ``kube-api-access-`` with five random characters to every pod.
    """
    return frozenset(
        volume['name'] for volume in pod['spec'].get('volumes') or []
        if volume.get('name', '').startswith(_TOKEN_VOLUME)
        and _holds_the_token((volume.get('projected') or {}).get('sources')))


def _holds_the_token(sources: list[dict] | None) -> bool:
    kinds = {kind for source in sources or [] for kind in source}
    return 'serviceAccountToken' in kinds and kinds <= _TOKEN_SOURCES


def _container(container: dict, path: str, tokens: frozenset[str],
               names: frozenset[str]) -> typing.Iterator[str]:
    yield from _others(
        container, path,
        _CONTAINER_CARRIED | _CONTAINER_NO_CONCERN | _IN_PARTS,
        _CONTAINER_NEUTRAL)
    yield from _security_paths(container, path)
    yield from variables(container, path, names)
    for index, mount in enumerate(container.get('volumeMounts') or []):
        if (mount.get('name') not in tokens
                or mount.get('mountPath') != TOKEN_PATH):
            yield f'{path}.volumeMounts[{index}]'
    for index, port in enumerate(container.get('ports') or []):
        yield from _port(port, f'{path}.ports[{index}]')
    yield from _resources(container.get('resources') or {}, path)


def variables(container: dict, path: str, names: frozenset[str],
              addressed: bool = False) -> typing.Iterator[str]:
    """Yield the paths of variables that cannot be made.

    :param names: of all containers of the pod
    :param addressed: whether the pod's addresses are known then
    """
    for index, source in enumerate(container.get('envFrom') or []):
        yield from _source(source, f'{path}.envFrom[{index}]')
    for index, variable in enumerate(container.get('env') or []):
        yield from _variable(variable, f'{path}.env[{index}]', names,
                             addressed)


def _source(source: dict, path: str) -> typing.Iterator[str]:
    """An entry of envFrom: exactly one object, by name."""
    yield from _others(source, path, _SOURCES, {})
    kinds = [kind for kind in ('configMapRef', 'secretRef')
             if source.get(kind)]
    if len(kinds) != 1:
        yield path
    elif not source[kinds[0]].get('name'):
        yield f'{path}.{kinds[0]}'


def _variable(variable: dict, path: str, names: frozenset[str],
              addressed: bool) -> typing.Iterator[str]:
    """An entry of env: a value, or exactly one source that has one."""
    yield from _others(variable, path, _VARIABLE_CARRIED, {})
    if variable.get('valueFrom') is None:
        return
    path = f'{path}.valueFrom'
    sources = {kind: reference for kind, reference
               in variable['valueFrom'].items() if reference}
    if variable.get('value') or len(sources) != 1:
        yield path
        return
    yield from _others(sources, path, _VALUES, {})
    for kind, reference in sources.items():
        if kind in _VALUES and not _has_value(kind, reference, names,
                                              addressed):
            yield f'{path}.{kind}'


def _has_value(kind: str, reference: dict, names: frozenset[str],
               addressed: bool) -> bool:
    if kind == 'fieldRef':
        return fieldpaths.has_field(reference, addressed)
    if kind == 'resourceFieldRef':
        about = reference.get('containerName')
        return (fieldpaths.has_resource(reference)
                and (not about or about in names))
    return bool(reference.get('name') and reference.get('key'))


def _port(port: dict, path: str) -> typing.Iterator[str]:
    yield from _others(port, path, _PORT_CARRIED, {})
    if port.get('protocol', 'TCP') not in _PROTOCOLS:
        yield f'{path}.protocol'


def _resources(resources: dict, path: str) -> typing.Iterator[str]:
    for kind, amounts in resources.items():
        if kind not in ('limits', 'requests'):
            if amounts:
                yield f'{path}.resources.{kind}'
            continue
        for name in amounts or {}:
            if name not in _RESOURCES:
                yield f'{path}.resources.{kind}.{name}'


def _security_paths(owner: dict, path: str) -> typing.Iterator[str]:
    path = f'{path}.securityContext'
    context = owner.get('securityContext') or {}
    yield from _others(context, path, frozenset(), _SECURITY_NEUTRAL)
    for name, value in context.items():
        # Not empty here: 0 is root.
        if value == 0 and value is not False:
            yield f'{path}.{name}'


def _others(fields: dict, path: str, known: frozenset[str],
            neutral: dict[str, tuple]) -> typing.Iterator[str]:
    for name, value in fields.items():
        if name in known or value in neutral.get(name, ()):
            continue
        if value or (value is False and name in _FALSE_ASKS):
            yield f'{path}.{name}'
