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
"""A network, an API server and a machine that fail the agent."""

import os
import signal

from zun_vk.tests.fixtures import agent as agent_module
from zun_vk.tests.fixtures import faults
from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures import kubernetes
from zun_vk.tests.fixtures.wait import hold_for
from zun_vk.tests.fixtures.wait import wait_for
from zun_vk.tests.functional import base


class BehindRelay(base.OwnAgentTestCase):
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


class TestNetwork(BehindRelay):

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

    def lists_again(self):
        return self.agent.text().count('too old, listing again')

    def test_watches_that_all_end_in_410_lose_nothing(self):
        storm = self.agent.directory / 'storm'
        self.agent.start_ready({'expire': str(storm)})
        kept = self.running_pod(name='kept')
        namespace = self.namespace()
        storm.touch()
        self.relay.cut()
        wait_for(lambda: self.lists_again() >= 3, 'a storm')

        # lists come ever more slowly, but they come
        during = self.run_pod(name='during', namespace=namespace)
        self.wait_ready(during, 60)
        self.assertLess(self.lists_again(), 12)
        storm.unlink()

        after = self.run_pod(name='after', namespace=namespace)
        self.wait_ready(after, 60)
        self.delete(during)
        self.wait_gone(during, 40)
        self.assertTrue(kube.is_ready(self.now(kept)))


class TestApiServerAway(base.OwnAgentTestCase):
    """These stop the API server, so they have one of their own."""

    AWAY = 4        # seconds

    def make_kube(self):
        return self.useFixture(kubernetes.Kubernetes())

    def end(self, pod, code):
        """Let a pod's container end on its host."""
        with self.cloud.lock:
            for container in self.capsule(pod).containers:
                container.update(status='Stopped', status_detail=(
                    f'Exited({code}) 1 second ago '))

    def test_what_ends_meanwhile_is_written_and_what_was_deleted_goes(self):
        self.agent.start_ready()
        namespace = self.namespace()
        made = [self.run_pod(name=f'web-{number}', namespace=namespace,
                             restartPolicy='Never') for number in range(12)]
        for pod in made:
            self.wait_ready(pod, 60)
        ended, deleted, kept = made[:5], made[5:10], made[10:]
        # longer than it takes to stop the API server
        self.cloud.zun.delete_delay = self.AWAY / 2
        for pod in deleted:
            self.delete(pod)
        wait_for(lambda: all(self.capsule(pod).deleting for pod in deleted),
                 'Zun deletes')

        self.kube.stop_server()
        for number, pod in enumerate(ended):
            self.end(pod, number)
        hold_for(lambda: self.agent.alive, 'the agent is up', self.AWAY)
        self.kube.compact()
        self.kube.start_server()

        for number, pod in enumerate(ended):
            seen = self.wait_phase(pod, 'Failed' if number else 'Succeeded',
                                   60)
            state = seen['status']['containerStatuses'][0]['state']
            self.assertEqual(number, state['terminated']['exitCode'])
        for pod in deleted:
            self.wait_gone(pod, 60)
        for pod in kept:
            self.assertTrue(kube.is_ready(self.now(pod)))
        self.assertEqual(len(made), self.cloud.zun.created)


class TestOwnMachine(base.OwnAgentTestCase):
    """What goes wrong on the machine that the agent runs on."""

    def renewed(self):
        """Wait until the Lease has been renewed."""
        def version():
            return self.api.lease(self.agent.node)[
                'metadata']['resourceVersion']
        before = version()
        wait_for(lambda: version() != before, 'the Lease renewed')

    def check_jump(self, hours):
        self.agent.start_ready({'clock': hours * 3600})
        self.wait_node_ready()
        pod = self.running_pod(name='kept')
        os.kill(self.agent.pid, signal.SIGUSR1)

        self.renewed()
        self.running_pod(name='new')
        self.cloud.keystone.revoke_all()
        self.running_pod(name='newer')
        self.assertTrue(kube.is_ready(self.node))
        self.assertEqual(pod['status'], self.now(pod)['status'])

    def test_a_clock_that_jumps_forwards_changes_nothing(self):
        self.check_jump(1)

    def test_a_clock_that_jumps_backwards_changes_nothing(self):
        self.check_jump(-1)

    def test_a_full_disk_stops_the_log_and_nothing_else(self):
        self.agent.write_config({'DEFAULT': {
            'log_file': '/dev/full', 'use_stderr': False}})
        self.agent.start_ready()

        pod = self.running_pod()
        self.delete(pod)
        self.wait_gone(pod)
        self.running_pod(name='another')

        self.assertTrue(self.agent.alive)
        code, _seconds = self.agent.stop()
        self.assertEqual(0, code)
