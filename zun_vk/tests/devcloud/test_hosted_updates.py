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
"""What changes in running pods, and their tokens: features 12 and 13."""

import base64
import json

from kubernetes import client

from zun_vk.tests.devcloud import hosted
from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures.wait import wait_for

# Seconds for a change to show.
LIVE = 90.0
# Of the pod itself: its host is told at once.
SOON = 20.0
ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount'
POD = 'authentication.kubernetes.io/pod-'


def keys(name, *names, **fields):
    return {'name': name, 'items': [{'key': key, 'path': key}
                                    for key in names], **fields}


VOLUMES = {
    'config': {'configMap': {'name': 'app'}},
    'secret': {'secret': {'secretName': 'db'}},
    'late': {'configMap': {'name': 'late', 'optional': True}},
    'all': {'projected': {'sources': [
        {'configMap': keys('app', 'mode')}, {'secret': keys('db', 'word')},
        {'downwardAPI': {'items': [{'path': 'labels', 'fieldRef': {
            'fieldPath': 'metadata.labels'}}]}}]}},
}
BEFORE = {'/config/mode': 'slow', '/config/old': 'x', '/secret/word': 'one',
          '/all/mode': 'slow', '/all/word': 'one', '/part': 'slow'}
AFTER = {'/config/mode': 'fast', '/config/new': 'y', '/secret/word': 'two',
         '/all/mode': 'fast', '/all/word': 'two', '/late/key': 'came'}


class TestUpdates(hosted.HostedCase):

    def test_files_follow_their_sources_in_a_running_pod(self):
        namespace = self.namespace()
        self.api.create_config_map(namespace, 'app', {
            'mode': 'slow', 'old': 'x'})
        self.api.create_secret(namespace, 'db', word='one')
        pod = self.running_pod(
            hosted.shell('trap exit TERM; while :; do sleep 1; done',
                         volumeMounts=[
                             *({'name': name, 'mountPath': f'/{name}'}
                               for name in VOLUMES),
                             {'name': 'config', 'mountPath': '/part',
                              'subPath': 'mode'}]),
            namespace=namespace, labels={'app': 'shop'},
            volumes=[{'name': name, **body}
                     for name, body in VOLUMES.items()])
        self.assertEqual(BEFORE, self.files(pod, BEFORE))

        self.change(namespace)
        wait_for(lambda: self.files(pod, AFTER) == AFTER,
                 'new files', LIVE, interval=1,
                 seen=lambda: self.files(pod, AFTER))

        # Kubernetes: a part of a volume stays as it is; what went is gone.
        self.assertEqual('slow', self.cat(pod, '/part'))
        self.assertIn('No such file', self.cat(pod, '/config/old'))
        self.relabel(pod)
        self.assertEqual(
            0, hosted.status_of(self.now(pod))['restartCount'])

    def change(self, namespace):
        self.api.patch_config_map(namespace, 'app', {
            'mode': 'fast', 'new': 'y', 'old': None})
        kube.call(self.api.core.patch_namespaced_secret, 'db', namespace,
                  {'stringData': {'word': 'two'}}, _content_type=kube.MERGE)
        self.api.create_config_map(namespace, 'late', {'key': 'came'})

    def relabel(self, pod):
        def told():
            # Kubernetes adds those of the node's place.
            return [line for line in self.cat(
                pod, '/all/labels').splitlines() if 'topology' not in line]
        self.assertEqual(['app="shop"'], told())
        metadata = pod['metadata']
        self.api.patch_pod(metadata['namespace'], metadata['name'], {
            'metadata': {'labels': {'app': 'other', 'more': '1'}}})
        wait_for(lambda: told() == ['app="other"', 'more="1"'],
                 'new labels', SOON, interval=0.5, seen=told)

    def files(self, pod, paths):
        """Return the content of these files, of one line each."""
        script = 'for i; do cat $i; echo; done'
        said = self.call(pod, 'sh', '-c', script, '-', *paths)
        return dict(zip(paths, said.stdout.decode().splitlines(),
                        strict=False))


class TestTokens(hosted.HostedCase):

    def test_a_pods_token_is_its_own_and_ends_with_it(self):
        pod = self.running_pod(
            hosted.shell('trap exit TERM; while :; do sleep 1; done',
                         volumeMounts=[{'name': 'own',
                                        'mountPath': '/own'}]),
            volumes=[{'name': 'own', 'projected': {'sources': [
                {'serviceAccountToken': {
                    'path': 'vault', 'audience': 'vault',
                    'expirationSeconds': 1200}}]}}])
        metadata = pod['metadata']
        tokens = {name: self.cat(pod, path) for name, path in (
            ('api', f'{ACCOUNT}/token'), ('vault', '/own/vault'))}
        self.assertEqual(metadata['namespace'],
                         self.cat(pod, f'{ACCOUNT}/namespace'))
        self.assertIn('BEGIN CERTIFICATE',
                      self.cat(pod, f'{ACCOUNT}/ca.crt'))

        for name, audience in (('api', ''), ('vault', 'vault')):
            found = self.review(tokens[name], audience)
            self.assertTrue(found['authenticated'], name)
            user = found['user']
            self.assertEqual(
                'system:serviceaccount:'
                f'{metadata["namespace"]}:default', user['username'])
            self.assertEqual(
                ([metadata['name']], [metadata['uid']]),
                (user['extra'][f'{POD}name'], user['extra'][f'{POD}uid']))
        self.assertEqual(['vault'], self.review(
            tokens['vault'], 'vault')['audiences'])
        self.assertFalse(self.review(
            tokens['vault'], '').get('authenticated'))
        self.assertEqual(1200, lifetime(tokens['vault']))

        self.delete(pod, 0)
        wait_for(lambda: not self.review(tokens['api'], '').get(
            'authenticated'), 'the token to end with its pod', 30)
        self.wait_nothing_left(pod)

    def review(self, token, audience):
        """Return what the API server makes of a token."""
        api = client.AuthenticationV1Api(self.api.core.api_client)
        return kube.call(api.create_token_review, {'spec': {
            'token': token, 'audiences': [audience] if audience else []}}
        )['status']


def lifetime(token):
    """Return the seconds for which a token is valid."""
    body = token.split('.')[1]
    claims = json.loads(base64.urlsafe_b64decode(
        body + '=' * (-len(body) % 4)))
    return claims['exp'] - claims['iat']
