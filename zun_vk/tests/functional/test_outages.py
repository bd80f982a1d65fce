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
"""Services that fail and come back: no restart, no storm, no loss."""

from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures import kubernetes
from zun_vk.tests.fixtures import pods
from zun_vk.tests.fixtures.openstack import cloud
from zun_vk.tests.fixtures.wait import hold_for
from zun_vk.tests.fixtures.wait import wait_for
from zun_vk.tests.functional import base

FEW = 6     # lines; an outage of some seconds must not say more


class OutageTestCase(base.OwnAgentTestCase):
    """An agent that is at work, whose cloud then fails."""

    def setUp(self):
        super().setUp()
        self.agent.start_ready()
        self.wait_node_ready()

    def check_outage(self, reason, begin, end):
        pod = self.running_pod()
        status = self.now(pod)['status']
        position = self.agent.position()

        begin()
        self.wait_node_not_ready(reason)
        loud = self.agent.loud(position)
        self.assertTrue(loud, 'nothing was said')
        self.assertLessEqual(len(loud), FEW, loud)
        self.assertEqual(status, self.now(pod)['status'])

        end()
        self.wait_node_ready(40)
        self.assertEqual(status, self.now(pod)['status'])
        self.assertFalse(self.capsule(pod).deleting)
        self.running_pod(name='after')


class TestZunOutages(OutageTestCase):

    def test_zun_stops_and_comes_back(self):
        self.check_outage('ZunUnavailable', self.cloud.zun.stop,
                          self.cloud.zun.start)

    def test_zun_answers_503_for_a_while(self):
        def begin():
            self.cloud.zun.fail_next(status=503, times=10_000)
        self.check_outage('ZunUnavailable', begin, self.cloud.zun.forgive)

    def test_zun_answers_nonsense_for_a_while(self):
        def begin():
            self.cloud.zun.fail_next(status=200, body=['<html>', None, 7],
                                     times=10_000)
        self.check_outage('ZunUnavailable', begin, self.cloud.zun.forgive)

    def test_a_pod_bound_during_an_outage_runs_after_it(self):
        self.cloud.zun.stop()
        pod = self.run_pod()
        self.wait_node_not_ready('ZunUnavailable')

        self.cloud.zun.start()

        self.wait_ready(pod, 40)
        self.assertEqual(1, self.cloud.zun.created)

    def test_a_pod_deleted_during_an_outage_goes_after_it(self):
        pod = self.running_pod()
        self.cloud.zun.stop()
        self.delete(pod)
        hold_for(lambda: self.now(pod) is not None,
                 'the pod is there while its capsule is', 2)

        self.cloud.zun.start()

        self.wait_gone(pod, 40)

    def test_an_empty_answer_deletes_no_pod(self):
        pod = self.running_pod()
        before = self.now(pod)['status']['phase']

        self.cloud.zun.fail_next('GET', '/v1/capsules/?$', status=200,
                                 body={'capsules': [], 'next': None})

        hold_for(lambda: self.now(pod)['status']['phase'] == before,
                 'the pod runs on', 3)


class TestNeutronOutages(OutageTestCase):

    def test_the_node_stays_ready_and_nothing_is_left_behind(self):
        self.cloud.zun.bad_images['shade'] = 'Image shade was not found.'
        self.cloud.neutron.stop()
        pod = self.run_pod(pods.container(image='shade'))
        capsule = wait_for(lambda: self.capsule(pod), 'a capsule')
        wait_for(lambda: capsule.status == 'Error', 'its failure')
        self.delete(pod)

        hold_for(lambda: kube.is_ready(self.node)
                 and capsule.uuid in self.cloud.zun.capsules,
                 'the node is ready, the record is there', 5)
        self.running_pod(name='meanwhile')
        self.cloud.neutron.start()

        self.wait_gone(pod, 40)
        self.assertNotIn(capsule.uuid, [
            port['device_id'] for port in self.cloud.neutron.ports.values()])


class TestOtherOutages(OutageTestCase):

    def test_placement_stops_and_comes_back(self):
        self.check_outage('PlacementUnavailable', self.cloud.placement.stop,
                          self.cloud.placement.start)

    def test_keystone_stops_and_comes_back(self):
        def begin():
            self.cloud.keystone.stop()
            self.cloud.keystone.revoke_all()
        self.check_outage('KeystoneUnavailable', begin,
                          self.cloud.keystone.start)

    def test_expired_tokens_are_renewed_without_a_word(self):
        pod = self.running_pod()
        position = self.agent.position()

        self.cloud.keystone.revoke_all()

        self.running_pod(name='after')
        hold_for(lambda: kube.is_ready(self.node), 'node Ready', 2)
        self.assertEqual([], self.agent.loud(position))
        self.assertTrue(kube.is_ready(self.now(pod)))

    def test_a_password_changed_under_way_is_an_outage_not_the_end(self):
        self.cloud.keystone.set_password('zun-vk', 'another')
        self.cloud.keystone.revoke_all()

        self.wait_node_not_ready('KeystoneUnavailable')
        self.assertTrue(self.agent.alive)

        self.cloud.keystone.set_password(
            'zun-vk', cloud.PASSWORD)
        self.wait_node_ready(40)


class TestKubernetesOutages(base.OwnAgentTestCase):
    """These stop the API server, so they have one of their own."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.own = kubernetes.Kubernetes()
        cls.own.setUp()
        cls.addClassCleanup(cls.own.cleanUp)

    def make_kube(self):
        return self.own

    def setUp(self):
        super().setUp()
        self.addCleanup(self.ensure_server)

    def ensure_server(self):
        if not self.own.server_alive:
            self.own.start_server()

    def test_the_api_server_stops_and_comes_back(self):
        self.agent.start_ready()
        pod = self.running_pod()
        position = self.agent.position()

        self.own.stop_server()
        hold_for(lambda: self.agent.alive, 'the agent is up', 4)
        loud = self.agent.loud(position)
        self.assertTrue(loud, 'nothing was said')
        self.assertLessEqual(len(loud), FEW, loud)
        self.own.start_server()

        self.running_pod(name='after')
        self.assertEqual(pod['status'], self.now(pod)['status'])
        self.assertEqual(2, self.cloud.zun.created)

    def test_an_end_seen_during_an_outage_is_not_lost(self):
        self.agent.start_ready()
        pod = self.running_pod(restartPolicy='Never')
        self.own.stop_server()
        with self.cloud.lock:
            for container in self.capsule(pod).containers:
                container.update(status='Stopped',
                                 status_detail='Exited(7) 1 second ago ')
        seen = self.cloud.zun.count('GET', '/v1/capsules')
        wait_for(lambda: self.cloud.zun.count('GET', '/v1/capsules')
                 >= seen + 2, 'the agent saw the end')

        self.own.start_server()

        found = self.wait_phase(pod, 'Failed')
        ended = found['status']['containerStatuses'][0]['state']
        self.assertEqual(7, ended['terminated']['exitCode'])

    def test_changes_the_watch_cannot_replay_are_seen(self):
        self.agent.start_ready()
        gone, kept = (self.running_pod(name=name)
                      for name in ('gone', 'kept'))
        namespace = self.namespace()
        self.own.stop_server()
        with self.own.another_server() as api:
            api.delete_pod(gone['metadata']['namespace'], 'gone', 0)
            # more changes than a new server's watch cache begins with
            for number in range(5):
                api.create_namespace(f'{namespace}-{number}')
            new = api.create_pod(namespace, pods.pod(
                'new', node=self.agent.node))
            self.addCleanup(self.api.delete_pod, namespace, 'new', 0)

        self.own.start_server()

        self.wait_ready(new, 40)
        self.wait_gone(gone, 60)
        self.assertTrue(kube.is_ready(self.now(kept)))

    def test_an_agent_started_without_kubernetes_waits_for_it(self):
        self.own.stop_server()
        self.agent.start()
        hold_for(lambda: self.agent.alive and not self.agent.notified,
                 'the agent waits', 4)
        self.assertLessEqual(len(self.agent.loud()), FEW)

        self.own.start_server()

        self.agent.wait_ready(40)
        self.wait_node_ready()
