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
"""A cloud that is slow, busy or broken: no storm, nothing lost or doubled."""

import itertools
import time

from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures import pods
from zun_vk.tests.fixtures.wait import wait_for
from zun_vk.tests.functional import base

BUSY = {'errors': [{'title': 'busy', 'detail': 'busy', 'status': 429,
                    'code': 'busy', 'links': [], 'request_id': ''}]}
PAUSE = 2       # seconds
# Threads that may ask at the end of each pause: the workers, the one that
# lists, the one that looks at hosts; and one to spare.
AT_ONCE = 19
# Seconds in which requests may come that were sent before a refusal was read.
UNDER_WAY = 1
LIST, LOOK = 'capsules/?$', 'capsules/[0-9a-f]{8}-'


class TestBusyZun(base.OwnAgentTestCase):
    """Zun wants fewer requests, and says for how long."""

    PODS = 10
    SECONDS = 7     # of refusals

    def setUp(self):
        super().setUp()
        self.agent.start_ready()
        self.wait_node_ready()

    def check_calm(self, method, status):
        """Refuse requests for some seconds while pods come."""
        namespace = self.namespace()
        fault = self.cloud.zun.fail_next(
            method, status=status, body=BUSY,
            headers={'Retry-After': str(PAUSE)}, times=100_000)
        pods = [self.run_pod(name=f'web-{number}', namespace=namespace)
                for number in range(self.PODS)]
        began = time.monotonic()
        wait_for(lambda: time.monotonic() > began + self.SECONDS,
                 'a while', self.SECONDS + 10)
        self.check_pauses(fault.taken_at[:])

        self.cloud.zun.forgive()

        for pod in pods:
            self.wait_ready(pod, 60)
        self.assertEqual(self.PODS, self.cloud.zun.created)
        self.wait_node_ready(60)
        return pods

    def check_pauses(self, times):
        """Nobody asks from the first refusal to the end of the pause."""
        rounds = [[times[0]]]
        for moment in times[1:]:
            if moment - rounds[-1][0] > UNDER_WAY:
                rounds.append([])
            rounds[-1].append(moment)
        # At least one pause was waited out.
        self.assertGreater(len(rounds), 1)
        for one, another in itertools.pairwise(rounds):
            self.assertGreaterEqual(another[0] - one[0], PAUSE, times)
        self.assertLessEqual(max(map(len, rounds)), AT_ONCE)

    def test_429_is_obeyed_by_all_callers_together(self):
        pods = self.check_calm(None, 429)
        for pod in pods:
            self.assertEqual([], self.events(pod, 'FailedCreatePodSandBox'))

    def test_503_with_a_time_is_obeyed_and_nothing_is_doubled(self):
        # Only GET: after a 503 a creation waits half a minute for its
        # outcome to show.
        self.check_calm('GET', 503)

    def test_a_refused_pod_waits_until_the_pause_is_over(self):
        self.cloud.zun.fail_next('POST', 'capsules', status=429, body=BUSY,
                                 headers={'Retry-After': '3'})
        began = time.monotonic()

        pod = self.running_pod()

        self.assertGreater(time.monotonic() - began, 3)
        self.assertEqual(1, self.cloud.zun.count('POST', '/v1/capsules'))
        self.assertTrue(kube.is_ready(self.now(pod)))


class TestIllCloud(base.AgentTestCase):
    """Services that answer late, wrongly or not to the end."""

    OPTIONS = {'zun': {'timeout': 30}}
    PODS = 6
    SLOW = 1.5      # seconds
    PATIENCE = 60   # seconds

    def setUp(self):
        super().setUp()
        self.cloud.add_host(f'host-{self.id()}', self.PODS, 32768)
        self.wait_node_ready(60)
        self.made = self.cloud.zun.created
        self.addCleanup(self.cloud.zun.forgive)

    def crowd(self, after_each=lambda: None):
        """Make pods, with something to go wrong after each."""
        namespace = self.namespace()
        pods = []
        for number in range(self.PODS):
            pods.append(self.run_pod(name=f'web-{number}',
                                     namespace=namespace))
            after_each()
        return pods

    def check_once(self, pods):
        """Each pod runs, and its capsule was made once."""
        for pod in pods:
            self.wait_ready(pod, self.PATIENCE)
        self.assertEqual(self.PODS, self.cloud.zun.created - self.made)

    def test_a_slow_zun_is_waited_for(self):
        since = kube.condition(self.node, 'Ready')['lastTransitionTime']
        self.cloud.zun.delay = self.SLOW
        self.addCleanup(setattr, self.cloud.zun, 'delay', 0.0)

        pods = self.crowd()

        self.check_once(pods)
        for pod in pods:
            self.delete(pod)
        for pod in pods:
            self.wait_gone(pod, self.PATIENCE)
        ready = kube.condition(self.node, 'Ready')
        self.assertEqual(('True', since), (ready['status'],
                                           ready['lastTransitionTime']))

    def test_answers_cut_short_double_nothing(self):
        self.cloud.zun.fail_next('POST', 'capsules', truncate=True,
                                 times=self.PODS)
        self.cloud.zun.fail_next('GET', LOOK, truncate=True,
                                 times=self.PODS)
        self.cloud.zun.fail_next('GET', LIST, truncate=True)

        self.check_once(self.crowd())

    def test_errors_while_zun_is_asked_lose_nothing(self):
        self.cloud.zun.fail_next('GET', LOOK, status=500,
                                 times=2 * self.PODS)
        self.cloud.zun.fail_next('GET', LIST, status=500)
        pods = self.crowd()
        self.check_once(pods)
        self.cloud.zun.fail_next('DELETE', status=500, times=self.PODS)
        for pod in pods:
            self.delete(pod)

        for pod in pods:
            self.wait_gone(pod, self.PATIENCE)
        self.assertEqual(self.PODS, self.cloud.zun.created - self.made)

    def test_tokens_revoked_in_use_double_nothing(self):
        pods = self.crowd(self.cloud.keystone.revoke_all)

        self.check_once(pods)

    def test_a_token_revoked_before_zun_looks_at_it_is_renewed(self):
        fault = self.cloud.zun.fail_next('POST', 'capsules', hold=True)
        pod = self.run_pod()
        self.assertTrue(fault.reached.wait(20))

        self.cloud.keystone.revoke_all()
        fault.release()

        self.wait_ready(pod)
        self.assertEqual(1, self.cloud.zun.created - self.made)
        self.assertEqual([], self.events(pod, 'FailedCreatePodSandBox'))

    def test_placement_that_conflicts_gets_its_claim_back_all_the_same(self):
        # Its answer where another request changed the consumer meanwhile.
        fault = self.cloud.placement.fail_next(
            'DELETE', 'allocations', status=409, times=2, body={'errors': [{
                'status': 409, 'title': 'Conflict',
                'code': 'placement.concurrent_update',
                'detail': 'consumer generation conflict'}]})
        self.addCleanup(self.cloud.placement.forgive)
        self.addCleanup(self.cloud.zun.bad_images.clear)
        self.cloud.zun.bad_images['bad:1'] = 'no such image'
        pod = self.run_pod(pods.container(image='bad:1'))
        failed = wait_for(lambda: self.capsule(pod), 'a capsule', 20)

        wait_for(lambda: failed.uuid not in self.cloud.zun.capsules,
                 'no record of it', 30)

        self.assertEqual(2, fault.taken)
        self.assertNotIn(failed.uuid, self.cloud.placement.allocations)

    def test_placement_is_only_read(self):
        """So no generation can conflict while no capsule fails."""
        self.check_once(self.crowd())

        methods = {method for method, _path in self.cloud.placement.requests}
        self.assertEqual({'GET'}, methods)
