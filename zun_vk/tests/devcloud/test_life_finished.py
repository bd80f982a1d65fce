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
"""Pods that finish cost nothing, and Jobs complete: features 34, 53b, 54."""

import time

from kubernetes import client

from zun_vk.tests.devcloud import hosted
from zun_vk.tests.devcloud import life
from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures import pods
from zun_vk.tests.fixtures.wait import wait_for

# Seconds within which a finished pod's claim and port are given back.
GIVEN_BACK = 10.0


class TestFinished(life.LifeCase):

    def test_a_pod_that_finished_holds_nothing_and_stays_readable(self):
        pod = self.run_pod(hosted.shell('sleep 2; echo said; exit 5'))
        capsule = wait_for(lambda: self.capsule(pod), 'a capsule')
        self.wait_phase(pod, 'Running')
        ports = wait_for(lambda: self.cloud.port_ids(self.capsule(pod)),
                         'a port')
        self.assertTrue(self.cloud.allocation(capsule['uuid']))

        done = self.finished(pod)
        begun = time.monotonic()
        wait_for(lambda: not self.cloud.allocation(capsule['uuid'])
                 and not any(map(self.cloud.port_exists, ports)),
                 'claim and port given back', GIVEN_BACK, 0.2)
        print(f'given back after {time.monotonic() - begun:.1f} s')
        wait_for(lambda: not self.cloud.exists(capsule), 'no capsule', 10)

        self.assertEqual('Failed', done['status']['phase'])
        later = self.now(pod)
        self.assertEqual((5, 'Error'), tuple(
            hosted.ended(later)[key] for key in ('exitCode', 'reason')))
        self.assertEqual(done['status']['containerStatuses'],
                         later['status']['containerStatuses'])
        self.assertEqual('said\n', self.output(pod))
        self.delete(pod)
        self.wait_pod(pod, lambda seen: seen is None, 'gone', 15)
        self.wait_nothing_left(pod)

    def test_a_job_completes(self):
        namespace = self.namespace()
        batch = client.BatchV1Api(self.api.core.api_client)
        template = pods.pod(
            'unused', hosted.shell('echo index $JOB_COMPLETION_INDEX'),
            node=self.node_name, restartPolicy='Never')
        kube.call(batch.create_namespaced_job, namespace, {
            'metadata': {'name': 'job'},
            'spec': {'completions': 3, 'parallelism': 2,
                     'completionMode': 'Indexed',
                     'template': {'spec': template['spec']}}})

        def job():
            return kube.call(batch.read_namespaced_job, 'job', namespace)
        wait_for(lambda: kube.condition(job(), 'Complete').get(
            'status') == 'True', 'the Job complete', 120, 0.5, seen=job)

        self.assertEqual(3, job()['status']['succeeded'])
        made = self.api.pods(namespace)
        self.assertEqual(['index 0\n', 'index 1\n', 'index 2\n'],
                         sorted(map(self.output, made)))
        uids = [pod['metadata']['uid'] for pod in made]
        wait_for(lambda: not self.cloud.capsules(*uids), 'no capsules',
                 GIVEN_BACK, 0.5)

    def test_a_pod_that_takes_too_long_fails(self):
        namespace = self.namespace()
        script = life.UNTIL_TOLD.format(code=0)
        first = self.run_pod(hosted.shell(script), name='first',
                             namespace=namespace, activeDeadlineSeconds=4)
        later = self.running_pod(hosted.shell(script), name='later',
                                 namespace=namespace)
        self.api.patch_pod(namespace, 'later', {
            'spec': {'activeDeadlineSeconds': 1}})

        for pod in (first, later):
            status = self.finished(pod)['status']
            self.assertEqual(
                ('Failed', 'DeadlineExceeded', 'Pod was active on the node '
                 'longer than the specified deadline'),
                tuple(status[key] for key in ('phase', 'reason', 'message')))
            self.wait_event(pod, 'DeadlineExceeded', 5)

    def test_changed_labels_reach_the_files_of_a_running_pod(self):
        namespace = self.namespace()
        pod = self.running_pod(
            hosted.shell(life.UNTIL_TOLD.format(code=0), volumeMounts=[
                {'name': 'about', 'mountPath': '/about'}]),
            namespace=namespace, labels={'colour': 'red'},
            volumes=[{'name': 'about', 'downwardAPI': {'items': [
                {'path': 'labels', 'fieldRef': {
                    'fieldPath': 'metadata.labels'}}]}}])
        self.assertIn('colour="red"\n', self.labels(pod))
        self.api.patch_pod(namespace, 'web', {
            'metadata': {'labels': {'colour': 'blue'}}})
        wait_for(lambda: 'colour="blue"\n' in self.labels(pod),
                 'the new label', 30, 0.5)

    def labels(self, pod):
        return self.cat(pod, '/about/labels') + '\n'
