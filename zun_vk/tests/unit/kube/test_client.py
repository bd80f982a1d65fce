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
import base64
import contextlib
import datetime
import pathlib
import socket
import ssl
import threading

from oslotest import base
import prometheus_client

from zun_vk import exceptions
from zun_vk.kube import client
from zun_vk.kube import keypair
from zun_vk.tests.fixtures import pki
from zun_vk.tests.fixtures.openstack import http
from zun_vk.tests.unit.kube import api


class ClientTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.fixture = self.useFixture(api.ApiFixture(threading.RLock()))
        self.api = self.fixture.api
        self.client = self.fixture.client()

    def _answer(self, status, body=None, headers=None):
        self.api.answers.append(http.Response(status, body, headers))


class CallsTestCase(ClientTestCase):

    def test_each_call_asks_for_what_it_says(self):
        node, lease = {'metadata': {}}, {'metadata': {'name': 'n'}}
        event = {'metadata': {}, 'involvedObject': {}}
        strategic = 'application/strategic-merge-patch+json'
        merge = 'application/merge-patch+json'
        get, post, patch = 'GET', 'POST', 'PATCH'
        core = '/api/v1'
        requests = ('/apis/certificates.k8s.io/v1/'
                    'certificatesigningrequests')
        leases = '/apis/coordination.k8s.io/v1/namespaces/ns/leases'
        for call, method, path, kind in (
                (lambda k: k.get_node('n'), get, f'{core}/nodes/n', None),
                (lambda k: k.create_node(node), post, f'{core}/nodes', None),
                (lambda k: k.patch_node('n', {}), patch, f'{core}/nodes/n',
                 strategic),
                (lambda k: k.patch_node_status('n', {}), patch,
                 f'{core}/nodes/n/status', strategic),
                (lambda k: k.get_lease('ns', 'n'), get, f'{leases}/n', None),
                (lambda k: k.create_lease('ns', lease), post, leases, None),
                (lambda k: k.patch_lease('ns', 'n', {}), patch,
                 f'{leases}/n', merge),
                (lambda k: k.patch_pod_status('ns', 'p', {}), patch,
                 f'{core}/namespaces/ns/pods/p/status', strategic),
                (lambda k: k.remove_pod('ns', 'p', 'u'), 'DELETE',
                 f'{core}/namespaces/ns/pods/p', None),
                (lambda k: k.create_event('ns', event), post,
                 f'{core}/namespaces/ns/events', None),
                (lambda k: k.patch_event('ns', 'e', {}), patch,
                 f'{core}/namespaces/ns/events/e', merge),
                (lambda k: k.create_signing_request(node), post, requests,
                 None),
                (lambda k: k.get_signing_request('r'), get,
                 f'{requests}/r', None),
                (lambda k: k.get_secret('ns', 's'), get,
                 f'{core}/namespaces/ns/secrets/s', None),
                (lambda k: k.get_runtime_class('r'), get,
                 '/apis/node.k8s.io/v1/runtimeclasses/r', None),
                (lambda k: k.create_token('ns', 's', {'spec': {}}), post,
                 f'{core}/namespaces/ns/serviceaccounts/s/token', None),
                (lambda k: k.get_config_map('ns', 'c'), get,
                 f'{core}/namespaces/ns/configmaps/c', None),
                (lambda k: k.get_service('ns', 's'), get,
                 f'{core}/namespaces/ns/services/s', None),
                (lambda k: k.list_services('ns'), get,
                 f'{core}/namespaces/ns/services', None),
                (lambda k: k.list_pods(), get, f'{core}/pods', None)):
            call(self.client)
            request = self.api.seen[-1]
            self.assertEqual((method, path), (request.method, request.path))
            if kind:
                self.assertEqual(kind, request.headers['Content-Type'])
            self.assertEqual('Bearer s3cret-token',
                             request.headers['Authorization'])

    def test_each_call_is_counted_by_the_status_of_its_answer(self):
        def count(call, code):
            return prometheus_client.REGISTRY.get_sample_value(
                'zun_vk_api_calls_total',
                {'service': 'kubernetes', 'call': call, 'code': code}) or 0
        counted = (('create event', '201'), ('watch pods', '200'))
        before = [count(*each) for each in counted]
        self._answer(201, {})
        self.client.create_event('ns', {'metadata': {},
                                        'involvedObject': {}})
        self.client.open_watch(60).close()
        self.assertEqual([number + 1 for number in before],
                         [count(*each) for each in counted])

    def test_a_pod_is_removed_at_once_and_only_if_it_is_the_one(self):
        self.client.remove_pod('ns', 'p', 'u')
        options = self.api.seen[-1].json
        self.assertEqual((0, {'uid': 'u'}), (
            options['gracePeriodSeconds'], options['preconditions']))

    def test_objects_go_and_come_as_they_are(self):
        # With what a later Kubernetes may add, which the client's models
        # do not know.
        node = {'metadata': {'name': 'n', 'novelty': {'a': [1, None]}}}
        self._answer(200, node)
        self.assertEqual(node, self.client.patch_node('n', node))
        self.assertEqual(node, self.api.seen[-1].json)

    def test_pods_come_without_what_says_who_wrote_which_field(self):
        pod = {'metadata': {'name': 'p', 'managedFields': [{}]}, 'spec': {}}
        slim = {'metadata': {'name': 'p'}, 'spec': {}}
        self._answer(200, pod)
        self.assertEqual(slim, self.client.patch_pod_status('ns', 'p', {}))
        self._answer(200, {'items': [pod]})
        self.assertEqual(slim, self.client.get_pod('ns', 'p'))

    def test_what_is_no_pod_is_left_as_it_is(self):
        for thing in (None, 5, [], {}, {'metadata': None}):
            self.assertEqual(thing, client.slimmed(thing))

    def test_none_in_a_patch_is_sent_for_it_removes(self):
        self.client.patch_pod_status('ns', 'p', {'status': {'podIP': None}})
        self.assertEqual({'status': {'podIP': None}},
                         self.api.seen[-1].json)

    def test_names_cannot_break_out_of_their_path(self):
        self.client.remove_pod('ns', '../nodes/n?x=y', 'u')
        self.assertTrue(self.api.seen[-1].path.startswith(
            '/api/v1/namespaces/ns/pods/'))
        self.assertEqual({}, self.api.seen[-1].query)

    def test_a_pod_is_looked_for_among_those_of_the_node(self):
        k = client.KubeClient(self.fixture.conf(api.kubeconfig(
            server=self.api.url)), node='n')
        self._answer(200, {'items': [{'metadata': {'name': 'p'}}]})
        self.assertEqual({'metadata': {'name': 'p'}}, k.get_pod('ns', 'p'))
        request = self.api.seen[-1]
        self.assertEqual('/api/v1/namespaces/ns/pods', request.path)
        self.assertEqual(
            {'fieldSelector': 'metadata.name=p,spec.nodeName=n'},
            request.query)
        self._answer(200, {'items': []})
        self.assertRaises(exceptions.NotFound, k.get_pod, 'ns',
                          'a,spec.nodeName=b\\')
        self.assertIn('=a\\,spec.nodeName\\=b\\\\,',
                      self.api.seen[-1].query['fieldSelector'])
        for body in ({}, {'items': None}, {'items': {}}):
            self._answer(200, body)
            self.assertRaises(exceptions.Unavailable, k.get_pod, 'ns', 'p')

    def test_reviews_change_nothing(self):
        k = client.KubeClient(
            self.fixture.conf(api.kubeconfig(server=self.api.url)),
            guard=lambda: self.fail('asked the guard'))
        for create, path in (
                (k.create_token_review,
                 '/apis/authentication.k8s.io/v1/tokenreviews'),
                (k.create_subject_access_review,
                 '/apis/authorization.k8s.io/v1/subjectaccessreviews')):
            self._answer(201, {'status': {'a': 1}})
            self.assertEqual({'status': {'a': 1}}, create({'spec': {}}))
            request = self.api.seen[-1]
            self.assertEqual(('POST', path, {'spec': {}}),
                             (request.method, request.path, request.json))

    def test_the_cluster_is_named_by_its_kube_system(self):
        self._answer(200, {'metadata': {'uid': 'u'}})
        self.assertEqual('u', self.client.cluster_id())
        self._answer(200, {'gitVersion': 'v1.36.3'})
        self.assertEqual('v1.36.3', self.client.server_version())


class FailuresTestCase(ClientTestCase):

    def test_each_status_has_its_class_and_the_servers_words(self):
        for status, expected in (
                (400, exceptions.Rejected), (401, exceptions.AccessDenied),
                (403, exceptions.AccessDenied), (404, exceptions.NotFound),
                (409, exceptions.Conflict), (410, exceptions.Expired),
                (422, exceptions.Rejected), (429, exceptions.Throttled),
                (500, exceptions.Unavailable),
                (503, exceptions.Unavailable),
                (504, exceptions.Unavailable)):
            self._answer(status, {'kind': 'Status', 'code': status,
                                  'message': 'the words'})
            error = self.assertRaises(expected, self.client.get_node, 'n')
            self.assertEqual(('kubernetes', status, 'the words'),
                             (error.service, error.status, error.message))

    def test_a_failure_without_a_status_object_is_told_too(self):
        for body in (None, [], 'text', {'message': None}, {}):
            self._answer(503, body)
            self.assertRaises(exceptions.Unavailable,
                              self.client.get_node, 'n')

    def test_the_time_to_wait_is_read(self):
        for text, seconds in (('7', 7), ('soon', 0), (None, 0),
                              ('86400', 300)):
            self._answer(429, {}, {'Retry-After': text} if text else {})
            error = self.assertRaises(exceptions.Throttled,
                                      self.client.get_node, 'n')
            self.assertEqual(seconds, error.retry_after)

    def test_a_server_that_is_away_is_unreachable_after_one_attempt(self):
        self.api.stop()
        self.assertRaises(exceptions.Unreachable, self.client.get_node, 'n')

    def test_a_lost_answer_is_unreachable_and_not_sent_twice(self):
        self.api.fail_next(drop=True)
        self.assertRaises(exceptions.Unreachable,
                          self.client.create_node, {'metadata': {}})
        self.assertEqual(1, len(self.api.seen))

    def test_an_answer_that_is_no_object_is_unavailable(self):
        for body in (None, [], 'text', 5):
            self._answer(200, body)
            self.assertRaises(exceptions.Unavailable,
                              self.client.get_node, 'n')
        for body in ({}, {'metadata': {}}, {'metadata': []}):
            self._answer(200, body)
            self.assertRaises(exceptions.Unavailable,
                              self.client.cluster_id)
        self._answer(200, {})
        self.assertRaises(exceptions.Unavailable, self.client.server_version)

    def test_no_error_holds_the_token(self):
        self._answer(401, {'message': 'Unauthorized'})
        error = self.assertRaises(exceptions.AccessDenied,
                                  self.client.get_node, 'n')
        self.assertNotIn('s3cret-token', str(error))


class KubeconfigTestCase(ClientTestCase):

    def _refused(self, config):
        error = self.assertRaises(
            exceptions.ConfigError,
            lambda: client.KubeClient(self.fixture.conf(config)))
        self.assertEqual('[kubernetes] kubeconfig', error.option)
        return str(error)

    def test_files_that_are_no_kubeconfig_are_refused(self):
        for config in ('', '{', 'text', '[]', '- a', '5', 'a: b', 'a: [',
                       '\x00', '{}', 'clusters: 5'):
            self._refused(config)

    def test_a_file_that_is_not_there_is_refused(self):
        error = self.assertRaises(
            exceptions.ConfigError, client.KubeClient,
            api.make_conf('/nonexistent/kubeconfig'))
        self.assertIn('[kubernetes] kubeconfig', str(error))

    def test_contexts_that_lead_nowhere_are_refused(self):
        for field, value in (('current-context', 'other'),
                             ('clusters', []), ('contexts', [])):
            config = api.kubeconfig(server='http://127.0.0.1:1')
            config[field] = value
            self._refused(config)

    def test_another_context_can_be_chosen(self):
        config = api.kubeconfig(server=self.api.url)
        config['current-context'] = 'other'
        conf = self.fixture.conf(config)
        conf.set_override('context', 'c', group='kubernetes')
        client.KubeClient(conf).get_node('n')

    def test_certificates_that_are_not_there_are_refused(self):
        for cluster, user in (
                ({'certificate-authority': '/nonexistent/ca'}, None),
                ({}, {'client-certificate': '/nonexistent/c',
                      'client-key': '/nonexistent/k'})):
            self._refused(api.kubeconfig(
                user, server='https://127.0.0.1:1', **cluster))

    def test_certificates_that_are_none_are_refused(self):
        nonsense = base64.b64encode(b'nonsense').decode()
        for cluster, user in (
                ({'certificate-authority-data': nonsense}, None),
                ({'certificate-authority-data': '%%%'}, None),
                ({}, {'client-certificate-data': nonsense,
                      'client-key-data': nonsense})):
            config = api.kubeconfig(
                user, server='https://127.0.0.1:1', **cluster)
            self._refused(config)

    def test_a_server_that_is_not_verified_is_refused(self):
        message = self._refused(api.kubeconfig(
            server='https://127.0.0.1:1',
            **{'insecure-skip-tls-verify': True}))
        self.assertIn('insecure-skip-tls-verify', message)


class IdentityTestCase(ClientTestCase):

    def setUp(self):
        super().setUp()
        authority = pki.Authority(pathlib.Path(self.fixture.directory))
        certificate, key = authority.issue('node', 'system:node:n')
        self.pair = pathlib.Path(self.fixture.directory, 'node.pem')
        self.pair.write_bytes(certificate.read_bytes() + key.read_bytes())

    def credentials(self, path):
        now = datetime.datetime.now(datetime.UTC)
        return keypair.Credentials(str(path), now, now)

    def test_a_node_calls_without_the_agents_token(self):
        conf = self.fixture.conf(api.kubeconfig(server=self.api.url))
        client.KubeClient(conf, self.credentials(self.pair)).get_node('n')
        self.assertNotIn('Authorization', self.api.seen[-1].headers)

    def test_new_credentials_count_from_the_next_call_on(self):
        before = self.client.transport
        self.client.use(self.credentials(self.pair))
        self.client.get_node('n')
        self.assertNotIn('Authorization', self.api.seen[-1].headers)
        self.assertIsNot(before, self.client.transport)

    def test_a_watch_outlives_a_change_of_credentials(self):
        stream = self.client.open_watch(60)
        self.client.use(self.credentials(self.pair))
        self.assertEqual(b'{}', stream.read())

    def test_credentials_that_are_none_leave_the_old_ones(self):
        self.pair.write_text('nonsense')
        self.assertRaises(exceptions.ConfigError, self.client.use,
                          self.credentials(self.pair))
        self.client.get_node('n')
        self.assertIn('Authorization', self.api.seen[-1].headers)


class TLSTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.fixture = self.useFixture(api.ApiFixture(threading.RLock()))
        self.directory = pathlib.Path(self.fixture.directory)
        self.authority = pki.Authority(self._room('authority'))

    def _room(self, name):
        path = self.directory / name
        path.mkdir()
        return path

    def _client(self, authority):
        """Return a client of a TLS server that trusts ``authority``."""
        pair = self.authority.issue(
            'server', 'server', addresses=('127.0.0.1',))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*map(str, pair))
        listener = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(listener.close)
        thread = threading.Thread(target=_serve_once,
                                  args=(listener, context), daemon=True)
        thread.start()
        return client.KubeClient(self.fixture.conf(api.kubeconfig(
            server=f'https://127.0.0.1:{listener.getsockname()[1]}',
            **{'certificate-authority': str(authority.certificate)})))

    def test_a_server_of_the_right_authority_is_asked(self):
        self.assertEqual({}, self._client(self.authority).get_node('n'))

    def test_a_server_of_another_authority_is_not(self):
        other = pki.Authority(self._room('other'))
        error = self.assertRaises(exceptions.Unreachable,
                                  self._client(other).get_node, 'n')
        self.assertIn('certificate', str(error).lower())


def _serve_once(listener, context):
    """Answer one request over TLS with an empty object."""
    with contextlib.suppress(OSError):
        connection, _ = listener.accept()
        with context.wrap_socket(connection, server_side=True) as stream:
            stream.recv(65536)
            stream.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}')
