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

from oslotest import base

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
