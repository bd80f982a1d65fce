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
"""Files of certificates that are missing, bad, or change."""

import contextlib
import pathlib
import ssl
from unittest import mock

import fixtures
from oslotest import base

from zun_vk import exceptions
from zun_vk.kubelet import tls
from zun_vk.tests.fixtures import pki
from zun_vk.tests.unit.kube import api


class TlsTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.authority = pki.Authority(self.folder)
        self.pair = self.authority.issue('s', 's', addresses=('127.0.0.1',))
        self.useFixture(fixtures.MockPatchObject(tls, '_LOOK_INTERVAL', 0))

    def write(self, name, content=b''):
        path = self.folder / name
        path.write_bytes(content)
        return str(path)


class TestContexts(TlsTestCase):

    def test_without_a_certificate_there_is_none(self):
        self.assertIsNone(tls.Contexts().current())

    def test_the_same_one_serves_while_nothing_changes(self):
        contexts = tls.Contexts(str(self.authority.certificate))
        contexts.use(*map(str, self.pair))

        self.assertIs(contexts.current(), contexts.current())

    def test_a_file_that_changes_makes_another(self):
        both = self.pair[0].read_bytes() + self.pair[1].read_bytes()
        path, ca = self.write('pair', both), self.write(
            'ca', self.authority.certificate.read_bytes())
        contexts = tls.Contexts(ca)
        contexts.use(path)
        first = contexts.current()
        self.write('pair', both + b'\n')
        second = contexts.current()
        self.write('ca', self.authority.certificate.read_bytes() + b'\n')
        third = contexts.current()

        self.assertEqual(3, len({id(one) for one in (first, second, third)}))

    def test_one_that_is_bad_changes_nothing(self):
        both = self.pair[0].read_bytes() + self.pair[1].read_bytes()
        path = self.write('pair', both)
        contexts = tls.Contexts(str(self.authority.certificate))
        contexts.use(path)
        first = contexts.current()
        for content in (b'', b'no PEM', self.pair[0].read_bytes()):
            self.write('pair', content)

            self.assertIs(first, contexts.current())
        pathlib.Path(path).unlink()
        self.assertIs(first, contexts.current())
        self.write('pair', both)
        self.assertIsNot(first, contexts.current())

    def test_one_that_could_not_be_read_is_tried_again(self):
        # A key that its writer gives to the agent's user a moment later.
        contexts = tls.Contexts()
        contexts.use(*map(str, self.pair))
        with mock.patch.object(
                ssl.SSLContext, 'load_cert_chain', autospec=True,
                side_effect=PermissionError(13, 'Permission denied')), \
                mock.patch.object(tls, 'LOG', autospec=True) as log:
            for _ in range(3):
                self.assertIsNone(contexts.current())
        self.assertEqual(1, log.error.call_count)

        self.assertIsNotNone(contexts.current())

    def test_clients_are_asked_for_a_certificate_where_it_can_be_verified(
            self):
        pair = [str(one) for one in self.pair]

        self.assertEqual(ssl.CERT_NONE, tls.make(*pair, '').verify_mode)
        self.assertEqual(
            ssl.CERT_OPTIONAL,
            tls.make(*pair, str(self.authority.certificate)).verify_mode)


class TestClients(TlsTestCase):

    def setUp(self):
        super().setUp()
        folder = self.folder / 'inner'
        folder.mkdir()
        self.inner = pki.Authority(folder, 'inner-ca')

    def believed(self, client, *authorities):
        """Return the certificate of a client that is believed."""
        ca = self.write('ca', b''.join(
            one.read_bytes() for one in authorities))
        ours = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        ours.check_hostname, ours.verify_mode = False, ssl.CERT_NONE
        ours.load_cert_chain(*client)
        theirs = tls.make(*map(str, self.pair), ca)
        there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
        ends = (ours.wrap_bio(back, there),
                theirs.wrap_bio(there, back, server_side=True))
        for _ in range(5):
            for end in ends:
                with contextlib.suppress(ssl.SSLWantReadError):
                    end.do_handshake()
        return ends[1].getpeercert(binary_form=True)

    def test_one_of_an_authority_that_another_signed_is_believed(self):
        # Of a cluster whose ca.crt is not its own root.
        signed = self.folder / 'signed.crt'
        signed.write_bytes(self.authority.certify(self.inner))
        client = self.inner.issue('c', 'kube-apiserver')

        self.assertTrue(self.believed(client, signed))
        self.assertTrue(self.believed(client, signed,
                                      self.authority.certificate))

    def test_one_of_another_authority_is_not(self):
        client = self.inner.issue('c', 'kube-apiserver')

        self.assertRaises(ssl.SSLError, self.believed, client,
                          self.authority.certificate)


class TestCheck(TlsTestCase):

    def check(self, **options):
        conf = api.make_conf('kubeconfig')
        for name, value in options.items():
            conf.set_override(name, value, group='kubelet_api')
        tls.check(conf)

    def problem(self, **options):
        return str(self.assertRaises(
            exceptions.ConfigError, self.check, **options))

    def test_good_files(self):
        self.check()
        self.check(cert_file=str(self.pair[0]), key_file=str(self.pair[1]),
                   client_ca_file=str(self.authority.certificate))
        self.check(client_ca_file=str(self.authority.certificate))

    def test_bad_files_are_named(self):
        bad = self.write('bad', b'no PEM')
        for options, name in (
                ({'cert_file': '/nowhere'}, 'cert_file'),
                ({'cert_file': str(self.pair[0])}, 'cert_file'),
                ({'cert_file': bad}, 'cert_file'),
                ({'key_file': bad}, 'cert_file'),
                ({'client_ca_file': bad}, 'client_ca_file'),
                ({'client_ca_file': '/nowhere'}, 'client_ca_file')):
            self.assertIn(f'[kubelet_api] {name}', self.problem(**options))

    def test_a_key_that_wants_a_password_is_an_error(self):
        key = self.write('key', b'-----BEGIN ENCRYPTED PRIVATE KEY-----\n'
                         b'AAAA\n-----END ENCRYPTED PRIVATE KEY-----\n')

        self.problem(cert_file=str(self.pair[0]), key_file=key)

    def test_what_is_not_served_is_not_looked_at(self):
        self.check(port=0, cert_file='/nowhere')
