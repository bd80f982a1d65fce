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
"""Several agents, several nodes: who holds what, and that nothing doubles."""

import collections
import os
import signal
import time
import uuid

from zun_vk.tests.fixtures import agent as agent_module
from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures import kubernetes
from zun_vk.tests.fixtures import openstack
from zun_vk.tests.fixtures import pods
from zun_vk.tests.fixtures.wait import hold_for
from zun_vk.tests.fixtures.wait import wait_for
from zun_vk.tests.functional import base

# A lease lasts 15 s, and an agent that was quicker is seen a second later.
TAKE_OVER = 20.0


class AgentsTestCase(base.FunctionalTestCase):
    """A cloud, and agents as a test starts them."""

    def setUp(self):
        super().setUp()
        self.kube = kubernetes.shared()
        self.cloud = self.useFixture(openstack.FakeCloud(self.HOSTS))
        self.name = f'vk-{uuid.uuid4().hex[:8]}'
        self.agents: list[agent_module.Agent] = []

    def start_agent(self, **options):
        """Run another agent of the same nodes and return it."""
        made = self.useFixture(agent_module.Agent(
            self.kube, self.cloud, self.name, options))
        self.agents.append(made)
        self.agent = made
        made.start_ready()
        return made

    @property
    def node_name(self):
        return self.name

    def holder(self, node=None):
        """Return the name of the agent that holds a node, None: nobody."""
        lease = self.api.lease(node or self.name)
        return lease and lease['spec'].get('holderIdentity')

    def identity(self, agent):
        """Return the name an agent has given itself."""
        digits = (agent.directory / 'state' / 'agent-id').read_text().strip()
        return f'{os.uname().nodename}_{digits}'

    def wait_held_by(self, agent, timeout, node=None):
        """Wait until the agent holds the node; return the seconds."""
        began = time.monotonic()
        wanted = self.identity(agent)
        wait_for(lambda: self.holder(node) == wanted,
                 f'{node or self.name} held by {wanted}', timeout,
                 seen=lambda: self.holder(node))
        return time.monotonic() - began

    def uuids(self):
        return sorted(capsule.uuid for capsule in self.cloud.capsules())


class TestTakeOver(AgentsTestCase):

    def setUp(self):
        super().setUp()
        self.first = self.start_agent()
        self.wait_node_ready()
        self.second = self.start_agent()
        self.pod = self.running_pod()
        self.before = self.uuids()
        self.ready_since = self.since()

    def since(self):
        ready = kube.condition(self.node, 'Ready')
        self.assertEqual('True', ready['status'])
        return ready['lastTransitionTime']

    def check_nothing_changed(self):
        """Check what a take-over must not touch, then run another pod."""
        self.assertEqual(self.before, self.uuids())
        self.assertEqual(self.pod['status'], self.now(self.pod)['status'])
        self.running_pod(name='after')
        self.assertEqual(self.ready_since, self.since())
        self.assertEqual(2, len(self.uuids()))

    def test_the_second_agent_waits(self):
        self.assertEqual(self.identity(self.first), self.holder())

    def test_after_sigkill_another_takes_the_node(self):
        self.first.kill()
        self.wait_held_by(self.second, TAKE_OVER)
        self.check_nothing_changed()

    def test_after_sigterm_another_takes_the_node_at_once(self):
        os.kill(self.first.pid, signal.SIGTERM)
        # Two seconds, and one for a busy machine.
        self.wait_held_by(self.second, 3)
        self.assertEqual(0, self.first.wait())
        self.check_nothing_changed()

    def test_a_restart_on_the_same_host_keeps_the_node(self):
        self.first.kill()
        self.first.start_ready()
        self.assertEqual(self.identity(self.first), self.holder())
        self.check_nothing_changed()

    def test_an_agent_that_waits_can_end_without_a_trace(self):
        self.second.stop()
        self.assertEqual(self.identity(self.first), self.holder())
        self.check_nothing_changed()

    def test_two_agents_cannot_share_a_state_directory(self):
        third = self.useFixture(agent_module.Agent(
            self.kube, self.cloud, self.name,
            {'agent': {'state_path': self.first.directory / 'state'}}))
        third.start()
        self.assertEqual(1, third.wait())
        self.assertIn('[agent] state_path', third.text())


class TestFrozen(AgentsTestCase):

    # Seconds that the agent is frozen, or until another has done its work.
    FROZEN = 0.0

    def setUp(self):
        super().setUp()
        self.first = self.start_agent()
        self.wait_node_ready()
        self.second = self.start_agent()

    def test_an_agent_that_was_frozen_does_no_harm(self):
        # It wakes up with answers to read: to a creation, after which it
        # would write a status, and to a write in Placement, after which it
        # would delete a capsule. Another has done all that, and more.
        gone = self.running_pod(name='gone')
        held = [self.cloud.zun.fail_next('POST', 'capsules', hold=True)]
        new = self.run_pod(name='new')
        self.assertTrue(held[0].reached.wait(20))
        held.append(self.cloud.placement.fail_next('DELETE', hold=True))
        failed = self.run_failing_pod()
        self.assertTrue(held[1].reached.wait(20))
        os.kill(self.first.pid, signal.SIGSTOP)
        frozen_at = time.monotonic()
        self.addCleanup(os.kill, self.first.pid, signal.SIGCONT)
        for fault in held:
            fault.release()
        self.cloud.zun.bad_images.clear()
        self.delete(gone)
        self.wait_held_by(self.second, TAKE_OVER)
        for pod in (new, failed):
            self.wait_ready(pod, 60)
        self.wait_gone(gone)
        before = self.changes()
        uuids = self.uuids()
        statuses = [self.now(pod)['status'] for pod in (new, failed)]

        hold_for(lambda: self.holder() == self.identity(self.second),
                 'the node held by the other agent',
                 frozen_at + self.FROZEN - time.monotonic())
        os.kill(self.first.pid, signal.SIGCONT)
        wait_for(lambda: 'is held by another agent now' in self.first.text(),
                 'the frozen agent finds that it lost the lease', 20)
        self.running_pod(name='later')

        self.assertEqual(self.identity(self.second), self.holder())
        self.assertEqual(statuses, [
            self.now(pod)['status'] for pod in (new, failed)])
        self.assertLessEqual(set(uuids), set(self.uuids()))
        self.assertEqual(before + collections.Counter({
            ('POST', '/v1/capsules'): 1}), self.changes())

    def run_failing_pod(self):
        """Create a pod whose capsule fails for now."""
        self.cloud.zun.bad_images['bad:1'] = 'no such image'
        return self.run_pod(pods.container(image='bad:1'), name='failed')

    def changes(self):
        """Count the requests that changed something in the cloud."""
        with self.cloud.lock:
            requests = (self.cloud.zun.requests
                        + self.cloud.placement.requests)
        return collections.Counter({
            request: number for request, number in requests.items()
            if request[0] != 'GET'})


class TestLoad(AgentsTestCase):

    HOSTS = 2
    PODS = 24

    def test_agents_that_are_killed_under_load_double_and_lose_nothing(self):
        agents = [self.start_agent(), self.start_agent()]
        namespace = self.namespace()
        crowd = []
        for number in range(self.PODS):
            crowd.append(self.run_pod(name=f'p{number}', namespace=namespace))
            if number % 8 == 4:
                agents[0].kill()
                agents[0].start()
                agents.reverse()
        for pod in crowd:
            # The first look after a kill waits for requests of the dead.
            self.wait_ready(pod, 90)
        per_pod = collections.Counter(
            capsule.labels['zun.openstack.org/uid']
            for capsule in self.cloud.capsules())
        self.assertEqual({pod['metadata']['uid']: 1 for pod in crowd},
                         dict(per_pod))


class TestZones(AgentsTestCase):

    HOSTS = 3

    def setUp(self):
        super().setUp()
        for number, host in enumerate(sorted(self.cloud.zun.services)):
            self.set_zone(host, f'az{number}')
        for zone in ('az0', 'az1', 'az2'):
            self.addCleanup(self.api.delete_node, f'{self.name}-{zone}')

    def set_zone(self, host, zone):
        with self.cloud.lock:
            self.cloud.zun.services[host]['availability_zone'] = zone

    def start_agent(self):
        return super().start_agent(
            node={'per_availability_zone': True})

    def nodes(self):
        return {zone: self.api.node(f'{self.name}-{zone}')
                for zone in ('az0', 'az1', 'az2')}

    def wait_zone(self, zone, predicate, what):
        wait_for(lambda: predicate(self.api.node(f'{self.name}-{zone}')),
                 f'node of {zone} {what}', 20,
                 seen=lambda: self.api.node(f'{self.name}-{zone}'))

    def test_each_zone_has_a_node_of_its_own(self):
        self.start_agent()
        for zone, node in self.nodes().items():
            self.wait_zone(zone, kube.is_ready, 'Ready')
            self.assertEqual(
                zone, node['metadata']['labels'][
                    'topology.kubernetes.io/zone'])
            self.assertEqual('16', node['status']['allocatable']['cpu'])
        self.cloud.add_claim('somebody', {'VCPU': 6}, 'host-1')
        self.wait_zone('az1', lambda node: node['status']['allocatable'][
            'cpu'] == '10', 'shrunk')
        self.assertEqual(
            ['16', '16'], [self.nodes()[zone]['status']['allocatable']['cpu']
                           for zone in ('az0', 'az2')])

    def test_a_pod_runs_in_the_zone_of_its_node(self):
        self.start_agent()
        pod = self.run_pod_in('az2')
        self.wait_ready(pod)
        self.assertEqual('host-2', self.capsule(pod).host)

    def run_pod_in(self, zone, name='web'):
        node, self.name = self.name, f'{self.name}-{zone}'
        try:
            return self.run_pod(name=name)
        finally:
            self.name = node

    def test_a_zone_that_vanishes_is_cordoned_and_kept(self):
        agent = self.start_agent()
        pod = self.wait_ready(self.run_pod_in('az1'))
        self.set_zone('host-1', 'az0')
        self.wait_zone('az1', lambda node: node['spec'].get('unschedulable'),
                       'cordoned')
        agent.stop()
        agent.start_ready()
        self.wait_zone('az1', lambda node: kube.condition(node, 'Ready')[
            'reason'] == 'NoZunHost', 'not ready')
        self.assertIsNotNone(self.capsule(pod))
        self.set_zone('host-1', 'az1')
        self.wait_zone('az1', kube.is_ready, 'Ready again')
        self.wait_zone('az1', lambda node: not node['spec'].get(
            'unschedulable'), 'uncordoned')

    def test_nodes_are_spread_over_agents_that_come_and_go(self):
        first = self.start_agent()
        self.assertEqual(3, self.held_by(first))
        second = self.start_agent()
        wait_for(lambda: self.held_by(second) == 1, 'a node moved', 40,
                 seen=self.holders)
        self.assertEqual(2, self.held_by(first))
        first.stop()
        wait_for(lambda: self.held_by(second) == 3, 'all nodes moved', 20,
                 seen=self.holders)

    def held_by(self, agent):
        return self.holders().count(self.identity(agent))

    def holders(self):
        return [self.holder(f'{self.name}-{zone}')
                for zone in ('az0', 'az1', 'az2')]
