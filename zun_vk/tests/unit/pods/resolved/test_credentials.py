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
import json

import hypothesis
from hypothesis import strategies as st
from oslotest import base

from zun_vk.kube import objects
from zun_vk.pods.resolved import credentials
from zun_vk.rpc import payload

_JSON = ('kubernetes.io/dockerconfigjson', '.dockerconfigjson')
_OLD = ('kubernetes.io/dockercfg', '.dockercfg')


def _auth(text):
    return base64.b64encode(text.encode()).decode()


def _secret(kind, content):
    if not isinstance(content, bytes):
        content = json.dumps(content).encode()
    return objects.Secret(kind[0], {kind[1]: content})


class ReadTestCase(base.BaseTestCase):

    def test_both_types_hold_registries_with_their_credentials(self):
        entries = {
            'quay.io': {'username': 'joe', 'password': 'pw'},
            'https://index.docker.io/v1/': {'auth': _auth('ann:p:w')},
            'r.example/a': {'auth': _auth('x:y').rstrip('='),
                            'username': 'other', 'email': 'a@b'},
            'nobody.example': {}}
        expected = (
            payload.Credential('quay.io', 'joe', 'pw'),
            payload.Credential('https://index.docker.io/v1/', 'ann', 'p:w'),
            payload.Credential('r.example/a', 'x', 'y'),
            payload.Credential('nobody.example'))
        self.assertEqual(expected, credentials.read(
            _secret(_JSON, {'auths': entries, 'HttpHeaders': {}})))
        self.assertEqual(expected, credentials.read(
            _secret(_OLD, entries)))
        self.assertEqual((), credentials.read(_secret(_JSON, {})))

    def test_what_is_broken_is_refused_without_being_shown(self):
        secret = 's3cr3t'
        for kind, content in (
                (_JSON, b'{"auths": s3cr3t'), (_JSON, ['s3cr3t']),
                (_JSON, {'auths': ['s3cr3t']}),
                (_JSON, {'auths': {'r': 's3cr3t'}}),
                (_JSON, {'auths': {'r': {'password': ['s3cr3t']}}}),
                (_JSON, {'auths': {'r': {'auth': '*s3cr3t*'}}}),
                (_JSON, {'auths': {'r': {'auth': _auth('s3cr3t')}}}),
                (_JSON, {'auths': {'r': {'auth': 'w\u00e9s3cr3t'}}}),
                (_JSON, b'\xffs3cr3t'), (_JSON, b'[' * 100000),
                (_OLD, {'r': {'auth': base64.b64encode(
                    b'\xff:s3cr3t').decode()}})):
            error = self.assertRaises(
                credentials.Unusable, credentials.read,
                _secret(kind, content))
            self.assertTrue(str(error))
            self.assertNotIn(secret, str(error))
            self.assertIsNone(error.__cause__)

    def test_other_secrets_are_none_for_pulling(self):
        for secret in (objects.Secret('Opaque', {_JSON[1]: b'{}'}),
                       objects.Secret(_JSON[0], {_OLD[1]: b'{}'}),
                       objects.Secret(_OLD[0], {})):
            self.assertRaises(credentials.Unusable, credentials.read, secret)

    def test_no_repr_shows_a_password(self):
        secret = _secret(_OLD, {'r': {'username': 'u1', 'password': 'p1'}})
        self.assertNotIn('p1', repr(secret))
        self.assertNotIn('p1', repr(credentials.read(secret)))

    @hypothesis.given(st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=6),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(
            st.sampled_from(['auths', 'r', 'auth', 'username', 'password',
                             '']), inner, max_size=3), max_leaves=8))
    def test_any_json_has_credentials_or_is_refused(self, content):
        for kind in (_JSON, _OLD):
            try:
                made = credentials.read(_secret(kind, content))
            except credentials.Unusable:
                continue
            self.assertTrue(all(each.registry for each in made))
