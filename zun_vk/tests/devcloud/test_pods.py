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
"""Pods on the virtual node of a real cluster and a real cloud."""

import shutil
import subprocess

from zun_vk.tests.devcloud import base
from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures import pods
from zun_vk.tests.fixtures.wait import hold_for
from zun_vk.tests.fixtures.wait import wait_for

VIRTUAL = {'type': 'virtual-kubelet'}
NO_HOST = 'There are not enough hosts available.'


class TestPods(base.DevcloudTestCase):

    def test_a_pod_of_two_containers_is_reached_at_its_ports_address(self):
        pod = self.running_pod(base.container('front'),
                               base.container('back'))

        capsule = self.capsule(pod)
        ident, = self.cloud.port_ids(capsule)
        fixed, = self.cloud.port(ident)['fixed_ips']
        self.assertEqual(fixed['ip_address'], pod['status']['podIP'])
        self.assertEqual(2, len(capsule['containers']))
        self.assertEqual(
            {'front': True, 'back': True},
            {one['name']: one['ready']
             for one in pod['status']['containerStatuses']})
        self.ping(pod['status']['podIP'])

    def test_a_deployment_grows_and_shrinks(self):
        namespace = self.namespace()
        self.api.create_deployment(namespace, pods.deployment(
            'web', 1, VIRTUAL, base.container()))
        self.wait_replicas(namespace, 1)

        self.api.scale(namespace, 'web', 5)
        self.wait_replicas(namespace, 5)
        found = self.api.pods(namespace)
        uids = [pod['metadata']['uid'] for pod in found]
        self.assertEqual(5, len(self.cloud.capsules(*uids)))
        self.assertEqual(5, len({pod['status']['podIP'] for pod in found}))

        self.api.scale(namespace, 'web', 0)
        wait_for(lambda: not self.api.pods(namespace), 'no pods', 60)
        self.assertEqual([], self.cloud.capsules(*uids))

    def test_a_deleted_pod_goes_after_all_that_was_its(self):
        pod = self.running_pod()
        capsule = self.capsule(pod)
        ports = self.cloud.port_ids(capsule)
        self.assertTrue(self.cloud.allocation(capsule['uuid']))

        self.delete(pod)

        wait_for(lambda: self.now(pod) is None, 'pod gone', 60,
                 seen=lambda: self.about(pod))
        self.assertFalse(self.cloud.exists(capsule))
        self.assertEqual({}, self.cloud.allocation(capsule['uuid']))
        for ident in ports:
            self.assertFalse(self.cloud.port_exists(ident))

    def test_names_that_look_alike_are_four_capsules(self):
        one, other = self.namespace(), self.namespace()
        for name in ('a-b', 'a'):
            self.namespace(name)
        made = [self.run_pod(namespace=namespace, name=name)
                for namespace, name in ((one, 'web'), (other, 'web'),
                                        ('a-b', 'c'), ('a', 'b-c'))]

        ready = [self.wait_ready(pod) for pod in made]

        capsules = [self.capsule(pod) for pod in ready]
        self.assertEqual(4, len({found['uuid'] for found in capsules}))
        for pod, capsule in zip(ready, capsules, strict=True):
            (address,), = capsule['addresses'].values()
            self.assertEqual(address['addr'], pod['status']['podIP'])
            self.assertTrue(capsule['name'].startswith(
                '{namespace}_{name}_'.format(**pod['metadata'])))

    def wait_replicas(self, namespace, count):
        def ready():
            status = self.api.deployment(namespace, 'web')['status']
            return status.get('readyReplicas', 0) == count
        wait_for(ready, f'{count} replicas ready', 90, 0.2,
                 seen=lambda: [self.about(pod)
                               for pod in self.api.pods(namespace)])

    def ping(self, address):
        program = ([shutil.which('ping')] if shutil.which('ping')
                   else [shutil.which('busybox'), 'ping'])
        done = subprocess.run([*program, '-c', '1', '-W', '5', address],
                              capture_output=True, text=True, timeout=20)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)


class TestFaults(base.DevcloudTestCase):

    def test_a_crash_among_ten_creations_doubles_nothing(self):
        namespace = self.namespace()
        made = [self.run_pod(namespace=namespace, name=f'web-{number}')
                for number in range(10)]
        uids = [pod['metadata']['uid'] for pod in made]
        wait_for(lambda: len(self.cloud.capsules(*uids)) >= 2,
                 'two capsules', 60)

        self.devcloud.kill(base.api.AGENT)
        self.devcloud.start_agent()

        for pod in made:
            self.wait_ready(pod, 120)
        found = self.cloud.capsules(*uids)
        self.assertEqual(10, len(found))
        self.assertEqual(set(uids), {
            capsule['labels']['zun.openstack.org/uid'] for capsule in found})

    def test_without_a_host_a_pod_waits_with_zuns_reason(self):
        hosts = self.cloud.hosts()
        for host in hosts:
            self.addCleanup(self.cloud.cordon, host, False)
            self.cloud.cordon(host)
        self.wait_node_not_ready('NoZunHost', 30)

        pod = self.run_pod()

        event = self.wait_event(pod, 'FailedCreatePodSandBox')
        self.assertIn(NO_HOST, event['message'])
        self.assertEqual('Pending', self.now(pod)['status']['phase'])
        for host in hosts:
            self.cloud.cordon(host, False)
        self.wait_node_ready()
        self.wait_ready(pod)

    def test_pods_run_on_while_zuns_api_is_away(self):
        pod = self.running_pod()
        status, agent = pod['status'], self.devcloud.pid(base.api.AGENT)
        self.addCleanup(self.devcloud.start, 'zun-api')

        self.devcloud.stop('zun-api')
        self.wait_node_not_ready('ZunUnavailable', 30)
        hold_for(lambda: self.now(pod)['status']['phase'] == 'Running',
                 'the pod runs', 25, 1)
        self.devcloud.start('zun-api')

        self.wait_node_ready()
        self.assertEqual(status['containerStatuses'],
                         self.now(pod)['status']['containerStatuses'])
        self.assertEqual(agent, self.devcloud.pid(base.api.AGENT))
        self.assertTrue(kube.is_ready(self.running_pod(name='after')))
