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
"""The kubelet API of one node: its port, its certificate, its end."""

import pathlib
import ssl
import threading
from unittest import mock

import fixtures
from oslotest import base

from zun_vk import exceptions
from zun_vk.kube import certificates
from zun_vk.kube import keypair
from zun_vk.kube import node_identity
from zun_vk.kubelet import context
from zun_vk.kubelet import service
from zun_vk.tests.fixtures import pki
from zun_vk.tests.fixtures.wait import wait_for
from zun_vk.tests.unit.kube import api
from zun_vk.tests.unit.kubelet import served


class KubeletApiTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.authority = pki.Authority(self.folder)
        self.conf = api.make_conf('kubeconfig')
        self.set(port=21450, address=served.ADDRESS)
        self.node = mock.create_autospec(node_identity.NodeIdentity,
                                         instance=True)
        self.stop = threading.Event()
        self.threads = []

    def set(self, **options):
        for name, value in options.items():
            self.conf.set_override(name, value, group='kubelet_api')

    def pair(self, name):
        return self.authority.issue(name, 'system:node:n1',
                                    addresses=(served.ADDRESS,))

    def start(self):
        made = service.KubeletApi(self.conf, context.Services(
            self.conf, 'n1', '192.0.2.1', mock.Mock(), None, False,
            lambda: None, mock.Mock()), self.node)
        made.open()
        for run in (made.run, lambda: made.certify(self.stop)):
            self.threads.append(threading.Thread(target=run, daemon=True))
            self.threads[-1].start()
        self.addCleanup(self.end, made)
        return made

    def end(self, made):
        self.stop.set()
        made.stop()
        for thread in self.threads:
            thread.join(20)
            self.assertFalse(thread.is_alive())

    def shown(self, made):
        """Return the certificate that is served with, None: none is."""
        try:
            return ssl.get_server_certificate(
                (served.ADDRESS, made.port), timeout=5)
        except OSError:
            return None

    def test_it_serves_with_the_files_that_are_given(self):
        certificate, key = self.pair('given')
        self.set(cert_file=str(certificate), key_file=str(key))

        made = self.start()

        self.assertLessEqual(21450, made.port)
        wait_for(lambda: self.shown(made), 'a certificate')
        self.assertEqual(certificate.read_text(), self.shown(made))
        self.node.serving_certificate.assert_not_called()

    def test_it_serves_with_what_the_cluster_signs_from_when_it_does(self):
        signed = threading.Event()
        pairs = []
        for name in ('first', 'second'):
            certificate, key = self.pair(name)
            path = self.folder / f'{name}.pem'
            path.write_bytes(certificate.read_bytes() + key.read_bytes())
            pairs.append(keypair.Credentials(
                str(path), mock.sentinel.begin, mock.sentinel.end))
        asked = self.node.serving_certificate.return_value = (
            mock.create_autospec(certificates.NodeCertificate,
                                 instance=True))
        asked.ensure.side_effect = lambda stop: signed.wait(20) and pairs[0]
        renew = threading.Event()

        def run(stop, on_rotated):
            if renew.wait(20):
                on_rotated(pairs[1])

        asked.run.side_effect = run
        made = self.start()
        self.assertIsNone(self.shown(made))
        signed.set()
        wait_for(lambda: self.shown(made), 'a certificate')
        first = self.shown(made)
        renew.set()

        wait_for(lambda: self.shown(made) != first, 'the renewed one')

        self.assertEqual((self.folder / 'second.crt').read_text(),
                         self.shown(made))
        self.assertEqual(('192.0.2.1', 'n1'),
                         self.node.serving_certificate.call_args.args[0])

    def test_a_stop_ends_the_wait_for_a_certificate(self):
        asked = self.node.serving_certificate.return_value = (
            mock.create_autospec(certificates.NodeCertificate,
                                 instance=True))
        asked.ensure.side_effect = lambda stop: stop.wait(20) and None

        self.end(self.start())

        asked.run.assert_not_called()

    def test_where_it_is_not_served_there_is_no_port_and_no_request(self):
        self.set(port=0)

        made = self.start()

        self.assertEqual(0, made.port)
        self.end(made)
        self.node.serving_certificate.assert_not_called()

    def test_without_a_port_the_node_goes_on(self):
        self.set(address='192.0.2.1')

        self.assertEqual(0, self.start().port)

    def test_an_address_that_cannot_be_had_is_an_error_at_start(self):
        service.check(self.conf)
        self.set(address='192.0.2.1')
        error = self.assertRaises(exceptions.ConfigError, service.check,
                                  self.conf)
        self.assertEqual('[kubelet_api] address', error.option)
        self.set(port=0)
        service.check(self.conf)
