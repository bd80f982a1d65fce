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
"""The node's certificate: got once, kept, renewed, never taken from others."""

import datetime
import os
import pathlib
import stat
import threading

import fixtures
from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from zun_vk import exceptions
from zun_vk import health
from zun_vk.kube import certificates
from zun_vk.kube import client as kube_client
from zun_vk.kube import keypair
from zun_vk.tests.fixtures import pki
from zun_vk.tests.fixtures.wait import wait_for
from zun_vk.tests.unit.kube import api
from zun_vk.tests.unit.kube import signer

AGENT, NODE = 's3cret-agent', 's3cret-node'
FOREVER = 30
KEY = keypair.Key()
SIGNING_REQUEST = keypair.Key.signing_request


class CertificateTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        running = self.useFixture(signer.SignerFixture())
        self.folder, self.signer = running.folder, running.signer
        self.directory = self.folder / 'pki'
        self.stop = threading.Event()
        self.health = health.Health()
        self.ahead = datetime.timedelta()
        self.connected = []

    def make(self, profile=keypair.CLIENT, connect=True):
        return certificates.NodeCertificate(
            self.client(AGENT), self.directory, 'n1', self.health, profile,
            self.connect if connect else None,
            clock=lambda: certificates.wall_clock() + self.ahead,
            chance=lambda: 0.5)

    def client(self, token):
        path = self.folder / f'{token}.kubeconfig'
        conf = api.make_conf(str(path))
        path.write_text(str(api.kubeconfig(
            {'token': token}, server=self.signer.url)))
        return kube_client.KubeClient(conf)

    def connect(self, credentials):
        self.connected.append(credentials)
        return self.client(NODE)

    def files(self):
        return sorted(path.name for path in (self.directory / 'n1').iterdir())

    def in_thread(self, call, *args):
        """Run it; return a list that its result will be in."""
        result = []
        thread = threading.Thread(
            target=lambda: result.append(call(*args)), daemon=True)
        thread.start()
        self.addCleanup(thread.join, 10)
        self.addCleanup(self.stop.set)
        return result


class TestFirst(CertificateTestCase):

    def test_it_is_requested_as_the_agent(self):
        got = self.make().ensure(self.stop)

        self.assertEqual([AGENT], self.signer.asked_by)
        pem = pathlib.Path(got.path).read_bytes()
        keypair.checked(pem, keypair.Key.read(pem), 'n1', keypair.CLIENT)
        self.assertEqual([], self.health.problems())

    def test_nobody_else_may_read_a_key(self):
        previous = os.umask(0)
        self.addCleanup(os.umask, previous)
        self.signer.decision = 'wait'
        self.in_thread(self.make().ensure, self.stop)
        wait_for(lambda: self.signer.known, 'a request', FOREVER)
        pending = self.directory / 'n1' / 'client-pending.key'
        self.assertEqual(0o600, stat.S_IMODE(pending.stat().st_mode))
        self.assertEqual(
            0o700, stat.S_IMODE((self.directory / 'n1').stat().st_mode))
        self.signer.decide('sign')
        current = self.directory / 'n1' / 'client-current.pem'
        wait_for(current.exists, 'the pair', FOREVER)

        self.assertEqual(0o600, stat.S_IMODE(current.stat().st_mode))
        wait_for(lambda: not pending.exists(), 'no pending key', FOREVER)

    def test_a_good_one_is_used_again(self):
        first = self.make().ensure(self.stop)

        again = self.make().ensure(self.stop)

        self.assertEqual(first, again)
        self.assertEqual(1, len(self.signer.known))

    def test_a_request_survives_the_agent(self):
        self.signer.decision = 'wait'
        self.in_thread(self.make().ensure, self.stop)
        wait_for(lambda: self.signer.known, 'a request', FOREVER)
        self.stop.set()
        self.signer.decide('sign')

        self.make().ensure(threading.Event())

        self.assertEqual(1, len(self.signer.known))

    def test_a_request_that_was_cleaned_away_is_made_again(self):
        self.signer.decision = 'wait'
        result = self.in_thread(self.make().ensure, self.stop)
        wait_for(lambda: self.signer.known, 'a request', FOREVER)
        self.signer.decision = 'sign'
        self.signer.known.clear()

        wait_for(lambda: result, 'the certificate', FOREVER)

    def test_a_denied_one_is_a_problem_and_comes_later_with_a_new_key(self):
        self.useFixture(fixtures.MockPatchObject(
            certificates.backoff.Backoff, 'next', lambda self: 0.05))
        self.signer.decision = 'Denied'
        result = self.in_thread(self.make().ensure, self.stop)
        wait_for(self.health.problems, 'a problem', FOREVER)
        self.assertIn('Denied: not today', self.health.problems()[0].message)

        self.signer.decision = 'sign'

        wait_for(lambda: result, 'the certificate', FOREVER)
        self.assertLess(1, len(self.signer.known))
        self.assertEqual([], self.health.problems())

    def test_a_denied_one_is_not_asked_for_at_once_again(self):
        waits = []
        self.useFixture(fixtures.MockPatchObject(
            self.stop, 'wait', lambda seconds: waits.append(seconds)
            or self.stop.set()))
        self.signer.decision = 'Failed'

        self.assertIsNone(self.make().ensure(self.stop))

        self.assertLessEqual(30, waits[0])

    def test_a_request_that_nobody_decides_on_is_a_problem(self):
        self.useFixture(fixtures.MockPatchObject(
            certificates, '_PATIENCE', -1))
        self.signer.decision = 'wait'

        result = self.in_thread(self.make().ensure, self.stop)

        wait_for(self.health.problems, 'a problem', FOREVER)
        name, = self.signer.known
        self.assertIn(name, self.health.problems()[0].message)
        self.signer.decide('sign')
        wait_for(lambda: result, 'the certificate', FOREVER)
        self.assertEqual([], self.health.problems())

    def test_an_api_server_that_fails_is_asked_again(self):
        self.useFixture(fixtures.MockPatchObject(
            certificates.backoff.Backoff, 'next', lambda self: 0.01))
        self.signer.fail_next('POST', status=503, times=2)
        self.signer.fail_next('POST', drop=True)

        self.assertIsNotNone(self.make().ensure(self.stop))

    def test_a_stop_ends_the_wait(self):
        self.signer.decision = 'wait'
        result = self.in_thread(self.make().ensure, self.stop)
        wait_for(lambda: self.signer.known, 'a request', FOREVER)

        self.stop.set()

        wait_for(lambda: result, 'the end', FOREVER)
        self.assertEqual([None], result)

    def test_one_that_has_ended_by_our_clock_is_refused(self):
        self.signer.life = -pki.HOUR / 2
        self.in_thread(self.make().ensure, self.stop)

        wait_for(self.health.problems, 'a problem', FOREVER)

        self.assertIn('clock', self.health.problems()[0].message)

    def test_one_that_begins_later_by_our_clock_is_used(self):
        self.signer.begin = pki.HOUR

        self.assertIsNotNone(self.make().ensure(self.stop))

    def test_one_of_another_key_is_refused(self):
        other = keypair.Key()
        self.useFixture(fixtures.MockPatchObject(
            keypair.Key, 'signing_request',
            lambda key, *args: SIGNING_REQUEST(other, *args)))
        self.in_thread(self.make().ensure, self.stop)

        wait_for(self.health.problems, 'a problem', FOREVER)

        self.assertIn('another key', self.health.problems()[0].message)
        self.assertEqual([], self.files())

    def test_a_request_of_the_same_name_that_is_not_ours_is_not_used(self):
        mine, other = keypair.Key(), keypair.Key()
        keypair.Store(self.directory / 'n1', 'client').save_pending(mine)
        self.client(AGENT).create_signing_request({
            'metadata': {'name': mine.request_name(keypair.CLIENT)},
            'spec': {
                'request': certificates.base64.b64encode(
                    other.signing_request('n2', keypair.CLIENT)).decode(),
                'signerName': keypair.CLIENT.signer,
                'usages': list(keypair.CLIENT.usages)}})
        self.in_thread(self.make().ensure, self.stop)

        wait_for(self.health.problems, 'a problem', FOREVER)

        self.assertIn('not of this key', self.health.problems()[0].message)
        self.assertNotIn('client-pending.key', self.files())

    def test_a_full_disk_is_a_problem_and_not_the_end(self):
        self.useFixture(fixtures.MockPatchObject(
            certificates.backoff.Backoff, 'next', lambda self: 0.01))
        made = self.make()
        full = fixtures.MockPatchObject(
            keypair, '_write', side_effect=OSError(28, 'No space left'))
        with full:
            result = self.in_thread(made.ensure, self.stop)
            wait_for(self.health.problems, 'a problem', FOREVER)

        wait_for(lambda: result, 'the certificate', FOREVER)


class TestKept(CertificateTestCase):

    def test_one_that_has_ended_is_not_used(self):
        first = self.make().ensure(self.stop)
        self.signer.life = 3 * pki.DAY
        self.ahead = 2 * pki.DAY

        second = self.make().ensure(self.stop)

        self.assertNotEqual(first, second)
        self.assertEqual([AGENT, AGENT], self.signer.asked_by)

    def test_one_of_another_authority_is_not_used(self):
        first = self.make().ensure(self.stop)
        self.signer.refused.add(NODE)

        second = self.make().ensure(self.stop)

        self.assertNotEqual(first, second)

    def test_one_of_another_node_is_not_used(self):
        theirs = certificates.NodeCertificate(
            self.client(AGENT), self.directory, 'n2', self.health,
            connect=self.connect).ensure(self.stop)
        stolen = keypair.Store(self.directory / 'n1', 'client').save(
            pathlib.Path(theirs.path).read_bytes())

        got = self.make().ensure(self.stop)

        self.assertNotEqual(str(stolen), got.path)
        self.assertEqual(2, len(self.signer.known))

    def test_one_that_others_could_read_is_not_used(self):
        first = self.make().ensure(self.stop)
        os.chmod(first.path, 0o640)

        second = self.make().ensure(self.stop)

        self.assertNotEqual(first, second)

    def test_one_that_is_cut_off_is_not_used(self):
        first = self.make().ensure(self.stop)
        path = pathlib.Path(first.path)
        for part in (path.read_bytes()[:300], b'', b'\xff\x00'):
            path.write_bytes(part)
            second = self.make().ensure(self.stop)
            self.assertNotEqual(first, second)
            path = pathlib.Path(second.path)

    def test_it_is_used_though_the_api_server_does_not_answer(self):
        first = self.make().ensure(self.stop)
        self.signer.stop()

        self.assertEqual(first, self.make().ensure(self.stop))

    def test_a_directory_that_others_may_read_is_an_error(self):
        self.directory.mkdir(mode=0o700)
        (self.directory / 'n1').mkdir(mode=0o750)
        os.chmod(self.directory / 'n1', 0o750)

        error = self.assertRaises(exceptions.ConfigError, self.make)

        self.assertEqual(keypair.OPTION, error.option)

    def test_a_file_in_the_place_of_the_directory_is_an_error(self):
        self.directory.write_text('')

        error = self.assertRaises(exceptions.ConfigError, self.make)

        self.assertEqual(keypair.OPTION, error.option)


class TestRenewal(CertificateTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            certificates, '_LOOK_INTERVAL', 0.01))
        self.certificate = self.make()
        self.first = self.certificate.ensure(self.stop)
        self.renewed = []

    def run_on(self, *, ahead):
        self.ahead = ahead
        self.signer.life = ahead + pki.DAY
        self.in_thread(self.certificate.run, self.stop, self.renewed.append)

    def test_it_is_left_alone_in_its_first_two_thirds(self):
        self.ahead = pki.DAY * 2 / 3

        self.assertLess(0, self.certificate._pause())

    def test_it_is_renewed_in_time_with_its_own_rights(self):
        self.run_on(ahead=pki.DAY * 0.95)

        wait_for(lambda: self.renewed, 'a new one', FOREVER)

        self.assertEqual([AGENT, NODE], self.signer.asked_by)
        self.assertEqual([self.first], self.connected)
        self.assertTrue(pathlib.Path(self.first.path).exists())

    def test_only_the_last_two_are_kept(self):
        self.run_on(ahead=pki.DAY * 0.95)
        wait_for(lambda: self.renewed, 'a new one', FOREVER)
        self.stop.set()
        self.stop = threading.Event()
        self.signer.life = 5 * pki.DAY
        self.run_on(ahead=2 * pki.DAY)

        wait_for(lambda: len(self.renewed) == 2, 'a third one', FOREVER)

        self.assertFalse(pathlib.Path(self.first.path).exists())
        self.assertEqual(3, len(self.files()))

    def test_after_its_end_the_agent_asks_for_it(self):
        self.run_on(ahead=2 * pki.DAY)

        wait_for(lambda: self.renewed, 'a new one', FOREVER)

        self.assertEqual([AGENT, AGENT], self.signer.asked_by)

    def test_where_the_node_may_not_the_agent_asks_for_it(self):
        self.signer.refused.add(NODE)
        self.run_on(ahead=pki.DAY * 0.95)

        wait_for(lambda: self.renewed, 'a new one', FOREVER)

        self.assertEqual([AGENT, AGENT], self.signer.asked_by)

    def test_while_it_fails_the_old_one_stays_and_is_no_problem(self):
        self.useFixture(fixtures.MockPatchObject(
            certificates.backoff.Backoff, 'next', lambda self: 0.01))
        self.signer.decision = 'Denied'
        self.run_on(ahead=pki.DAY * 0.95)
        wait_for(lambda: len(self.signer.known) > 2, 'refusals', FOREVER)

        self.assertEqual([], self.health.problems())
        current = self.directory / 'n1' / 'client-current.pem'
        self.assertEqual(self.first.path, str(current.resolve()))
        self.ahead = pki.DAY * 1.5
        wait_for(self.health.problems, 'a problem', FOREVER)

        self.signer.decision = 'sign'
        wait_for(lambda: self.renewed, 'a new one', FOREVER)
        self.assertEqual([], self.health.problems())

    def test_a_key_in_use_is_not_asked_for_again(self):
        pem = pathlib.Path(self.first.path).read_bytes()
        keypair.Store(self.directory / 'n1', 'client').save_pending(
            keypair.Key.read(pem))
        self.run_on(ahead=pki.DAY * 0.95)

        wait_for(lambda: self.renewed, 'a new one', FOREVER)

        self.assertEqual(2, len(self.signer.known))

    def test_many_do_not_renew_at_once(self):
        begin = certificates.wall_clock()
        for chance, part in ((0.0, 0.7), (0.5, 0.8), (1.0, 0.9)):
            self.assertEqual(
                begin + pki.DAY * part,
                certificates.renewal_time(begin, begin + pki.DAY, chance))


class TestServing(CertificateTestCase):

    def test_it_is_of_the_nodes_addresses(self):
        profile = keypair.serving('192.0.2.7', 'n1.example.org')

        got = self.make(profile, connect=False).ensure(self.stop)

        pem = pathlib.Path(got.path).read_bytes()
        keypair.checked(pem, keypair.Key.read(pem), 'n1', profile)

    def test_another_address_needs_another_one(self):
        first = self.make(keypair.serving('192.0.2.7'), False).ensure(
            self.stop)

        second = self.make(keypair.serving('192.0.2.8'), False).ensure(
            self.stop)

        self.assertNotEqual(first, second)

    def test_it_lies_beside_that_of_the_client(self):
        client = self.make().ensure(self.stop)
        self.make(keypair.serving('192.0.2.7'), False).ensure(self.stop)

        self.assertEqual(client, self.make().ensure(self.stop))


class TestReading(base.BaseTestCase):

    @given(st.binary(max_size=200))
    def test_no_bytes_are_taken_for_a_key(self, raw):
        self.assertRaises(ValueError, keypair.Key.read, raw)

    @given(st.binary(max_size=200))
    def test_no_bytes_are_taken_for_a_certificate(self, raw):
        self.assertRaises(ValueError, keypair.checked, raw, KEY, 'n1',
                          keypair.CLIENT)

    def test_a_key_of_another_kind_is_refused_without_its_words(self):
        encrypted = KEY._key.private_bytes(
            pki.serialization.Encoding.PEM,
            pki.serialization.PrivateFormat.PKCS8,
            pki.serialization.BestAvailableEncryption(b'x'))
        for pem in (encrypted, b'-----BEGIN PRIVATE KEY-----\ns3cret'):
            error = self.assertRaises(ValueError, keypair.Key.read, pem)
            self.assertNotIn('s3cret', str(error))

    def test_names_of_requests_follow_key_and_signer(self):
        names = {KEY.request_name(keypair.CLIENT),
                 KEY.request_name(keypair.serving('192.0.2.7')),
                 keypair.Key().request_name(keypair.CLIENT)}
        self.assertEqual(3, len(names))
        self.assertEqual(KEY.request_name(keypair.CLIENT),
                         keypair.Key.read(KEY.pem()).request_name(
                             keypair.CLIENT))
