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
"""What a WebSocket's request says, and where its token is."""

import base64
import email.message

import hypothesis
from hypothesis import strategies
from oslotest import base

from zun_vk.kubelet import websocket

UPGRADE = (('Connection', 'keep-alive, Upgrade'), ('Upgrade', 'WebSocket'))
PREFIX = 'base64url.bearer.authorization.k8s.io.'
CHANNEL = 'v5.channel.k8s.io'


def headers(*fields):
    made = email.message.Message()
    for name, value in fields:
        made[name] = value
    return made


def encoded(token):
    return PREFIX + base64.urlsafe_b64encode(token).decode().rstrip('=')


def found(*protocols, upgrade=UPGRADE):
    return websocket.bearer_token(headers(
        *upgrade, *(('Sec-WebSocket-Protocol', each) for each in protocols)))


class UpgradeTestCase(base.BaseTestCase):

    def test_both_headers_say_it(self):
        for spdy, fields in (
                (False, ()), (False, (('Upgrade', 'SPDY/3.1'),)),
                (False, (('Connection', 'Upgrade'),)),
                (False, (('Connection', 'upgraded'), ('Upgrade', 'x'))),
                (True, (('Connection', 'a'), ('Connection', 'upGrade ,b'),
                        ('Upgrade', 'SPDY/3.1')))):
            self.assertIs(spdy, websocket.is_upgrade(headers(*fields)))
            self.assertIs(False, websocket.is_websocket(headers(*fields)))
        self.assertIs(True, websocket.is_websocket(headers(*UPGRADE)))


class BearerTokenTestCase(base.BaseTestCase):

    def test_a_token_is_found_wherever_it_stands(self):
        for protocols in ((f'{PREFIX}dG9rZW4,dummy',),
                          (f'a ,{PREFIX}dG9rZW4 , b',),
                          ('a', f'{PREFIX}dG9rZW4'),
                          (f'{PREFIX}dG9rZW4', 'dummy, dummy2')):
            self.assertEqual('token', found(*protocols), protocols)

    def test_no_token_but_of_a_websocket(self):
        for upgrade in ((), UPGRADE[:1], UPGRADE[1:],
                        (UPGRADE[0], ('Upgrade', 'SPDY/3.1'))):
            self.assertIsNone(found(f'{PREFIX}dG9rZW4,{CHANNEL}',
                                    upgrade=upgrade))

    def test_two_tokens_are_none(self):
        one, two = encoded(b'one'), encoded(b'two')
        for protocols in ((f'{one},{two},{CHANNEL}',),
                          (f'{one},{one},{CHANNEL}',),
                          (f'{one},{CHANNEL}', two),
                          (f'{one},{PREFIX},{CHANNEL}',)):
            self.assertIsNone(found(*protocols), protocols)

    def test_another_protocol_has_to_be_left(self):
        for protocols in ((), ('',), (CHANNEL,), (encoded(b'token'),),
                          (f'{encoded(b"token")},',),
                          (f' , {encoded(b"token")}', '')):
            self.assertIsNone(found(*protocols), protocols)

    def test_what_is_no_base64_of_a_text_is_none(self):
        for text in ('', 'dG9rZW4=', 'dG9r ZW4', 'dG9rZ', 'dG9r.ZW4', 'a+b/',
                     '\u00e4', '_w'):
            self.assertIsNone(found(f'{PREFIX}{text},{CHANNEL}'), text)

    @hypothesis.given(strategies.text(
        strategies.characters(exclude_categories=['Cs']), min_size=1))
    def test_every_text_comes_back(self, token):
        self.assertEqual(token, found(
            f'{CHANNEL},{encoded(token.encode())}'))

    @hypothesis.given(strategies.text())
    def test_noise_is_no_error(self, noise):
        found(f'{PREFIX}{noise}', CHANNEL)

    def test_nothing_is_left_of_a_token(self):
        self.assertEqual('a, b', websocket.without_token(
            f'a,{encoded(b"token")} ,b'))
        self.assertEqual('', websocket.without_token(
            f'{PREFIX}, {PREFIX}!'))
