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
import gc
import threading
import time
import weakref

import fixtures
import oslotest.base

from zun_vk import exceptions
from zun_vk.kubelet.stats import asking
from zun_vk.kubelet.stats import gather
from zun_vk.rpc import stats
from zun_vk.tests.fixtures import wait
from zun_vk.tests.unit.kubelet.stats import hosts as fakes


class GathererTestCase(oslotest.base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.hosts = fakes.Hosts()
        self.pods = fakes.NodePods(
            fakes.pod_object('a'), fakes.pod_object('b'),
            fakes.pod_object('c'), a='one', b='two')
        self.hosts.told = {'one': [fakes.measured('a')],
                           'two': [fakes.measured('b')]}
        self.guarded = None
        self.services = fakes.services(self.pods, self.hosts,
                                       guard=self._guard)
        self.now = 1000.0
        self.gatherer = gather.Gatherer(
            1.0, wall=lambda: self.now)

    def _guard(self):
        if self.guarded:
            raise self.guarded

    def of(self, kind=stats.USAGE):
        return self.gatherer.of(self.services, kind)

    def uids(self, found):
        return [each.stats.uid for each in found.pods]

    def test_all_hosts_are_asked_for_the_pods_of_the_node(self):
        found = self.of()
        self.assertEqual(['a', 'b'], self.uids(found))
        self.assertEqual('pod-a', found.pods[0].pod['metadata']['name'])
        self.assertEqual(frozenset(), found.silent)
        self.assertEqual({'zun'}, self.hosts.nodes)
        self.assertEqual(2 * fakes.NANO, found.cpu_total)

    def test_a_slow_host_costs_only_its_own_pods_and_not_for_long(self):
        held = threading.Event()
        self.addCleanup(held.set)
        self.hosts.told['one'] = held
        begun = time.monotonic()
        found = self.of()
        self.assertLess(time.monotonic() - begun, 4)
        self.assertEqual(['b'], self.uids(found))
        self.assertEqual({'one'}, found.silent)

    def test_a_host_that_answers_late_is_not_waited_for(self):
        """Whatever the bus does with its timeout."""
        held = threading.Event()
        self.addCleanup(held.set)
        peer = self.hosts.peer

        def stuck(topic, host):
            if host == 'one':
                held.wait(30)
            return peer(topic, host)
        self.useFixture(fixtures.MonkeyPatch(
            'zun_vk.tests.unit.kubelet.stats.hosts.Hosts.peer',
            lambda _, topic, host: stuck(topic, host)))
        self.assertEqual(['b'], self.uids(self.of()))

    def test_a_bus_that_is_down_does_not_pile_up_threads(self):
        held = threading.Event()
        self.addCleanup(held.set)
        self.pods.host_of = lambda uid: held.wait(30)
        gatherer = gather.Gatherer(0.2)
        self.useFixture(fixtures.MockPatchObject(gather, '_SHARED', 0))

        def threads():
            return [each for each in threading.enumerate()
                    if each.name.startswith('stats-')]

        for _ in range(3):
            found = gatherer.of(self.services, stats.USAGE)
            self.assertEqual({'one', 'two'}, found.silent)
            self.assertEqual(2, len(threads()))
        held.set()
        wait.wait_for(lambda: not threads(), 'no thread left')
        self.pods.host_of = self.pods.on.get
        self.assertEqual(['a', 'b'], self.uids(
            gatherer.of(self.services, stats.USAGE)))

    def test_nobody_waits_for_who_has_to_say_where_a_pod_is(self):
        held = threading.Event()
        self.addCleanup(held.set)
        where = self.pods.host_of
        self.pods.host_of = lambda uid: (
            held.wait(30) if uid == 'a' else True) and where(uid)
        found = self.of()
        self.assertEqual(['b'], self.uids(found))
        self.assertEqual({'one'}, found.silent)

    def test_hosts_that_were_silent_are_asked_last(self):
        self.useFixture(fixtures.MockPatchObject(asking, '_THREADS', 1))
        self.hosts.told['one'] = exceptions.Unreachable('bus', 'gone')
        self.of()
        self.of(stats.ALL)
        self.assertEqual(['one', 'two', 'two', 'one'],
                         [host for host, _ in self.hosts.asked])

    def test_a_host_that_fails_is_silent(self):
        for error in (exceptions.Unavailable('bus', 'failed'),
                      KeyError('a bug')):
            self.hosts.told['two'] = error
            found = gather.Gatherer(1.0).of(self.services, stats.USAGE)
            self.assertEqual({'two'}, found.silent)
            self.assertEqual(['a'], self.uids(found))

    def test_a_host_is_believed_about_its_own_pods_alone(self):
        self.hosts.told['two'] = [
            fakes.measured('a', 99), fakes.measured('b'),
            fakes.measured('c'), fakes.measured('other')]
        self.assertEqual(['a', 'b'], self.uids(self.of()))
        self.assertEqual(2 * fakes.NANO, self.of().cpu_total)

    def test_a_pod_that_is_told_twice_is_there_once(self):
        # Else no reader of metrics takes any of the node's.
        self.hosts.told['one'] *= 2
        self.assertEqual(['a', 'b'], self.uids(self.of()))

    def test_what_is_no_message_is_dropped_alone(self):
        self.hosts.told['one'].append({'uid': 7})
        self.hosts.told['two'] = [7]
        found = self.of()
        self.assertEqual(['a'], self.uids(found))
        self.assertEqual({'two'}, found.silent)

    def test_those_who_ask_at_once_share_one_answer(self):
        held = threading.Event()
        self.hosts.told['one'] = held
        found = []
        asking = [threading.Thread(target=lambda: found.append(self.of()))
                  for _ in range(8)]
        for thread in asking:
            thread.start()
        wait.wait_for(lambda: len(self.hosts.asked) == 2, 'questions', 10)
        held.set()
        for thread in asking:
            thread.join(10)
        self.assertEqual(8, len(found))
        self.assertEqual(1, len({id(each) for each in found}))
        self.assertEqual(2, len(self.hosts.asked))

    def test_an_answer_is_shared_for_a_second_at_most(self):
        clock = [0.0]
        gatherer = gather.Gatherer(1.0, clock=lambda: clock[0])
        first = gatherer.of(self.services, stats.USAGE)
        clock[0] += 0.9
        self.assertIs(first, gatherer.of(self.services, stats.USAGE))
        self.assertIsNot(first, gatherer.of(self.services, stats.ALL))
        clock[0] += 0.2
        self.assertIsNot(first, gatherer.of(self.services, stats.USAGE))

    def test_behind_a_closed_fence_nothing_is_asked(self):
        self.guarded = exceptions.NotHolder('kubernetes', 'lost')
        self.assertRaises(exceptions.NotHolder, self.of)
        self.assertEqual([], self.hosts.asked)
        self.guarded = None
        self.assertEqual(['a', 'b'], self.uids(self.of()))

    def test_without_hosts_it_says_what_to_enable(self):
        error = self.assertRaises(
            exceptions.Refused, self.gatherer.of,
            fakes.services(self.pods, None, on_hosts=False), stats.USAGE)
        self.assertEqual(501, error.status)
        self.assertIn('capsule_runtime', error.words)

    def test_a_node_without_pods_uses_nothing(self):
        found = self.gatherer.of(
            fakes.services(fakes.NodePods(), self.hosts), stats.USAGE)
        self.assertEqual(((), frozenset(), 0),
                         (found.pods, found.silent, found.cpu_total))
        self.assertFalse(found.deaf)

    def test_cpu_of_pods_that_ended_stays_counted(self):
        self.of()
        self.hosts.told['one'] = []
        self.assertEqual(2 * fakes.NANO, self.of(stats.ALL).cpu_total)

    def test_nodes_are_told_apart_and_leave_nothing(self):
        pods = fakes.NodePods(fakes.pod_object('a'), a='one')
        made = fakes.services(pods, self.hosts)
        other = fakes.services(fakes.NodePods(), self.hosts)
        self.assertEqual((), other.gathered(stats.USAGE).pods)
        made.gathered(stats.USAGE)
        self.assertEqual(1, len(self.hosts.asked))
        made.gathered(stats.USAGE)
        self.assertEqual(1, len(self.hosts.asked))
        gone = weakref.ref(pods)
        del made, pods
        gc.collect()
        self.assertIsNone(gone())
