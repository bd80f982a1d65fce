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
import copy

import hypothesis
from kubernetes import client as k8s
from oslotest import base

from zun_vk.pods import support
from zun_vk.tests.unit.pods import strategies

# Fields a node has nothing to do with: schedulers, admission and other
# controllers read them.
_NO_CONCERN = {
    'affinity', 'automountServiceAccountToken', 'enableServiceLinks',
    'nodeName', 'nodeSelector', 'preemptionPolicy', 'priority',
    'priorityClassName', 'readinessGates', 'schedulerName',
    'schedulingGates', 'serviceAccount', 'serviceAccountName',
    'tolerations', 'topologySpreadConstraints'}
# What the capsule has in it, or what is told to mean something else.
_CARRIED = {'activeDeadlineSeconds', 'containers', 'restartPolicy',
            'terminationGracePeriodSeconds'}
_LOOKED_INTO = {'volumes', 'securityContext'}
_CONTAINER_CARRIED = {
    'args', 'command', 'env', 'image', 'imagePullPolicy', 'name', 'stdin',
    'tty', 'workingDir'}
_CONTAINER_NO_CONCERN = {'resizePolicy'}
_CONTAINER_LOOKED_INTO = {
    'envFrom', 'ports', 'resources', 'securityContext', 'volumeMounts'}


def _fields(model):
    """Return the names of the fields that Kubernetes has today."""
    return set(model.attribute_map.values())


def _refused(*containers, **spec):
    return support.refused(strategies.pod(*containers, **spec))


def _refused_in_container(**fields):
    return _refused(strategies.container(), strategies.container(**fields))


class PodTestCase(base.BaseTestCase):

    def test_a_plain_pod_with_all_defaults_is_carried(self):
        self.assertEqual([], _refused())

    def test_every_field_kubernetes_has_is_carried_or_refused(self):
        names = (_fields(k8s.V1PodSpec)
                 - _NO_CONCERN - _CARRIED - _LOOKED_INTO)
        self.assertGreater(len(names), 15)
        for name in names:
            self.assertEqual([f'spec.{name}'],
                             _refused(**{name: {'x': 'y'}}), name)
            self.assertEqual([f'spec.{name}'],
                             _refused(**{name: 'x'}), name)

    def test_what_is_of_no_concern_to_a_node_is_let_through(self):
        for name in _NO_CONCERN | _CARRIED - {'containers'}:
            self.assertEqual([], _refused(**{name: 'x'}), name)

    def test_what_would_be_the_hosts_is_refused_by_its_path(self):
        volume = {'name': 'root', 'hostPath': {'path': '/'}}
        for path, spec in (
                ('spec.hostNetwork', {'hostNetwork': True}),
                ('spec.hostPID', {'hostPID': True}),
                ('spec.hostIPC', {'hostIPC': True}),
                ('spec.volumes[0]', {'volumes': [volume]})):
            self.assertEqual([path], _refused(
                strategies.container(volumeMounts=[]), **spec))
        for path, fields in (
                ('ports[0].hostPort', {'ports': [
                    {'containerPort': 80, 'hostPort': 80}]}),
                ('ports[0].hostIP', {'ports': [
                    {'containerPort': 80, 'hostIP': '127.0.0.1'}]}),
                ('securityContext.privileged', {
                    'securityContext': {'privileged': True}})):
            self.assertEqual([f'spec.containers[1].{path}'],
                             _refused_in_container(**fields))

    def test_a_field_that_is_added_tomorrow_is_refused(self):
        self.assertEqual(['spec.novelty'], _refused(novelty=True))

    def test_what_asks_for_nothing_is_let_through(self):
        self.assertEqual([], _refused(
            hostNetwork=False, hostPID=False, hostIPC=False, hostname='',
            subdomain='', shareProcessNamespace=False, hostUsers=True,
            setHostnameAsFQDN=False, imagePullSecrets=[], initContainers=[],
            hostAliases=None, dnsConfig={}, os={'name': 'linux'},
            dnsPolicy='Default', securityContext=None))
        self.assertEqual([], _refused(
            strategies.container(volumeMounts=None), volumes=None))

    def test_what_asks_for_something_by_false_or_another_word_is_refused(
            self):
        self.assertEqual(['spec.hostUsers'], _refused(hostUsers=False))
        self.assertEqual(['spec.os'], _refused(os={'name': 'windows'}))
        for policy in ('None', 'ClusterFirstWithHostNet'):
            self.assertEqual(['spec.dnsPolicy'], _refused(dnsPolicy=policy))

    def test_every_volume_but_the_tokens_is_refused(self):
        volumes = [{'name': 'a', 'emptyDir': {}},
                   copy.deepcopy(strategies.TOKEN_VOLUME),
                   {'name': 'b', 'secret': {'secretName': 's'}},
                   {'name': 'kube-api-access-abcde', 'emptyDir': {}}]
        self.assertEqual(
            ['spec.volumes[0]', 'spec.volumes[2]', 'spec.volumes[3]'],
            _refused(volumes=volumes))

    def test_a_users_projected_volume_is_no_token_volume(self):
        volume = copy.deepcopy(strategies.TOKEN_VOLUME)
        volume['projected']['sources'].append({'secret': {'name': 's'}})
        self.assertEqual(['spec.volumes[0]'],
                         _refused(strategies.container(volumeMounts=[]),
                                  volumes=[volume]))

    def test_every_offence_is_named_in_one_go(self):
        paths = _refused(
            strategies.container(livenessProbe={'exec': {}}),
            strategies.container(lifecycle={'preStop': {}}, stdinOnce=True),
            hostNetwork=True, hostname='x')
        self.assertEqual(
            {'spec.hostNetwork', 'spec.hostname',
             'spec.containers[0].livenessProbe',
             'spec.containers[1].lifecycle',
             'spec.containers[1].stdinOnce'}, set(paths))
        self.assertEqual(5, len(paths))

    @hypothesis.given(strategies.pods())
    def test_any_pod_is_judged_the_same_twice_and_left_alone(self, pod):
        before = copy.deepcopy(pod)
        self.assertEqual(support.refused(pod), support.refused(pod))
        self.assertEqual(before, pod)


class SecurityTestCase(base.BaseTestCase):

    def test_every_field_of_a_pods_security_context_is_refused(self):
        for name in _fields(k8s.V1PodSecurityContext):
            self.assertEqual(
                [f'spec.securityContext.{name}'],
                _refused(securityContext={name: ['x']}), name)

    def test_every_field_of_a_containers_security_context_is_refused(self):
        for name in _fields(k8s.V1SecurityContext):
            self.assertEqual(
                [f'spec.containers[1].securityContext.{name}'],
                _refused_in_container(securityContext={name: ['x']}), name)

    def test_user_zero_asks_for_root(self):
        for name in ('runAsUser', 'runAsGroup', 'fsGroup'):
            self.assertEqual([f'spec.securityContext.{name}'],
                             _refused(securityContext={name: 0}))
        for name in ('runAsUser', 'runAsGroup'):
            self.assertEqual(
                [f'spec.containers[1].securityContext.{name}'],
                _refused_in_container(securityContext={name: 0}))

    def test_no_escalation_is_asked_for_by_false(self):
        self.assertEqual(
            ['spec.containers[1].securityContext.allowPrivilegeEscalation'],
            _refused_in_container(
                securityContext={'allowPrivilegeEscalation': False}))

    def test_what_asks_for_nothing_is_let_through(self):
        self.assertEqual([], _refused_in_container(securityContext={
            'privileged': False, 'readOnlyRootFilesystem': False,
            'runAsNonRoot': False, 'capabilities': {},
            'procMount': 'Default', 'seLinuxOptions': None}))
        self.assertEqual([], _refused(
            securityContext={'runAsNonRoot': False, 'sysctls': [],
                             'supplementalGroups': []}))


class ContainerTestCase(base.BaseTestCase):

    def test_every_field_kubernetes_has_is_carried_or_refused(self):
        names = (_fields(k8s.V1Container) - _CONTAINER_CARRIED
                 - _CONTAINER_NO_CONCERN - _CONTAINER_LOOKED_INTO)
        self.assertGreater(len(names), 8)
        for name in names:
            self.assertEqual([f'spec.containers[1].{name}'],
                             _refused_in_container(**{name: {'x': 1}}), name)

    def test_a_field_that_is_added_tomorrow_is_refused(self):
        self.assertEqual(['spec.containers[1].novelty'],
                         _refused_in_container(novelty='x'))

    def test_what_asks_for_nothing_is_let_through(self):
        self.assertEqual([], _refused_in_container(
            stdinOnce=False, envFrom=[], volumeDevices=[], lifecycle=None,
            resizePolicy=[{'resourceName': 'cpu',
                           'restartPolicy': 'NotRequired'}]))

    def test_another_termination_message_is_refused(self):
        self.assertEqual(
            ['spec.containers[1].terminationMessagePath'],
            _refused_in_container(terminationMessagePath='/x'))
        self.assertEqual(
            ['spec.containers[1].terminationMessagePolicy'],
            _refused_in_container(
                terminationMessagePolicy='FallbackToLogsOnError'))

    def test_every_mount_but_the_tokens_is_refused(self):
        mounts = [{'name': 'data', 'mountPath': '/data'},
                  dict(strategies.TOKEN_MOUNT),
                  {'name': strategies.TOKEN_VOLUME['name'],
                   'mountPath': '/elsewhere'}]
        self.assertEqual(
            ['spec.containers[1].volumeMounts[0]',
             'spec.containers[1].volumeMounts[2]'],
            _refused_in_container(volumeMounts=mounts))

    def test_host_ports_and_foreign_protocols_are_refused(self):
        ports = [{'containerPort': 80, 'name': 'http', 'protocol': 'TCP'},
                 {'containerPort': 53, 'protocol': 'UDP', 'hostPort': 0},
                 {'containerPort': 80, 'hostPort': 80},
                 {'containerPort': 80, 'hostIP': '10.0.0.1'},
                 {'containerPort': 80, 'protocol': 'SCTP'}]
        self.assertEqual(
            ['spec.containers[1].ports[2].hostPort',
             'spec.containers[1].ports[3].hostIP',
             'spec.containers[1].ports[4].protocol'],
            _refused_in_container(ports=ports))

    def test_resources_other_than_cpu_and_memory_are_refused(self):
        self.assertEqual(
            ['spec.containers[1].resources.limits.nvidia.com/gpu',
             'spec.containers[1].resources.requests.ephemeral-storage',
             'spec.containers[1].resources.claims'],
            _refused_in_container(resources={
                'limits': {'cpu': '1', 'nvidia.com/gpu': '1'},
                'requests': {'memory': '1Gi', 'ephemeral-storage': '1Gi'},
                'claims': [{'name': 'x'}]}))


class VariablesTestCase(base.BaseTestCase):

    def _refused(self, *sources):
        """Return what is refused of variables with these sources."""
        paths = _refused_in_container(env=[
            {'name': f'V{index}', 'valueFrom': source}
            for index, source in enumerate(sources)])
        return [path.removeprefix('spec.containers[1].') for path in paths]

    def test_values_from_all_that_is_known_before_a_pod_runs(self):
        self.assertEqual([], self._refused(
            {'secretKeyRef': {'name': 's', 'key': 'k', 'optional': True}},
            {'configMapKeyRef': {'name': 'c', 'key': 'k'}},
            {'resourceFieldRef': {'resource': 'limits.cpu',
                                  'divisor': '1m'}},
            {'resourceFieldRef': {'resource': 'requests.memory',
                                  'containerName': 'main'}},
            *({'fieldRef': {'apiVersion': 'v1', 'fieldPath': path}}
              for path in ('metadata.name', "metadata.labels['a/b.c']",
                           "metadata.annotations['x']", 'spec.nodeName',
                           'spec.serviceAccountName', 'metadata.uid',
                           'metadata.namespace', 'status.hostIP',
                           'status.hostIPs'))))

    def test_what_is_not_known_or_makes_no_sense_is_refused_by_path(self):
        for source, path in (
                ({'fieldRef': {'fieldPath': 'status.podIP'}}, '.fieldRef'),
                ({'fieldRef': {'fieldPath': 'status.podIPs'}}, '.fieldRef'),
                ({'fieldRef': {'fieldPath': 'metadata.labels'}},
                 '.fieldRef'),
                ({'fieldRef': {'fieldPath': 'metadata.name',
                               'apiVersion': 'v2'}}, '.fieldRef'),
                ({'resourceFieldRef': {'resource': 'limits.hugepages-2Mi'}},
                 '.resourceFieldRef'),
                ({'resourceFieldRef': {'resource': 'limits.cpu',
                                       'divisor': '-1'}},
                 '.resourceFieldRef'),
                ({'resourceFieldRef': {'resource': 'limits.cpu',
                                       'containerName': 'nobody'}},
                 '.resourceFieldRef'),
                ({'secretKeyRef': {'key': 'k'}}, '.secretKeyRef'),
                ({'configMapKeyRef': {'name': 'c'}}, '.configMapKeyRef'),
                ({'fileKeyRef': {'key': 'k'}}, '.fileKeyRef'),
                ({'tomorrow': {'x': 'y'}}, '.tomorrow'),
                ({}, ''), ({'fieldRef': {}}, ''),
                ({'fieldRef': {'fieldPath': 'metadata.name'},
                  'secretKeyRef': {'name': 's', 'key': 'k'}}, '')):
            self.assertEqual(['env[0].valueFrom' + path],
                             self._refused(source))

    def test_a_value_beside_its_source_is_refused(self):
        self.assertEqual(
            ['spec.containers[1].env[0].valueFrom'],
            _refused_in_container(env=[
                {'name': 'A', 'value': 'x', 'valueFrom': {
                    'fieldRef': {'fieldPath': 'metadata.name'}}}]))

    def test_whole_objects_are_carried_one_at_a_time(self):
        one, other = {'name': 'x'}, {'name': 'y'}
        for source, paths in (
                ({'configMapRef': one, 'prefix': 'P_'}, []),
                ({'secretRef': one | {'optional': True}}, []),
                ({'configMapRef': one, 'secretRef': other},
                 ['spec.containers[1].envFrom[0]']),
                ({'prefix': 'P_'}, ['spec.containers[1].envFrom[0]']),
                ({'secretRef': {'optional': True}},
                 ['spec.containers[1].envFrom[0].secretRef']),
                ({'secretRef': one, 'tomorrow': 'x'},
                 ['spec.containers[1].envFrom[0].tomorrow'])):
            self.assertEqual(paths, _refused_in_container(envFrom=[source]))


class TokenVolumeTestCase(base.BaseTestCase):

    def test_admissions_volume_is_found(self):
        self.assertEqual({'kube-api-access-x7k2p'},
                         support.token_volumes(strategies.pod()))

    def test_a_pod_without_volumes_has_none(self):
        self.assertEqual(set(), support.token_volumes(
            strategies.pod(volumes=None)))
        self.assertEqual(set(), support.token_volumes(
            strategies.pod(volumes=[])))

    def test_a_token_under_another_name_is_the_users(self):
        volume = {**strategies.TOKEN_VOLUME, 'name': 'vault-token'}
        self.assertEqual(set(), support.token_volumes(
            strategies.pod(volumes=[volume])))
