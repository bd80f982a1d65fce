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
"""Probes of containers that run: feature 16."""

from zun_vk.tests.devcloud import hosted
from zun_vk.tests.devcloud import life
from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures.wait import hold_for

EVERY_SECOND = {'periodSeconds': 1}
AT_ONCE = {'periodSeconds': 1, 'failureThreshold': 1}
SLOW = '''
sleep 3
touch /tmp/up
trap exit TERM
while :; do sleep 0.2; done
'''
GATE = 'zun.test/gate'


def command(*words):
    return {'exec': {'command': list(words)}}


class TestReadiness(life.LifeCase):

    def test_each_kind_of_probe_decides_who_is_ready(self):
        pod = self.run_pod(
            life.listener('http', 8082, ports=[
                {'name': 'web', 'containerPort': 8082}],
                readinessProbe={**EVERY_SECOND, 'httpGet': {
                    'path': '/health?a=b%20c', 'port': 'web',
                    'httpHeaders': [{'name': 'X-Told', 'value': 'so'},
                                    {'name': 'Host', 'value': 'pod.test'}]}}),
            life.agnhost('tcp', 'netexec', '--http-port=8081',
                         '--udp-port=-1', readinessProbe={
                             **EVERY_SECOND, 'tcpSocket': {'port': 8081}},
                         livenessProbe={**EVERY_SECOND, 'httpGet': {
                             'path': '/', 'port': 8081}}),
            life.agnhost('grpc', 'grpc-health-checking', '--port=5000',
                         '--http-port=8083', readinessProbe={
                             **EVERY_SECOND, 'grpc': {'port': 5000}}),
            # Liveness would end it if it did not wait for startup.
            hosted.shell(SLOW, 'slow', startupProbe={
                **EVERY_SECOND, 'failureThreshold': 60,
                **command('test', '-e', '/tmp/up')},
                livenessProbe={**AT_ONCE, **command('test', '-e', '/tmp/up')},
                readinessProbe={**AT_ONCE,
                                **command('test', '!', '-e', '/tmp/ill')}))

        self.wait_pod(pod, lambda seen: hosted.status_of(seen, 'slow').get(
            'started') is False, 'with a container that starts')
        seen = self.wait_ready(pod)

        self.assertEqual([(True, 0)] * 4, [
            (each['started'], each['restartCount'])
            for each in seen['status']['containerStatuses']])
        self.asked_as_told(pod)
        self.follows(pod)

    def asked_as_told(self, pod):
        """Check what an HTTP probe sends."""
        request = self.output(pod, 'http')
        self.assertIn('GET /health?a=b%20c HTTP/1.1', request)
        self.assertIn('X-Told: so', request)
        self.assertIn('Host: pod.test', request)
        self.assertIn('User-Agent: kube-probe/', request)

    def follows(self, pod):
        """Check that a pod is ready when its probes say so."""
        self.call(pod, 'touch', '/tmp/ill', container='slow')
        seen = self.wait_ready_is(pod, 'False', 'ContainersNotReady')
        self.assertEqual('containers with unready status: [slow]',
                         kube.condition(seen, 'Ready')['message'])
        event = self.wait_event(pod, 'Unhealthy')
        self.assertIn('spec.containers{', event['involvedObject']['fieldPath'])
        self.wait_message(pod, 'Unhealthy', 'Readiness probe failed')
        self.call(pod, 'rm', '/tmp/ill', container='slow')
        seen = self.wait_ready(pod)
        self.assertEqual(
            0, hosted.status_of(seen, 'slow')['restartCount'])

    def test_readiness_gates_are_waited_for_both_ways(self):
        pod = self.run_pod(readinessGates=[{'conditionType': GATE}])

        self.wait_ready_is(pod, 'False', 'ReadinessGatesNotReady')
        self.assertEqual('True', kube.condition(
            self.now(pod), 'ContainersReady')['status'])
        self.set_condition(pod, GATE, 'True')
        self.wait_ready(pod)
        self.set_condition(pod, GATE, 'False')
        self.wait_ready_is(pod, 'False', 'ReadinessGatesNotReady')


class TestLiveness(life.LifeCase):

    def test_each_kind_of_probe_restarts_what_is_not_well(self):
        probes = {
            'exec': command('sh', '-c', 'echo not well; exit 1'),
            'http': {'httpGet': {'path': '/', 'port': 9001}},
            'tcp': {'tcpSocket': {'port': 9002}},
            'grpc': {'grpc': {'port': 9003}},
            'late': {**command('sleep', '20'), 'timeoutSeconds': 1}}
        namespace = self.namespace()
        # The probe's grace counts, not the pod's.
        pod = self.run_pod(*(
            hosted.shell(life.STUBBORN, name, livenessProbe={
                **AT_ONCE, 'terminationGracePeriodSeconds': 1, **probe})
            for name, probe in probes.items()), namespace=namespace,
            restartPolicy='Always', terminationGracePeriodSeconds=600)
        starts = self.run_pod(
            hosted.shell(life.STUBBORN, startupProbe={
                **AT_ONCE, **command('false'),
                'terminationGracePeriodSeconds': 1}),
            name='starts', namespace=namespace)
        self.addCleanup(self.delete, pod, 0)

        for name in probes:
            self.wait_pod(pod, lambda seen, name=name: hosted.status_of(
                seen, name).get('restartCount', 0) > 0, f'{name} restarted')
            self.assertEqual(137, hosted.status_of(self.now(pod), name)[
                'lastState']['terminated']['exitCode'])
            said = f'Container {name} failed liveness probe, will be restarted'
            self.wait_message(pod, 'Killing', said)
            self.assertIn(said, self.messages(pod, 'Killing'))
        self.wait_message(pod, 'Unhealthy', 'Liveness probe failed: not well')
        self.finished(starts)
        self.wait_message(starts, 'Killing',
                          'Container main failed startup probe')

    def test_probes_leave_alone_what_is_well(self):
        pod = self.running_pod(
            hosted.shell(life.UNTIL_TOLD.format(code=0), livenessProbe={
                **AT_ONCE, **command('true')}))
        hold_for(lambda: hosted.status_of(self.now(pod))[
            'restartCount'] == 0, 'never restarted', 4, 0.5)
        self.assertEqual(set(), self.messages(pod, 'Killing'))
