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
"""The kubelet's API of a running agent, as the API server reaches it."""

import http.client
import json
import socket
import ssl
import subprocess

from kubernetes import client
from oslo_utils import netutils

from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures.wait import wait_for
from zun_vk.tests.functional import base

_PORT = 21250
# Kubernetes: the API server is no proxy to its own loopback address.
_ADDRESS = netutils.get_my_ipv4()


class TestKubeletApi(base.OwnAgentTestCase):

    def setUp(self):
        super().setUp()
        if _ADDRESS.startswith('127.'):
            self.skipTest('this machine has no address but the loopback one')
        self.agent.write_config({
            'node': {'address': _ADDRESS},
            'kubelet_api': {'port': _PORT,
                            'client_ca_file': self.kube.client_ca}})
        self.agent.start_ready()
        self.wait_node_ready()

    @property
    def port(self):
        return self.node['status']['daemonEndpoints']['kubeletEndpoint'][
            'Port']

    def approve(self):
        """Approve the certificate that the node is to be served with."""
        admin = client.CertificatesV1Api(self.api.core.api_client)
        user = f'system:node:{self.agent.node}'

        def approved():
            found = [one['metadata']['name'] for one in kube.call(
                admin.list_certificate_signing_request)['items']
                if one['spec']['username'] == user
                and one['spec']['signerName']
                == 'kubernetes.io/kubelet-serving']
            for name in found:
                self.kube.kubectl('certificate', 'approve', name)
            return found

        wait_for(approved, 'a request for a serving certificate', 30)

    def proxied(self, path):
        """Return what the API server's proxy to the node says."""
        return self.kube.kubectl(
            'get', '--raw',
            f'/api/v1/nodes/{self.agent.node}/proxy/{path}')

    def served(self):
        try:
            return self.proxied('healthz')
        except subprocess.CalledProcessError as error:
            return error.stderr

    def wait_served(self):
        wait_for(lambda: self.served() == 'ok', 'the kubelet API', 30,
                 seen=self.served)

    def direct(self, path, headers=None, pair=None):
        """Return status and body of what a client gets by itself."""
        context = ssl.create_default_context(cafile=str(self.kube.client_ca))
        if pair:
            context.load_cert_chain(*pair)
        connection = http.client.HTTPSConnection(
            _ADDRESS, self.port, timeout=20, context=context)
        try:
            connection.request('GET', path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def test_the_api_server_reaches_it(self):
        self.assertLessEqual(_PORT, self.port)
        self.assertIn('tls: internal error', self.served())
        self.approve()
        self.wait_served()

        pod = self.running_pod()

        wait_for(lambda: [one['metadata']['uid'] for one in json.loads(
            self.proxied('pods'))['items']] == [pod['metadata']['uid']],
            'the pod')
        settings = json.loads(self.proxied('configz'))['kubeletconfig']
        self.assertFalse(settings['authentication']['anonymous']['enabled'])

    def test_what_needs_a_host_says_what_to_enable(self):
        self.approve()
        self.wait_served()
        pod = self.running_pod()
        name = pod['metadata']['name']
        inside = ('--namespace', pod['metadata']['namespace'], name)

        for command in (('logs', *inside), ('exec', *inside, '--', 'true'),
                        ('attach', *inside)):
            error = self.assertRaises(subprocess.CalledProcessError,
                                      self.kube.kubectl, *command)

            self.assertIn('[pods] capsule_runtime = compute', error.stderr)

    def test_nobody_gets_anything(self):
        self.approve()
        self.wait_served()

        for path in ('/healthz', '/pods', '/exec/ns/pod/c', '/unknown'):
            self.assertEqual((401, b'Unauthorized'), self.direct(path))
            self.assertEqual((401, b'Unauthorized'), self.direct(
                path, {'Authorization': 'Bearer none-of-ours'}))
        self.assertIn('refused: status=401', self.agent.text())

    def test_a_token_gets_what_its_account_may(self):
        self.approve()
        self.wait_served()
        namespace = self.namespace()
        token = self.kube.kubectl('create', 'token', 'default',
                                  '--namespace', namespace).strip()
        headers = {'Authorization': f'Bearer {token}'}
        status, body = self.direct('/pods', headers)
        self.assertEqual(403, status)
        self.assertIn(b'Forbidden (user=system:serviceaccount:', body)
        self.kube.kubectl('create', 'clusterrole', namespace, '--verb=get',
                          '--resource=nodes/healthz')
        self.addCleanup(self.kube.kubectl, 'delete', 'clusterrole',
                        namespace)
        self.kube.kubectl(
            'create', 'clusterrolebinding', namespace,
            f'--clusterrole={namespace}',
            f'--serviceaccount={namespace}:default')
        self.addCleanup(self.kube.kubectl, 'delete', 'clusterrolebinding',
                        namespace)

        wait_for(lambda: self.direct('/healthz', headers) == (200, b'ok'),
                 'the right is seen', 60)

        self.assertEqual(403, self.direct('/pods', headers)[0])
        self.assertNotIn(token, self.agent.text())

    def test_a_restart_serves_with_the_same_certificate(self):
        self.approve()
        self.wait_served()
        self.agent.stop()

        self.agent.start_ready()

        self.wait_served()

    def test_a_stop_closes_the_port_and_is_quick(self):
        self.approve()
        self.wait_served()
        port = self.port

        code, seconds = self.agent.stop()

        self.assertEqual(0, code)
        self.assertLess(seconds, 10)
        self.assertRaises(ConnectionRefusedError, socket.create_connection,
                          (_ADDRESS, port), 5)

    def test_a_second_agent_has_a_port_of_its_own(self):
        other = self.useFixture(base.agent_module.Agent(
            self.kube, self.cloud, base.new_name(), {'kubelet_api': {
                'port': _PORT}}))
        other.start_ready()

        wait_for(lambda: kube.is_ready(self.api.node(other.node)), 'Ready')

        ports = {self.api.node(name)['status']['daemonEndpoints'][
            'kubeletEndpoint']['Port']
            for name in (self.agent.node, other.node)}
        self.assertEqual(2, len(ports))
