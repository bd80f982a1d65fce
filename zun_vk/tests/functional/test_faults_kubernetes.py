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
"""A network that fails between the agent and Kubernetes."""

from zun_vk.tests.fixtures import agent as agent_module
from zun_vk.tests.fixtures import faults
from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures.wait import hold_for
from zun_vk.tests.functional import base


class TestNetwork(base.OwnAgentTestCase):
    """An agent whose way to the API server goes through a relay."""

    def setUp(self):
        super().setUp()
        self.relay = self.useFixture(faults.Relay(self.kube.port))
        self.kube.agent_kubeconfig      # noqa: B018 (applies the manifests)
        self.agent = self.useFixture(agent_module.Agent(
            self.kube, self.cloud, base.new_name(), self.OPTIONS,
            self.kube.issue_kubeconfig('zun-vk-agent', 'zun-vk',
                                       port=self.relay.port)))
        self.agent.start_ready()
        self.wait_node_ready()

    def test_a_watch_whose_packets_are_lost_is_noticed(self):
        kept = self.running_pod(name='kept')
        self.assertGreater(self.relay.lose_packets(), 0)

        new = self.run_pod(name='new')
        self.delete(kept)

        # 25 s until the connection is given up, and a list
        self.wait_ready(new, 60)
        self.wait_gone(kept, 30)
        self.assertTrue(self.agent.alive)

    def test_a_network_that_comes_and_goes_loses_nothing(self):
        namespace = self.namespace()
        pods = []
        for number in range(6):
            pods.append(self.run_pod(name=f'web-{number}',
                                     namespace=namespace))
            self.relay.cut()
        for pod in pods:
            self.wait_ready(pod, 60)
        self.assertEqual(6, self.cloud.zun.created)
        for pod in pods:
            self.delete(pod)
            self.relay.cut()
        for pod in pods:
            self.wait_gone(pod, 60)

    def test_answers_cut_short_crash_nothing(self):
        pod = self.running_pod(name='kept')
        self.relay.truncate(3000)
        self.relay.cut()
        new = self.run_pod(name='new')
        hold_for(lambda: self.agent.alive, 'the agent is up', 3)
        self.relay.truncate(None)
        self.relay.cut()

        self.wait_ready(new, 60)
        self.assertTrue(kube.is_ready(self.now(pod)))
        self.assertNotIn('begun again', self.agent.text())
