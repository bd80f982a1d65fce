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
"""Who may do what at the kubelet's API, asked of a real API server."""

import email.message
import pathlib
import socket
import ssl
import time

import fixtures
from kubernetes import client
from oslotest import base as oslotest_base

from zun_vk import exceptions
from zun_vk.kube import client as kube_client
from zun_vk.kubelet import attributes
from zun_vk.kubelet import authn
from zun_vk.kubelet import authz
from zun_vk.kubelet import context
from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures import kubernetes
from zun_vk.tests.fixtures import pki
from zun_vk.tests.fixtures.wait import wait_for
from zun_vk.tests.functional import base
from zun_vk.tests.unit.kube import api as unit_api

READS = ('/pods', '/runningpods', '/healthz', '/configz', '/stats/summary',
         '/metrics', '/metrics/resource', '/containerLogs')
STREAMS = ('/exec', '/attach', '/run', '/portForward')


class AuthTestCase(oslotest_base.BaseTestCase):
    """A node's API, up to where a handler would be called."""

    def setUp(self):
        super().setUp()
        self.kube = kubernetes.shared()
        self.rbac = client.RbacAuthorizationV1Api(
            self.kube.api.core.api_client)
        self.namespace = self.kube.new_namespace()
        self.node = base.new_name()
        self.serve(self.kube.issue_kubeconfig(
            f'system:node:{self.node}', 'system:nodes'))

    def serve(self, kubeconfig, timeout=5):
        """Have the API served by one who asks as this identity."""
        asking = kube_client.KubeClient(
            unit_api.make_conf(str(kubeconfig)), timeout=timeout)
        self.authenticator = authn.Authenticator(asking)
        self.authorizer = authz.Authorizer(asking)

    def token(self, *rules, **spec):
        """Return the token of a new service account that may do this."""
        name = base.new_name()
        self.kube.api.create_service_account(self.namespace, name)
        if rules:
            self.allow(name, rules)
        return kube.call(
            self.kube.api.core.create_namespaced_service_account_token,
            name, self.namespace, {'spec': spec})['status']['token']

    def allow(self, name, rules):
        kube.call(self.rbac.create_cluster_role, {
            'metadata': {'name': name}, 'rules': [
                {'apiGroups': [''], 'resources': resources.split(),
                 'verbs': verbs.split(),
                 'resourceNames': list(names)}
                for verbs, resources, *names in rules]})
        self.addCleanup(self.rbac.delete_cluster_role, name)
        self.bind(name, name)

    def bind(self, role, account):
        kube.call(self.rbac.create_cluster_role_binding, {
            'metadata': {'name': account},
            'roleRef': {'apiGroup': 'rbac.authorization.k8s.io',
                        'kind': 'ClusterRole', 'name': role},
            'subjects': [{'kind': 'ServiceAccount', 'name': account,
                          'namespace': self.namespace}]})
        self.addCleanup(self.rbac.delete_cluster_role_binding, account)

    def user(self, token, certificate=None):
        headers = email.message.Message()
        if token:
            headers['Authorization'] = f'Bearer {token}'
        return self.authenticator.authenticate(certificate, headers)

    def ask(self, user, method, root, node=None):
        """Return the status of an answer to a user."""
        if user is None:
            return 401
        try:
            self.authorizer.authorize(user, attributes.wanted(
                method, root, (), node or self.node))
        except exceptions.Refused as refused:
            return refused.status
        return 200

    def settle(self, user, method, root):
        """Wait until the API server knows of a role that was just made."""
        def allowed():
            # Without what was decided before.
            self.authorizer = authz.Authorizer(self.authorizer._client)
            return self.ask(user, method, root) == 200
        wait_for(allowed, f'{user} to be allowed {method} {root}', 20)

    def passing(self, user):
        """Return what a user may do: roots to read, and to stream from."""
        return ({root for root in READS
                 if self.ask(user, 'GET', root) == 200},
                {(method, root) for root in STREAMS
                 for method in ('GET', 'POST')
                 if self.ask(user, method, root) == 200})


class TestUsers(AuthTestCase):

    def test_a_service_account_is_known_by_its_token(self):
        user = self.user(self.token())
        self.assertTrue(user.name.startswith(
            f'system:serviceaccount:{self.namespace}:'))
        self.assertTrue(user.uid)
        self.assertLessEqual(
            {'system:serviceaccounts', 'system:authenticated'},
            set(user.groups))

    def test_without_a_good_token_there_is_nobody(self):
        good = self.token()
        for token in ('', 'nonsense', good[:-4] + 'AAAA',
                      good.rpartition('.')[0] + '.'):
            self.assertIsNone(self.user(token))

    def test_a_token_for_somebody_else_is_nobodys(self):
        self.assertIsNone(self.user(self.token(audiences=['vault'])))

    def test_a_revoked_token_is_nobodys(self):
        token = self.token()
        user = self.user(token)
        kube.call(self.kube.api.core.delete_namespaced_service_account,
                  user.name.rpartition(':')[2], self.namespace)
        # What was decided counts for two minutes, as on a kubelet.
        self.assertEqual(user, self.user(token))

        def gone():
            self.authenticator = authn.Authenticator(
                self.authenticator._client)
            return self.user(token) is None
        # The API server itself keeps what it knows for 10 s.
        wait_for(gone, 'the token to be refused', 30)

    def test_certificates_of_the_cluster_are_users(self):
        authority = pki.Authority(pathlib.Path(
            self.useFixture(fixtures.TempDir()).path))
        der = _der(authority.issue('a', 'alice', 'dev')[0])
        user = self.user('', der)
        self.assertEqual(('alice', ('dev', 'system:authenticated')),
                         (user.name, user.groups))
        server = _der(authority.issue('s', 'alice', 'system:masters',
                                      addresses=('127.0.0.1',))[0])
        self.assertIsNone(self.user('', server))


class TestRights(AuthTestCase):

    def test_without_rights_nothing_is_allowed(self):
        self.assertEqual((set(), set()), self.passing(self.user(
            self.token())))

    def test_to_get_the_proxy_reads_but_gets_into_no_container(self):
        user = self.user(self.token(('get', 'nodes/proxy')))
        self.settle(user, 'GET', '/pods')
        self.assertEqual(
            ({'/pods', '/runningpods', '/healthz', '/configz',
              '/containerLogs'}, set()), self.passing(user))

    def test_to_create_the_proxy_gets_into_containers(self):
        user = self.user(self.token(('create', 'nodes/proxy')))
        self.settle(user, 'POST', '/exec')
        self.assertEqual(
            (set(), {(method, root) for root in STREAMS
                     for method in ('GET', 'POST')}), self.passing(user))

    def test_fine_rights_allow_what_they_name(self):
        for right, roots in (
                ('nodes/stats', {'/stats/summary'}),
                ('nodes/metrics', {'/metrics', '/metrics/resource'}),
                ('nodes/pods', {'/pods', '/runningpods'}),
                ('nodes/healthz', {'/healthz'}),
                ('nodes/configz', {'/configz'})):
            user = self.user(self.token(('get', right)))
            self.settle(user, 'GET', min(roots))
            self.assertEqual((roots, set()), self.passing(user), right)

    def test_all_verbs_of_fine_rights_get_into_no_container(self):
        user = self.user(self.token(
            ('*', 'nodes nodes/stats nodes/metrics nodes/pods nodes/log '
             'nodes/healthz nodes/configz')))
        self.settle(user, 'GET', '/pods')
        self.assertEqual((set(READS) - {'/containerLogs'}, set()),
                         self.passing(user))

    def test_a_right_to_another_node_is_none_to_this(self):
        user = self.user(self.token(('get', 'nodes/stats', self.node)))
        self.settle(user, 'GET', '/stats/summary')
        self.assertEqual(403, self.ask(user, 'GET', '/stats/summary',
                                       'another'))

    def test_kubernetes_own_role_for_kubelets_allows_all(self):
        token = self.token()
        user = self.user(token)
        self.bind('system:kubelet-api-admin', user.name.rpartition(':')[2])
        self.settle(user, 'GET', '/stats/summary')
        reads, streams = self.passing(user)
        self.assertEqual((set(READS), 8), (reads, len(streams)))
        # A method without a verb takes all of them.
        self.assertEqual(200, self.ask(user, 'HEAD', '/stats/summary'))

    def test_a_method_without_a_verb_is_not_allowed_by_any_one(self):
        user = self.user(self.token(
            ('get create update patch delete', 'nodes/stats')))
        self.settle(user, 'GET', '/stats/summary')
        self.assertEqual(403, self.ask(user, 'HEAD', '/stats/summary'))

    def test_a_node_has_no_rights_to_the_api_of_a_node(self):
        node = context.User(f'system:node:{self.node}', '',
                            ('system:nodes', 'system:authenticated'))
        self.assertEqual((set(), set()), self.passing(node))


class TestReviewer(AuthTestCase):
    """Who asks the API server."""

    def test_the_agents_own_identity_cannot_ask(self):
        self.serve(self.kube.agent_kubeconfig)
        self.assertIsNone(self.user(self.token()))
        self.assertEqual(500, self.ask(context.User('a'), 'GET', '/pods'))
        self.assertRaises(exceptions.AccessDenied,
                          self.authorizer._client.create_token_review,
                          {'spec': {'token': 'x'}})

    def test_without_an_api_server_nobody_gets_in(self):
        token = self.token()
        with socket.create_server(('127.0.0.1', 0)) as server:
            port = server.getsockname()[1]
        self.serve(self.kube.issue_kubeconfig('n', port=port))
        self.assertIsNone(self.user(token))
        self.assertEqual(500, self.ask(context.User('a'), 'GET', '/pods'))

    def test_an_api_server_that_hangs_holds_nobody_for_long(self):
        token = self.token()
        with socket.create_server(('127.0.0.1', 0)) as server:
            self.serve(self.kube.issue_kubeconfig(
                'n', port=server.getsockname()[1]), timeout=1.1)
            began = time.monotonic()
            self.assertIsNone(self.user(token))
            self.assertEqual(500, self.ask(context.User('a'), 'GET',
                                           '/pods'))
            self.assertLess(time.monotonic() - began, 4.4)


def _der(path):
    """Return the certificate in a PEM file."""
    return ssl.PEM_cert_to_DER_cert(path.read_text())
