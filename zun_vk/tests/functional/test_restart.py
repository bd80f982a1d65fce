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
"""Stopping, killing and starting the agent again."""

import subprocess

from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures import pods
from zun_vk.tests.fixtures.wait import wait_for
from zun_vk.tests.functional import base


class TestRestart(base.OwnAgentTestCase):

    def setUp(self):
        super().setUp()
        self.agent.start_ready()

    def uuids(self):
        return sorted(capsule.uuid for capsule in self.cloud.capsules())

    def look_again(self):
        """Wait until the agent has seen all capsules since its start."""
        def lists():
            return self.cloud.zun.count('GET', '/v1/capsules')
        seen = lists()
        wait_for(lambda: lists() >= seen + 2, 'two looks at Zun')

    def test_sigterm_ends_it_well_and_soon(self):
        self.running_pod()

        code, seconds = self.agent.stop()

        self.assertEqual(0, code, self.agent.tail())
        self.assertLess(seconds, 10)

    def test_a_stop_deletes_nothing(self):
        pod = self.running_pod()

        self.agent.stop()

        self.assertFalse(self.capsule(pod).deleting)
        self.assertTrue(kube.is_ready(self.now(pod)))
        self.assertTrue(kube.is_ready(self.node))

    def test_sigterm_is_obeyed_during_a_create(self):
        fault = self.cloud.zun.fail_next('POST', 'capsules', hold=True)
        self.addCleanup(self.cloud.zun.forgive)
        self.run_pod()
        self.assertTrue(fault.reached.wait(20))

        code, _seconds = self.agent.stop(60)

        self.assertEqual(0, code, self.agent.tail())

    def check_kept(self, restart):
        first = self.running_pod(name='one')
        second = self.running_pod(pods.container(command=['sleep', '9']),
                                  name='two')
        self.wait_event(second, 'ZunMeaningDiffers')
        before = self.uuids()
        posts = self.cloud.zun.count('POST', '/v1/capsules')
        ready_since = self.since(self.node)

        restart()
        self.agent.start_ready()
        self.look_again()

        self.assertEqual(before, self.uuids())
        self.assertEqual(posts, self.cloud.zun.count('POST', '/v1/capsules'))
        for pod in (first, second):
            self.assertEqual(pod['status'], self.now(pod)['status'])
        self.assertEqual(ready_since, self.since(self.node))
        for event in self.events(second):
            self.assertEqual(1, event['count'], event['reason'])

    def since(self, node):
        ready = kube.condition(node, 'Ready')
        self.assertEqual('True', ready['status'])
        return ready['lastTransitionTime']

    def test_a_restart_keeps_running_capsules(self):
        self.check_kept(self.agent.stop)

    def test_a_crash_keeps_running_capsules(self):
        self.check_kept(self.agent.kill)

    def test_a_crash_while_zun_creates_does_not_double_the_capsule(self):
        fault = self.cloud.zun.fail_next('POST', 'capsules', hold=True,
                                         after=True)
        pod = self.run_pod()
        self.assertTrue(fault.reached.wait(20))
        self.assertIsNotNone(self.capsule(pod))

        self.agent.kill()
        fault.release()
        self.agent.start_ready()

        self.wait_ready(pod)
        self.look_again()
        self.assertEqual(1, self.cloud.zun.created)

    def test_a_capsule_made_after_the_crash_is_not_doubled(self):
        fault = self.cloud.zun.fail_next('POST', 'capsules', hold=True)
        pod = self.run_pod()
        self.assertTrue(fault.reached.wait(20))

        self.agent.kill()
        self.agent.start_ready()
        # Zun serves the dead agent's request only now: two capsules may
        # be made, but one must go, and the pod's must stay
        fault.release()

        self.wait_ready(pod)
        wait_for(lambda: len(self.cloud.capsules()) == 1, 'one capsule', 60)
        self.look_again()
        self.assertTrue(kube.is_ready(self.now(pod)))

    def test_ten_creations_survive_a_crash_among_them(self):
        self.cloud.zun.delay = 0.1
        namespace = self.namespace()
        made = [self.run_pod(name=f'web-{number}', namespace=namespace)
                for number in range(10)]
        wait_for(lambda: len(self.cloud.capsules()) >= 3, 'three capsules',
                 interval=0.01)

        self.agent.kill()
        self.agent.start_ready()

        # a pod taken up but not made yet waits for what the dead agent may
        # have asked of Zun
        for pod in made:
            self.wait_ready(pod, 60)
        self.look_again()
        found = sorted(capsule.labels['zun.openstack.org/pod']
                       for capsule in self.cloud.capsules())
        self.assertEqual([f'web-{number}' for number in range(10)], found)

    def test_what_happened_meanwhile_is_made_up_for(self):
        kept = self.running_pod(name='kept')
        deleted = self.running_pod(name='deleted')
        forced = self.running_pod(name='forced')
        self.agent.kill()
        self.delete(deleted)
        self.delete(forced, grace=0)
        new = self.run_pod(name='new')

        self.agent.start_ready()

        self.wait_ready(new)
        self.wait_gone(deleted)
        self.wait_gone(forced, 60)
        self.assertTrue(kube.is_ready(self.now(kept)))

    def test_a_refused_pod_is_not_said_again(self):
        pod = self.run_pod(hostPID=True)
        self.wait_event(pod, 'UnsupportedPodSpec')
        self.wait_phase(pod, 'Failed')

        self.agent.kill()
        self.agent.start_ready()
        self.running_pod(name='other')

        event, = self.events(pod, 'UnsupportedPodSpec')
        self.assertEqual(1, event['count'])

    def test_a_finished_pod_stays_finished(self):
        pod = self.running_pod(restartPolicy='Never')
        with self.cloud.lock:
            for container in self.capsule(pod).containers:
                container.update(status='Stopped',
                                 status_detail='Exited(0) 1 second ago ')
        done = self.wait_phase(pod, 'Succeeded')
        self.agent.kill()
        capsule = self.capsule(pod)
        if capsule is not None:
            self.cloud.lose(capsule)

        self.agent.start_ready()
        self.look_again()

        self.assertEqual(done['status'], self.now(pod)['status'])
        self.assertEqual(1, self.cloud.zun.created)

    def test_hup_does_not_end_it(self):
        subprocess.run(['kill', '-HUP', str(self.agent.pid)], check=True)

        self.running_pod()

        self.assertTrue(self.agent.alive)


class TestLostAnswers(base.OwnAgentTestCase):
    """Zun made the capsule, but the agent was not told."""

    def check_one(self, **fault):
        self.agent.start_ready()
        self.cloud.zun.fail_next('POST', 'capsules', after=True, **fault)

        pod = self.run_pod()

        self.wait_ready(pod, 40)
        self.assertEqual(1, self.cloud.zun.created)

    def test_after_a_500_the_capsule_is_found_not_doubled(self):
        self.check_one(status=500)

    def test_after_a_gateway_timeout_the_capsule_is_found_not_doubled(self):
        self.check_one(status=504)

    def test_after_a_dropped_connection_it_is_found_not_doubled(self):
        self.check_one(drop=True)

    def test_after_a_client_timeout_it_is_found_not_doubled(self):
        self.agent.write_config({'zun': {'timeout': 2}})
        self.addCleanup(self.cloud.zun.forgive)
        self.check_one(hold=True)
