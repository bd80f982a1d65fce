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
"""Stock Zun: dockerd runs the capsules, the agent uses REST and no more.

What a pod can rely on without anything of the project on the hosts.
"""

from zun_vk.tests.devcloud import base
from zun_vk.tests.devcloud import test_environment
from zun_vk.tests.devcloud import test_pods


class TestDriver(base.DevcloudTestCase):

    def test_the_cloud_has_nothing_of_the_project_on_its_hosts(self):
        self.assertEqual('docker', self.devcloud.capsule_driver)
        self.assertIsNone(self.devcloud.pid('zun-vk-compute'))
        self.assertIsNone(self.devcloud.pid('containerd'))


class TestEnvironment(test_environment.TestEnvironment):
    pass


class TestPods(test_pods.TestPods):

    def test_a_pod_that_zun_cannot_carry_is_refused(self):
        pod = self.run_pod(base.container(
            livenessProbe={'exec': {'command': ['true']}}),
            hostname='named')

        event = self.wait_event(pod, 'UnsupportedPodSpec')

        self.assertIn('spec.containers[0].livenessProbe', event['message'])
        self.assertIn('spec.hostname', event['message'])
        seen = self.wait_phase(pod, 'Failed')
        self.assertEqual('UnsupportedPodSpec', seen['status']['reason'])
        self.assertIsNone(self.capsule(pod))


class TestFaults(test_pods.TestFaults):
    pass
