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
"""Whose a request is, and that whatever is in doubt is nobody's."""

import base64
import datetime
import email.message
import hashlib
import logging
from unittest import mock

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.oid import NameOID
import fixtures
import hypothesis
from hypothesis import strategies
from oslotest import base

from zun_vk import exceptions
from zun_vk.kube import client as kube_client
from zun_vk.kubelet import authn

CN, ORG, UNIT = (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME,
                 NameOID.ORGANIZATIONAL_UNIT_NAME)
UID = x509.ObjectIdentifier('1.3.6.1.4.1.57683.2')
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
NOW = datetime.datetime(2026, 5, 1, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
KEY = ec.generate_private_key(ec.SECP256R1())
TOKEN = 'eyJ.s3cret-token.sig'
PREFIX = 'base64url.bearer.authorization.k8s.io.'
ALICE = {'authenticated': True, 'user': {
    'username': 'alice', 'uid': 'u1', 'groups': ['dev'],
    'extra': {'a': ['b', 'c']}}}


def certificate(*names, purposes=(CLIENT,), begin=NOW - DAY, end=NOW + DAY):
    """Return one with the names, (kind, value), as DER."""
    name = x509.Name([x509.NameAttribute(*each) for each in names])
    builder = x509.CertificateBuilder(
        name, name, KEY.public_key(), 7, begin, end)
    if purposes is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes),
                                        critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(
        serialization.Encoding.DER)


WHOLE = certificate((CN, 'alice'))


def headers(*values):
    made = email.message.Message()
    for value in values:
        made['Authorization'] = value
    return made


def raw(*values):
    """Return headers whose values need not be such."""
    made = mock.create_autospec(email.message.Message, instance=True)
    made.get_all.side_effect = lambda name, failobj=None: (
        list(values) if values and name == 'Authorization' else failobj)
    made.get.return_value = None
    return made


def websocket(protocols):
    made = headers()
    made['Connection'] = 'Upgrade'
    made['Upgrade'] = 'websocket'
    made['Sec-WebSocket-Protocol'] = protocols
    return made


class CertificateTestCase(base.BaseTestCase):

    def of(self, *names, **options):
        return authn.of_certificate(certificate(*names, **options), NOW)

    def test_the_name_and_the_groups_are_the_subjects(self):
        der = certificate((ORG, 'dev'), (ORG, 'ops'), (UNIT, 'x'),
                          (CN, 'alice'))
        user = authn.of_certificate(der, NOW)
        self.assertEqual(
            ('alice', '', ('dev', 'ops', 'system:authenticated')),
            (user.name, user.uid, user.groups))
        self.assertEqual(
            {'authentication.kubernetes.io/credential-id': [
                f'X509SHA256={hashlib.sha256(der).hexdigest()}']},
            user.extra)

    def test_the_last_of_several_names_counts(self):
        self.assertEqual('b', self.of((CN, 'a'), (CN, 'b')).name)

    def test_nobody_is_named(self):
        self.assertIsNone(self.of((ORG, 'system:masters')))
        self.assertIsNone(self.of((ORG, 'system:masters'),
                                  (CN, 'system:anonymous')))

    def test_a_server_is_no_user(self):
        for purposes in ([ExtendedKeyUsageOID.SERVER_AUTH],
                         [ExtendedKeyUsageOID.CODE_SIGNING,
                          x509.ObjectIdentifier('1.2.3.4')]):
            self.assertIsNone(self.of((CN, 'a'), purposes=purposes))

    def test_purposes_that_fit_a_client(self):
        for purposes in (None, [ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE],
                         [ExtendedKeyUsageOID.SERVER_AUTH, CLIENT]):
            self.assertIsNotNone(self.of((CN, 'a'), purposes=purposes))

    def test_a_certificate_ends_within_a_connection(self):
        self.assertIsNone(self.of((CN, 'a'), end=NOW - DAY / 2))
        self.assertIsNone(self.of((CN, 'a'), begin=NOW + DAY / 2))

    def test_a_uid_is_one(self):
        self.assertEqual('u', self.of((CN, 'a'), (UID, 'u')).uid)
        self.assertIsNone(self.of((CN, 'a'), (UID, 'u'), (UID, 'v')))

    @hypothesis.given(strategies.binary(max_size=64),
                      strategies.integers(0, len(WHOLE) - 1))
    def test_what_is_no_certificate_is_nobody(self, noise, at):
        for broken in (noise, WHOLE[:at], WHOLE + b'x'):
            self.assertIsNone(authn.of_certificate(broken, NOW))

    def test_a_changed_certificate_is_read_or_not(self):
        for at in range(len(WHOLE)):
            for byte in (0, 1, 3, 12, 30, 255):
                user = authn.of_certificate(
                    WHOLE[:at] + bytes([byte]) + WHOLE[at + 1:], NOW)
                self.assertTrue(user is None or user.name)


class BearerTestCase(base.BaseTestCase):

    def test_a_token_is_found(self):
        for value in ('Bearer t0k', 'bearer t0k', 'BEARER  t0k',
                      ' Bearer t0k '):
            self.assertEqual(['t0k'], authn.bearer_tokens(headers(value)))

    def test_what_is_no_token_is_none(self):
        for values in ((), ('',), ('Bearer',), ('Bearer ',), ('Basic YTpi',),
                       ('Bearer a b',), ('Bearer a\tb',), ('Bearer\ta',),
                       ('Bearer \u00e4',), ('Bearer a\r\nX: y',),
                       ('Bearer a\x00',), ('Bearert0k',), ('t0k',),
                       ('Bearer ' + 'a' * 20_000,),
                       ('Bearer a', 'Bearer a'), ('Bearer a', 'Bearer b')):
            self.assertEqual([], authn.bearer_tokens(raw(*values)), values)

    @hypothesis.given(strategies.text())
    def test_a_token_holds_nothing_but_visible_ascii(self, text):
        protocol = base64.urlsafe_b64encode(text.encode(
            errors='replace')).decode().rstrip('=')
        made = websocket(f'v5,{PREFIX}{protocol}')
        for tokens in (authn.bearer_tokens(raw(f'Bearer {text}')),
                       authn.bearer_tokens(made)):
            for token in tokens:
                self.assertRegex(token, r'\A[!-~]+\Z')

    def test_that_of_a_websocket_comes_after(self):
        made = websocket(f'v5, {PREFIX}dDJr')
        self.assertEqual(['t2k'], authn.bearer_tokens(made))
        made['Authorization'] = 'Bearer t0k'
        self.assertEqual(['t0k', 't2k'], authn.bearer_tokens(made))

    def test_that_of_a_websocket_is_bounded(self):
        for size, number in ((16_383, 1), (16_386, 0)):
            token = base64.urlsafe_b64encode(b'a' * size).decode()
            self.assertEqual(number, len(authn.bearer_tokens(
                websocket(f'{PREFIX}{token},v5'))))


class ReviewedTestCase(base.BaseTestCase):

    def test_a_user_is_who_the_api_server_says(self):
        user, _ = authn.reviewed({'status': ALICE})
        self.assertEqual(
            ('alice', 'u1', ('dev', 'system:authenticated'),
             {'a': ['b', 'c']}),
            (user.name, user.uid, user.groups, user.extra))

    def test_system_authenticated_is_there_once(self):
        user, _ = authn.reviewed({'status': {
            'authenticated': True, 'user': {
                'username': 'a', 'groups': ['system:authenticated']}}})
        self.assertEqual(('system:authenticated',), user.groups)

    def test_who_is_not_authenticated_is_nobody(self):
        for status in ({}, {'authenticated': False},
                       {'authenticated': 'true', 'user': {'username': 'a'}},
                       {'authenticated': 1, 'user': {'username': 'a'}},
                       {'authenticated': True, 'user': {'username': ''}},
                       {'authenticated': True, 'user': {
                           'username': 'system:anonymous'}}):
            self.assertEqual((None, True), authn.reviewed({'status': status}))

    def test_an_answer_that_is_none_is_an_error(self):
        for status in (None, [], 'x',
                       {'authenticated': True},
                       {'authenticated': True, 'user': []},
                       {'authenticated': True, 'user': {'username': 7}},
                       {'authenticated': True, 'user': {
                           'username': 'a', 'groups': 'system:masters'}},
                       {'authenticated': True, 'user': {
                           'username': 'a', 'groups': [7]}},
                       {'authenticated': True, 'user': {
                           'username': 'a', 'extra': {'b': 'c'}}}):
            self.assertRaises(exceptions.Unavailable, authn.reviewed,
                              {'status': status})


class AuthenticatorTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.time = 1000.0
        self.client = mock.create_autospec(kube_client.KubeClient,
                                           instance=True)
        self.asked = self.client.create_token_review
        self.asked.return_value = {'status': ALICE}
        self.log = self.useFixture(fixtures.FakeLogger(
            level=logging.DEBUG))
        self.authenticator = authn.Authenticator(
            self.client, clock=lambda: self.time, now=lambda: NOW)

    def name(self, *values, der=None):
        user = self.authenticator.authenticate(der, headers(*values))
        return user and user.name

    def test_without_anything_a_request_is_nobodys(self):
        self.assertIsNone(self.name())
        self.assertIsNone(self.name('Basic YTpi'))
        self.asked.assert_not_called()

    def test_a_certificate_asks_nobody(self):
        self.assertEqual('bob', self.name(f'Bearer {TOKEN}',
                                          der=certificate((CN, 'bob'))))
        self.asked.assert_not_called()

    def test_a_certificate_of_nobody_leaves_the_token(self):
        der = certificate((ORG, 'system:masters'))
        self.assertIsNone(self.name(der=der))
        self.assertEqual('alice', self.name(f'Bearer {TOKEN}', der=der))

    def test_a_token_is_reviewed_for_the_api_servers_own_audience(self):
        self.assertEqual('alice', self.name(f'Bearer {TOKEN}'))
        self.asked.assert_called_once_with({
            'apiVersion': 'authentication.k8s.io/v1', 'kind': 'TokenReview',
            'spec': {'token': TOKEN}})

    def test_a_websockets_token_is_reviewed_as_any_other(self):
        encoded = base64.urlsafe_b64encode(TOKEN.encode()).decode()
        made = websocket(f'{PREFIX}{encoded.rstrip("=")}, v5.channel.k8s.io')
        self.assertEqual(
            'alice', self.authenticator.authenticate(None, made).name)
        self.assertEqual('alice', self.name(f'Bearer {TOKEN}'))
        self.asked.assert_called_once_with({
            'apiVersion': 'authentication.k8s.io/v1', 'kind': 'TokenReview',
            'spec': {'token': TOKEN}})

    def test_one_of_two_tokens_has_to_be_somebodys(self):
        self.asked.side_effect = lambda review: {'status': (
            ALICE if review['spec']['token'] == 't2k' else {})}
        made = websocket(f'v5, {PREFIX}dDJr')
        made['Authorization'] = 'Bearer t0k'
        self.assertEqual(
            'alice', self.authenticator.authenticate(None, made).name)
        self.asked.side_effect = None
        self.asked.return_value = {'status': {}}
        self.time += 120
        self.assertIsNone(self.authenticator.authenticate(None, made))

    def test_a_token_is_reviewed_again_after_two_minutes(self):
        for later, times in ((0, 1), (119.9, 1), (0.1, 2), (119, 2)):
            self.time += later
            self.assertEqual('alice', self.name(f'Bearer {TOKEN}'))
            self.assertEqual(times, self.asked.call_count)

    def test_the_two_minutes_begin_as_it_is_asked(self):
        def slowly(_review):
            self.time += 4
            return {'status': ALICE}
        self.asked.side_effect = slowly
        self.name(f'Bearer {TOKEN}')
        self.time += 116
        self.name(f'Bearer {TOKEN}')
        self.assertEqual(2, self.asked.call_count)

    def test_a_token_that_is_revoked_then_is_nobodys(self):
        self.assertEqual('alice', self.name(f'Bearer {TOKEN}'))
        self.asked.return_value = {'status': {'authenticated': False}}
        self.time += 120
        self.assertIsNone(self.name(f'Bearer {TOKEN}'))

    def test_tokens_are_told_apart(self):
        self.assertEqual('alice', self.name(f'Bearer {TOKEN}'))
        self.asked.return_value = {'status': {'authenticated': False}}
        self.assertIsNone(self.name(f'Bearer {TOKEN}x'))
        self.assertIsNone(self.name(f'Bearer {TOKEN[:-1]}'))

    def test_a_certain_no_is_kept_one_with_an_error_is_not(self):
        for error, times in (('', 1), ('expired', 2)):
            self.asked.reset_mock()
            self.asked.return_value = {'status': {
                'authenticated': False, 'error': error}}
            for _ in range(2):
                self.assertIsNone(self.name(f'Bearer no{error}'))
            self.assertEqual(times, self.asked.call_count)
        self.time += 120
        self.asked.return_value = {'status': ALICE}
        self.assertEqual('alice', self.name('Bearer no'))

    def test_a_failure_lets_nobody_in_and_is_not_kept(self):
        for error in (exceptions.Unavailable('kubernetes', 'x', 503),
                      exceptions.Throttled('kubernetes', 'x'),
                      exceptions.AccessDenied('kubernetes', 'x', 403),
                      exceptions.Unreachable('kubernetes', 'x')):
            self.asked.side_effect = error
            self.assertIsNone(self.name(f'Bearer {TOKEN}'))
            self.asked.side_effect = None
            self.asked.return_value = {'status': None}
            self.assertIsNone(self.name(f'Bearer {TOKEN}'))
        self.asked.return_value = {'status': ALICE}
        self.assertEqual('alice', self.name(f'Bearer {TOKEN}'))

    def test_a_connection_that_was_closed_is_tried_once_more(self):
        self.asked.side_effect = [
            exceptions.Unreachable('kubernetes', 'reset'), {'status': ALICE}]
        self.assertEqual('alice', self.name(f'Bearer {TOKEN}'))

    def test_a_time_out_is_not_tried_again(self):
        def late(_review):
            self.time += 5
            raise exceptions.Unreachable('kubernetes', 'timed out')
        self.asked.side_effect = late
        self.assertIsNone(self.name(f'Bearer {TOKEN}'))
        self.assertEqual(1, self.asked.call_count)

    def test_a_token_stands_neither_in_the_log_nor_in_memory(self):
        self.asked.side_effect = exceptions.Rejected(
            'kubernetes', f'bad {TOKEN}', 400)
        self.name(f'Bearer {TOKEN}')
        self.assertIn('bad ***', self.log.output)
        self.assertNotIn(TOKEN, self.log.output)
        self.asked.side_effect = None
        self.name(f'Bearer {TOKEN}')
        kept = repr(vars(self.authenticator._users))
        self.assertIn('alice', kept)
        self.assertNotIn(TOKEN, kept)
        self.assertNotIn(repr(hashlib.sha256(TOKEN.encode()).digest()), kept)

    def test_an_outage_does_not_fill_the_log(self):
        self.asked.side_effect = exceptions.Unavailable('kubernetes', 'x')
        for number in range(200):
            self.name(f'Bearer t{number}')
        self.assertEqual(10, self.log.output.count('could not be reviewed'))

    def test_tokens_that_are_none_do_not_push_out_a_users(self):
        self.name(f'Bearer {TOKEN}')
        self.asked.return_value = {'status': {'authenticated': False}}
        for number in range(5000):
            self.name(f'Bearer t{number}')
        self.asked.reset_mock()
        self.assertEqual('alice', self.name(f'Bearer {TOKEN}'))
        self.asked.assert_not_called()
        self.assertLessEqual(len(self.authenticator._nobodies), 4096)
