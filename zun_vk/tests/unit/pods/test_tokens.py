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

from unittest import mock

import hypothesis
from hypothesis import strategies as st
from oslotest import base

from zun_vk import exceptions
from zun_vk.kube import client
from zun_vk.pods import tokens
from zun_vk.tests.unit.pods import strategies

_DOWN = exceptions.Unavailable('kubernetes', 'down', 503)


class _Clock:
    now = 1_000_000.0

    def __call__(self):
        return self.now


def _client(life=None):
    """Return an API server that gives what is asked for, or ``life``."""
    made = mock.create_autospec(client.KubeClient, instance=True)
    made.create_token.side_effect = lambda namespace, account, request: {
        'spec': {'expirationSeconds':
                 life or request['spec']['expirationSeconds']},
        'status': {'token': f't0k3n-{made.create_token.call_count}'}}
    return made


class TokensTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.clock = _Clock()
        self.client = _client()
        self.tokens = tokens.Tokens(self.client, self.clock)
        self.pod = strategies.pod(serviceAccountName='robot')

    def _get(self, audience='', seconds=3600, pod=None):
        return self.tokens.get(pod or self.pod, audience, seconds)

    def _count(self):
        return self.client.create_token.call_count

    def test_a_token_is_bound_to_its_pod(self):
        self._get('vault', 7200)
        (namespace, account, request), _ = self.client.create_token.call_args
        self.assertEqual(('shop', 'robot'), (namespace, account))
        self.assertEqual({
            'audiences': ['vault'], 'expirationSeconds': 7200,
            'boundObjectRef': {
                'apiVersion': 'v1', 'kind': 'Pod', 'name': 'web',
                'uid': '0a1b2c3d-0000-4000-8000-000000000001'}},
            request['spec'])
        self._get()
        self.assertEqual([], self.client.create_token.call_args[0][2][
            'spec']['audiences'])

    def test_one_serves_until_four_fifths_of_its_life(self):
        first = self._get()
        self.assertTrue(2870 - 1e-3 <= first.refresh_at - self.clock.now
                        <= 2880)
        self.clock.now = first.refresh_at - 1
        self.assertIs(first, self._get())
        self.clock.now = first.refresh_at
        self.assertNotEqual(first.value, self._get().value)
        self.assertEqual(2, self._count())

    def test_one_is_renewed_after_a_day_at_the_latest(self):
        made = self._get(seconds=10 ** 8)
        self.assertTrue(86_390 - 1e-3 <= made.refresh_at - self.clock.now
                        <= 86_400)

    def test_the_life_that_counts_is_the_one_that_was_given(self):
        self.tokens = tokens.Tokens(_client(1000), self.clock)
        made = self._get(seconds=10 ** 6)
        self.assertLessEqual(made.refresh_at, self.clock.now + 800)
        self.assertEqual(made.expires_at, self.clock.now + 1000)

    def test_each_pod_audience_and_life_has_its_own(self):
        other = strategies.pod(uid='other', serviceAccountName='robot')
        made = {self._get().value, self._get('vault').value,
                self._get(seconds=7200).value, self._get(pod=other).value}
        self.assertEqual(4, len(made))
        self._get('vault')
        # Kubernetes gives no shorter ones than this.
        self._get(seconds=600)
        self._get(seconds=10)
        self.assertEqual(5, self._count())

    def test_the_old_one_goes_on_while_there_is_no_new_one(self):
        first = self._get()
        answer = self.client.create_token.side_effect
        self.client.create_token.side_effect = _DOWN
        self.clock.now = first.refresh_at
        again = self._get()
        self.assertEqual(first.value, again.value)
        self.assertGreater(again.refresh_at, self.clock.now)
        self.clock.now = first.expires_at
        self.assertRaises(exceptions.Unavailable, self._get)
        self.client.create_token.side_effect = answer
        self.assertNotEqual(first.value, self._get().value)

    def test_one_that_cannot_be_renewed_is_asked_for_once_a_minute(self):
        first = self._get()
        self.client.create_token.side_effect = _DOWN
        self.clock.now = first.refresh_at
        for _ in range(12):
            self.assertEqual(first.value, self._get().value)
            self.clock.now += 5
        self.assertEqual(2, self._count())
        self._get()
        self.assertEqual(3, self._count())
        # Nor is it given when it has run out.
        self.clock.now = first.expires_at - 1
        self._get()
        self.clock.now = first.expires_at
        self.assertRaises(exceptions.Unavailable, self._get)

    def test_the_first_must_be_given(self):
        self.client.create_token.side_effect = _DOWN
        self.assertRaises(exceptions.Unavailable, self._get)

    def test_answers_without_a_token_are_refused(self):
        for answer in ({}, {'status': {'token': ''}}, {'status': None},
                       {'status': {'token': 'x' * 70_000},
                        'spec': {'expirationSeconds': 600}},
                       {'status': {'token': 's3cr3t'}},
                       {'status': {'token': ['s3cr3t']},
                        'spec': {'expirationSeconds': 600}},
                       {'status': {'token': 's3cr3t'},
                        'spec': {'expirationSeconds': -1}}):
            self.client.create_token.side_effect = [answer]
            error = self.assertRaises(exceptions.Unavailable, self._get)
            self.assertNotIn('s3cr3t', str(error))

    def test_what_has_expired_or_nobody_asks_for_is_not_kept(self):
        for seconds, later in ((3600, 3600), (10 ** 8, 25 * 3600)):
            for number in range(3):
                self._get(seconds=seconds,
                          pod=strategies.pod(uid=f'pod-{number}'))
            self.clock.now += later
            self._get()
            self.assertEqual(1, len(self.tokens._held))

    def test_no_repr_and_no_log_shows_one(self):
        made = self._get()
        self.assertNotIn(made.value, repr(made))
        self.clock.now = made.refresh_at
        self.client.create_token.side_effect = _DOWN
        with self.assertLogs(tokens.LOG.logger, 'DEBUG') as logs:
            self._get()
        self.assertNotIn(made.value, str(logs.output))

    @hypothesis.given(st.integers(1, 2 ** 32), st.integers(1, 2 ** 32))
    def test_any_is_renewed_before_it_expires(self, asked, life):
        made = tokens.Tokens(_client(life), self.clock).get(
            self.pod, '', asked)
        self.assertTrue(
            self.clock.now < made.refresh_at < made.expires_at)
