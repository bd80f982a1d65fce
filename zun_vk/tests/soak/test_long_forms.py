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
"""The long forms of the functional tests of faults."""

from zun_vk.tests.functional import test_agents as agents
from zun_vk.tests.functional import test_faults_cloud as cloud
from zun_vk.tests.functional import test_faults_killed as killed
from zun_vk.tests.functional import test_faults_kubernetes as kubernetes
from zun_vk.tests.functional import test_hostile as hostile

# With what is read as well: an agent may die there too.
REQUESTS = f'{killed.WRITES}|GET .*/capsules/[0-9a-f]{{8}}-'
BOTH = ('before', 'after')


class TestKilledWhileCreating(killed.TestKilledWhileCreating):
    MATCH, WHEN, POINTS = REQUESTS, BOTH, 12


class TestKilledWhileDeleting(killed.TestKilledWhileDeleting):
    MATCH, WHEN, POINTS = REQUESTS, BOTH, 9


class TestKilledWhileEnding(killed.TestKilledWhileEnding):
    MATCH, WHEN, POINTS = REQUESTS, BOTH, 7


class TestKilledAtDeadline(killed.TestKilledAtDeadline):
    MATCH, WHEN, POINTS = REQUESTS, BOTH, 8


class TestFrozen(agents.TestFrozen):
    FROZEN = 60


class TestApiServerAway(kubernetes.TestApiServerAway):
    AWAY = 60


class TestBusyZun(cloud.TestBusyZun):
    PODS, SECONDS = 200, 60

    def setUp(self):
        super().setUp()
        self.cloud.add_host('big', 1000, 1 << 20)


class TestIllCloud(cloud.TestIllCloud):
    OPTIONS = {'zun': {'timeout': 60}}
    PODS, SLOW, PATIENCE = 40, 10, 400


class TestCrowd(hostile.TestCrowd):
    EACH, PATIENCE = 500, 300


class TestNetwork(kubernetes.BehindRelay):

    def test_a_proxy_that_answers_for_a_dead_server_is_noticed(self):
        kept = self.running_pod(name='kept')
        self.assertGreater(self.relay.stall(), 0)

        new = self.run_pod(name='new')
        self.delete(kept)

        # 90 s of silence
        self.wait_ready(new, 150)
        self.wait_gone(kept, 60)
