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
"""How pods end or wait: deadlines, DaemonSets, room, vanished capsules."""

from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures import pods
from zun_vk.tests.fixtures.wait import hold_for
from zun_vk.tests.fixtures.wait import wait_for
from zun_vk.tests.functional import base

OWNER = {'apiVersion': 'apps/v1', 'kind': 'DaemonSet', 'name': 'agent',
         'uid': '00000000-0000-4000-8000-00000000d5e7', 'controller': True}
EXPIRED = 'Pod was active on the node longer than the specified deadline'


class DaemonSetCase(base.AgentTestCase):

    def run_pod_of_daemonset(self, name='web'):
        body = pods.pod(name, node=self.node_name)
        body['metadata']['ownerReferences'] = [OWNER]
        return self.submit(body)


class TestDaemonSetsIgnored(DaemonSetCase):

    def test_it_stays_pending_with_one_event_and_no_status_of_ours(self):
        pod = self.run_pod_of_daemonset()

        event = self.wait_event(pod, 'DaemonSetPod')
        self.running_pod(name='other')

        seen = self.now(pod)
        self.assertEqual('Normal', event['type'])
        self.assertEqual([1], [one['count'] for one in self.events(pod)])
        self.assertEqual('Pending', seen['status']['phase'])
        self.assertNotIn('startTime', seen['status'])
        self.assertEqual(pod['metadata']['resourceVersion'],
                         seen['metadata']['resourceVersion'])
        self.assertIsNone(self.capsule(pod))

    def test_it_goes_at_once_when_it_is_deleted(self):
        pod = self.run_pod_of_daemonset()
        self.wait_event(pod, 'DaemonSetPod')

        self.delete(pod)

        self.wait_pod(pod, lambda seen: seen is None, 'gone', 10)

    def test_pods_of_others_run(self):
        body = pods.pod('web', node=self.node_name)
        body['metadata']['ownerReferences'] = [{
            **OWNER, 'kind': 'ReplicaSet'}]

        self.wait_ready(self.submit(body))


class TestDaemonSetsRun(DaemonSetCase):

    OPTIONS = {'pods': {'daemonsets': 'run'}}

    def test_it_runs_as_any_pod(self):
        pod = self.run_pod_of_daemonset()

        self.wait_ready(pod)
        self.assertIsNotNone(self.capsule(pod))
        self.assertEqual([], self.events(pod, 'DaemonSetPod'))


class TestDaemonSetsFail(DaemonSetCase):

    OPTIONS = {'pods': {'daemonsets': 'fail'}}

    def test_it_fails_with_a_reason(self):
        pod = self.run_pod_of_daemonset()

        seen = self.wait_phase(pod, 'Failed')
        self.assertEqual('DaemonSetPod', seen['status']['reason'])
        self.assertEqual('Warning',
                         self.wait_event(pod, 'DaemonSetPod')['type'])
        self.assertIsNone(self.capsule(pod))
        self.delete(pod)
        self.wait_gone(pod)


class TestDaemonSetsIgnoredLater(base.OwnAgentTestCase):

    def test_one_that_runs_is_not_touched_by_another_setting(self):
        self.agent.write_config({'pods': {'daemonsets': 'run'}})
        self.agent.start_ready()
        body = pods.pod('web', node=self.node_name)
        body['metadata']['ownerReferences'] = [OWNER]
        pod = self.wait_ready(self.submit(body))
        self.agent.stop()
        self.agent.write_config({'pods': {'daemonsets': 'ignore'}})

        self.agent.start_ready()
        self.running_pod(name='other')

        self.assertTrue(kube.is_ready(self.now(pod)))
        self.assertFalse(self.capsule(pod).deleting)
        self.delete(pod)
        self.wait_gone(pod)


class TestActiveDeadline(base.AgentTestCase):

    def test_a_pod_past_it_fails_as_on_a_kubelet(self):
        pod = self.running_pod(activeDeadlineSeconds=2)

        seen = self.wait_phase(pod, 'Failed')

        self.assertEqual(('DeadlineExceeded', EXPIRED), (
            seen['status']['reason'], seen['status']['message']))
        self.assertIsNone(self.capsule(pod))
        event = self.wait_event(pod, 'DeadlineExceeded')
        self.assertEqual(('Normal', EXPIRED),
                         (event['type'], event['message']))

    def test_while_its_capsule_runs_it_has_not_failed(self):
        self.addCleanup(setattr, self.cloud.zun, 'delete_delay', 0.05)
        self.cloud.zun.delete_delay = 3
        pod = self.running_pod(activeDeadlineSeconds=2)
        wait_for(lambda: self.capsule(pod).deleting, 'capsule being deleted')

        hold_for(lambda: self.capsule(pod) is None
                 or self.now(pod)['status']['phase'] == 'Running',
                 'no end while the capsule is there', 2)

        self.wait_phase(pod, 'Failed')

    def test_one_that_is_set_later_is_honoured(self):
        pod = self.running_pod()
        metadata = pod['metadata']

        self.api.patch_pod(metadata['namespace'], metadata['name'],
                           {'spec': {'activeDeadlineSeconds': 1}})

        seen = self.wait_phase(pod, 'Failed')
        self.assertEqual('DeadlineExceeded', seen['status']['reason'])

    def test_a_pod_that_finished_in_time_has_not_failed(self):
        pod = self.running_pod(activeDeadlineSeconds=4,
                               restartPolicy='Never')
        with self.cloud.lock:
            for container in self.capsule(pod).containers:
                container.update(status='Stopped',
                                 status_detail='Exited(0) 1 second ago ')
            self.capsule(pod).become('Stopped')
        self.wait_phase(pod, 'Succeeded')

        hold_for(lambda: self.now(pod)['status']['phase'] == 'Succeeded',
                 'it stays so', 5)


class TestActiveDeadlineOverARestart(base.OwnAgentTestCase):

    def test_it_counts_from_the_start_of_the_pod(self):
        self.agent.start_ready()
        pod = self.running_pod(activeDeadlineSeconds=3)
        self.agent.kill()
        started = pod['status']['startTime']

        self.agent.start_ready()

        seen = self.wait_phase(pod, 'Failed', 60)
        self.assertEqual('DeadlineExceeded', seen['status']['reason'])
        self.assertEqual(started, seen['status']['startTime'])
        self.assertIsNone(self.capsule(pod))
        self.assertEqual(1, self.cloud.zun.created)


class TestPlacementDeadline(base.AgentTestCase):

    OPTIONS = {'pods': {'placement_deadline': 3}}
    HUGE = {'cpu': 'OutOfcpu', 'memory': 'OutOfmemory'}

    def rejected(self, reason, **requests):
        amounts = {'cpu': '1', 'memory': '64Mi', **requests}
        pod = self.run_pod(pods.container(resources={'requests': amounts}))
        event = self.wait_event(pod, 'FailedCreatePodSandBox')
        self.assertIn('There are not enough hosts available.',
                      event['message'])
        seen = self.wait_phase(pod, 'Failed', 40)
        self.assertEqual(reason, seen['status']['reason'])
        self.assertEqual('Warning', self.wait_event(pod, reason)['type'])
        wait_for(lambda: self.capsule(pod) is None, 'no capsule left')
        return seen['status']['message']

    def claim(self, **resources):
        """Take room away, as Nova does."""
        consumer = 'nova'
        self.cloud.add_claim(consumer, resources)
        self.addCleanup(self.cloud.remove_claim, consumer)
        total = self.node['status']['allocatable']
        self.wait_node(lambda node: node['status']['allocatable'] != total,
                       'with less room')

    def host(self, kind):
        with self.cloud.lock:
            provider = self.cloud.placement.by_name('host-0')
            return provider['inventories'][kind]['total']

    def test_without_cpus_it_fails_with_the_kubelets_words(self):
        total = self.host('VCPU')
        self.claim(VCPU=total - 1)

        message = self.rejected('OutOfcpu', cpu='1500m')

        self.assertTrue(message.startswith(
            "Pod was rejected: Node didn't have enough resource: cpu, "
            f'requested: 2000, used: {(total - 1) * 1000}, '
            f'capacity: {total * 1000}'), message)
        self.assertIn('There are not enough hosts available.', message)

    def test_without_memory(self):
        self.claim(MEMORY_MB=self.host('MEMORY_MB') - 100)

        self.rejected('OutOfmemory', memory='1Gi')

    def test_without_hosts(self):
        self.addCleanup(self.cloud.disable_host, 'host-0', False)
        self.cloud.disable_host('host-0')
        self.wait_node(lambda node: node['status']['allocatable']['pods']
                       == '0', 'without room for pods')

        self.rejected('OutOfpods')


class TestVanishedCapsules(base.AgentTestCase):

    def test_whatever_the_restart_policy_the_pod_fails_and_stays_so(self):
        for policy in ('Always', 'OnFailure', 'Never'):
            pod = self.running_pod(name=policy.lower(), restartPolicy=policy)
            created = self.cloud.zun.created
            self.cloud.lose(self.capsule(pod))

            seen = self.wait_phase(pod, 'Failed')

            self.assertEqual('CapsuleLost', seen['status']['reason'])
            ended = seen['status']['containerStatuses'][0]['state']
            self.assertEqual(137, ended['terminated']['exitCode'])
            self.assertEqual('False',
                             kube.condition(seen, 'Ready')['status'])
            self.assertEqual(created, self.cloud.zun.created)

    def test_one_that_vanished_before_it_ran_is_made_again(self):
        self.addCleanup(setattr, self.cloud.zun, 'start_delay', 0.05)
        self.cloud.zun.start_delay = 60
        pod = self.run_pod()
        wait_for(lambda: self.capsule(pod), 'a capsule')
        self.wait_pod(pod, lambda seen: seen['status'].get(
            'containerStatuses'), 'with containers')
        first = self.capsule(pod)
        self.cloud.zun.start_delay = 0.05

        self.cloud.lose(first)

        self.wait_ready(pod)
        self.assertNotEqual(first.uuid, self.capsule(pod).uuid)
