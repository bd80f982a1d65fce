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
"""What the agent writes of its node while nothing happens, on a real server.

The API server keeps some amounts in words of its own: only it can show that
these are no change.
"""

from zun_vk.tests.fixtures.wait import wait_for
from zun_vk.tests.functional import base

_LOOKS = 3


class NodeAtRestTestCase(base.AgentTestCase):

    # Its number of pods is one that the API server shortens.
    OPTIONS = {'node': {'pods_per_host': 10_000}}

    def test_looks_at_the_cloud_leave_the_node_alone(self):
        self.wait_node(lambda node: node['status']['allocatable']['pods']
                       == '10k', 'with 10k pods')
        self._wait_looks()
        before = self.node['metadata']['resourceVersion']

        self._wait_looks()

        self.assertEqual(before, self.node['metadata']['resourceVersion'])

    def _wait_looks(self):
        """Wait until the agent has begun some more looks at the cloud."""
        wanted = self._looks() + _LOOKS
        wait_for(lambda: self._looks() >= wanted, 'looks at the cloud')

    def _looks(self):
        return self.cloud.zun.count('GET', '/v1/services')
