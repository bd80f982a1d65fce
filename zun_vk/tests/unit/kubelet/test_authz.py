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
"""What users may do, and that whatever is in doubt is refused."""

import logging
import threading
from unittest import mock

import fixtures
from oslotest import base

from zun_vk import exceptions
from zun_vk.kube import client as kube_client
from zun_vk.kubelet import attributes
from zun_vk.kubelet import authz
from zun_vk.kubelet import context
from zun_vk.kubelet import decisions

ALICE = context.User('alice', 'u1', ('dev', 'system:authenticated'),
                     {'Some/Key': ('b',)})
YES = {'status': {'allowed': True}}
NO = {'status': {'allowed': False}}


class AuthorizerTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.time = 1000.0
        self.client = mock.create_autospec(kube_client.KubeClient,
                                           instance=True)
        self.asked = self.client.create_subject_access_review
        self.asked.return_value = YES
        self.log = self.useFixture(fixtures.FakeLogger(level=logging.DEBUG))
        self.authorizer = authz.Authorizer(self.client,
                                           clock=lambda: self.time)

    def authorize(self, method='GET', root='/pods', user=ALICE, node='n1'):
        self.authorizer.authorize(
            user, attributes.wanted(method, root, (), node))

    def refused(self, *args, **options):
        error = self.assertRaises(exceptions.Refused, self.authorize, *args,
                                  **options)
        return error.status, error.words

    def subresources(self):
        return [call.args[0]['spec']['resourceAttributes']['subresource']
                for call in self.asked.call_args_list]

    def allow(self, *subresources):
        self.asked.side_effect = lambda review: (
            YES if review['spec']['resourceAttributes']['subresource']
            in subresources else NO)

    def test_the_api_server_is_told_who_and_what(self):
        self.authorize('GET', '/stats/summary')
        self.asked.assert_called_once_with({
            'apiVersion': 'authorization.k8s.io/v1',
            'kind': 'SubjectAccessReview',
            'spec': {
                'user': 'alice', 'uid': 'u1',
                'groups': ['dev', 'system:authenticated'],
                'extra': {'Some/Key': ['b']},
                'resourceAttributes': {
                    'verb': 'get', 'version': 'v1', 'resource': 'nodes',
                    'subresource': 'stats', 'name': 'n1'}}})

    def test_the_fine_right_is_enough(self):
        self.allow('pods')
        self.authorize()
        self.assertEqual(['pods'], self.subresources())

    def test_the_proxy_is_enough_too(self):
        self.allow('proxy')
        self.authorize()
        self.assertEqual(['pods', 'proxy'], self.subresources())

    def test_a_fine_right_that_is_denied_leaves_the_proxy(self):
        # kubelet: InstallAuthFilter goes on after any decision but Allow.
        self.asked.side_effect = [
            {'status': {'allowed': False, 'denied': True}}, YES]
        self.authorize()

    def test_a_refusal_is_in_the_words_of_the_kubelet(self):
        self.allow()
        self.assertEqual(
            (403, 'Forbidden (user=alice, verb=get, resource=nodes, '
             'subresource(s)=[pods proxy])\n'), self.refused())
        self.assertEqual(
            (403, 'Forbidden (user=alice, verb=create, resource=nodes, '
             'subresource(s)=[proxy])\n'), self.refused('GET', '/exec'))

    def test_nothing_to_ask_for_is_refused(self):
        error = self.assertRaises(
            exceptions.Refused, self.authorizer.authorize, ALICE, ())
        self.assertEqual(
            (403, 'Authorization error: could not determine attributes for '
             'request'), (error.status, error.words))

    def test_a_yes_counts_for_five_minutes(self):
        for later, times in ((0, 1), (299, 1), (1, 2)):
            self.time += later
            self.authorize('GET', '/stats')
            self.assertEqual(times, self.asked.call_count)

    def test_a_no_counts_for_half_a_minute(self):
        self.asked.return_value = NO
        for later, times in ((0, 1), (29, 1), (1, 2)):
            self.time += later
            self.refused('GET', '/stats')
            self.assertEqual(times, self.asked.call_count)
        self.asked.return_value = YES
        self.time += 30
        self.authorize('GET', '/stats')

    def test_decisions_are_of_one_user_verb_right_and_node(self):
        self.authorize('GET', '/stats')
        self.asked.return_value = NO
        for user in (context.User('bob', 'u1', ALICE.groups, ALICE.extra),
                     context.User('alice', 'u2', ALICE.groups, ALICE.extra),
                     context.User('alice', 'u1', (), ALICE.extra),
                     context.User('alice', 'u1', ALICE.groups)):
            self.assertEqual(403, self.refused('GET', '/stats',
                                               user=user)[0])
        self.assertEqual(403, self.refused('POST', '/stats')[0])
        self.assertEqual(403, self.refused('GET', '/metrics')[0])
        self.assertEqual(403, self.refused('GET', '/stats', node='n2')[0])
        self.authorize('GET', '/stats')

    def test_who_may_read_the_proxy_may_not_get_into_containers(self):
        self.asked.side_effect = lambda review: (
            YES if review['spec']['resourceAttributes']['verb'] == 'get'
            else NO)
        self.authorize('GET', '/containerLogs')
        for root in ('/exec', '/attach', '/run', '/portForward'):
            for method in ('GET', 'POST', 'HEAD', 'get'):
                self.assertEqual(403, self.refused(method, root)[0])

    def test_a_failure_lets_nobody_in_and_is_not_kept(self):
        words = (500, 'Authorization error (user=alice, verb=get, '
                 'resource=nodes, subresource=pods)')
        for error in (exceptions.Unavailable('kubernetes', 'x', 503),
                      exceptions.Unreachable('kubernetes', 'x'),
                      exceptions.AccessDenied('kubernetes', 'x', 403)):
            self.asked.side_effect = error
            self.assertEqual(words, self.refused())
        self.asked.side_effect = None
        self.authorize()

    def test_an_answer_that_is_none_is_a_failure(self):
        for review in ({}, {'status': None}, {'status': {}},
                       {'status': {'allowed': 'true'}},
                       {'status': {'allowed': 1}}, {'status': []},
                       {'status': {'allowed': True, 'denied': True}}):
            self.asked.return_value = review
            self.assertEqual(500, self.refused()[0], review)

    def test_an_outage_does_not_fill_the_log(self):
        self.asked.side_effect = exceptions.Unavailable('kubernetes', 'x')
        for _ in range(50):
            self.refused()
        self.assertEqual(10, self.log.output.count('could not be reviewed'))


class DecisionsTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.time = 0.0
        self.decisions = decisions.Decisions(lambda: self.time, size=2)

    def test_the_one_used_least_recently_makes_room(self):
        self.decisions.put(b'a', 1, 10)
        self.decisions.put(b'b', 2, 10)
        self.assertEqual(1, self.decisions.get(b'a'))
        self.decisions.put(b'c', 3, 10)
        self.assertEqual([1, None, 3],
                         list(map(self.decisions.get, (b'a', b'b', b'c'))))

    def test_a_no_is_a_decision(self):
        self.decisions.put(b'a', False, 10)
        self.assertIs(False, self.decisions.get(b'a'))

    def test_what_does_not_count_any_more_is_gone(self):
        self.decisions.put(b'a', 1, 10)
        self.time = 10
        self.assertIsNone(self.decisions.get(b'a'))
        self.assertEqual(0, len(self.decisions))

    def test_the_newest_decision_counts(self):
        self.decisions.put(b'a', 1, 10)
        self.decisions.put(b'a', 2, 20)
        self.time = 15
        self.assertEqual(2, self.decisions.get(b'a'))

    def test_threads_share_them(self):
        shared = decisions.Decisions(lambda: 0.0, size=16)

        def use(seed):
            for number in range(2000):
                key = bytes([(number * seed) % 64])
                shared.put(key, number, 1)
                shared.get(key)

        users = [threading.Thread(target=use, args=(seed,))
                 for seed in (1, 3, 5, 7)]
        for user in users:
            user.start()
        for user in users:
            user.join(30)
        self.assertEqual(16, len(shared))


class AskingTestCase(base.BaseTestCase):

    def test_so_many_at_once_and_no_more(self):
        ask = decisions.Asking(at_once=2, timeout=.05)
        entered, leave = threading.Semaphore(0), threading.Event()

        def call(review):
            entered.release()
            self.assertTrue(leave.wait(10))
            return review

        asking = [threading.Thread(target=ask, args=(call, {}))
                  for _ in range(2)]
        for each in asking:
            each.start()
            self.assertTrue(entered.acquire(timeout=10))
        self.assertRaises(exceptions.NotSent, ask, call, {})
        leave.set()
        for each in asking:
            each.join(10)
        self.assertEqual({'a': 1}, ask(call, {'a': 1}))

    def test_a_turn_is_given_back_whatever_happens(self):
        ask = decisions.Asking(at_once=1, timeout=0)
        for error in (exceptions.Unreachable('kubernetes', 'x'),
                      exceptions.Unavailable('kubernetes', 'x'),
                      ValueError()):
            self.assertRaises(type(error), ask, _raises(error), {})


def _raises(error):
    def call(_review):
        raise error
    return call
