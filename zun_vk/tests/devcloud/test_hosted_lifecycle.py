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
"""Init containers, sidecars, restarts: features 2, 3 and 4."""

from zun_vk.tests.devcloud import hosted
from zun_vk.tests.fixtures import kube

DATA = {'name': 'data', 'emptyDir': {}}
KEPT = {'name': 'data', 'emptyDir': {'medium': 'Memory'}}
MOUNT = [{'name': 'data', 'mountPath': '/data'}]
# Is said to be up a second after it runs.
SIDECAR = '''
trap "echo ended; exit 0" TERM
sleep 1
echo sidecar >> /data/order
touch /data/up
while :; do sleep 0.1; done
'''
# The n-th run counts n; volumes outlive the container.
COUNT = ('date +%s >> /data/runs; n=$(wc -l < /data/runs); '
         'echo run $n $(cat /data/runs); ')
# Fails the first time.
MENDED = ('[ -e /data/tried ] || { touch /data/tried; exit 1; }; '
          'trap exit TERM; touch /data/up; while :; do sleep 0.1; done')


class TestOrder(hosted.HostedCase):

    def test_init_containers_and_sidecars_run_in_order(self):
        def step(name, **fields):
            return hosted.shell(
                f'sleep 0.3; echo {name} >> /data/order; cat /data/order',
                name, volumeMounts=MOUNT, **fields)
        namespace = self.namespace()
        pod = self.run_pod(
            step('main'), namespace=namespace, volumes=[DATA],
            terminationGracePeriodSeconds=10,
            initContainers=[step('first'), hosted.shell(
                SIDECAR, 'sidecar', volumeMounts=MOUNT,
                restartPolicy='Always',
                startupProbe={'exec': {'command': ['test', '-e', '/data/up']},
                              'periodSeconds': 1}), step('second')])
        stuck = self.run_pod(
            namespace=namespace, name='stuck', initContainers=[
                hosted.shell('exit 0', 'good'), hosted.shell('exit 3', 'bad'),
                hosted.shell('exit 0', 'later')])

        done = self.succeeded(pod)

        self.assertEqual('first\nsidecar\nsecond\nmain\n', self.output(pod))
        self.assertEqual('ended\n', self.output(pod, 'sidecar'))
        self.assertGreaterEqual(
            hosted.ended(done, 'sidecar')['finishedAt'],
            hosted.ended(done)['finishedAt'])
        for name in ('first', 'sidecar', 'second', 'main'):
            status = hosted.status_of(done, name)
            self.assertEqual((name, 0, 0), (
                name, hosted.ended(done, name)['exitCode'],
                status['restartCount']))
        self.stays_out(self.finished(stuck))

    def stays_out(self, failed):
        """What a pod looks like whose second init container failed."""
        self.assertEqual('Failed', failed['status']['phase'])
        self.assertEqual((0, 3), (
            hosted.ended(failed, 'good')['exitCode'],
            hosted.ended(failed, 'bad')['exitCode']))
        for name in ('later', 'main'):
            self.assertEqual('PodInitializing',
                             hosted.waiting(failed, name)['reason'])
        condition = kube.condition(failed, 'Initialized')
        self.assertEqual(
            ('False', 'containers with incomplete status: [bad later]'),
            (condition['status'], condition['message']))


class TestRestarts(hosted.HostedCase):

    def test_containers_are_restarted_by_policy_and_with_back_off(self):
        namespace = self.namespace()

        def start(name, script, policy):
            return self.run_pod(
                hosted.shell(script, volumeMounts=MOUNT), name=name,
                namespace=namespace, restartPolicy=policy, volumes=[KEPT])
        loops = start('always', COUNT + 'exit 0', 'Always')
        never = start('never', COUNT + 'exit 42', 'Never')
        mends = start('mends', COUNT + '[ $n -gt 1 ] || exit 7', 'OnFailure')
        clean = start('clean', COUNT, 'OnFailure')
        inits = self.run_pod(
            name='inits', namespace=namespace, restartPolicy='Always',
            initContainers=[hosted.shell('exit 9', 'fails'),
                            hosted.shell('exit 0', 'next')])
        helped = self.run_pod(
            hosted.shell('until [ -e /data/up ]; do sleep 0.1; done',
                         volumeMounts=MOUNT),
            name='helped', namespace=namespace, volumes=[DATA],
            initContainers=[hosted.shell(MENDED, 'helper', volumeMounts=MOUNT,
                                         restartPolicy='Always')])

        failed = self.finished(never)
        self.assertEqual(('Failed', 0), (
            failed['status']['phase'],
            hosted.status_of(failed)['restartCount']))
        self.assertEqual((42, 'Error'), tuple(
            hosted.ended(failed)[key] for key in ('exitCode', 'reason')))

        mended = hosted.status_of(self.succeeded(mends))
        self.assertEqual((1, 7), (
            mended['restartCount'],
            mended['lastState']['terminated']['exitCode']))
        self.assertEqual(['1', '2'], [
            self.output(mends, attempt=attempt).split()[1]
            for attempt in (0, 1)])

        ended = self.succeeded(clean)
        self.assertEqual((0, 'Completed'), (
            hosted.status_of(ended)['restartCount'],
            hosted.ended(ended)['reason']))
        self.backs_off(loops)
        self.never_begins(inits)
        # A sidecar is restarted, whatever the policy of the pod is.
        self.assertEqual(1, hosted.status_of(
            self.succeeded(helped), 'helper')['restartCount'])

    def never_begins(self, pod):
        """Check a pod whose first init container fails again and again."""
        seen = self.wait_why(pod, 'fails', 'CrashLoopBackOff')
        self.assertEqual('Pending', seen['status']['phase'])
        status = hosted.status_of(seen, 'fails')
        self.assertGreaterEqual(status['restartCount'], 1)
        self.assertEqual(9, status['lastState']['terminated']['exitCode'])
        for name in ('next', 'main'):
            self.assertEqual({'reason': 'PodInitializing'},
                             hosted.waiting(seen, name))
        self.assertEqual('containers with incomplete status: [fails next]',
                         kube.condition(seen, 'Initialized')['message'])

    def backs_off(self, pod):
        """Check the second restart, the first that has to wait."""
        name, uid = (pod['metadata'][key] for key in ('name', 'uid'))
        namespace = pod['metadata']['namespace']
        seen = self.wait_why(pod, 'main', 'CrashLoopBackOff')
        self.assertEqual('Running', seen['status']['phase'])
        self.wait_pod(pod, lambda seen: hosted.status_of(
            seen)['restartCount'] == 2, 'restarted twice')
        seen = self.wait_why(pod, 'main', 'CrashLoopBackOff')

        self.assertEqual(
            'back-off 20s restarting failed container=main '
            f'pod={name}_{namespace}({uid})',
            hosted.waiting(seen)['message'])
        last = hosted.status_of(seen)['lastState']['terminated']
        self.assertEqual((0, 'Completed'), (last['exitCode'],
                                            last['reason']))
        _run, number, *times = self.output(pod, attempt=2).split()
        first, second, third = map(int, times)
        self.assertEqual('3', number)
        self.assertLess(second - first, 9)
        self.assertGreaterEqual(third - second, 10)
        self.assertLess(third - second, 19)
        self.assertIn(
            'Back-off restarting failed container main in pod '
            f'{name}_{namespace}({uid})',
            {event['message'] for event in self.events(pod, 'BackOff')})
