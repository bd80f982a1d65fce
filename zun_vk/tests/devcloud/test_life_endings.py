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
"""Hooks, and how pods end: features 17 and 18."""

from zun_vk.tests.devcloud import hosted
from zun_vk.tests.devcloud import life
from zun_vk.tests.fixtures.wait import wait_for

DATA = [{'name': 'data', 'emptyDir': {}}]
MOUNT = [{'name': 'data', 'mountPath': '/data'}]
# Says which parts of the pod ended before it, in order.
LAST = ('trap "echo {name} >> /data/order; cp /data/order '
        '/dev/termination-log; exit 0" TERM; while :; do sleep 0.1; done')


def hook(kind, **fields):
    return {'lifecycle': {kind: fields}}


def run(script):
    return {'command': ['sh', '-c', script]}


class TestHooks(life.LifeCase):

    def test_hooks_run_when_their_containers_start_and_end(self):
        namespace = self.namespace()
        target = self.running_pod(
            life.listener('main', 8080), name='target', namespace=namespace)
        address = target['status']['podIP']

        def get(path):
            return {'httpGet': {
                'host': address, 'port': 8080, 'path': path,
                'httpHeaders': [{'name': 'X-Hook', 'value': path[1:]}]}}
        pod = self.running_pod(
            hosted.shell(life.UNTIL_TOLD.format(code=0), 'exec', lifecycle={
                'postStart': {'exec': run('echo begun > /tmp/begun')},
                'preStop': {'exec': run(
                    f'wget -q -O- http://{address}:8080/from-exec')}}),
            hosted.shell(life.UNTIL_TOLD.format(code=0), 'http', lifecycle={
                'postStart': get('/begun'), 'preStop': get('/ended')}),
            hosted.shell(life.UNTIL_TOLD.format(code=0), 'sleep',
                         **hook('postStart', sleep={'seconds': 1})),
            name='hooked', namespace=namespace,
            terminationGracePeriodSeconds=20)
        bad = self.run_pod(
            hosted.shell(life.UNTIL_TOLD.format(code=9),
                         **hook('postStart', exec=run('exit 3'))),
            name='bad', namespace=namespace)

        self.assertEqual('begun\n', self.cat(pod, '/tmp/begun', 'exec'))
        self.assertIn('GET /begun', self.output(target))
        self.assertNotIn('GET /ended', self.output(target))
        self.delete(pod)
        self.wait_pod(pod, lambda seen: seen is None, 'gone')
        wait_for(lambda: 'X-Hook: ended' in self.output(target),
                 'the preStop request', 5)
        self.assertIn('GET /from-exec', self.output(target))
        failed = self.finished(bad)
        self.assertEqual('Failed', failed['status']['phase'])
        self.wait_event(bad, 'FailedPostStartHook', 5)


class TestTermination(life.LifeCase):

    def test_grace_is_what_it_is_said_to_be(self):
        namespace = self.namespace()

        def start(name, script, grace, **fields):
            return self.kept_pod(
                hosted.shell(script, **fields), name=name,
                namespace=namespace, terminationGracePeriodSeconds=grace)
        told = start('told', life.UNTIL_TOLD.format(code=3), 20)
        stubborn = start('stubborn', life.STUBBORN, 3)
        shortened = start('shortened', life.STUBBORN, 300)
        hooked = start('hooked', life.UNTIL_TOLD.format(code=4), 30,
                       **hook('preStop', sleep={'seconds': 3}))
        cut = start('cut', life.UNTIL_TOLD.format(code=5), 3,
                    **hook('preStop', exec=run('sleep 60')))
        over = start('over', 'exit 6', 30,
                     **hook('preStop', sleep={'seconds': 20}))
        every = (told, stubborn, shortened, hooked, cut)
        for pod in every:
            self.wait_ready(pod)
        self.finished(over)
        for pod in (*every, over):
            self.delete(pod)
        self.wait_pod(shortened, lambda seen: seen['metadata'].get(
            'deletionTimestamp'), 'being deleted')
        self.delete(shortened, 2)

        self.ends(told, {3}, 0, 4)
        self.ends(stubborn, {137}, 3, 8)
        self.ends(hooked, {4}, 3, 8)
        # The hook is cut at the end of the grace period, then 2 s are left.
        self.ends(cut, {5, 137}, 3, 10)
        self.ends(shortened, {137}, 1, 12)
        self.assertEqual(6, hosted.ended(self.now(over))['exitCode'])
        self.wait_message(told, 'Killing', 'Stopping container main')
        self.assertEqual({'Stopping container main'},
                         self.messages(told, 'Killing'))
        self.assertEqual(set(), self.messages(over, 'Killing'))
        for pod in (*every, over):
            self.let_go(pod)
        for pod in (*every, over):
            self.wait_pod(pod, lambda seen: seen is None, 'gone', 20)
        self.wait_nothing_left(*every, over)

    def ends(self, pod, codes, least, most):
        """Check how and when a pod ended after it was told to.

        :param codes: exit codes it may have
        :param least: seconds from its deletion on; times have whole seconds
        """
        ended = hosted.ended(self.all_ended(pod))
        metadata = self.now(pod)['metadata']
        asked = (life.seconds(metadata['deletionTimestamp'])
                 - metadata['deletionGracePeriodSeconds'])
        took = life.seconds(ended['finishedAt']) - asked
        name = metadata['name']
        self.assertIn(ended['exitCode'], codes, name)
        self.assertGreaterEqual(took, least - 1, name)
        self.assertLessEqual(took, most + 1, name)

    def test_sidecars_end_last_in_reverse_order(self):
        def sidecar(name):
            return hosted.shell(LAST.format(name=name), name,
                                restartPolicy='Always', volumeMounts=MOUNT)
        pod = self.kept_pod(
            hosted.shell(LAST.format(name='main'), volumeMounts=MOUNT,
                         **hook('preStop', exec=run(
                             'echo hook >> /data/order; sleep 1; '
                             'echo hooked >> /data/order'))),
            name='order', namespace=self.namespace(), volumes=DATA,
            initContainers=[sidecar('first'), sidecar('second')],
            terminationGracePeriodSeconds=20)
        self.wait_ready(pod)

        self.delete(pod)

        ended = self.all_ended(pod)
        self.assertEqual('hook\nhooked\nmain\nsecond\nfirst\n',
                         hosted.ended(ended, 'first')['message'])
        self.assertEqual('hook\nhooked\nmain\n',
                         hosted.ended(ended)['message'])

    def test_a_pod_deleted_by_force_leaves_nothing(self):
        pod = self.running_pod(hosted.shell(life.STUBBORN),
                               terminationGracePeriodSeconds=600)
        self.delete(pod, 0)
        self.wait_pod(pod, lambda seen: seen is None, 'gone', 5)
        self.wait_nothing_left(pod)
