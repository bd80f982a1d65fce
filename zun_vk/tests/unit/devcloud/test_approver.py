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
import io
import json
import subprocess
from unittest import mock
import urllib.parse

import fixtures

from devcloud import agent
from devcloud import approver
from devcloud import cloud as clouds
from devcloud import errors
from devcloud import progress
from devcloud import settings
from devcloud import web
from devcloud import worker
from zun_vk.tests.unit.devcloud import base

USER = 'system:node:zun-vk'
ADDRESSES = [{'type': 'InternalIP', 'address': '192.0.2.7'},
             {'type': 'InternalIP', 'address': '2001:db8::7'},
             {'type': 'Hostname', 'address': 'zun-vk'}]
NAMES = 'IP:192.0.2.7,IP:2001:db8::7,DNS:zun-vk'


def request(names=NAMES, subject=f'/O=system:nodes/CN={USER}'):
    """Return a signing request as openssl makes it."""
    more = ('-addext', f'subjectAltName={names}') if names else ()
    return subprocess.run(
        ('openssl', 'req', '-new', '-newkey', 'ec', '-pkeyopt',
         'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', '/dev/null',
         '-subj', subject, *more), check=True, capture_output=True,
        timeout=20).stdout


class ApproverTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.api = mock.create_autospec(web.Peer, instance=True)
        self.api.call.side_effect = self._call
        self.api.must.side_effect = self._call
        self.node = {'status': {'addresses': ADDRESSES}}
        self.found = []
        self.approved = []
        self.approver = approver.Approver(self.api)
        self.said = io.StringIO()
        self.useFixture(fixtures.MonkeyPatch('sys.stdout', self.said))

    def _call(self, method, path, body=None, headers=None, timeout=30):
        if method == 'PUT':
            self.approved.append((path, body['status']['conditions']))
            return web.Reply(200, {}, b'{}')
        if path.startswith(approver.REQUESTS):
            return reply({'metadata': {'resourceVersion': '7'},
                          'items': self.found})
        self.assertEqual('/api/v1/nodes/zun-vk', path)
        return reply(self.node) if self.node else web.Reply(404, {}, b'{}')

    def ask(self, pem=None, **spec):
        self.found = [{
            'metadata': {'name': 'node-csr-1'},
            'spec': {'username': USER, 'groups': ['system:nodes'],
                     'usages': ['digital signature', 'server auth'],
                     'request': base64.b64encode(pem or request()).decode(),
                     **spec}}]
        return self.approver.look()

    def test_a_node_gets_a_certificate_for_its_own_addresses(self):
        self.assertEqual(('7', False), self.ask())
        (path, (condition,)), = self.approved
        self.assertEqual(f'{approver.REQUESTS}/node-csr-1/approval', path)
        self.assertEqual(('Approved', 'True'),
                         (condition['type'], condition['status']))

    def test_for_other_addresses_it_waits_until_its_node_has_them(self):
        for names in ('IP:192.0.2.8', 'DNS:other', f'{NAMES},DNS:other',
                      'DNS:192.0.2.7', 'email:a@example.org'):
            self.assertEqual(('7', True), self.ask(request(names)), names)
        self.node = None
        self.assertEqual(('7', True), self.ask())
        self.assertEqual([], self.approved)
        self.node = {'status': {'addresses': ADDRESSES}}
        self.ask()
        self.assertTrue(self.approved)

    def test_what_no_node_may_have_is_never_approved(self):
        for why, pem, spec in (
                ('another user', None, {'username': 'eve'}),
                ('no node', None, {'groups': ['system:authenticated']}),
                ('another node', None, {'username': 'system:node:eve'}),
                ('another subject', request(subject='/CN=eve'), {}),
                ('one more subject', request(
                    subject=f'/O=system:masters/O=system:nodes/CN={USER}'),
                 {}),
                ('a client', None, {'usages': ['client auth']}),
                ('no address', request(''), {}),
                ('nonsense', b'nonsense', {}),
                ('no base64', None, {'request': '%'})):
            self.assertEqual(('7', False), self.ask(pem, **spec), why)
        self.assertEqual([], self.approved)

    def test_what_is_decided_is_left_alone(self):
        self.ask()
        self.approved.clear()
        self.found[0]['status'] = {'conditions': [{'type': 'Denied'}]}
        self.assertEqual(('7', False), self.approver.look())
        self.assertEqual([], self.approved)

    def test_what_is_refused_is_told_once(self):
        for _ in range(3):
            self.ask(usages=['client auth'])
        self.assertEqual(1, self.said.getvalue().count('node-csr-1'))

    def test_only_requests_of_the_signer_are_looked_at_and_waited_for(self):
        self.ask()
        self.approver.wait('7', 60)
        paths = [self.api.must.call_args.args[1],
                 self.api.first_line.call_args.args[0]]
        for path in paths:
            query = urllib.parse.parse_qs(urllib.parse.urlsplit(path).query)
            self.assertEqual([f'spec.signerName={approver.SIGNER}'],
                             query['fieldSelector'])
        self.assertEqual(['7'], query['resourceVersion'])
        self.assertGreater(self.api.first_line.call_args.args[1], 60)

    def test_what_cannot_be_read_is_an_error(self):
        self.assertRaises(errors.DevcloudError, approver.read, b'')


class KubeletApiTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.where.make()
        self.cloud = clouds.Cloud(self.where, progress.Screen(io.StringIO()))

    def test_the_node_has_the_address_that_its_api_listens_on(self):
        sections = agent.configuration(self.where, self.cloud.keys, 'abc')
        self.assertEqual(settings.node_address(),
                         sections['node']['address'])
        self.assertEqual(settings.node_address(),
                         sections['kubelet_api']['address'])
        self.assertEqual(self.cloud.keys.crt('ca'),
                         sections['kubelet_api']['client_ca_file'])

    def test_hosts_take_streams_from_this_machine_alone(self):
        options = worker.configuration(self.where, 'two')['compute']
        self.assertEqual((settings.HOST, 0), (options['stream_address'],
                                              options['stream_port']))

    def test_the_approver_has_its_key_in_a_file(self):
        command = approver.server(self.cloud.keys).command
        self.assertEqual((self.cloud.keys.crt('admin'),
                          self.cloud.keys.key('admin')), command[-2:])


def reply(body):
    return web.Reply(200, {}, json.dumps(body).encode())
