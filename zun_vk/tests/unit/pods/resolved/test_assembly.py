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
import json

from oslotest import base

from zun_vk import exceptions
from zun_vk.kube import objects
from zun_vk.pods import environment
from zun_vk.pods import tokens
from zun_vk.pods.resolved import assembly
from zun_vk.pods.resolved import naming
from zun_vk.pods.resolved import volumes
from zun_vk.rpc import payload
from zun_vk.tests.unit.pods import strategies

_CLUSTER = naming.Cluster(('10.96.0.10',), 'cluster.local')
_SECRET, _CONFIG_MAP = environment.SECRET, environment.CONFIG_MAP


def _variable(name, key, secret='db'):
    return {'name': name, 'valueFrom': {
        'secretKeyRef': {'name': secret, 'key': key}}}


class AssembleTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.objects = {(_SECRET, 'db'): {'user': b'joe'},
                        (_SECRET, 'gone'): None}
        self.files = dict(self.objects)
        self.tokens = {}
        self.more = {}

    def _assemble(self, *containers, **spec):
        spec.setdefault('volumes', [])
        self.pod = strategies.pod(*containers, **spec)
        return self._of(self.pod)

    def _of(self, pod):
        before = copy.deepcopy(pod)
        made, self.notes = assembly.assemble(pod, assembly.Material(
            environment.Material(
                self.objects, {'X_SERVICE_HOST': '10.96.0.1'}, {},
                ('192.0.2.1',), ('10.0.0.5', 'fd00::5')),
            volumes.Material(self.files, self.tokens), **self.more),
            _CLUSTER)
        self.assertEqual(before, pod)
        self.assertEqual(made, payload.from_wire(
            json.loads(json.dumps(made.to_wire()))))
        return made

    def _env(self, made, index=0, field='containers'):
        return {each['name']: each['value']
                for each in made.pod['spec'][field][index]['env']}


class ContainersTestCase(AssembleTestCase):

    def test_each_container_has_all_it_refers_to(self):
        made = self._assemble(
            strategies.container('a', args=['$(USER)'], env=[
                _variable('USER', 'user'),
                {'name': 'IPS', 'valueFrom': {'fieldRef': {
                    'fieldPath': 'status.podIPs'}}}]),
            initContainers=[strategies.container('i', env=[
                {'name': 'IP', 'valueFrom': {'fieldRef': {
                    'fieldPath': 'status.podIP'}}}])])
        self.assertEqual({
            'USER': 'joe', 'IPS': '10.0.0.5,fd00::5',
            'X_SERVICE_HOST': '10.96.0.1'}, self._env(made))
        self.assertEqual('10.0.0.5', self._env(
            made, field='initContainers')['IP'])
        self.assertEqual(['joe'], made.pod['spec']['containers'][0]['args'])
        self.assertEqual('192.0.2.1', made.host_ip)

    def test_what_one_container_lacks_holds_no_other_up(self):
        made = self._assemble(
            strategies.container('a', env=[_variable('A', 'k', 'gone')]),
            strategies.container('b', env=[_variable('B', 'none')]),
            strategies.container('c', volumeMounts=[
                {'name': 'v', 'mountPath': '/v', 'subPathExpr': '$(X)'}]),
            strategies.container('d', env=[_variable('D', 'user')]))
        self.assertEqual({
            'a': 'secret "gone" not found',
            'b': "couldn't find key none in Secret shop/db",
            'c': 'missing value for X'}, made.container_errors)
        self.assertEqual('joe', self._env(made, 3)['D'])
        self.assertEqual([], made.pod['spec']['containers'][0]['env'])

    def test_only_what_a_host_needs_of_the_object_is_sent(self):
        pod = strategies.pod(
            volumes=[], status={'phase': 'Pending'}, ephemeralContainers=[
                {'name': 'debug', 'image': 'x'}])
        pod['metadata'].update(labels={'a': 'b'}, annotations={'c': 'd'},
                               ownerReferences=[{}], managedFields=[{}])
        made = self._of(pod).pod
        self.assertEqual({'apiVersion', 'kind', 'metadata', 'spec'},
                         made.keys())
        self.assertEqual(
            {'name', 'namespace', 'uid', 'labels', 'annotations'},
            made['metadata'].keys())
        self.assertNotIn('ephemeralContainers', made['spec'])
        self.assertNotIn('initContainers', made['spec'])

    def test_containers_that_take_too_much_together_are_told(self):
        self.objects[_CONFIG_MAP, 'big'] = {'k': 'x' * 1_000_000}
        made = self._assemble(*(
            strategies.container(f'c{number}', envFrom=[
                {'configMapRef': {'name': 'big'}}]) for number in range(12)))
        # Half of the whole is theirs.
        self.assertEqual([f'c{number}' for number in range(5, 12)],
                         list(made.container_errors))
        self.assertIn('more than', made.container_errors['c5'])


class VolumesTestCase(AssembleTestCase):

    def test_files_are_there_by_volume(self):
        made = self._assemble(volumes=[
            {'name': 'a', 'secret': {'secretName': 'db'}},
            {'name': 'b', 'emptyDir': {}},
            {'name': 'c', 'projected': {}}])
        self.assertEqual({'a', 'c'}, made.volumes.keys())
        self.assertEqual(
            (payload.File('user', b'joe', 0o644),), made.volumes['a'])

    def test_a_volume_that_cannot_be_is_named_and_others_are_there(self):
        made = self._assemble(volumes=[
            {'name': 'a', 'secret': {'secretName': 'gone'}},
            {'name': 'b', 'secret': {'secretName': 'db'}}])
        self.assertEqual((
            'MountVolume.SetUp failed for volume "a" : '
            'secret "gone" not found',), made.volume_errors)
        self.assertEqual({'b'}, made.volumes.keys())

    def test_the_volume_that_makes_it_too_much_is_named(self):
        self.files = {(_SECRET, f's{number}'): {'k': b'x' * 1_000_000}
                      for number in range(20)}
        made = self._assemble(volumes=[
            {'name': f'v{number}', 'secret': {'secretName': f's{number}'}}
            for number in range(20)])
        self.assertEqual(7, len(made.volumes))
        self.assertEqual(13, len(made.volume_errors))
        self.assertIn('volume "v7"', made.volume_errors[0])
        self.assertLessEqual(
            sum(payload.file_size(file) for files in made.volumes.values()
                for file in files), payload.MAX_BYTES)

    def test_it_is_renewed_when_the_first_token_must_be(self):
        self.tokens = {
            volumes.TokenNeed('', 3600): tokens.Token('a', 500.0, 900.0),
            volumes.TokenNeed('x', 3600): tokens.Token('b', 300.0, 900.0),
            volumes.TokenNeed('y', 3600): exceptions.NotYetResolvable(
                'FailedMount', 'none')}
        made = self._assemble(volumes=[{'name': 't', 'projected': {
            'sources': [{'serviceAccountToken': {
                'path': f't{audience}', 'audience': audience}}
                for audience in ('', 'x')]}}])
        self.assertEqual(300.0, made.refresh_after)
        self.tokens = {}
        self.assertEqual(0, self._assemble().refresh_after)


class SurroundingsTestCase(AssembleTestCase):

    def test_names_are_there(self):
        made = self._assemble(hostname='db-0', subdomain='db')
        self.assertEqual(('db-0', 'db.shop.svc.cluster.local'),
                         (made.hostname, made.domain))
        self.assertEqual(('10.96.0.10',), made.dns.servers)
        made = self._assemble(dnsPolicy='Default', dnsConfig={
            'searches': ['example.org']})
        self.assertIsNone(made.dns)
        self.assertEqual(('example.org',), made.dns_extra.searches)

    def test_the_handler_or_why_there_is_none(self):
        self.more = {'handler': 'kata'}
        self.assertEqual('kata', self._assemble().runtime_handler)
        self.more = {'handler_error': 'not found'}
        self.assertEqual('not found', self._assemble().runtime_error)

    def test_credentials_in_order_and_those_missing_are_told(self):
        self.more = {'pull_secrets': {
            'gone': None, 'broken': objects.Secret('Opaque', {}),
            'one': objects.Secret('kubernetes.io/dockercfg', {
                '.dockercfg': b'{"r": {"username": "u"}}'}),
            'lost': None}}
        made = self._assemble()
        self.assertEqual((payload.Credential('r', 'u'),), made.credentials)
        self.assertEqual(['FailedToRetrieveImagePullSecret'] * 2,
                         [note.reason for note in self.notes])
        self.assertIn('secret broken is not used', self.notes[0].message)
        self.assertIn('(gone, lost)', self.notes[1].message)

    def test_credentials_are_bounded_in_number(self):
        self.more = {'pull_secrets': {'many': objects.Secret(
            'kubernetes.io/dockercfg', {'.dockercfg': json.dumps({
                f'r{number}': {} for number in range(1000)}).encode()})}}
        self.assertEqual(payload.MAX_CREDENTIALS,
                         len(self._assemble().credentials))
        self.assertIn('256 of 1000', self.notes[-1].message)

    def test_credentials_are_bounded_in_size(self):
        entries = {f'r{number}': {'password': 'x' * 60_000}
                   for number in range(16)}
        self.more = {'pull_secrets': {name: objects.Secret(
            'kubernetes.io/dockercfg', {
                '.dockercfg': json.dumps(entries).encode()})
            for name in 'ab'}}
        self.assertEqual(17, len(self._assemble().credentials))
        self.assertIn('17 of 32', self.notes[-1].message)

    def test_no_repr_has_a_value(self):
        self.more = {'pull_secrets': {'one': objects.Secret(
            'kubernetes.io/dockercfg', {
                '.dockercfg': b'{"r": {"password": "s3cr3t"}}'})}}
        self.objects[_SECRET, 'db'] = {'user': b's3cr3t'}
        made = self._assemble(strategies.container(
            env=[_variable('A', 'user')]))
        self.assertEqual('s3cr3t', self._env(made)['A'])
        self.assertNotIn('s3cr3t', repr(made))
