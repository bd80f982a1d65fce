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
"""Pods as an API server may hand them out, and what a test needs of them."""

import copy

from hypothesis import strategies as st

from zun_vk.pods import environment
from zun_vk.pods import identity
from zun_vk.pods import translate

OWNER = identity.Owner('11111111-2222-3333-4444-555555555555', 'zun-vk')
TOKEN_PATH = '/var/run/secrets/kubernetes.io/serviceaccount'
TOKEN_VOLUME = {
    'name': 'kube-api-access-x7k2p',
    'projected': {'defaultMode': 420, 'sources': [
        {'serviceAccountToken': {'expirationSeconds': 3607,
                                 'path': 'token'}},
        {'configMap': {'name': 'kube-root-ca.crt', 'items': [
            {'key': 'ca.crt', 'path': 'ca.crt'}]}},
        {'downwardAPI': {'items': [{'path': 'namespace', 'fieldRef': {
            'apiVersion': 'v1', 'fieldPath': 'metadata.namespace'}}]}}]}}
TOKEN_MOUNT = {'name': 'kube-api-access-x7k2p', 'readOnly': True,
               'mountPath': TOKEN_PATH}


def pod(*containers, name='web', namespace='shop', uid=None, status=None,
        **spec):
    """Return a pod with what the API server's defaulting adds."""
    result = {
        'apiVersion': 'v1', 'kind': 'Pod',
        'metadata': {
            'name': name, 'namespace': namespace, 'resourceVersion': '7',
            'uid': uid or '0a1b2c3d-0000-4000-8000-000000000001'},
        'spec': {
            'containers': list(containers) or [container()],
            'restartPolicy': 'Always', 'dnsPolicy': 'ClusterFirst',
            'schedulerName': 'default-scheduler', 'nodeName': 'zun-vk',
            'terminationGracePeriodSeconds': 30, 'securityContext': {},
            'enableServiceLinks': True, 'preemptionPolicy':
            'PreemptLowerPriority', 'priority': 0,
            'serviceAccount': 'default', 'serviceAccountName': 'default',
            'volumes': [copy.deepcopy(TOKEN_VOLUME)], **spec}}
    if status is not None:
        result['status'] = status
    return result


def container(name='main', image='busybox', **fields):
    """Return a container with what the API server's defaulting adds."""
    return {'name': name, 'image': image, 'imagePullPolicy': 'Always',
            'resources': {}, 'terminationMessagePath': '/dev/termination-log',
            'terminationMessagePolicy': 'File',
            'volumeMounts': [dict(TOKEN_MOUNT)], **fields}


def translation(pod, material=None):
    """Return the capsule of a pod whose variables can be made.

    :param material: what they refer to; nothing where it is not given
    """
    translate.check(pod)
    return translate.translate(pod, OWNER, environment.resolve(
        pod, material or environment.Material()))


_WORDS = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2fff), max_size=12)
_REFERENCES = st.sampled_from(
    ['$(A)', '$$(A)', '$(', '$', '$()', '$(A)$(B)', 'x$(C)y', '$$$(B)'])
_NAMES = st.from_regex(r'[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?', fullmatch=True)
_AMOUNTS = st.sampled_from(
    ['0', '1', '100m', '1500m', '2', '64Mi', '1Gi', '1e3', '129M', '1n'])
_RESOURCES = st.fixed_dictionaries({}, optional={
    'requests': st.dictionaries(
        st.sampled_from(['cpu', 'memory', 'ephemeral-storage']), _AMOUNTS),
    'limits': st.dictionaries(
        st.sampled_from(['cpu', 'memory', 'nvidia.com/gpu']), _AMOUNTS)})
_OBJECTS = st.sampled_from(['one', 'two', 'gone'])
_KEYS = st.sampled_from(['A', 'k.v', '1st'])
_OPTIONAL = {'optional': st.booleans()}
_OBJECT_REFERENCES = st.fixed_dictionaries(
    {'name': _OBJECTS}, optional=_OPTIONAL)
_KEY_REFERENCES = st.fixed_dictionaries(
    {'name': _OBJECTS, 'key': _KEYS}, optional=_OPTIONAL)
_FIELD_REFERENCES = st.fixed_dictionaries({'fieldPath': st.sampled_from([
    'metadata.name', "metadata.labels['x/y']", 'metadata.labels',
    "metadata.annotations['']", 'spec.nodeName', 'status.hostIPs',
    'status.podIP', 'spec', ''])}, optional={'apiVersion': st.just('v1')})
_RESOURCE_REFERENCES = st.fixed_dictionaries(
    {'resource': st.sampled_from([
        'limits.cpu', 'requests.memory', 'limits.ephemeral-storage',
        'limits.hugepages-2Mi', ''])}, optional={
            'divisor': st.sampled_from(['0', '1m', '1', '1Mi', '-1', 'x']),
            'containerName': st.sampled_from(['a', 'nobody'])})
_VALUES_FROM = st.one_of(
    st.fixed_dictionaries({'configMapKeyRef': _KEY_REFERENCES}),
    st.fixed_dictionaries({'secretKeyRef': _KEY_REFERENCES}),
    st.fixed_dictionaries({'fieldRef': _FIELD_REFERENCES}),
    st.fixed_dictionaries({'resourceFieldRef': _RESOURCE_REFERENCES}),
    st.sampled_from([{}, {'fileKeyRef': {'key': 'k'}}]))
_NAMED = {'name': st.sampled_from('ABC')}
_VARIABLES = st.one_of(
    st.fixed_dictionaries(_NAMED, optional={'value': _WORDS | _REFERENCES}),
    st.fixed_dictionaries(_NAMED | {'valueFrom': _VALUES_FROM}, optional={
        'value': st.sampled_from(['', 'x'])}))
_VARIABLE_SOURCES = st.fixed_dictionaries({}, optional={
    'prefix': st.sampled_from(['', 'P_', '=', '\u00e9']),
    'configMapRef': _OBJECT_REFERENCES, 'secretRef': _OBJECT_REFERENCES})
_PORTS = st.fixed_dictionaries(
    {'containerPort': st.integers(1, 65535)}, optional={
        'protocol': st.sampled_from(['TCP', 'UDP', 'SCTP']),
        'name': _NAMES, 'hostPort': st.integers(0, 65535)})
_SECURITY = st.fixed_dictionaries({}, optional={
    'runAsUser': st.integers(0, 2), 'privileged': st.booleans(),
    'allowPrivilegeEscalation': st.booleans(),
    'capabilities': st.sampled_from([{}, {'drop': ['ALL']}])})


def _container_of(name):
    return st.fixed_dictionaries(
        {'name': st.just(name), 'image': st.sampled_from(
            ['busybox', 'docker.io/library/nginx:1.27',
             'quay.io/a/b@sha256:' + '0' * 64])},
        optional={
            'command': st.lists(_WORDS | _REFERENCES, max_size=3),
            'args': st.lists(_WORDS | _REFERENCES, max_size=3),
            'env': st.lists(_VARIABLES, max_size=3),
            'envFrom': st.lists(_VARIABLE_SOURCES, max_size=2),
            'ports': st.lists(_PORTS, max_size=2),
            'resources': _RESOURCES,
            'workingDir': st.sampled_from(['', '/srv']),
            'tty': st.booleans(), 'stdin': st.booleans(),
            'stdinOnce': st.booleans(),
            'imagePullPolicy': st.sampled_from(
                ['Always', 'IfNotPresent', 'Never']),
            'securityContext': _SECURITY,
            'livenessProbe': st.just({'tcpSocket': {'port': 1}}),
            'volumeMounts': st.just([dict(TOKEN_MOUNT)])})


_ONE_SOURCE = st.one_of(
    st.fixed_dictionaries({'configMapRef': _OBJECT_REFERENCES}),
    st.fixed_dictionaries({'secretRef': _OBJECT_REFERENCES}))
_PREFIXES = st.sampled_from([{}, {'prefix': 'P_'}, {'prefix': '='}])
_KNOWN_VALUES = st.one_of(
    st.fixed_dictionaries({'configMapKeyRef': _KEY_REFERENCES}),
    st.fixed_dictionaries({'secretKeyRef': _KEY_REFERENCES}),
    st.sampled_from([
        {'fieldRef': {'fieldPath': "metadata.labels['x']"}},
        {'resourceFieldRef': {'resource': 'limits.cpu'}}]))
_KNOWN_VARIABLES = st.one_of(
    st.fixed_dictionaries(_NAMED, optional={'value': _WORDS | _REFERENCES}),
    st.fixed_dictionaries(_NAMED | {'valueFrom': _KNOWN_VALUES}))


@st.composite
def pods_with_variables(draw):
    """A pod that can be carried, with variables of every kind."""
    return pod(*(
        container(name, env=draw(st.lists(_KNOWN_VARIABLES, max_size=5)),
                  envFrom=[{**source, **prefix} for source, prefix in draw(
                      st.lists(st.tuples(_ONE_SOURCE, _PREFIXES),
                               max_size=3))])
        for name in draw(st.sampled_from(['a', 'ab']))))


_WHOLE_AMOUNTS = st.dictionaries(
    st.sampled_from(['cpu', 'memory']),
    st.sampled_from(['0', '1', '100m', '1500m', '64Mi', '1e3', '129M']))


@st.composite
def pods_that_fit(draw):
    """A pod that can be carried, with every field that is."""
    return pod(*(
        container(name, draw(st.sampled_from(['busybox', 'quay.io/a/b:1'])),
                  **draw(st.fixed_dictionaries({}, optional={
                      'command': st.lists(_WORDS | _REFERENCES, max_size=3),
                      'args': st.lists(_WORDS | _REFERENCES, max_size=3),
                      'env': st.just([{'name': 'A', 'value': 'a'}]),
                      'ports': st.lists(st.fixed_dictionaries(
                          {'containerPort': st.integers(1, 65535)},
                          optional={'protocol': st.sampled_from(
                              ['TCP', 'UDP'])}), max_size=2),
                      'resources': st.fixed_dictionaries({}, optional={
                          'requests': _WHOLE_AMOUNTS,
                          'limits': _WHOLE_AMOUNTS}),
                      'workingDir': st.sampled_from(['', '/srv']),
                      'tty': st.booleans(), 'stdin': st.booleans(),
                      'imagePullPolicy': st.sampled_from(
                          ['Always', 'IfNotPresent', 'Never'])})))
        for name in draw(st.sampled_from(['a', 'ab']))),
        restartPolicy=draw(st.sampled_from(
            ['Always', 'OnFailure', 'Never'])))


@st.composite
def materials(draw):
    """What the variables of any pod may refer to."""
    found = {}
    for name in ('one', 'two'):
        found[environment.SECRET, name] = draw(st.dictionaries(
            _KEYS, st.binary(max_size=8) | _WORDS.map(str.encode)))
        found[environment.CONFIG_MAP, name] = draw(
            st.dictionaries(_KEYS, _WORDS))
    for kind in (environment.SECRET, environment.CONFIG_MAP):
        found[kind, 'gone'] = None
    services = draw(st.dictionaries(
        st.sampled_from(['A', 'X_SERVICE_HOST']), _WORDS))
    return environment.Material(
        found, services, {'cpu': '4', 'memory': '1Gi'}, ('192.0.2.1',))


@st.composite
def pods(draw):
    """Any pod: most of these cannot be carried."""
    names = draw(st.lists(_NAMES, min_size=1, max_size=4, unique=True))
    containers = [draw(_container_of(name)) for name in names]
    spec = draw(st.fixed_dictionaries(
        {'restartPolicy': st.sampled_from(['Always', 'OnFailure', 'Never'])},
        optional={
            'volumes': st.sampled_from(
                [[], [TOKEN_VOLUME], [{'name': 'v', 'emptyDir': {}}]]),
            'terminationGracePeriodSeconds': st.sampled_from([0, 30, 60]),
            'hostNetwork': st.booleans(),
            'securityContext': _SECURITY,
            'initContainers': st.sampled_from([[], [{'name': 'i'}]]),
            'tolerations': st.just([{'operator': 'Exists'}])}))
    return {
        'metadata': {'name': draw(_NAMES), 'namespace': draw(_NAMES),
                     'uid': str(draw(st.uuids()))},
        'spec': {'containers': containers, **spec}}
