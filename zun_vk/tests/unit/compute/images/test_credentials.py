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
import re

import hypothesis
from hypothesis import strategies as st
from oslotest import base

from zun_vk.compute.images import credentials
from zun_vk.compute.images import globs
from zun_vk.rpc import payload as rpc

_TEXTS = st.text('ab*[]^-\\', max_size=12)


def _of(*registries):
    return [rpc.Credential(registry, username=f'user{number}',
                           password='secret')
            for number, registry in enumerate(registries)]


def _found(repository, *registries):
    return [each.registry for each in credentials.matching(
        _of(*registries), repository)]


class GlobsTestCase(base.BaseTestCase):

    def test_globs(self):
        for pattern, text, expected in (
                ('', '', True), ('*', '', True), ('*', 'abc', True),
                ('a*', 'abc', True), ('*c', 'abc', True),
                ('a*c', 'ac', True), ('a*b*c', 'axbybzc', True),
                ('a*', 'ba', False), ('abc', 'abcd', False),
                ('abcd', 'abc', False), ('[a-c]x', 'bx', True),
                ('[^a-c]x', 'bx', False), ('[^a-c]x', 'dx', True),
                (r'\*', '*', True), (r'\*', 'a', False),
                (r'[\-x]', '-', True),
                ('a?c', 'abc', False)):
            self.assertIs(expected, globs.matches(pattern, text), pattern)

    def test_a_pattern_that_makes_no_sense_matches_nothing(self):
        for pattern in ('[', '[a', '[a-', '[]', '[-a]', '\\', '[a-]', '[\\'):
            for text in ('', 'a', pattern):
                self.assertFalse(globs.matches(pattern, text), pattern)

    @hypothesis.given(st.text('ab*', max_size=12), st.text('ab', max_size=12))
    def test_stars_are_as_those_of_expressions(self, pattern, text):
        expected = re.fullmatch(pattern.replace('*', '.*'), text)
        self.assertEqual(bool(expected), globs.matches(pattern, text))

    @hypothesis.given(_TEXTS, _TEXTS)
    def test_nothing_is_too_strange(self, pattern, text):
        globs.matches(pattern, text)

    def test_nothing_takes_long(self):
        self.assertFalse(globs.matches('*a' * 1000, 'a' * 999))


class MatchingTestCase(base.BaseTestCase):

    def test_a_registry_is_for_its_images(self):
        for registry in ('registry.example', 'https://registry.example',
                         'http://registry.example/',
                         'https://registry.example/v1/',
                         'https://registry.example/v2/',
                         'user@registry.example', '*.example', 'reg*.ex*le',
                         'registry.example/te', 'registry.example/team/app',
                         'registry.example/v2/team'):
            self.assertEqual([registry], _found(
                'registry.example/team/app', registry))

    def test_it_is_for_no_others(self):
        for registry in ('example', '*', 'other.example',
                         'a.registry.example', '*.*.example',
                         'registry.example:443', 'registry.example/other',
                         'registry.example/team/app/more', '', '/',
                         'registry.exampl', '[registry.example', 'ftp://x'):
            self.assertEqual([], _found('registry.example/team/app',
                                        registry), registry)

    def test_ports_must_be_equal(self):
        self.assertEqual(['*.example:5000'], _found(
            'registry.example:5000/app', '*.example', '*.example:5000',
            'registry.example:5001'))
        self.assertEqual(['[2001:db8::1]:5000'], _found(
            '[2001:db8::1]:5000/app', '[2001:db8::1]:5000', '[::2]:5000'))

    def test_dockers_registry_has_its_old_key(self):
        for key in ('https://index.docker.io/v1/', 'index.docker.io',
                    'docker.io', 'docker.io/library'):
            self.assertEqual([key], _found('docker.io/library/busybox', key))
        self.assertEqual([], _found('registry.example/busybox',
                                    'https://index.docker.io/v1/'))

    def test_what_names_it_comes_before_the_old_key(self):
        self.assertEqual(['docker.io'], _found(
            'docker.io/user/app', 'https://index.docker.io/v1/',
            'docker.io'))

    def test_longer_paths_are_tried_first_else_the_pods_order_holds(self):
        registries = ('registry.example', '*.example',
                      'registry.example/team', 'https://registry.example')
        self.assertEqual(
            ['registry.example/team', 'registry.example',
             'https://registry.example', '*.example'],
            _found('registry.example/team/app', *registries))

    def test_auth_is_user_and_password_in_one(self):
        for text in ('dXNlcjpwYXNzOndvcmQ=', 'dXNlcjpwYXNzOndvcmQ',
                     ' dXNlcjpwYXNzOndvcmQ=\n'):
            found, = credentials.matching(
                [rpc.Credential('a.b', auth=text, username='other')],
                'a.b/c')
            config = credentials.auth_config(found)
            self.assertEqual(('user', 'pass:word', ''), (
                config.username, config.password, config.auth))

    def test_what_is_of_no_use_is_left_out(self):
        for fields in ({}, {'auth': '?'}, {'auth': 'dXNlcg=='},
                       {'auth': '/w=='}, {'auth': 'ü'},
                       {'username': 'a', 'password': '\ud800'}):
            self.assertEqual([], credentials.matching(
                [rpc.Credential('a.b', **fields)], 'a.b/c'), fields)

    def test_tokens_are_passed_on(self):
        found, = credentials.matching([rpc.Credential(
            'a.b', identity_token='one', registry_token='two')], 'a.b/c')
        config = credentials.auth_config(found)
        self.assertEqual(('one', 'two'), (config.identity_token,
                                          config.registry_token))

    @hypothesis.given(st.text(), st.text())
    def test_no_registry_is_too_strange(self, registry, auth):
        credentials.matching(
            [rpc.Credential(registry, auth=auth, username='a')], 'a.b/c')


class ScrubTestCase(base.BaseTestCase):

    def test_no_form_of_a_secret_is_left(self):
        auth = base64.b64encode(b'user:pass/word').decode()
        given = [rpc.Credential('a.b', auth=auth),
                 rpc.Credential('a.b', username='user', password='pass/word',
                                registry_token='token-1')]
        text = credentials.scrub(
            f'get https://user:pass/word@a.b: pass%2Fword {auth} token-1 '
            'pass/wordy', given)
        for secret in ('pass', 'word', auth, 'token-1'):
            self.assertNotIn(secret, text)
        self.assertIn('https://user:***@a.b', text)

    def test_other_words_stay(self):
        self.assertEqual('user: a failed', credentials.scrub(
            'user: a failed', [rpc.Credential('a.b', 'user', 'a'),
                               rpc.Credential('a.b')]))

    @hypothesis.given(st.text(min_size=4), st.text())
    def test_no_secret_is_too_strange(self, secret, rest):
        text = credentials.scrub(rest + secret + rest, [
            rpc.Credential('a.b', password=secret)])
        hypothesis.assume(secret not in '***' * 9)
        hypothesis.assume('*' not in secret)
        self.assertNotIn(secret, text)
