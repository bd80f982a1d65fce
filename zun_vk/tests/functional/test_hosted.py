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
"""Pods that zun-vk-compute runs, as the agent makes and shows them."""

import dataclasses

import fixtures
from oslotest import base

from zun_vk import exceptions
from zun_vk.pods import creation
from zun_vk.pods import hosted
from zun_vk.pods import hostwatch
from zun_vk.pods import orphans
from zun_vk.rpc import states
from zun_vk.tests.fixtures import hosts
from zun_vk.tests.fixtures import inprocess
from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures import kubernetes
from zun_vk.tests.fixtures import openstack
from zun_vk.tests.fixtures import podcase
from zun_vk.tests.fixtures import pods
from zun_vk.tests.fixtures.wait import hold_for
from zun_vk.tests.fixtures.wait import wait_for
from zun_vk.tests.functional import base as functional


class HostedTestCase(podcase.PodCase, base.BaseTestCase):
    """One node, held in process, and one host."""

    def setUp(self):
        super().setUp()
        self.kube = kubernetes.shared()
        self.cloud = self.useFixture(openstack.FakeCloud(1))
        self.agent = self.useFixture(inprocess.Node(
            self.kube, self.cloud, functional.new_name()))
        self.host = self.useFixture(hosts.FakeHost(
            self.agent.conf, self.cloud))
        self.agent.start()

    def patch(self, module, name, value):
        self.useFixture(fixtures.MockPatchObject(module, name, value))

    @property
    def api(self):
        return self.kube.api

    @property
    def node_name(self):
        return self.agent.node

    def namespace(self):
        return self.kube.new_namespace()

    def capsule(self, pod):
        return self.cloud.capsule_of(pod)

    def condition(self, pod, kind='Ready'):
        return kube.condition(self.now(pod), kind)


class LifeTestCase(HostedTestCase):

    def test_a_pod_runs_as_its_host_tells(self):
        pod = self.running_pod()
        status = self.now(pod)['status']
        self.assertEqual('Running', status['phase'])
        self.assertTrue(status['containerStatuses'][0]['containerID']
                        .startswith('containerd://'))
        self.assertEqual([], self.host.refused)

    def test_a_pod_that_is_deleted_ends_first_and_is_then_removed(self):
        pod = self.running_pod(terminationGracePeriodSeconds=7)
        self.host.obedient = False
        self.delete(pod)
        hosts.wait_for_call(self.host, 'end_pod')
        told, = self.host.told('end_pod')[:1]
        self.assertIn(told['grace'], (6, 7))
        hold_for(lambda: self.capsule(pod) and self.now(pod),
                 'pod and capsule are there', 2)
        self.host.exit(pod, 3)
        self.wait_pod(pod, lambda seen: seen is None, 'gone')
        wait_for(lambda: self.capsule(pod) is None, 'capsule gone')
        hosts.wait_for_call(self.host, 'forget_pod')

    def test_a_pod_that_has_finished_gives_back_its_capsule(self):
        for code, phase in ((0, 'Succeeded'), (3, 'Failed')):
            self._finish(code, phase)

    def _finish(self, code, phase):
        pod = self.running_pod(restartPolicy='Never')
        self.host.exit(pod, code)
        self.wait_phase(pod, phase)
        wait_for(lambda: self.capsule(pod) is None, 'capsule gone', 10)
        ended = self.now(pod)['status']['containerStatuses'][0]
        self.assertEqual(code, ended['state']['terminated']['exitCode'])
        self.assertEqual([], self.host.told('forget_pod'))

    def test_nothing_of_the_pod_but_its_needs_goes_to_zun(self):
        pod = self.running_pod(pods.container(env=[
            {'name': 'PASSWORD', 'value': 's3cr3t'}]))
        self.assertNotIn('s3cr3t', repr(self.capsule(pod).template))

    def test_a_shorter_grace_period_is_told_at_once(self):
        pod = self.running_pod(terminationGracePeriodSeconds=300)
        self.host.obedient = False
        self.delete(pod)
        hosts.wait_for_call(self.host, 'end_pod')
        self.delete(pod, 5)
        wait_for(lambda: self.host.told('end_pod')[-1]['grace'] <= 5,
                 'the shorter one told', 4)
        self.host.exit(pod, 137)
        self.wait_pod(pod, lambda seen: seen is None, 'gone')

    def test_a_pod_that_is_deleted_by_force_leaves_no_capsule(self):
        self.patch(orphans, 'GRACE', 1.0)
        pod = self.running_pod()
        self.delete(pod, 0)
        wait_for(lambda: self.capsule(pod) is None, 'capsule gone', 30)

    def test_one_that_runs_past_its_deadline_ends_with_its_reason(self):
        pod = self.running_pod(activeDeadlineSeconds=3,
                               terminationGracePeriodSeconds=9)
        failed = self.wait_phase(pod, 'Failed')
        self.assertEqual('DeadlineExceeded', failed['status']['reason'])
        self.assertEqual('DeadlineExceeded',
                         self.host.told('end_pod')[0]['reason'])
        self.assertIn('terminated', failed['status']['containerStatuses'][0][
            'state'])
        self.assertEqual(1, len(self.events(pod, 'DeadlineExceeded')))
        wait_for(lambda: self.capsule(pod) is None, 'capsule gone')

    def test_a_change_of_the_pod_is_told_to_its_host(self):
        pod = self.running_pod()
        self.assertEqual([], self.host.told('pod_changed'))
        metadata = pod['metadata']
        self.kube.kubectl('-n', metadata['namespace'], 'label', 'pod',
                          metadata['name'], 'colour=blue')
        hosts.wait_for_call(self.host, 'pod_changed')
        self.assertEqual([], self.events(pod, 'PodChangeIgnored'))

    def test_what_happens_on_the_host_is_told_on_the_pod(self):
        pod = self.running_pod()
        metadata = pod['metadata']
        self.host.cast(self.node_name, 'pod_events', host=self.host.name,
                       events=[states.PodEvent(
                           metadata['uid'], metadata['namespace'],
                           metadata['name'], 'Normal', 'Started',
                           'Container started',
                           'spec.containers{main}').to_wire(), {'bad': 1}])
        event = self.wait_event(pod, 'Started')
        self.assertEqual('spec.containers{main}',
                         event['involvedObject']['fieldPath'])


class TrustTestCase(HostedTestCase):
    """Of whom what is believed."""

    def test_only_the_host_of_its_capsule_gets_a_pod(self):
        pod = self.running_pod()
        uid = pod['metadata']['uid']
        capsule = self.capsule(pod).uuid
        foreign = self.cloud.add_capsule().uuid
        for about in ({'host': 'host-9'}, {'capsule': foreign},
                      {'uid': 'another'}, {'host': ''}, {'uid': 5}):
            asked = {'uid': uid, 'capsule': capsule, 'addresses': [],
                     'host': self.host.name, 'known': '', **about}
            reply = self.host.call(self.node_name, 'get_pod', **asked)
            self.assertEqual({'refused'}, set(reply), about)

    def test_what_is_known_is_not_sent_again(self):
        pod = self.running_pod()
        asked = {'uid': pod['metadata']['uid'], 'host': self.host.name,
                 'capsule': self.capsule(pod).uuid,
                 'addresses': ['10.0.0.1']}
        first = self.host.call(self.node_name, 'get_pod', **asked)
        known = first['payload']['generation']
        again = self.host.call(
            self.node_name, 'get_pod', known=known, **asked)
        self.assertEqual(({'unchanged', 'generation'}, True),
                         (set(again), again['unchanged']))

    def test_nothing_is_believed_of_a_host_that_has_not_the_capsule(self):
        pod = self.running_pod(restartPolicy='Never')
        found = self.host.pods[pod['metadata']['uid']]
        found.generation += 1000
        forged = dataclasses.replace(found.state(), ended=True)
        self.host.send(forged, host='host-9')
        self.host.send(dataclasses.replace(forged, capsule='no such'))
        self.host.cast(self.node_name, 'pod_states', host=self.host.name,
                       states=[5, {'uid': 1}], full='yes')
        self.host.cast(self.node_name, 'pod_states', host=[], states={})
        self.host.change(pod, restartCount=1)
        self.wait_pod(pod, lambda seen: seen['status']['containerStatuses'][
            0]['restartCount'] == 1, 'restarted')
        self.assertEqual('Running', self.now(pod)['status']['phase'])

    def test_an_old_message_undoes_no_newer_one(self):
        pod = self.running_pod(restartPolicy='Never')
        old = self.host.pods[pod['metadata']['uid']].state()
        self.host.change(pod, restartCount=7)
        self.wait_pod(pod, lambda seen: seen['status']['containerStatuses'][
            0]['restartCount'] == 7, 'restarted')
        self.host.send(old)
        hold_for(lambda: self.now(pod)['status']['containerStatuses'][0][
            'restartCount'] == 7, 'the newer one', 1)

    def test_who_may_not_act_for_the_node_answers_nothing(self):
        pod = self.running_pod()
        self.agent.fence.close()
        self.assertRaises(
            exceptions.RemoteError, self.host.call, self.node_name,
            'get_pod', uid=pod['metadata']['uid'], host=self.host.name,
            capsule=self.capsule(pod).uuid, addresses=[])
        self.agent.fence.open_until(float('inf'))

    def test_hosts_learn_which_pods_are_gone(self):
        pod = self.running_pod()
        uid = pod['metadata']['uid']
        self.assertEqual({'uids': [uid]}, self.host.call(
            self.node_name, 'wanted', host=self.host.name,
            uids=[uid, 'gone']))


class TakeOverTestCase(HostedTestCase):
    """What must not be lost, doubled or ended."""

    def setUp(self):
        super().setUp()
        self.patch(creation, 'SETTLE', 1.0)

    def test_a_new_holder_ends_and_doubles_nothing(self):
        pod = self.running_pod()
        capsule = self.capsule(pod).uuid
        before = self.now(pod)['status']
        self.agent.stop()
        self.agent.start()
        hosts.wait_for_call(self.host, 'report')
        hold_for(lambda: self.now(pod)['status'] == before,
                 'the status is as it was', 3)
        self.assertEqual(capsule, self.capsule(pod).uuid)
        self.assertEqual([], self.host.told('end_pod'))
        self.assertEqual(1, self.cloud.zun.created)

    def test_an_end_that_nobody_heard_of_is_not_lost(self):
        pod = self.running_pod(restartPolicy='Never')
        self.agent.stop()
        self.host.dumb = True
        self.host.exit(pod, 3)
        self.host.dumb = False
        self.agent.start()
        self.wait_phase(pod, 'Failed')
        wait_for(lambda: self.capsule(pod) is None, 'capsule gone')

    def test_a_deletion_that_was_begun_is_finished(self):
        pod = self.running_pod()
        self.host.obedient = False
        self.delete(pod)
        hosts.wait_for_call(self.host, 'end_pod')
        self.agent.stop()
        self.host.obedient = True
        self.agent.start()
        self.wait_pod(pod, lambda seen: seen is None, 'gone', 40)
        wait_for(lambda: self.capsule(pod) is None, 'capsule gone')


class SilenceTestCase(HostedTestCase):
    """A host that nothing is heard of."""

    def setUp(self):
        for module, name, value in (
                (hostwatch, 'PATIENCE', 2.0), (hostwatch, 'INTERVAL', 0.2),
                (hosted, '_REPORT_QUIET', 1.2), (hosted, '_QUIET', 0.2),
                (hosted, '_REPORT', 2.0), (hosted, '_MARGIN', 1.0)):
            self.patch(module, name, value)
        super().setUp()

    def _is_unheard(self, seen):
        ready = kube.condition(seen, 'Ready')
        return (ready['status'], ready.get('reason')) == (
            'False', 'HostNotResponding')

    def test_its_pods_are_not_ready_until_it_returns(self):
        pod = self.running_pod()
        self.host.stop()
        self.wait_pod(pod, self._is_unheard, 'not Ready')
        self.assertEqual('Running', self.now(pod)['status']['phase'])
        self.assertIn('host-0', self.condition(pod)['message'])
        self.assertEqual(1, self.cloud.zun.created)
        self.host.start()
        self.wait_ready(pod)
        self.assertEqual(1, self.cloud.zun.created)

    def test_a_new_holder_finds_it_silent_as_well(self):
        pod = self.running_pod()
        self.agent.stop()
        self.host.stop()
        self.agent.start()
        self.wait_pod(pod, self._is_unheard, 'not Ready')
        self.host.start()
        self.wait_ready(pod)

    def test_a_deletion_is_left_to_zun(self):
        pod = self.running_pod(terminationGracePeriodSeconds=1)
        self.host.stop()
        self.wait_pod(pod, self._is_unheard, 'not Ready')
        self.delete(pod)
        self.wait_pod(pod, lambda seen: seen is None, 'gone', 40)
        wait_for(lambda: self.capsule(pod) is None, 'capsule gone')
        self.host.start()
