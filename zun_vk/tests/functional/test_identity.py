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
"""Who the agent is, and what it may not do, asked of a real API server."""

import base64
import pathlib
import stat
import threading

import fixtures
from kubernetes import client
from kubernetes.client import exceptions
from oslotest import base as oslotest_base

from zun_vk import health
from zun_vk.kube import certificates
from zun_vk.kube import client as kube_client
from zun_vk.kube import keypair
from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures import kubernetes
from zun_vk.tests.fixtures import pki
from zun_vk.tests.fixtures import pods
from zun_vk.tests.fixtures.wait import hold_for
from zun_vk.tests.fixtures.wait import wait_for
from zun_vk.tests.functional import base
from zun_vk.tests.unit.kube import api as unit_api


class LimitsTestCase(oslotest_base.BaseTestCase):
    """Calls as one identity on objects that an admin has made."""

    def setUp(self):
        super().setUp()
        self.kube = kubernetes.shared()
        self.admin = self.kube.api
        self.assertTrue(self.kube.agent_kubeconfig.exists())
        self.namespace = self.kube.new_namespace()
        for name in ('bound', 'other'):
            self.admin.core.create_namespaced_secret(
                self.namespace, {'metadata': {'name': name},
                                 'stringData': {'key': 'value'}})

    def act_as(self, kubeconfig):
        self.me = kube.KubeAPI(kubeconfig)

    def node(self, name, **metadata):
        self.addCleanup(self.admin.delete_node, name)
        return self.admin.create_node({
            'apiVersion': 'v1', 'kind': 'Node',
            'metadata': {'name': name, **metadata}})

    def pod(self, node, name, secret=None):
        env = [{'name': 'A', 'valueFrom': {'secretKeyRef': {
            'name': secret, 'key': 'key'}}}] if secret else []
        return self.admin.create_pod(self.namespace, pods.pod(
            name, pods.container(env=env), node=node))

    def forbidden(self, call, *args, **options):
        error = self.assertRaises(
            exceptions.ApiException, kube.call, call, *args, **options)
        self.assertEqual(403, error.status, error.body)


class TestAgent(LimitsTestCase):
    """The agent's own identity, with etc/kubernetes/rbac.yaml."""

    def setUp(self):
        super().setUp()
        self.act_as(self.kube.agent_kubeconfig)

    def test_it_reads_no_secret_and_no_configmap(self):
        core = self.me.core
        self.forbidden(core.list_secret_for_all_namespaces)
        self.forbidden(core.list_namespaced_secret, self.namespace)
        self.forbidden(core.read_namespaced_secret, 'bound', self.namespace)
        self.forbidden(core.list_config_map_for_all_namespaces)

    def test_it_has_no_part_in_pods(self):
        self.pod('nowhere', 'one')
        core = self.me.core
        self.forbidden(core.list_pod_for_all_namespaces)
        self.forbidden(core.list_pod_for_all_namespaces,
                       field_selector='spec.nodeName=nowhere')
        self.forbidden(core.read_namespaced_pod, 'one', self.namespace)
        self.forbidden(core.delete_namespaced_pod, 'one', self.namespace)
        self.forbidden(core.patch_namespaced_pod_status, 'one',
                       self.namespace, {'status': {'phase': 'Failed'}})
        self.forbidden(core.create_namespaced_pod, self.namespace,
                       pods.pod('two'))
        self.forbidden(core.create_namespaced_service_account_token,
                       'default', self.namespace, {'spec': {}})

    def test_it_changes_no_node(self):
        self.node('theirs-1')
        core = self.me.core
        self.forbidden(core.create_node, {'metadata': {'name': 'new'}})
        self.forbidden(core.patch_node, 'theirs-1', {'spec': {
            'unschedulable': True}})
        self.forbidden(core.patch_node_status, 'theirs-1', {'status': {}})
        self.forbidden(core.delete_node, 'theirs-1')

    def test_it_reads_nodes_and_leases_of_agents_as_lists_only(self):
        self.node('theirs-1')
        core, leases = self.me.core, self.me.coordination
        kube.call(core.list_node)
        kube.call(leases.list_namespaced_lease, 'zun-vk')
        self.forbidden(core.read_node, 'theirs-1')
        self.forbidden(leases.read_namespaced_lease, 'any', 'zun-vk')
        self.forbidden(leases.delete_namespaced_lease, 'any', 'zun-vk')

    def test_it_touches_no_lease_of_a_node(self):
        leases = self.me.coordination
        self.forbidden(leases.list_namespaced_lease, 'kube-node-lease')
        self.forbidden(leases.create_namespaced_lease, 'kube-node-lease',
                       {'metadata': {'name': 'theirs-1'}})

    def test_it_approves_and_signs_nothing_itself(self):
        requests = client.CertificatesV1Api(self.me.core.api_client)
        self.forbidden(requests.list_certificate_signing_request)
        self.forbidden(
            requests.patch_certificate_signing_request_approval, 'x', {})
        self.forbidden(
            requests.patch_certificate_signing_request_status, 'x', {})

    def test_it_reads_no_namespace_but_the_one_that_names_the_cluster(self):
        self.assertIsNotNone(self.me.namespace('kube-system'))
        self.forbidden(self.me.core.read_namespace, self.namespace)
        self.forbidden(self.me.core.list_namespace)

    def test_it_writes_no_event(self):
        self.forbidden(
            self.me.core.create_namespaced_event, self.namespace,
            {'metadata': {'name': 'e'}, 'involvedObject': {}})


class TestNode(LimitsTestCase):
    """A node's identity: Node authorizer and NodeRestriction."""

    def setUp(self):
        super().setUp()
        self.mine = f'mine-{self.namespace[-8:]}'
        self.theirs = f'theirs-{self.namespace[-8:]}'
        self.act_as(self.kube.issue_kubeconfig(
            f'system:node:{self.mine}', 'system:nodes'))

    def test_it_does_what_a_node_must(self):
        core, node = self.me.core, {
            'metadata': {'name': self.mine, 'labels': {
                'node.kubernetes.io/exclude-from-external-load-balancers':
                    'true', 'type': 'virtual-kubelet'}},
            'spec': {'taints': [{'key': 'a', 'effect': 'NoSchedule'}]}}
        kube.call(core.create_node, node)
        self.addCleanup(self.admin.delete_node, self.mine)
        pod = self.pod(self.mine, 'one')
        event = {'metadata': {'name': 'said'}, 'involvedObject': {
            'kind': 'Pod', 'name': 'one', 'namespace': self.namespace}}
        leases = self.me.coordination
        lease = {'metadata': {'name': self.mine}}
        for call, *args in (
                (core.patch_node, self.mine, {
                    'metadata': {'labels': {'rack': '7'}},
                    'spec': {'unschedulable': True}}),
                (core.patch_node_status, self.mine, {'status': {}}),
                (leases.create_namespaced_lease, 'kube-node-lease', lease),
                (leases.patch_namespaced_lease, self.mine,
                 'kube-node-lease', {}),
                (core.patch_namespaced_pod_status, 'one', self.namespace,
                 {'status': {'phase': 'Running'}}),
                (core.list_service_for_all_namespaces,),
                (core.create_namespaced_event, self.namespace, event),
                (core.patch_namespaced_event, 'said', self.namespace,
                 {'count': 2})):
            kube.call(call, *args)
        found = kube.call(core.list_pod_for_all_namespaces,
                          field_selector=f'spec.nodeName={self.mine}')
        self.assertEqual(1, len(found['items']))
        kube.call(core.delete_namespaced_pod, 'one', self.namespace,
                  body={'gracePeriodSeconds': 0, 'preconditions': {
                      'uid': pod['metadata']['uid']}})

    def test_it_lists_no_secret(self):
        core = self.me.core
        self.forbidden(core.list_secret_for_all_namespaces)
        self.forbidden(core.list_namespaced_secret, self.namespace)
        self.forbidden(core.list_config_map_for_all_namespaces)

    def test_it_reads_a_secret_of_its_own_pod_only(self):
        self.pod(self.mine, 'one', 'bound')
        self.pod(self.theirs, 'two', 'other')
        core = self.me.core

        wait_for(lambda: _allowed(core.read_namespaced_secret, 'bound',
                                  self.namespace), 'the secret of its pod')

        self.forbidden(core.read_namespaced_secret, 'other', self.namespace)

    def test_it_changes_no_other_node(self):
        self.node(self.theirs)
        core = self.me.core
        self.forbidden(core.create_node, {'metadata': {'name': 'new'}})
        self.forbidden(core.read_node, self.theirs)
        self.forbidden(core.list_node)
        self.forbidden(core.patch_node, self.theirs,
                       {'spec': {'unschedulable': True}})
        self.forbidden(core.patch_node_status, self.theirs,
                       {'status': {'conditions': []}})
        self.forbidden(core.delete_node, self.theirs)

    def test_it_touches_no_pod_of_another_node(self):
        self.pod(self.theirs, 'two')
        core = self.me.core
        self.forbidden(core.list_pod_for_all_namespaces)
        self.forbidden(core.list_pod_for_all_namespaces,
                       field_selector=f'spec.nodeName={self.theirs}')
        self.forbidden(core.read_namespaced_pod, 'two', self.namespace)
        self.forbidden(core.patch_namespaced_pod_status, 'two',
                       self.namespace, {'status': {'phase': 'Failed'}})
        self.forbidden(core.delete_namespaced_pod, 'two', self.namespace)
        self.forbidden(core.create_namespaced_pod, self.namespace,
                       pods.pod('three', node=self.mine))

    def test_it_makes_tokens_for_its_own_pods_only(self):
        def make(pod):
            spec = {'boundObjectRef': {
                'apiVersion': 'v1', 'kind': 'Pod',
                'name': pod['metadata']['name'],
                'uid': pod['metadata']['uid']}}
            return (self.me.core.create_namespaced_service_account_token,
                    'default', self.namespace, {'spec': spec})

        mine, theirs = self.pod(self.mine, 'one'), self.pod(self.theirs,
                                                            'two')
        wait_for(lambda: _allowed(*make(mine)), 'a token for its pod')
        self.forbidden(*make(theirs))
        self.forbidden(self.me.core.create_namespaced_service_account_token,
                       'default', self.namespace, {'spec': {}})

    def test_it_changes_no_spec_of_its_own_pod(self):
        self.pod(self.mine, 'one')
        self.forbidden(self.me.core.patch_namespaced_pod, 'one',
                       self.namespace, {'metadata': {'labels': {'a': 'b'}}})

    def test_it_steers_nothing_to_itself(self):
        self.node(self.mine)
        for label in ('node-restriction.kubernetes.io/pci',
                      'node-role.kubernetes.io/control-plane'):
            self.forbidden(self.me.core.patch_node, self.mine,
                           {'metadata': {'labels': {label: 'yes'}}})
        self.forbidden(self.me.core.patch_node, self.mine, {'spec': {
            'taints': [{'key': 'a', 'effect': 'NoSchedule'}]}})

    def test_it_holds_no_lease_of_another_node(self):
        leases = self.me.coordination
        for call in ((leases.read_namespaced_lease, self.theirs),
                     (leases.patch_namespaced_lease, self.theirs)):
            rest = [{}] if 'patch' in call[0].__name__ else []
            self.forbidden(*call, 'kube-node-lease', *rest)
        self.forbidden(leases.create_namespaced_lease, 'kube-node-lease',
                       {'metadata': {'name': self.theirs}})

    def test_it_becomes_no_other_node(self):
        requests = client.CertificatesV1Api(self.me.core.api_client)
        key, profile = keypair.Key(), keypair.CLIENT
        self.forbidden(requests.create_certificate_signing_request, {
            'metadata': {'name': f'csr-{self.theirs}'},
            'spec': {
                'request': base64.b64encode(key.signing_request(
                    self.theirs, profile)).decode(),
                'signerName': profile.signer,
                'usages': list(profile.usages)}})


def _allowed(call, *args):
    try:
        return kube.call(call, *args)
    except exceptions.ApiException as error:
        if error.status != 403:
            raise
        # The authorizer follows the pods a moment later.
        return None


class TestCertificate(oslotest_base.BaseTestCase):
    """Requests that kube-controller-manager approves and signs."""

    def setUp(self):
        super().setUp()
        self.kube = kubernetes.shared()
        self.assertTrue(self.kube.agent_kubeconfig.exists())

    def get(self, kubeconfig, node, profile=keypair.CLIENT):
        """Return the certificate that this identity gets for a node."""
        conf = unit_api.make_conf(str(kubeconfig))
        self.health = health.Health()
        certificate = certificates.NodeCertificate(
            kube_client.KubeClient(conf),
            pathlib.Path(self.useFixture(fixtures.TempDir()).path), node,
            self.health, profile)
        stop = threading.Event()
        timer = threading.Timer(30, stop.set)
        timer.start()
        self.addCleanup(timer.cancel)
        return certificate.ensure(stop)

    def test_a_bootstrap_token_gets_one(self):
        self.kube.api.core.create_namespaced_secret('kube-system', {
            'metadata': {'name': 'bootstrap-token-abcdef'},
            'type': 'bootstrap.kubernetes.io/token',
            'stringData': {
                'token-id': 'abcdef', 'token-secret': '0123456789abcdef',
                'usage-bootstrap-authentication': 'true',
                'auth-extra-groups': 'system:bootstrappers:zun-vk'}})
        self.addCleanup(self.kube.api.core.delete_namespaced_secret,
                        'bootstrap-token-abcdef', 'kube-system')
        token = self.kube.token_kubeconfig('abcdef.0123456789abcdef')

        got = self.get(token, 'n1')

        self.assertIsNotNone(got, self.health.problems())
        me = kube.KubeAPI(self.kube.pair_kubeconfig(got.path))
        self.assertIsNone(me.node('n1'))
        self.assertEqual(
            0o600, stat.S_IMODE(pathlib.Path(got.path).stat().st_mode))

    def decide(self, decision, user):
        """Approve or deny the requests of a user; tell if there are any."""
        admin = client.CertificatesV1Api(self.kube.api.core.api_client)
        names = [one['metadata']['name'] for one in kube.call(
            admin.list_certificate_signing_request)['items']
            if one['spec']['username'] == user]
        for name in names:
            self.kube.kubectl('certificate', decision, name)
        return bool(names)

    def test_one_for_serving_is_of_the_nodes_addresses(self):
        user = 'system:node:n3'
        node = self.kube.issue_kubeconfig(user, 'system:nodes')
        profile = keypair.serving('192.0.2.7', 'n3.example.org')
        got = []
        waiting = threading.Thread(daemon=True, target=lambda: got.append(
            self.get(node, 'n3', profile)))
        waiting.start()

        # Kubernetes approves none of these by itself.
        wait_for(lambda: self.decide('approve', user), 'a request', 30)
        waiting.join(30)

        pem = pathlib.Path(got[0].path).read_bytes()
        keypair.checked(pem, keypair.Key.read(pem), 'n3', profile)

    def test_one_that_an_admin_denies_is_a_problem(self):
        # Not bound to anything: nobody approves its requests.
        hand = self.kube.issue_kubeconfig('by-hand')
        self.kube.kubectl('create', 'clusterrolebinding', 'by-hand',
                          '--clusterrole=zun-vk-agent', '--user=by-hand')
        self.addCleanup(self.kube.kubectl, 'delete', 'clusterrolebinding',
                        'by-hand')
        threading.Thread(target=self.get, args=(hand, 'n2'),
                         daemon=True).start()
        wait_for(lambda: self.decide('deny', 'by-hand'), 'a request', 30)

        wait_for(self.health.problems, 'a problem', 30)

        self.assertIn('Denied', self.health.problems()[0].message)


class TestRunningAgent(base.OwnAgentTestCase):

    def me(self):
        """Return the API server, called with what the agent has stored."""
        return kube.KubeAPI(self.kube.pair_kubeconfig(self.pair))

    @property
    def pair(self):
        return (self.agent.certificates / self.agent.node
                / 'client-current.pem').resolve()

    def test_it_is_the_node(self):
        self.agent.start_ready()
        self.running_pod()

        review = kube.call(
            client.AuthenticationV1Api(
                self.me().core.api_client).create_self_subject_review, {})

        user = review['status']['userInfo']
        self.assertEqual(f'system:node:{self.agent.node}', user['username'])
        self.assertIn('system:nodes', user['groups'])

    def test_nobody_else_can_read_its_keys(self):
        self.agent.start_ready()

        found = list(self.agent.certificates.rglob('*'))

        self.assertTrue(found)
        for path in found:
            if not path.is_symlink():
                self.assertEqual(
                    0o700 if path.is_dir() else 0o600,
                    stat.S_IMODE(path.stat().st_mode), path)

    def test_a_restart_needs_no_new_certificate(self):
        self.agent.start_ready()
        before = self.pair
        self.agent.stop()

        self.agent.start_ready()

        self.assertEqual(before, self.pair)

    def test_a_certificate_of_another_cluster_is_not_used(self):
        self.agent.start_ready()
        self.agent.stop()
        before = self.pair
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        certificate, key = pki.Authority(folder).issue(
            'stolen', f'system:node:{self.agent.node}', 'system:nodes')
        before.write_bytes(certificate.read_bytes() + key.read_bytes())

        self.agent.start_ready()

        self.assertNotEqual(before, self.pair)
        self.assertIn('does not accept it', self.agent.text())
        self.running_pod()

    def test_a_label_that_a_node_may_not_have_is_an_error_at_once(self):
        self.agent.write_config({
            'node': {'labels': 'node-role.kubernetes.io/zun:yes'}})
        self.agent.start()

        self.assertEqual(1, self.agent.wait())

        self.assertIn('[node] labels', self.agent.text())

    def test_keys_in_a_directory_of_others_are_an_error_at_once(self):
        place = self.agent.certificates
        place.mkdir(parents=True)
        place.chmod(0o755)
        self.agent.start()

        self.assertEqual(1, self.agent.wait())

        self.assertIn('[agent] state_path', self.agent.text())

    def test_given_certificates_will_do(self):
        user = f'system:node:{self.agent.node}'
        self.kube.kubectl('create', 'clusterrolebinding', self.agent.node,
                          '--clusterrole=zun-vk-agent', f'--user={user}')
        self.addCleanup(self.kube.kubectl, 'delete', 'clusterrolebinding',
                        self.agent.node)
        self.agent.write_config({'kubernetes': {
            'node_identity': 'kubeconfig',
            'kubeconfig': self.kube.issue_kubeconfig(user, 'system:nodes')}})

        self.agent.start_ready()

        self.wait_gone(self.running_pod_deleted())
        self.assertFalse(self.agent.certificates.exists())

    def running_pod_deleted(self):
        pod = self.running_pod()
        self.api.delete_pod(pod['metadata']['namespace'],
                            pod['metadata']['name'])
        return pod


class TestRotation(base.OwnAgentTestCase):
    """An agent whose certificate is good for half a minute."""

    LIFE = 30

    def make_kube(self):
        return self.useFixture(kubernetes.Kubernetes(life=self.LIFE))

    def test_the_node_outlives_its_certificates(self):
        self.agent.start_ready()
        self.wait_node_ready()
        pod = self.running_pod()
        link = (self.agent.certificates / self.agent.node
                / 'client-current.pem')
        first = link.resolve()

        wait_for(lambda: link.resolve() != first, 'a new one', 60)
        # The first has ended then, and what still uses it is refused.
        hold_for(lambda: kube.is_ready(self.node), 'Ready', self.LIFE)

        self.running_pod(name='after')
        self.assertIsNotNone(self.capsule(pod))
        self.assertNotIn('Unauthorized', self.agent.text())
        self.assertLessEqual(
            len(list(link.parent.glob('client-*.pem'))), 3)
