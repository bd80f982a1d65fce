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
"""The node shows what the real Placement and the real Zun have."""

from devcloud import api
from zun_vk.tests.devcloud import base
from zun_vk.tests.fixtures.wait import hold_for

SECOND = 'host-of-a-test'


class TestCapacity(base.DevcloudTestCase):

    def setUp(self):
        super().setUp()
        # what earlier tests held is given back before anything is compared
        self.wait_no_capsules()
        self.wait_expected()

    def test_a_ready_node_offers_what_placement_has_free(self):
        node = self.wait_node_ready()

        self.assertEqual(self.expected(), base.amounts(node))
        self.assertGreater(int(node['status']['allocatable']['pods']), 0)

    def test_what_others_claim_is_no_longer_offered(self):
        cpu, _memory = self.allocatable()
        host, *_more = self.cloud.hosts()

        consumer = self.cloud.claim(host, {'VCPU': 2, 'MEMORY_MB': 256})
        self.addCleanup(self.cloud.release, consumer)

        self.wait_allocatable(cpu - 2000)
        self.assertEqual(self.expected(), self.allocatable())
        self.cloud.release(consumer)
        self.wait_allocatable(cpu)

    def test_a_cordoned_host_is_no_longer_offered(self):
        alone, _memory = self.allocatable()
        self.devcloud.add_host(SECOND)
        self.addCleanup(self.devcloud.remove_host, SECOND)
        self.wait_node(lambda node: base.amounts(node)[0] > alone,
                       'with a second host', 30)

        self.cloud.cordon(SECOND)
        self.addCleanup(self.cloud.cordon, SECOND, False)

        self.wait_allocatable(alone)
        self.wait_node_ready()


class TestRestart(base.DevcloudTestCase):
    """A real node lifecycle controller looks at the Lease."""

    # Seconds: with the start of the next agent just under 40. Kubernetes
    # marks a node that has been silent for longer than that.
    AWAY = 30.0

    def _ready(self):
        ready, = (condition for condition
                  in self.api.node(self.node_name)['status']['conditions']
                  if condition['type'] == 'Ready')
        return ready['status'], ready['lastTransitionTime']

    def test_an_agent_that_is_away_for_half_a_minute_does_not_show(self):
        self._away(self.devcloud.stop_agent)

    def test_nor_does_one_that_was_killed(self):
        self._away(lambda: self.devcloud.kill(api.AGENT))

    def _away(self, end):
        pod = self.running_pod()
        before = self._ready()
        self.assertEqual('True', before[0])

        end()
        hold_for(lambda: self._ready() == before, 'the node as it was',
                 self.AWAY)
        self.devcloud.start_agent()

        self.assertEqual(before, self._ready())
        again = self.api.pod(pod['metadata']['namespace'],
                             pod['metadata']['name'])
        self.assertEqual(pod['status'], again['status'])
