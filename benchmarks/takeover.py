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
"""How long a node is without an agent when its agent ends.

Two agents on a real API server and a cloud that answers at once. In each
round the one that holds the node is told to end (SIGTERM) or killed
(SIGKILL), and the time goes from the signal to the other's name in the
node's Lease, and on to the first pod that the other makes Ready.
"""

import argparse
import collections
import os
import signal
import statistics
import time
import typing
import uuid

from benchmarks import common
from benchmarks import setting
from zun_vk.tests.fixtures import agent as agent_module
from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures import kubernetes
from zun_vk.tests.fixtures import openstack
from zun_vk.tests.fixtures import pods
from zun_vk.tests.fixtures.wait import wait_for

_PATIENCE = 90.0


class Pair:
    """Two agents of one node."""

    def __init__(self, server: kubernetes.Kubernetes,
                 cloud: openstack.FakeCloud):
        self.node = f'vk-{uuid.uuid4().hex[:8]}'
        self._api = server.api
        self._namespace = server.new_namespace('takeover')
        self.agents = [agent_module.Agent(server, cloud, self.node)
                       for _ in range(2)]

    def run(self, end: str) -> dict[str, float]:
        """Let the holder end and the other take over; return seconds."""
        first, second = self.agents
        began = time.monotonic()
        if end == 'SIGTERM':
            os.kill(first.pid, signal.SIGTERM)
        else:
            first.kill()
        wait_for(lambda: self._holder() == _name(second), 'a take-over',
                 _PATIENCE, 0.02)
        held = time.monotonic() - began
        self._api.create_pod(self._namespace, pods.pod(
            f'p-{uuid.uuid4().hex[:8]}', node=self.node))
        wait_for(lambda: all(map(kube.is_ready, self._api.pods(
            self._namespace))), 'a pod Ready', _PATIENCE, 0.02)
        ready = time.monotonic() - began
        first.start_ready()
        self.agents.reverse()
        return {'held': held, 'pod_ready': ready}

    def _holder(self) -> str | None:
        lease = self._api.lease(self.node)
        return lease and lease['spec'].get('holderIdentity')


def _name(agent: agent_module.Agent) -> str:
    digits = (agent.directory / 'state' / 'agent-id').read_text().strip()
    return f'{os.uname().nodename}_{digits}'


def measure(rounds: int) -> dict[str, typing.Any]:
    """Return the seconds of each kind of end: median and longest."""
    seconds: dict[str, list[float]] = collections.defaultdict(list)
    cloud = openstack.FakeCloud()
    cloud.setUp()
    setting.find_programs()
    pair = Pair(kubernetes.shared(), cloud)
    try:
        for agent in pair.agents:
            agent.setUp()
            agent.start_ready()
        for number in range(rounds):
            for end in ('SIGTERM', 'SIGKILL'):
                common.say(f'round {number + 1} of {rounds}: {end}')
                for what, value in pair.run(end).items():
                    seconds[f'{end}_{what}'].append(value)
    finally:
        for agent in pair.agents:
            agent.cleanUp()
        cloud.cleanUp()
    return {name: {'median': round(statistics.median(values), 2),
                   'max': round(max(values), 2)}
            for name, values in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog='benchmarks/takeover', description=__doc__)
    parser.add_argument('--rounds', type=int, default=5)
    arguments = parser.parse_args()
    common.report({'benchmark': 'takeover', 'rounds': arguments.rounds,
                   'seconds': measure(arguments.rounds)})


if __name__ == '__main__':
    main()
