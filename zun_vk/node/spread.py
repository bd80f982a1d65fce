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
"""Which node an agent takes or gives up, so that all hold about as many.

Pure. Every agent decides for itself from what all can see: who is alive and
who holds what. That two decide the same does no harm: the Lease lets one
win. Nodes move only where that makes the spread more even.
"""

import collections
import hashlib
import typing

# Seconds that each agent before this one in the order is given to take a
# free node first. The last one takes it too, so no node stays free.
TURN = 1.0
Holders = typing.Mapping[str, str | None]


def patience(me: str, alive: typing.Iterable[str], holders: Holders,
             node: str) -> float:
    """Return the seconds to leave a free node to agents before us.

    :param alive: names of the agents that live
    :param holders: agent by node, None for a free node
    """
    load = _load(holders)
    order = sorted({me, *alive}, key=lambda agent: (
        load[agent], _rank(node, agent)))
    return TURN * order.index(me)


def surplus(me: str, alive: typing.Iterable[str],
            holders: Holders) -> str | None:
    """Return a node that another agent should hold instead of us, or None.

    Only the agent that holds most gives one up, and only where the one that
    holds least has at least two fewer.
    """
    others = set(alive) - {me}
    if not others or None in holders.values():
        return None
    load = _load(holders)
    most = max((load[agent], agent) for agent in {me, *others})
    if most[1] != me or load[me] - min(load[a] for a in others) < 2:
        return None
    mine = [node for node, holder in holders.items() if holder == me]
    return min(mine, key=lambda node: _rank(node, me))


def _load(holders: Holders) -> collections.Counter[str]:
    return collections.Counter(
        holder for holder in holders.values() if holder)


def _rank(node: str, agent: str) -> str:
    """Return where an agent stands for a node: chance, the same for all."""
    return hashlib.sha256(f'{node}/{agent}'.encode()).hexdigest()
