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
"""A host that falls silent, and one that comes back from a reboot."""

import signal

from zun_vk.tests.devcloud import hosted
from zun_vk.tests.devcloud import life
from zun_vk.tests.devcloud import onehost
from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures.wait import wait_for

# A host that is asked every 15 s is taken for lost after 40 s.
SILENT = 90.0
DATA = [{'name': 'data', 'emptyDir': {}},
        {'name': 'memory', 'emptyDir': {'medium': 'Memory'}}]
MOUNTS = [{'name': 'data', 'mountPath': '/data'},
          {'name': 'memory', 'mountPath': '/memory'}]


class TestSilence(onehost.OneHostCase):

    def test_a_silent_host_has_pods_that_are_not_ready_and_not_doubled(self):
        namespace = self.namespace()
        stays, goes, forced, ends = (
            self.until_told(name, namespace, code) for name, code in (
                ('stays', 0), ('goes', 0), ('forced', 0), ('ends', 5)))
        for pod in (stays, goes, forced, ends):
            self.wait_ready(pod)
        was, there = self.seen_of(stays), self.in_runtime(stays)
        capsule = self.capsule(stays)
        self.kill('zun-vk-compute')
        self.signal(ends, signal.SIGTERM)
        self.delete(goes)
        self.delete(forced, 0)

        seen = self.wait_silent(stays, SILENT)
        self.assertEqual('Running', seen['status']['phase'])
        self.assertEqual(was, self.seen_of(stays))
        self.assertEqual(capsule['uuid'], self.capsule(stays)['uuid'])
        # Nobody knows whether it still runs.
        self.assertTrue(self.now(goes))
        self.assertTrue(self.cloud.capsules(forced['metadata']['uid']))
        self.assertTrue(kube.is_ready(self.api.node(self.node_name)))

        self.start('zun-vk-compute')
        self.wait_same(stays, was)
        self.assertEqual(there, self.in_runtime(stays))
        self.finished(ends, 30)
        self.assertEqual(5, hosted.ended(self.now(ends))['exitCode'])
        self.wait_pod(goes, lambda seen: seen is None, 'gone', 90)
        wait_for(lambda: not self.cloud.capsules(
            *(pod['metadata']['uid'] for pod in (goes, forced))),
            'the deleted reaped', 90)
        self.wait_nothing_left(goes, forced)


class TestReboot(onehost.OneHostCase):

    def test_a_reboot_ends_pods_as_that_of_a_node_does(self):
        namespace = self.namespace()
        script = ('echo run >> /data/runs; echo run >> /memory/runs; '
                  + life.UNTIL_TOLD.format(code=0))
        again = self.run_pod(
            hosted.shell(script, volumeMounts=MOUNTS), name='again',
            namespace=namespace, restartPolicy='Always', volumes=DATA)
        never = self.until_told('never', namespace)
        for pod in (again, never):
            self.wait_ready(pod)
        capsule = self.capsule(again)
        address = self.now(again)['status']['podIP']
        ident = hosted.status_of(self.now(again))['containerID']

        self.reboot(again, never)

        self.wait_pod(again, lambda seen: kube.is_ready(seen)
                      and hosted.status_of(seen)['restartCount'] == 1,
                      'Ready again', 90)
        seen = self.now(again)
        status = hosted.status_of(seen)
        self.assertNotEqual(ident, status['containerID'])
        self.assertIn('terminated', status['lastState'])
        self.assertEqual(address, seen['status']['podIP'])
        self.assertEqual(capsule['uuid'], self.capsule(again)['uuid'])
        # What is in memory is gone, what is on disk is not.
        self.assertEqual('run\nrun\n', self.cat(again, '/data/runs'))
        self.assertEqual('run\n', self.cat(again, '/memory/runs'))
        failed = self.finished(never, 60)
        self.assertEqual('Failed', failed['status']['phase'])
        self.assertEqual(
            0, hosted.status_of(failed)['restartCount'])
