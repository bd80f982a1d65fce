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
import itertools

import hypothesis
from hypothesis import strategies as st
from oslotest import base

from zun_vk.node import spread

AGENTS = st.lists(st.sampled_from('abcdef'), min_size=1, max_size=6,
                  unique=True)
NODES = st.lists(st.sampled_from([f'n{i}' for i in range(9)]), min_size=1,
                 max_size=9, unique=True)


def _settle(agents, holders):
    """Let agents act until none does; return how often one gave up."""
    moves = 0
    for _ in range(200):
        acted = False
        for node in [n for n, holder in holders.items() if holder is None]:
            first = min(agents, key=lambda a: spread.patience(
                a, agents, holders, node))
            holders[node] = first
            acted = True
        for agent in agents:
            node = spread.surplus(agent, agents, holders)
            if node is not None:
                holders[node] = None
                moves += 1
                acted = True
                break
        if not acted:
            return moves
    raise AssertionError(f'it never settles: {holders}')


class SpreadTestCase(base.BaseTestCase):

    @hypothesis.given(AGENTS, NODES, st.data())
    def test_nodes_end_up_evenly_held_and_stay(self, agents, nodes, data):
        holders = {node: data.draw(st.sampled_from([None, *agents]))
                   for node in nodes}
        _settle(agents, holders)
        load = collections.Counter(holders.values())
        self.assertNotIn(None, load)
        counts = [load[agent] for agent in agents]
        self.assertLessEqual(max(counts) - min(counts), 1)
        self.assertEqual(0, _settle(agents, dict(holders)))

    @hypothesis.given(AGENTS, NODES, st.data())
    def test_only_an_uneven_spread_moves_a_node(self, agents, nodes, data):
        holders = {node: data.draw(st.sampled_from(agents))
                   for node in nodes}
        load = collections.Counter(holders.values())
        uneven = (max(load[a] for a in agents)
                  - min(load[a] for a in agents)) >= 2
        moved = [node for agent in agents
                 if (node := spread.surplus(agent, agents, holders))]
        self.assertEqual(int(uneven), len(moved))

    @hypothesis.given(AGENTS, NODES)
    def test_a_free_node_is_taken_by_turns(self, agents, nodes):
        holders = dict.fromkeys(nodes)
        for node in nodes:
            turns = sorted(spread.patience(agent, agents, holders, node)
                           for agent in agents)
            self.assertEqual(
                [spread.TURN * i for i in range(len(agents))], turns)

    def test_who_holds_least_comes_first(self):
        holders = {'n1': 'a', 'n2': None}
        for agents in itertools.permutations('ab'):
            self.assertEqual(0, spread.patience('b', agents, holders, 'n2'))
            self.assertLess(0, spread.patience('a', agents, holders, 'n2'))

    def test_a_lonely_agent_waits_for_nobody(self):
        holders = dict.fromkeys(f'n{i}' for i in range(9))
        for node in holders:
            self.assertEqual(0, spread.patience('a', {'a'}, holders, node))
            holders[node] = 'a'
        self.assertIsNone(spread.surplus('a', {'a'}, holders))

    def test_nothing_moves_while_a_node_is_free(self):
        self.assertIsNone(spread.surplus('a', 'ab', {
            'n1': 'a', 'n2': 'a', 'n3': None}))

    def test_an_agent_that_is_not_seen_alive_gets_nothing(self):
        self.assertIsNone(spread.surplus('a', 'a', {
            'n1': 'a', 'n2': 'a', 'n3': 'dead'}))
