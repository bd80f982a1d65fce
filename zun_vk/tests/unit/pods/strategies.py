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

from zun_vk.pods import identity

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
_VARIABLES = st.fixed_dictionaries(
    {'name': st.sampled_from('ABC')}, optional={
        'value': _WORDS | _REFERENCES,
        'valueFrom': st.just({'fieldRef': {'fieldPath': 'metadata.name'}})})
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
