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
import collections
import threading
from unittest import mock

import fixtures
from oslotest import base

from zun_vk import exceptions
from zun_vk import health
from zun_vk import keeper
from zun_vk.kube import presence
from zun_vk.node import zones
from zun_vk.tests.unit.node import test_registration

AWAY = exceptions.Unreachable('kubernetes', 'refused')


class Clock:
    """Stands for the module time."""

    now = 1000.0

    def monotonic(self):
        return self.now


class World:
    """The Leases of all nodes, and the agents that are seen alive."""

    def __init__(self):
        self.holders = {}
        self.alive = set()
        self.hidden = set()
        self.said = []


class FakeSlot:
    """A slot over the world's Leases instead of real ones."""

    def __init__(self, which, agent, world, clock):
        self.which, self.agent = which, agent
        self.world, self.clock = world, clock
        self.held = False
        self.holder = self.free_since = None
        self.registered = threading.Event()

    def look(self):
        if self.which.name in self.world.hidden:
            raise AWAY
        if self.held:
            return
        self.holder = self.world.holders.get(self.which.name)
        if self.holder:
            self.free_since = None
        elif self.free_since is None:
            self.free_since = self.clock.now

    def take(self):
        if self.world.holders.get(self.which.name):
            return
        self.world.holders[self.which.name] = self.agent
        self.held, self.free_since = True, None

    def end(self):
        self.world.said.append(('end', self.which.name))

    def join(self, seconds):
        return []

    def close(self):
        self.held = False
        self.world.said.append(('close', self.which.name))

    def release(self):
        self.world.holders[self.which.name] = None
        self.world.said.append(('release', self.which.name))

    def forget(self):
        self.world.said.append(('forget', self.which.name))


class KeeperTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.clock = Clock()
        self.useFixture(fixtures.MockPatchObject(keeper, 'time', self.clock))
        self.world = World()
        self.ready = []
        self.names = mock.create_autospec(zones.NodeNames, instance=True)

    def agent(self, name, nodes=('n1', 'n2', 'n3')):
        shown = mock.create_autospec(presence.Presence, instance=True)
        shown.alive.side_effect = lambda: {name} | self.world.alive
        made = keeper.NodeKeeper(
            test_registration.make_conf(), name, self.names, shown,
            health.Health(),
            lambda which: FakeSlot(which, name, self.world, self.clock),
            lambda: self.ready.append(name))
        made.presence = shown
        made._found = {node: zones.VirtualNode(node) for node in nodes}
        return made

    def held(self):
        return collections.Counter(self.world.holders.values())

    def rounds(self, agents, number):
        for _ in range(number):
            self.clock.now += 1
            for agent in agents:
                agent._round()

    def test_files_that_are_gone_cost_no_node_that_is_held(self):
        one = self.agent('a', nodes=('n1',))
        self.rounds([one], 20)
        self.assertEqual('a', self.world.holders['n1'])

        bad = exceptions.ConfigError('[kubernetes] kubeconfig', 'gone')
        making = one._make_slot
        one._make_slot = mock.Mock(side_effect=bad)
        one._found = {name: zones.VirtualNode(name) for name in ('n1', 'n2')}
        self.rounds([one], 5)
        one._make_slot = making
        with mock.patch.object(FakeSlot, 'take', autospec=True,
                               side_effect=bad):
            self.rounds([one], 5)
        self.assertEqual({'n1': 'a'}, self.world.holders)

        self.rounds([one], 20)
        self.assertEqual({'n1': 'a', 'n2': 'a'}, self.world.holders)
        self.assertEqual([], self.world.said)

    def test_a_lonely_agent_takes_everything_at_once(self):
        self.agent('a')._round()
        self.assertEqual({'a': 3}, self.held())

    def test_what_another_holds_is_left_alone(self):
        self.world.holders['n1'] = 'b'
        self.agent('a')._round()
        self.assertEqual({'a': 2, 'b': 1}, self.held())

    def test_agents_end_up_with_their_shares(self):
        agents = [self.agent(name) for name in 'abc']
        agents[0]._round()
        self.world.alive = set('abc')
        self.rounds(agents, 60)
        self.assertEqual({'a': 1, 'b': 1, 'c': 1}, self.held())
        moved = list(self.world.said)
        self.rounds(agents, 60)
        self.assertEqual(moved, self.world.said)

    def test_what_a_dead_agent_held_is_taken(self):
        one = self.agent('a')
        self.world.alive = {'a', 'b'}
        self.world.holders.update(n1='b', n2='b', n3='a')
        self.rounds([one], 2)
        self.world.holders.update(n1=None, n2=None)
        self.world.alive = {'a'}
        self.rounds([one], 2)
        self.assertEqual({'a': 2}, collections.Counter(
            self.world.holders[node] for node in ('n1', 'n2')))

    def test_a_node_that_nobody_takes_is_taken_in_the_end(self):
        # The other is seen alive and does nothing.
        one = self.agent('a')
        self.world.alive = {'a', 'idle'}
        self.rounds([one], 5)
        self.assertEqual({'a': 3}, self.held())

    def test_it_acts_even_if_it_cannot_see_other_agents(self):
        one = self.agent('a')
        one.presence.alive.side_effect = AWAY
        one._round()
        self.assertEqual({'a': 3}, self.held())

    def test_a_node_that_cannot_be_seen_keeps_it_from_no_other(self):
        one = self.agent('a')
        self.world.hidden = {'n2'}
        self.rounds([one], 2)
        self.assertEqual({'n1', 'n3'}, set(self.world.holders))
        self.assertEqual([], self.ready)
        self.world.hidden = set()
        self.rounds([one], 2)
        self.assertEqual({'a': 3}, self.held())

    def test_nodes_are_given_up_in_order_when_it_ends(self):
        one = self.agent('a', nodes=('n1', 'n2'))
        stop = threading.Event()
        one._round()
        stop.set()
        one.run(stop)
        steps = [step for step, _ in self.world.said]
        self.assertEqual(['end', 'end', 'close', 'close', 'release',
                          'release', 'forget', 'forget'], steps)
        self.assertEqual({None: 2}, self.held())
        one.presence.withdraw.assert_called_once_with()

    def test_an_api_server_that_is_away_does_not_keep_it_from_ending(self):
        one = self.agent('a')
        one.presence.withdraw.side_effect = AWAY
        stop = threading.Event()
        one._round()
        stop.set()
        one.run(stop)
        self.assertEqual({None: 3}, self.held())

    def test_a_node_that_is_no_more_is_given_up(self):
        one = self.agent('a')
        one._round()
        del one._found['n2']
        self.rounds([one], 2)
        self.assertEqual({'n1', 'n3'}, set(one._slots))
        self.assertEqual([('release', 'n2'), ('forget', 'n2')],
                         self.world.said[-2:])

    def test_it_is_ready_when_ours_are_registered_and_the_rest_is_held(self):
        self.world.holders['n1'] = 'b'
        one = self.agent('a')
        self.rounds([one], 2)
        self.assertEqual([], self.ready)
        for node in ('n2', 'n3'):
            one._slots[node].registered.set()
        self.rounds([one], 2)
        self.assertEqual(['a'], self.ready)

    def test_nodes_are_found_while_zun_fails_in_between(self):
        one = self.agent('a', nodes=())
        stop = mock.create_autospec(threading.Event, instance=True)
        stop.is_set.side_effect = lambda: not answers
        answers = [AWAY, [zones.VirtualNode('n1')], AWAY]

        def find():
            answer = answers.pop(0)
            if answer is AWAY:
                raise AWAY
            return answer

        self.names.find.side_effect = find
        one.find(stop)
        self.assertEqual({'n1'}, set(one._found))
