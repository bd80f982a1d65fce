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
"""Clients of a node call as the node, whatever happens to its certificate."""

import os
import threading

import fixtures
from oslotest import base

from zun_vk import exceptions
from zun_vk import health
from zun_vk.kube import certificates
from zun_vk.kube import client as kube_client
from zun_vk.kube import node_identity
from zun_vk.tests.fixtures import pki
from zun_vk.tests.fixtures.wait import wait_for
from zun_vk.tests.unit.kube import api
from zun_vk.tests.unit.kube import signer

AGENT = 's3cret-agent'


class NodeIdentityTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        running = self.useFixture(signer.SignerFixture())
        self.folder, self.signer = running.folder, running.signer
        path = self.folder / 'kubeconfig'
        path.write_text(str(api.kubeconfig({'token': AGENT},
                                           server=self.signer.url)))
        self.conf = api.make_conf(str(path))
        self.conf.set_override('state_path', str(self.folder / 'state'),
                               group='agent')
        self.stop = threading.Event()
        self.addCleanup(self.stop.set)

    def make(self):
        return node_identity.NodeIdentity(
            self.conf, kube_client.KubeClient(self.conf), 'n1',
            health.Health())

    def caller(self, client):
        """Return who a client calls as: a token, or a certificate."""
        try:
            client.get_node('n1')
        except exceptions.NotFound:
            token = self.signer.seen[-1].headers.get('Authorization', '')
        return (token.partition(' ')[2]
                or client.transport.configuration.cert_file)


class TestByRequest(NodeIdentityTestCase):

    def test_clients_call_as_the_node_from_when_it_has_a_certificate(self):
        node = self.make()
        early = node.client()
        self.assertEqual(AGENT, self.caller(early))

        self.assertTrue(node.ensure(self.stop))

        late = node.client()
        self.assertEqual(self.caller(early), self.caller(late))
        self.assertTrue(self.caller(late).startswith(
            str(self.folder / 'state' / 'pki' / 'n1')))

    def test_clients_take_up_a_renewed_certificate(self):
        self.useFixture(fixtures.MockPatchObject(
            certificates, '_LOOK_INTERVAL', 0.01))
        self.signer.life = pki.HOUR / 3600
        node = self.make()
        node.ensure(self.stop)
        client = node.client(timeout=5)
        first = self.caller(client)
        self.signer.life = pki.DAY
        thread = threading.Thread(target=node.run, args=(self.stop,),
                                  daemon=True)
        thread.start()

        wait_for(lambda: self.caller(client) != first, 'the new one', 30)

        self.stop.set()
        thread.join(10)
        self.assertFalse(thread.is_alive())

    def test_a_certificate_for_serving_is_asked_for_as_the_node(self):
        node_identity.prepare(self.conf)
        node = self.make()
        node.ensure(self.stop)

        got = node.serving_certificate(
            ('192.0.2.1', 'n1'), health.Health()).ensure(self.stop)

        self.assertEqual(str(self.folder / 'state' / 'pki' / 'n1'),
                         os.path.dirname(got.path))
        asked = [request for request in self.signer.known.values()
                 if request['spec']['signerName']
                 == 'kubernetes.io/kubelet-serving']
        self.assertEqual(1, len(asked))
        self.assertNotEqual(AGENT, self.caller(node.client()))

    def test_clients_that_nobody_uses_are_forgotten(self):
        node = self.make()
        client = node.client()
        self.assertEqual(1, len(node._clients))
        del client
        self.assertEqual(0, len(node._clients))

    def test_options_of_a_client_are_kept_over_a_change(self):
        def refuse():
            raise ZeroDivisionError

        node = self.make()
        client = node.client(guard=refuse)
        node.ensure(self.stop)
        self.assertRaises(ZeroDivisionError, client.create_node, {})

    def test_a_stop_is_no_identity(self):
        self.signer.decision = 'wait'
        self.stop.set()
        self.assertFalse(self.make().ensure(self.stop))

    def test_a_place_that_others_can_read_is_an_error(self):
        place = self.folder / 'state' / 'pki'
        place.mkdir(parents=True)
        os.chmod(place, 0o755)
        error = self.assertRaises(exceptions.ConfigError,
                                  node_identity.prepare, self.conf)
        self.assertEqual('[agent] state_path', error.option)


class TestGiven(NodeIdentityTestCase):

    def setUp(self):
        super().setUp()
        self.conf.set_override('node_identity', 'kubeconfig',
                               group='kubernetes')

    def test_the_kubeconfigs_credentials_are_the_nodes(self):
        node = self.make()
        self.assertTrue(node.ensure(self.stop))
        self.assertEqual(AGENT, self.caller(node.client()))
        node.run(self.stop)

    def test_nothing_is_requested_and_kept(self):
        node_identity.prepare(self.conf)
        self.make().ensure(self.stop)
        self.assertEqual({}, self.signer.known)
        self.assertFalse((self.folder / 'state').exists())

    def test_a_certificate_for_serving_is_asked_for_all_the_same(self):
        got = self.make().serving_certificate(
            ('192.0.2.1', 'n1'), health.Health()).ensure(self.stop)

        self.assertTrue(got.path.startswith(
            str(self.folder / 'state' / 'pki' / 'n1')))
