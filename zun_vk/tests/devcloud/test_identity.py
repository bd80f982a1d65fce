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
"""The agent's two identities in a whole cluster, and what bounds them."""

import json

from kubernetes import client
from kubernetes.client import exceptions

from zun_vk.tests.devcloud import base
from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures import pods


class TestIdentity(base.DevcloudTestCase):

    def me(self):
        """The API server, called with the certificate the agent keeps."""
        pair = (self.devcloud.paths.data / 'agent' / 'pki' / self.node_name
                / 'client-current.pem').resolve()
        self.assertEqual(0o600, pair.stat().st_mode & 0o777)
        config = json.loads(self.devcloud.kubeconfig.read_text())
        config['users'][0]['user'] = {
            'client-certificate': str(pair), 'client-key': str(pair)}
        path = self.devcloud.paths.run / f'{self.id()}.kubeconfig'
        path.write_text(json.dumps(config))
        self.addCleanup(path.unlink)
        return kube.KubeAPI(path)

    def agent(self):
        """The API server, called as the agent itself."""
        return kube.KubeAPI(self.devcloud.paths.etc / 'agent.kubeconfig')

    def forbidden(self, call, *args):
        error = self.assertRaises(exceptions.ApiException, kube.call, call,
                                  *args)
        self.assertEqual(403, error.status, error.body)

    def test_the_agent_acts_as_its_node(self):
        self.run_pod()
        review = kube.call(client.AuthenticationV1Api(
            self.me().core.api_client).create_self_subject_review, {})
        self.assertEqual(f'system:node:{self.node_name}',
                         review['status']['userInfo']['username'])

    def test_neither_identity_lists_secrets(self):
        for api in (self.me(), self.agent()):
            self.forbidden(api.core.list_secret_for_all_namespaces)
            self.forbidden(api.core.list_namespaced_secret, 'kube-system')

    def test_neither_identity_touches_another_node_and_its_pods(self):
        namespace = self.namespace()
        other = f'other-{namespace}'
        self.api.create_node({'metadata': {'name': other}})
        self.addCleanup(self.api.delete_node, other)
        self.api.create_pod(namespace, pods.pod('theirs', node=other))
        self.addCleanup(self.api.delete_pod, namespace, 'theirs', 0)
        cordon = {'spec': {'unschedulable': True}}
        failed = {'status': {'phase': 'Failed'}}
        for api in (self.me(), self.agent()):
            core = api.core
            self.forbidden(core.patch_node, other, cordon)
            self.forbidden(core.patch_node_status, other, {'status': {}})
            self.forbidden(core.delete_node, other)
            self.forbidden(core.patch_namespaced_pod_status, 'theirs',
                           namespace, failed)
            self.forbidden(core.delete_namespaced_pod, 'theirs', namespace)
