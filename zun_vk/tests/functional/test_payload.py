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
"""What hosts get of pods, read from a real API server as a node."""

import json
import time

from kubernetes import client
from oslotest import base

from zun_vk.kube import client as kube_client
from zun_vk.kube import objects
from zun_vk.pods import payload
from zun_vk.pods import tokens
from zun_vk.rpc import payload as payload_wire
from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures import kubernetes
from zun_vk.tests.fixtures import pods
from zun_vk.tests.fixtures.wait import wait_for
from zun_vk.tests.unit.kube import api as unit_api

_ACCOUNT = 'system:serviceaccount:{}:default'
_POD_UID = 'authentication.kubernetes.io/pod-uid'


class PayloadTestCase(base.BaseTestCase):
    """Makes payloads with a node's own rights."""

    def setUp(self):
        super().setUp()
        self.kube = kubernetes.shared()
        self.api = self.kube.api
        self.home = self.kube.new_namespace()
        # kube-controller-manager would make it.
        self.api.create_config_map(self.home, 'kube-root-ca.crt',
                                   {'ca.crt': 'certificate'})
        self.node = f'node-{self.home[-8:]}'
        self.addCleanup(self.api.delete_node, self.node)
        self.api.create_node({'metadata': {'name': self.node}})
        self.api.patch_node_status(self.node, {'status': {
            'allocatable': {'cpu': '7', 'memory': '8Gi'}}})
        conf = unit_api.make_conf(str(self.kube.issue_kubeconfig(
            f'system:node:{self.node}', 'system:nodes')))
        conf.set_override('timeout', 20, group='kubernetes')
        conf.set_override('cluster_dns', ['10.96.0.10'], group='pods')
        node = kube_client.KubeClient(conf, node=self.node)
        self.notes = []
        self.maker = payload.PayloadMaker(
            conf, objects.ObjectCache(node), self.node, '192.0.2.1',
            tokens.Tokens(node),
            lambda pod, notes: self.notes.extend(notes))

    def pod(self, *containers, name='web', node=None, **spec):
        """Return a pod bound to the node, as the API server has it."""
        return self.api.create_pod(self.home, pods.pod(
            name, *containers, node=node or self.node, **spec))

    def make(self, pod):
        """Return the payload of a pod as its host gets it."""
        made = self.maker.make(pod, ['10.0.0.5'], time.monotonic())
        return payload_wire.from_wire(json.loads(json.dumps(made.to_wire())))

    def make_when_shown(self, pod):
        """Return it when the node may read what the pod refers to."""
        def shown():
            made = self.make(pod)
            words = [*made.container_errors.values(), *made.volume_errors]
            return None if 'forbidden' in str(words) else made
        return wait_for(shown, 'the node may read what the pod refers to')

    def files(self, made, volume):
        return {file.path: file.data for file in made.volumes[volume]}

    def token_volume(self, pod):
        """Return the name of the volume that admission made."""
        name, = (volume['name'] for volume in pod['spec']['volumes']
                 if volume['name'].startswith('kube-api-access-'))
        return name

    def review(self, token, *audiences):
        """Return what the API server says of a token."""
        reviews = client.AuthenticationV1Api(self.api.core.api_client)
        return kube.call(reviews.create_token_review, {'spec': {
            'token': token, 'audiences': list(audiences)}})['status']


class TestTokens(PayloadTestCase):

    def test_a_token_is_of_the_pods_account_and_bound_to_the_pod(self):
        pod = self.pod()
        made = self.make_when_shown(pod)

        files = self.files(made, self.token_volume(pod))
        self.assertEqual(b'certificate', files['ca.crt'])
        self.assertEqual(self.home.encode(), files['namespace'])
        token = files['token'].decode()
        said = self.review(token)
        self.assertTrue(said['authenticated'], said)
        self.assertEqual(_ACCOUNT.format(self.home),
                         said['user']['username'])
        self.assertEqual([pod['metadata']['uid']],
                         said['user']['extra'][_POD_UID])
        self.assertTrue(
            2000 < made.refresh_after - time.time() < 3607 * 0.8)

        self.api.delete_pod(self.home, 'web', 0)
        # The API server remembers what it said for some seconds.
        wait_for(lambda: not self.review(token).get('authenticated'),
                 'the token of a deleted pod is refused', 30)

    def test_an_audience_of_its_own(self):
        pod = self.pod(pods.container(volumeMounts=[
            {'name': 't', 'mountPath': '/t'}]), volumes=[
            {'name': 't', 'projected': {'sources': [
                {'serviceAccountToken': {
                    'path': 'vault', 'audience': 'vault',
                    'expirationSeconds': 600}}]}}])
        made = self.make_when_shown(pod)

        token = self.files(made, 't')['vault'].decode()
        self.assertTrue(self.review(token, 'vault').get('authenticated'))
        self.assertFalse(self.review(token).get('authenticated'))
        self.assertLess(made.refresh_after - time.time(), 480)

    def test_it_stays_the_same_while_it_is_good(self):
        pod = self.pod()
        first, second = self.make_when_shown(pod), self.make(pod)
        self.assertEqual(first.volumes, second.volumes)
        self.assertEqual(first.generation, second.generation)

    def test_there_is_none_for_a_pod_of_another_node(self):
        pod = self.pod(node='another')
        made = self.make(pod)

        self.assertNotIn(self.token_volume(pod), made.volumes)
        self.assertIn('forbidden', made.volume_errors[0])

    def test_there_is_none_without_the_account(self):
        self.api.create_service_account(self.home, 'robot')
        pod = self.pod(serviceAccountName='robot')
        kube.call(self.api.core.delete_namespaced_service_account, 'robot',
                  self.home)

        def missing():
            errors = self.make(pod).volume_errors
            return ('failed to fetch token: serviceaccounts "robot" not '
                    'found' in str(errors))
        wait_for(missing, 'the missing account is named')


class TestVolumes(PayloadTestCase):

    def volume(self, **source):
        """Return a pod with one more volume, v."""
        return self.pod(pods.container(volumeMounts=[
            {'name': 'v', 'mountPath': '/v'}]),
            volumes=[{'name': 'v', **source}])

    def test_files_come_from_all_that_a_volume_may_name(self):
        self.api.create_secret(self.home, 'db', user='joe', password='pw')
        kube.call(self.api.core.create_namespaced_config_map, self.home, {
            'metadata': {'name': 'app'}, 'data': {'mode': 'fast'},
            'binaryData': {'blob': '/wA='}})
        pod = self.volume(projected={'defaultMode': 0o400, 'sources': [
            {'secret': {'name': 'db', 'items': [
                {'key': 'user', 'path': 'db/user', 'mode': 0o440}]}},
            {'configMap': {'name': 'app'}},
            {'configMap': {'name': 'gone', 'optional': True}},
            {'downwardAPI': {'items': [
                {'path': 'name', 'fieldRef': {'fieldPath': 'metadata.name'}},
                {'path': 'cpu', 'resourceFieldRef': {
                    'containerName': 'main', 'resource': 'limits.cpu'}},
            ]}}]})

        made = self.make_when_shown(pod)

        self.assertEqual((), made.volume_errors)
        self.assertEqual(
            {'db/user': b'joe', 'mode': b'fast', 'blob': b'\xff\0',
             'name': b'web', 'cpu': b'7'}, self.files(made, 'v'))
        self.assertEqual({'db/user': 0o440, 'mode': 0o400}, {
            file.path: file.mode for file in made.volumes['v']
            if file.path in ('db/user', 'mode')})

    def test_a_volume_waits_for_its_secret_and_then_has_it(self):
        pod = self.volume(secret={'secretName': 'late'})

        self.assertEqual((
            'MountVolume.SetUp failed for volume "v" : '
            'secret "late" not found',),
            self.make_when_shown(pod).volume_errors)
        self.api.create_secret(self.home, 'late', k='v')
        made = self.make(pod)
        self.assertEqual({'k': b'v'}, self.files(made, 'v'))
        self.assertEqual((), made.volume_errors)

    def test_a_change_is_seen_and_is_another_generation(self):
        self.api.create_config_map(self.home, 'app', {'k': 'old'})
        pod = self.volume(configMap={'name': 'app'})
        first = self.make_when_shown(pod)

        self.api.patch_config_map(self.home, 'app', {'k': 'new'})
        second = self.make(pod)

        self.assertEqual({'k': b'new'}, self.files(second, 'v'))
        self.assertNotEqual(first.generation, second.generation)
        pod = self.api.patch_pod(self.home, 'web', {
            'metadata': {'labels': {'a': 'b'}}})
        self.assertNotEqual(second.generation, self.make(pod).generation)


class TestEnvironment(PayloadTestCase):

    def test_containers_have_what_is_known_and_say_what_is_missing(self):
        address = {'name': 'IP', 'valueFrom': {'fieldRef': {
            'fieldPath': 'status.podIP'}}}
        pod = self.pod(
            pods.container('good', env=[address], command=['$(IP)']),
            pods.container('bad', envFrom=[{'secretRef': {'name': 'gone'}}]),
            initContainers=[pods.container('first', env=[address])])

        made = self.make_when_shown(pod)

        self.assertEqual({'bad': 'secret "gone" not found'},
                         made.container_errors)
        spec = made.pod['spec']
        self.assertEqual(['10.0.0.5'], spec['containers'][0]['command'])
        for container in (spec['containers'][0], spec['initContainers'][0]):
            self.assertIn({'name': 'IP', 'value': '10.0.0.5'},
                          container['env'])
            self.assertIn({'name': 'KUBERNETES_SERVICE_HOST',
                           'value': '10.96.0.1'}, container['env'])
        self.assertEqual('web', made.hostname)
        self.assertEqual(f'{self.home}.svc.cluster.local',
                         made.dns.searches[0])

    def test_pull_secrets_become_credentials(self):
        kube.call(self.api.core.create_namespaced_secret, self.home, {
            'metadata': {'name': 'pull'},
            'type': 'kubernetes.io/dockerconfigjson',
            'stringData': {'.dockerconfigjson': json.dumps({'auths': {
                'quay.io/a': {'username': 'joe', 'password': 'pw'}}})}})
        pod = self.pod(imagePullSecrets=[{'name': 'pull'}, {'name': 'gone'}])
        self.make_when_shown(pod)

        made = wait_for(lambda: self.make(pod) if self.make(
            pod).credentials else None, 'credentials')

        self.assertEqual((payload_wire.Credential('quay.io/a', 'joe', 'pw'),),
                         made.credentials)
        self.assertIn('(gone)', self.notes[-1].message)


class TestRuntimeClass(PayloadTestCase):

    def test_a_class_gives_its_handler_until_it_is_gone(self):
        classes = client.NodeV1Api(self.api.core.api_client)
        name = f'class-{self.home[-8:]}'
        kube.call(classes.create_runtime_class, {
            'metadata': {'name': name}, 'handler': 'sandboxed'})

        def admitted():
            return kube.call_or_none(
                self.api.core.create_namespaced_pod, self.home, pods.pod(
                    'web', node=self.node, runtimeClassName=name),
                unless=403)
        pod = wait_for(admitted, 'admission knows the class')

        made = self.make_when_shown(pod)
        self.assertEqual(('sandboxed', ''),
                         (made.runtime_handler, made.runtime_error))
        kube.call(classes.delete_runtime_class, name)
        made = self.make(pod)
        self.assertEqual('', made.runtime_handler)
        self.assertEqual(
            'failed to get sandbox runtime: RuntimeClass.node.k8s.io '
            f'"{name}" not found', made.runtime_error)
