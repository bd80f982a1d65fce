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
"""Deletion, and whose capsule is whose."""

from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures import pods
from zun_vk.tests.fixtures.wait import hold_for
from zun_vk.tests.fixtures.wait import wait_for
from zun_vk.tests.functional import base

LABEL = 'zun.openstack.org/'
REAPED = 60     # seconds within which a forgotten capsule must go


class TestDeletion(base.AgentTestCase):

    def test_the_pod_outlives_its_capsule(self):
        pod = self.running_pod()
        self.addCleanup(setattr, self.cloud.zun, 'delete_delay', 0.05)
        self.cloud.zun.delete_delay = 3

        self.delete(pod)

        wait_for(lambda: self.capsule(pod).deleting, 'capsule being deleted')
        hold_for(lambda: self.capsule(pod) is None
                 or self.now(pod) is not None,
                 'the pod is there while its capsule is', 2)
        self.wait_gone(pod)

    def test_everything_of_a_deleted_pod_goes(self):
        pod = self.running_pod()
        capsule = self.capsule(pod)

        self.delete(pod)

        self.wait_gone(pod)
        self.assertNotIn(capsule.uuid, self.cloud.placement.allocations)
        self.assertEqual([], [
            port for port in self.cloud.neutron.ports.values()
            if port['device_id'] == capsule.uuid])

    def test_the_capsule_of_a_force_deleted_pod_goes_within_a_minute(self):
        pod = self.running_pod()

        self.delete(pod, grace=0)

        self.assertIsNone(self.now(pod))
        self.wait_gone(pod, REAPED)

    def test_a_pod_deleted_while_zun_creates_it_goes(self):
        self.addCleanup(setattr, self.cloud.zun, 'start_delay', 0.05)
        self.cloud.zun.start_delay = 2
        pod = self.run_pod()
        wait_for(lambda: self.capsule(pod), 'a capsule')

        self.delete(pod)

        self.wait_gone(pod)

    def test_a_pod_deleted_while_its_post_is_in_flight_goes(self):
        fault = self.cloud.zun.fail_next('POST', 'capsules', hold=True,
                                         containing='in-flight')
        self.addCleanup(self.cloud.zun.forgive)
        pod = self.run_pod(pods.container(image='in-flight'))
        self.assertTrue(fault.reached.wait(20))

        self.delete(pod, grace=0)
        fault.release()

        wait_for(lambda: self.cloud.zun.count('POST', '/v1/capsules'),
                 'the capsule made')
        self.wait_gone(pod, REAPED)

    def test_a_recreated_pod_gets_a_capsule_of_its_own(self):
        namespace = self.namespace()
        first = self.running_pod(namespace=namespace)
        self.delete(first, grace=0)

        second = self.running_pod(namespace=namespace)

        self.wait_gone(first, REAPED)
        self.assertNotEqual(first['metadata']['uid'],
                            second['metadata']['uid'])
        self.assertIsNotNone(self.capsule(second))

    def test_a_failing_delete_is_tried_again(self):
        pod = self.running_pod()
        self.cloud.zun.fail_next('DELETE', self.capsule(pod).uuid, times=2,
                                 status=500)
        self.addCleanup(self.cloud.zun.forgive)

        self.delete(pod)

        self.wait_gone(pod)

    def test_a_delete_that_finds_nothing_is_done(self):
        pod = self.running_pod()
        self.cloud.lose(self.capsule(pod))

        self.delete(pod)

        self.wait_gone(pod)

    def test_a_pod_whose_capsule_vanished_is_not_shown_as_running(self):
        pod = self.running_pod(restartPolicy='Never')

        self.cloud.lose(self.capsule(pod))

        seen = self.wait_phase(pod, 'Failed')
        self.assertTrue(seen['status']['reason'])
        self.assertIsNone(self.capsule(pod))


class TestNames(base.AgentTestCase):

    def test_pods_of_the_same_name_do_not_mix(self):
        one, other = (self.running_pod(pods.container(image=image))
                      for image in ('img-one', 'img-other'))

        self.assertEqual(['img-one'], self.capsule(one).images)
        self.assertEqual(['img-other'], self.capsule(other).images)
        self.delete(one)
        self.wait_gone(one)
        self.assertTrue(kube.is_ready(self.now(other)))
        self.assertFalse(self.capsule(other).deleting)

    def test_names_that_join_to_the_same_word_do_not_mix(self):
        for name in ('a-b', 'a'):
            self.kube.make_namespace(name)
        one = self.running_pod(namespace='a-b', name='c')
        other = self.running_pod(namespace='a', name='b-c')

        self.assertNotEqual(self.capsule(one).name, self.capsule(other).name)
        self.delete(one)
        self.wait_gone(one)
        self.assertFalse(self.capsule(other).deleting)


class TestForeignCapsules(base.AgentTestCase):

    def labels(self, **changed):
        cluster = kube.call(self.api.core.read_namespace,
                            'kube-system')['metadata']['uid']
        values = {'cluster': cluster, 'node': self.agent.node,
                  'namespace': 'default', 'pod': 'nobody',
                  'uid': '00000000-0000-4000-8000-000000000000', **changed}
        return {LABEL + name: value for name, value in values.items()
                if value is not None}

    def wait_look(self):
        """Wait until the agent has looked at all capsules thrice."""
        def lists():
            return self.cloud.zun.count('GET', '/v1/capsules')
        seen = lists()
        wait_for(lambda: lists() >= seen + 3, 'three looks at Zun')

    def test_what_is_not_ours_is_never_touched(self):
        foreign = [self.cloud.add_capsule(labels) for labels in (
            None,
            {'app': 'web'},
            self.labels(cluster='11111111-0000-4000-8000-000000000000'),
            self.labels(cluster=None),
            self.labels(node='another-node'),
            self.labels(node=None),
            self.labels(uid=None))]
        # the last one made is ours: once it is gone, all were looked at
        ours = self.cloud.add_capsule(self.labels())

        wait_for(lambda: ours.uuid not in self.cloud.zun.capsules,
                 'our own orphan reaped', REAPED)
        self.wait_look()

        for capsule in foreign:
            self.assertIn(capsule.uuid, self.cloud.zun.capsules)
            self.assertFalse(capsule.deleting)

    def test_a_foreign_capsule_with_a_pods_uid_is_not_its_own(self):
        pod = self.running_pod()
        forged = self.cloud.add_capsule(self.labels(
            node='another-node', uid=pod['metadata']['uid']))

        self.delete(pod)

        wait_for(lambda: self.now(pod) is None, 'pod gone')
        self.assertIn(forged.uuid, self.cloud.zun.capsules)
        self.assertFalse(forged.deleting)

    def test_of_several_capsules_of_a_pod_the_oldest_that_works_stays(self):
        pod = self.running_pod()
        kept = self.cloud.capsule_of(pod)
        metadata = pod['metadata']
        labels = self.labels(uid=metadata['uid'], pod=metadata['name'],
                             namespace=metadata['namespace'])
        with self.cloud.lock:
            newer = self.cloud.add_capsule(labels)
            newer.created_at = '2999-01-31 12:00:00+00:00'
            broken = self.cloud.add_capsule(labels)
            broken.created_at = '1999-01-31 12:00:00+00:00'
            broken.become('Error', 'It failed.')

        wait_for(lambda: [kept.uuid] == [
            one.uuid for one in self.cloud.capsules(uid=metadata['uid'])],
            'the others gone', REAPED)
        self.wait_look()

        self.assertFalse(kept.deleting)
        self.assertTrue(kube.is_ready(self.now(pod)))
        self.assertEqual(
            pod['status']['containerStatuses'],
            self.now(pod)['status']['containerStatuses'])

    def test_broken_capsules_do_not_stop_the_others(self):
        for labels in ({LABEL + 'cluster': None, LABEL + 'node': 7},
                       self.labels(uid=['a', 'list'])):
            broken = self.cloud.add_capsule(labels, name='broken')
            self.addCleanup(self.cloud.lose, broken)

        self.running_pod()

        self.assertTrue(self.agent.alive)
