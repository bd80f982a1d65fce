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
from hypothesis import strategies as st
from kubernetes import client as k8s
from oslotest import base

from zun_vk import exceptions
from zun_vk.pods import environment
from zun_vk.pods import hostsupport
from zun_vk.pods import support
from zun_vk.pods import tokens
from zun_vk.pods.resolved import assembly
from zun_vk.pods.resolved import naming
from zun_vk.pods.resolved import volumes
from zun_vk.rpc import payload
from zun_vk.tests.unit.pods import strategies

# What runs on a host of its own choice has no part in that host.
_REFUSED = {'hostNetwork', 'hostPID', 'hostIPC', 'resourceClaims',
            'resources', 'workloadRef', 'schedulingGroup'}
_CONTAINER_REFUSED = {'volumeDevices'}
_VOLUME_KINDS = {'emptyDir', 'secret', 'configMap', 'downwardAPI',
                 'projected'}
_LISTS = {'containers', 'initContainers', 'volumes', 'env', 'envFrom',
          'ports', 'volumeMounts', 'restartPolicyRules'}


def _fields(model):
    """Return the names of the fields that Kubernetes has today."""
    return set(model.attribute_map.values())


def _something(name):
    """Return what a field may be, with something that is not known."""
    item = {'name': 'x', 'x': 1}
    return [item] if name in _LISTS else item


def _refused(*containers, **spec):
    return hostsupport.refused(strategies.pod(*containers, **spec))


def _refused_in_container(**fields):
    return _refused(strategies.container(), strategies.container(
        'second', **fields))


class PodTestCase(base.BaseTestCase):

    def test_a_plain_pod_with_all_defaults_is_carried(self):
        self.assertEqual([], _refused())

    def test_every_field_kubernetes_has_is_carried_or_refused(self):
        for name in _fields(k8s.V1PodSpec) - {'hostUsers'}:
            self.assertEqual(
                name in _REFUSED,
                f'spec.{name}' in _refused(**{name: _something(name)}), name)

    def test_every_field_of_a_container_is_carried_or_refused(self):
        for name in _fields(k8s.V1Container) - {'name'}:
            self.assertEqual(
                name in _CONTAINER_REFUSED,
                f'spec.containers[1].{name}' in _refused_in_container(
                    **{name: _something(name)}), name)

    def test_nothing_of_the_host_is_given_away(self):
        for name in ('hostNetwork', 'hostPID', 'hostIPC'):
            self.assertEqual([f'spec.{name}'], _refused(**{name: True}))
            self.assertEqual([], _refused(**{name: False}))
        self.assertEqual(['spec.hostUsers'], _refused(hostUsers=False))
        self.assertEqual([], _refused(hostUsers=True))

    def test_only_linux_runs_here(self):
        self.assertEqual([], _refused(os={'name': 'linux'}))
        self.assertEqual(['spec.os.name'], _refused(os={'name': 'windows'}))
        for options in ({}, {'hostProcess': True}):
            context = {'windowsOptions': options}
            expected = ['securityContext.windowsOptions'] if options else []
            self.assertEqual([f'spec.{path}' for path in expected],
                             _refused(securityContext=context))
            self.assertEqual(
                [f'spec.containers[1].{path}' for path in expected],
                _refused_in_container(securityContext=context))

    def test_a_field_of_tomorrow_is_refused_wherever_it_is(self):
        self.assertEqual(['spec.new'], _refused(new={'x': 1}))
        self.assertEqual([], _refused(new=None))
        for fields, path in (
                ({'new': 1}, 'new'),
                ({'ports': [{'containerPort': 1, 'new': 1}]},
                 'ports[0].new'),
                ({'securityContext': {'new': 1}}, 'securityContext.new'),
                ({'livenessProbe': {'new': {'a': 1}}}, 'livenessProbe.new'),
                ({'lifecycle': {'preStop': {'new': {'a': 1}}}},
                 'lifecycle.preStop.new'),
                ({'volumeMounts': [{'name': 'v', 'new': 'x'}]},
                 'volumeMounts[0].new'),
                ({'resources': {'claims': [{'name': 'x'}]}},
                 'resources.claims')):
            self.assertEqual([f'spec.containers[1].{path}'],
                             _refused_in_container(**fields))

    def test_init_containers_are_looked_at_alike(self):
        path = 'spec.initContainers[0]'
        self.assertEqual([], _refused(initContainers=[
            strategies.container('i', restartPolicy='Always')]))
        self.assertEqual(
            [f'{path}.ports[0].hostPort', f'{path}.env[0].valueFrom'],
            _refused(initContainers=[strategies.container(
                'i', ports=[{'containerPort': 1, 'hostPort': 80}],
                env=[{'name': 'A', 'valueFrom': {}}])]))

    def test_number_of_containers_and_volumes_is_bounded(self):
        count = payload.MAX_VOLUMES + 1
        many = [strategies.container(f'c{number}') for number
                in range(count)]
        self.assertEqual(['spec.containers'], _refused(*many))
        self.assertEqual(['spec.initContainers'],
                         _refused(initContainers=many))
        self.assertEqual(['spec.volumes'], _refused(volumes=[
            {'name': f'v{number}', 'emptyDir': {}}
            for number in range(count)]))


class ContainerTestCase(base.BaseTestCase):

    def test_what_a_host_decides_on_is_carried(self):
        self.assertEqual([], _refused_in_container(
            securityContext={
                'privileged': True, 'capabilities': {'add': ['SYS_ADMIN']},
                'runAsUser': 0, 'allowPrivilegeEscalation': False,
                'procMount': 'Unmasked', 'readOnlyRootFilesystem': True},
            lifecycle={'preStop': {'sleep': {'seconds': 5}},
                       'stopSignal': 'SIGUSR1'},
            restartPolicy='Never', restartPolicyRules=[
                {'action': 'Restart', 'exitCodes': {
                    'operator': 'In', 'values': [1]}}],
            terminationMessagePolicy='FallbackToLogsOnError',
            startupProbe={'grpc': {'port': 1}, 'failureThreshold': 3},
            ports=[{'containerPort': 1, 'protocol': 'SCTP'}]))

    def test_ports_of_the_host_are_refused(self):
        self.assertEqual(
            ['spec.containers[1].ports[0].hostPort',
             'spec.containers[1].ports[1].hostIP'],
            _refused_in_container(ports=[
                {'containerPort': 1, 'hostPort': 2},
                {'containerPort': 1, 'hostPort': 0, 'hostIP': '0.0.0.0'}]))

    def test_devices_and_other_resources_are_refused(self):
        for name in ('nvidia.com/gpu', 'hugepages-2Mi'):
            self.assertEqual(
                [f'spec.containers[1].resources.limits.{name}'],
                _refused_in_container(resources={'limits': {
                    name: '1', 'cpu': '1', 'ephemeral-storage': '1G'}}))

    def test_rules_that_restart_the_whole_pod_are_refused(self):
        self.assertEqual(
            ['spec.containers[1].restartPolicyRules[0].action'],
            _refused_in_container(restartPolicyRules=[
                {'action': 'RestartAllContainers'}]))

    def test_addresses_of_the_pod_may_be_asked_for_here(self):
        env = [{'name': 'A', 'valueFrom': {'fieldRef': {
            'fieldPath': 'status.podIP'}}}]
        self.assertEqual([], _refused_in_container(env=env))
        self.assertEqual(
            ['spec.containers[1].env[0].valueFrom.fieldRef'],
            support.refused(strategies.pod(
                strategies.container('a'),
                strategies.container('b', env=env))))
        self.assertEqual(
            ['spec.containers[1].env[0].valueFrom.fileKeyRef'],
            _refused_in_container(env=[{'name': 'A', 'valueFrom': {
                'fileKeyRef': {'key': 'k'}}}]))


class VolumesTestCase(base.BaseTestCase):

    def _refused(self, *given, **volume):
        return [path.removeprefix('spec.volumes[0]') for path in _refused(
            volumes=[*given] or [{'name': 'v', **volume}])]

    def test_every_kind_kubernetes_has_is_carried_or_refused(self):
        for kind in _fields(k8s.V1Volume) - {'name'} - _VOLUME_KINDS:
            self.assertEqual([f'.{kind}'],
                             self._refused(**{kind: {'x': 'y'}}))

    def test_empty_directories_on_disk_and_in_memory(self):
        for body in ({}, {'medium': ''},
                     {'medium': 'Memory', 'sizeLimit': '1Mi'}):
            self.assertEqual([], self._refused(emptyDir=body))
        self.assertEqual(['.emptyDir.medium'], self._refused(
            emptyDir={'medium': 'HugePages'}))

    def test_a_volume_is_of_one_kind(self):
        self.assertEqual([''], self._refused())
        self.assertEqual([''], self._refused(
            emptyDir={}, secret={'secretName': 's'}))

    def test_files_must_say_whose_they_are(self):
        items = [{'key': 'k', 'path': 'p'}, {'key': 'k'}]
        for volume, path in (
                ({'secret': {}}, '.secret'),
                ({'configMap': {'optional': True}}, '.configMap'),
                ({'secret': {'secretName': 's', 'items': items}},
                 '.secret.items[1]'),
                ({'downwardAPI': {'items': [{'path': 'p'}]}},
                 '.downwardAPI.items[0]'),
                ({'projected': {'sources': [{}]}},
                 '.projected.sources[0]'),
                ({'projected': {'sources': [{'configMap': {'name': 'c'}}, {
                    'secret': {'name': 's', 'items': items}}]}},
                 '.projected.sources[1].secret.items[1]'),
                ({'projected': {'sources': [
                    {'serviceAccountToken': {}}]}},
                 '.projected.sources[0].serviceAccountToken.path')):
            self.assertEqual([path], self._refused(**volume))

    def test_fields_and_resources_that_no_file_can_have(self):
        for item in ({'fieldRef': {'fieldPath': 'status.podIP'}},
                     {'fieldRef': {'fieldPath': 'metadata.labels'},
                      'resourceFieldRef': {'resource': 'limits.cpu',
                                           'containerName': 'main'}},
                     {'resourceFieldRef': {'resource': 'limits.cpu'}},
                     {'resourceFieldRef': {'resource': 'limits.cpu',
                                           'containerName': 'nobody'}},
                     {'resourceFieldRef': {'resource': 'limits.gpu',
                                           'containerName': 'main'}}):
            self.assertEqual(
                ['.downwardAPI.items[0]'], self._refused(
                    downwardAPI={'items': [{'path': 'p', **item}]}))

    def test_sources_that_hosts_do_not_get_are_refused(self):
        for kind in ('clusterTrustBundle', 'podCertificate'):
            self.assertIn(
                f'.projected.sources[0].{kind}', self._refused(
                    projected={'sources': [{kind: {'path': 'p'}}]}))


_PATHS = st.sampled_from(['a', 'a/b', '../a', '/a', '', '..a', 'b'])
_MODES = {'mode': st.integers(0, 0o777)}
_ITEMS = {'items': st.lists(st.fixed_dictionaries(
    {'key': st.sampled_from(['k', 'l', '']), 'path': _PATHS},
    optional=_MODES), max_size=3)}
_DOWNWARD = {'items': st.lists(st.fixed_dictionaries(
    {'path': _PATHS}, optional={
        **_MODES, 'fieldRef': st.fixed_dictionaries({
            'fieldPath': st.sampled_from(['metadata.name', 'status.podIP',
                                          'metadata.labels'])}),
        'resourceFieldRef': st.fixed_dictionaries(
            {'resource': st.sampled_from(['limits.cpu', 'requests.x'])},
            optional={'containerName': st.sampled_from(['main', 'x'])})}),
    max_size=2)}
_NAMES = st.sampled_from(['one', 'gone', ''])
_FILES = {'name': _NAMES, 'optional': st.booleans(), **_ITEMS}
_DEFAULT_MODE = {'defaultMode': st.integers(0, 0o777)}
_SOURCES = st.fixed_dictionaries({}, optional={
    'secret': st.fixed_dictionaries({}, optional=_FILES),
    'configMap': st.fixed_dictionaries({}, optional=_FILES),
    'downwardAPI': st.fixed_dictionaries({}, optional=_DOWNWARD),
    'serviceAccountToken': st.fixed_dictionaries({}, optional={
        'path': _PATHS, 'audience': st.just('x')}),
    'clusterTrustBundle': st.just({'path': 'a'})})
_VOLUMES = st.fixed_dictionaries({'name': st.sampled_from('abc')}, optional={
    'secret': st.fixed_dictionaries({}, optional={
        'secretName': _NAMES, 'optional': st.booleans(), **_ITEMS}),
    'configMap': st.fixed_dictionaries({}, optional=_FILES),
    'downwardAPI': st.fixed_dictionaries({}, optional=_DOWNWARD),
    'projected': st.fixed_dictionaries({}, optional={
        'sources': st.lists(_SOURCES, max_size=3), **_DEFAULT_MODE}),
    'hostPath': st.just({'path': '/'})})


class AnyVolumeTestCase(base.BaseTestCase):

    @hypothesis.given(st.lists(_VOLUMES, max_size=2))
    def test_any_volume_is_refused_or_has_files_or_an_error(self, given):
        pod = strategies.pod(volumes=given)
        if hostsupport.refused(pod):
            return
        needs = volumes.needs(pod)
        made, _ = assembly.assemble(pod, assembly.Material(
            environment.Material(), volumes.Material(
                {(kind, name): {'k': b'v'} if name == 'one' else None
                 for kind, name in needs.objects},
                {need: tokens.Token('t', 1.0, 2.0)
                 for need in needs.tokens})),
            naming.Cluster((), 'cluster.local'))
        self.assertEqual(made, payload.from_wire(made.to_wire()))
        self.assertEqual(
            {volume['name'] for volume in given},
            set(made.volumes) | {
                error.split('"')[1] for error in made.volume_errors})


class AnyPodTestCase(base.BaseTestCase):

    @hypothesis.given(strategies.pods(), strategies.materials())
    def test_any_pod_is_refused_or_has_a_payload(self, pod, material):
        before = copy.deepcopy(pod)
        refused = hostsupport.refused(pod)
        self.assertEqual(before, pod)
        self.assertEqual(len(refused), len(set(refused)))
        if refused:
            self.assertTrue(all(
                path.startswith('spec') for path in refused))
            return
        made, _ = assembly.assemble(
            pod, assembly.Material(material, volumes.Material(
                {(environment.CONFIG_MAP, 'kube-root-ca.crt'): None},
                {volumes.TokenNeed('', 3607): exceptions.NotYetResolvable(
                    'FailedMount', 'none')})),
            naming.Cluster((), 'cluster.local'))
        self.assertEqual(before, pod)
        self.assertEqual(made, payload.from_wire(made.to_wire()))
        for container in environment.containers(made.pod):
            self.assertNotIn('envFrom', container)
            for entry in container['env']:
                self.assertEqual({'name', 'value'}, entry.keys())
