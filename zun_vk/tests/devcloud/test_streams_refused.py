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
"""Nobody is served by a node's API who has no right to it."""

import contextlib
import re
import ssl
import time
import uuid

from kubernetes import client

from devcloud import hosts as zun_hosts
from zun_vk.tests.devcloud import base
from zun_vk.tests.devcloud import certified
from zun_vk.tests.devcloud import hosted
from zun_vk.tests.devcloud import procs
from zun_vk.tests.devcloud import streamed
from zun_vk.tests.fixtures import channels
from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures.wait import wait_for

SECRET = 'told-to-nobody'
USER = 'user-of-a-test'
TOUCH = ('touch', '/tmp/touched')
SLOW = 30
# A request that is in another, for a server that reads them in another way.
INNER = 'GET /pods HTTP/1.1\r\nHost: x\r\n\r\n'


def smuggled(line='GET /healthz HTTP/1.1', *headers, body=INNER):
    return '\r\n'.join([line, *headers, '', body]).encode()


# Each has a second request behind the first, if it is read so.
MALFORMED = {
    'a body': smuggled('POST /healthz HTTP/1.1', 'Host: x',
                       f'Content-Length: {len(INNER)}'),
    'two lengths': smuggled('GET /healthz HTTP/1.1', 'Host: x',
                            'Content-Length: 0', 'Content-Length: 60'),
    'length and chunks': smuggled(
        'GET /healthz HTTP/1.1', 'Host: x', 'Content-Length: 5',
        'Transfer-Encoding: chunked', body=f'0\r\n\r\n{INNER}'),
    'chunks': smuggled('GET /healthz HTTP/1.1', 'Host: x',
                       'Transfer-Encoding: chunked',
                       body=f'0\r\n\r\n{INNER}'),
    'a blank before the colon': smuggled(
        'GET /healthz HTTP/1.1', 'Host: x', 'Content-Length : 0'),
    'a folded line': smuggled('GET /healthz HTTP/1.1', 'Host: x',
                              'X: y', ' Content-Length: 0'),
    'a bare line end': smuggled(
        'GET /healthz HTTP/1.1', 'Host: x', 'X: y\nContent-Length: 0'),
    'a bare return': smuggled(
        'GET /healthz HTTP/1.1', 'Host: x', 'X: y\rContent-Length: 0'),
    'two hosts': smuggled('GET /healthz HTTP/1.1', 'Host: x', 'Host: y'),
    'no host': smuggled('GET /healthz HTTP/1.1'),
    'another address': smuggled(
        'GET http://127.0.0.1/healthz HTTP/1.1', 'Host: x'),
    'blanks': smuggled('GET  /healthz  HTTP/1.1', 'Host: x'),
    'another version': smuggled('GET /healthz HTTP/0.9', 'Host: x'),
    'no HTTP': b'\x16\x03\x01\x00\x00' + INNER.encode(),
    'long headers': smuggled('GET /healthz HTTP/1.1', 'Host: x',
                             f'X: {"y" * 2 ** 21}'),
    'many headers': smuggled('GET /healthz HTTP/1.1', 'Host: x',
                             *(f'X{number}: y' for number in range(2000)))}
PATHS = ('//pods', '/./pods', '/healthz/../pods', '/%2e%2e/pods',
         '/pods%00', '/healthz/%2e%2e/pods', '/spec/', '/debug/pprof/',
         '/logs/', '/containerLogs/..%2f..%2fetc/x/main')


class RefusedCase(streamed.StreamCase):

    PODS = {'box': {'containers': [
        hosted.shell(f'echo {SECRET}{streamed.STAY}')]}}

    def setUp(self):
        super().setUp()
        self.authority = self.useFixture(
            certified.Authority(self.devcloud.paths.pki))
        self.ca = self.devcloud.paths.pki / 'ca.crt'
        self.log = self.agent_log()

    def who(self, certificate=None):
        """Return the node's API for who shows this certificate."""
        return self.kubelet(streamed.context(self.ca, certificate))

    def user(self, *rights):
        """Return the certificate of a user of the cluster.

        :param rights: verb and resource
        """
        name = f'{USER}-{uuid.uuid4().hex[:8]}'
        if rights:
            self.allow(name, rights)
        return self.authority.client(name)

    def allow(self, name, rights):
        rbac = client.RbacAuthorizationV1Api(self.api.core.api_client)
        rules = [{'apiGroups': [''], 'resources': [resource],
                  'verbs': [verb]} for verb, resource in rights]
        kube.call(rbac.create_cluster_role,
                  {'metadata': {'name': name}, 'rules': rules})
        self.addCleanup(rbac.delete_cluster_role, name)
        kube.call(rbac.create_cluster_role_binding, {
            'metadata': {'name': name},
            'roleRef': {'apiGroup': 'rbac.authorization.k8s.io',
                        'kind': 'ClusterRole', 'name': name},
            'subjects': [{'apiGroup': 'rbac.authorization.k8s.io',
                          'kind': 'User', 'name': name}]})
        self.addCleanup(rbac.delete_cluster_role_binding, name)

    def reads(self):
        """Return all paths that can be read, and one that is none."""
        return ['/healthz', '/pods', '/runningpods/', '/configz',
                '/stats/summary', '/metrics', '/metrics/resource',
                '/metrics/cadvisor', '/metrics/probes', '/nosuch',
                channels.path('containerLogs', self.place, 'box', 'main')]

    def streams(self):
        """Return all paths that reach into the box."""
        command = {'command': TOUCH, 'output': 1}
        return [channels.path('exec', self.place, 'box', 'main', **command),
                channels.path('exec', self.place, 'box', self.pod('box')[
                    'metadata']['uid'], 'main', **command),
                channels.path('attach', self.place, 'box', 'main', output=1),
                channels.path('portForward', self.place, 'box', port=80),
                channels.path('run', self.place, 'box', 'main',
                              cmd=' '.join(TOUCH))]

    def refusal(self, target, method, path, *headers):
        """Return the status of an answer that gives nothing away."""
        answer = channels.ask(target, method, path, *headers)
        for told in (SECRET, self.pod('box')['metadata']['uid']):
            self.assertNotIn(told.encode(), answer.body, path)
        return answer.status

    def check(self, target, status, *headers, reads=True):
        """Check that all that is asked for is refused."""
        wanted = self.reads() if reads else []
        found = {(path, self.refusal(target, 'GET', path, *headers))
                 for path in wanted}
        for path in self.streams():
            found |= {(path, self.refusal(target, method, path, *headers))
                      for method in ('GET', 'POST')}
            found.add((path, self.upgrade(target, path, *headers)))
        self.assertEqual({status}, {each for _, each in found}, found)
        self.assertNotEqual(0, self.call(
            self.pod('box'), 'test', '-e', TOUCH[1]).exit_code)

    def upgrade(self, target, path, *headers):
        error = self.assertRaises(channels.Refused, channels.open_channels,
                                  target, path, *headers)
        return error.answer.status

    def said(self, target, sent):
        """Return what a server says to some bytes, until it has enough."""
        with channels.connect(target) as sock:
            with contextlib.suppress(OSError):
                sock.sendall(sent)
            try:
                return channels.received(sock)
            except TimeoutError:
                self.fail(f'still open after {sent[:80]!r}')

    def check_logged(self, target, status, *words):
        """Check that the log tells of refusals, and of no command."""
        def told():
            # So many each second are told of.
            self.refusal(target, 'POST', self.streams()[0])
            return [line for line in self.log().splitlines()
                    if f'refused: status={status} ' in line
                    and all(word in line for word in words)]
        wait_for(told, f'refusals with {status} in the log', 5)
        self.assertNotIn(TOUCH[1], self.log())


class TestRefused(RefusedCase):

    def test_who_shows_nothing_gets_nothing(self):
        self.check(self.who(), 401)
        self.check_logged(self.who(), 401, 'route=exec', 'user=-')

    def test_who_shows_a_foreign_certificate_gets_nothing(self):
        foreign = self.useFixture(certified.Authority())
        target = self.who(foreign.client('admin', 'system:masters'))
        for path in (*self.reads(), *self.streams()):
            # TLS itself may refuse it, or nobody is who shows it.
            with contextlib.suppress(OSError):
                self.assertIn(channels.ask(target, 'GET', path).status,
                              (0, 401), path)

    def test_a_token_that_is_none_is_nobodys(self):
        self.check(self.who(), 401, 'Authorization: Bearer nonsense')

    def test_a_user_without_rights_gets_nothing(self):
        target = self.who(self.user())
        self.check(target, 403)
        self.check_logged(target, 403, 'route=exec', f'user="{USER}')

    def test_a_service_account_without_rights_gets_nothing(self):
        token = kube.call(
            self.api.core.create_namespaced_service_account_token,
            'default', self.place, {'spec': {}})['status']['token']
        self.check(self.who(), 403, f'Authorization: Bearer {token}')
        self.assertNotIn(token, self.log())

    def test_who_may_read_the_proxy_runs_nothing(self):
        target = self.who(self.user(('get', 'nodes/proxy')))
        self.check(target, 403, reads=False)
        for path in ('/pods', '/healthz', self.reads()[-1]):
            self.assertEqual(200, channels.ask(target, 'GET', path).status,
                             path)

    def test_who_may_read_one_thing_reads_no_other(self):
        target = self.who(self.user(('get', 'nodes/stats'),
                                    ('get', 'nodes/healthz')))
        for path in self.reads():
            status = channels.ask(target, 'GET', path).status
            allowed = path in ('/healthz', '/stats/summary')
            self.assertEqual(200 if allowed else 403, status, path)
        self.check(target, 403, reads=False)


class TestHostile(RefusedCase):

    def test_a_request_in_another_is_not_answered(self):
        target = self.kubelet()
        for what, sent in MALFORMED.items():
            said = self.said(target, sent)
            # No answer, or one, and that no more than a refusal.
            statuses = re.findall(rb'^HTTP/1\.1 (\d+)', said, re.MULTILINE)
            self.assertLessEqual(len(statuses), 1, (what, said[:500]))
            self.assertNotRegex(b' '.join(statuses), rb'^[123]', what)
            self.assertNotIn(b'PodList', said, what)
        self.check_serves(target)

    def test_a_path_that_is_not_plain_leads_nowhere(self):
        target = self.kubelet()
        for path in PATHS:
            status = channels.ask(target, 'GET', path).status
            self.assertIn(status, (400, 404), path)
        self.assertEqual(405, channels.ask(target, 'DELETE', '/pods').status)

    def test_who_is_slow_is_cut_off_and_in_nobodys_way(self):
        with contextlib.ExitStack() as stack:
            silent = [stack.enter_context(
                channels.connect(self.kubelet()._replace(tls=None), SLOW))
                for _ in range(40)]
            slow = [stack.enter_context(channels.connect(self.who(), SLOW))
                    for _ in range(40)]
            for sock in slow:
                sock.sendall(b'GET /healthz HTTP/1.1\r\nHost: ')
            begun = time.monotonic()
            self.check_serves(self.kubelet())
            self.kubectl.must('exec', 'box', '--', 'true')
            self.assertLess(time.monotonic() - begun, 5)
            for sock in (*slow, *silent):
                self.wait_cut(sock)
            self.assertLess(time.monotonic() - begun, SLOW)

    def test_no_old_protocol_is_spoken(self):
        with self.assertRaises(OSError):
            old = streamed.context(self.ca)
            # This side would.
            old.set_ciphers('ALL:@SECLEVEL=0')
            old.minimum_version = ssl.TLSVersion.TLSv1
            old.maximum_version = ssl.TLSVersion.TLSv1_1
            channels.connect(self.kubelet(old)).close()

    def check_serves(self, target):
        self.assertEqual(200, channels.ask(target, 'GET', '/healthz').status)

    def wait_cut(self, sock):
        """Wait until the server ends a connection; TLS may say that first."""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while sock.recv(4096):
                sock.sendall(b'x')


class TestPorts(RefusedCase):

    def listening(self, server):
        """Return what a server of the devcloud listens on."""
        return procs.listening(self.devcloud.pid(server))

    def on_hosts(self, server):
        return [zun_hosts.named(server, host)
                for host in self.devcloud.hosts()]

    def test_the_streams_of_the_runtime_are_on_the_loopback_alone(self):
        self.kubectl.must('exec', 'box', '--', 'true')
        for server in self.on_hosts('containerd'):
            self.assertEqual({'127.0.0.1'}, {
                address for address, _ in self.listening(server)})

    def test_the_agent_listens_where_it_is_told_to(self):
        target = self.kubelet()
        found = self.listening(base.api.AGENT)
        self.assertIn((target.host, target.port), found)
        self.assertEqual({target.host}, {
            address for address, _ in found if address != '127.0.0.1'})

    def test_without_a_token_a_host_gives_nothing(self):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
        for server in self.on_hosts('zun-vk-compute'):
            (address, port), = self.listening(server)
            target = channels.Target(address, port, tls)
            for sent in (b'zun-vk-stream/1 ' + b'A' * 43 + b'\n',
                         b'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
                         b'x' * 100000):
                self.assertEqual(b'', self.said(target, sent), sent[:20])
