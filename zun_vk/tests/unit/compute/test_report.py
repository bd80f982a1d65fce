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
import dataclasses

from oslotest import base

from zun_vk.compute import model
from zun_vk.compute import report
from zun_vk.rpc import states
from zun_vk.tests.unit.compute import tinyruntime as tiny

_UNKNOWN = model.ContainerState.UNKNOWN


def _host(*regulars, **fields):
    host = tiny.Host(tiny.pod(*(regulars or [tiny.container('main')]),
                              **fields))
    host.settle()
    return host


def _status(host, name='main'):
    return host.report()[name]


def _state(host, name='main'):
    """Return the state's kind and its reason."""
    [(kind, words)] = _status(host, name)['state'].items()
    return kind, words.get('reason')


def _last(host, name='main'):
    return _status(host, name)['lastState'].get('terminated')


class TestRunning(base.BaseTestCase):
    def test_a_running_container_is_told_as_a_kubelet_does(self):
        given = {'requests': {'cpu': '1'}, 'limits': {'cpu': '2'}}
        host = _host(tiny.container('main', resources=given, volumeMounts=[
            {'name': 'v', 'mountPath': '/v'},
            {'name': 'w', 'mountPath': '/w', 'readOnly': True,
             'subPath': 'x'}]))
        host.containers[0] = dataclasses.replace(
            host.containers[0], image='docker.io/library/busybox:latest',
            image_ref='docker.io/library/busybox@sha256:1',
            user=model.User(1, 2, (3,)))
        self.assertEqual({
            'name': 'main', 'image': 'docker.io/library/busybox:latest',
            'imageID': 'docker.io/library/busybox@sha256:1',
            'containerID': 'containerd://c2', 'restartCount': 0,
            'state': {'running': {'startedAt': '1970-01-01T00:16:40Z'}},
            'lastState': {}, 'ready': True, 'started': True,
            'resources': given, 'allocatedResources': {'cpu': '1'},
            'user': {'linux': {'uid': 1, 'gid': 2,
                               'supplementalGroups': [3]}},
            'volumeMounts': [
                {'name': 'v', 'mountPath': '/v'},
                {'name': 'w', 'mountPath': '/w', 'readOnly': True,
                 'recursiveReadOnly': 'Disabled'}]}, _status(host))

    def test_probes_say_what_is_started_and_ready(self):
        host = _host(tiny.container('main', startupProbe={},
                                    readinessProbe={}))

        def flags():
            return [_status(host)[name] for name in ('started', 'ready')]

        self.assertEqual([False, False], flags())
        host.probe('main', ready=True)
        self.assertEqual([False, False], flags())
        host.probe('main', started=True)
        self.assertEqual([True, False], flags())
        host.probe('main', started=True, ready=True)
        self.assertEqual([True, True], flags())
        host.begin_anew()
        self.assertEqual([True, True], flags())
        host.probe('main', ready=False)
        self.assertEqual([True, False], flags())

    def test_what_was_ready_is_not_when_it_is_another_container(self):
        host = _host(tiny.container('main', readinessProbe={}))
        host.probe('main', ready=True)
        self.assertTrue(_status(host)['ready'])
        host.exit('main')
        self.assertFalse(_status(host)['ready'])
        host.settle()
        self.assertEqual(['main'], host.running())
        self.assertFalse(_status(host)['ready'])
        self.assertTrue(_status(host)['started'])

    def test_an_init_container_is_ready_when_it_succeeded(self):
        host = _host(inits=[tiny.container('i1'), tiny.sidecar('s1')])
        self.assertEqual((True, False), (_status(host, 'i1')['started'],
                                         _status(host, 'i1')['ready']))
        host.exit('i1', 0)
        host.settle()
        self.assertEqual(('terminated', 'Completed'), _state(host, 'i1'))
        self.assertTrue(_status(host, 'i1')['ready'])
        self.assertFalse(_status(host, 'i1')['started'])
        self.assertTrue(_status(host, 's1')['ready'])
        self.assertTrue(_status(host, 's1')['started'])


class TestWaiting(base.BaseTestCase):
    def test_what_was_not_made_yet_is_being_created(self):
        host = tiny.Host(tiny.pod(tiny.container('main')))
        self.assertEqual({
            'name': 'main', 'image': 'busybox', 'imageID': '',
            'restartCount': 0, 'ready': False, 'started': False,
            'state': {'waiting': {'reason': 'ContainerCreating'}},
            'lastState': {}}, _status(host))

    def test_it_waits_for_init_containers_where_there_are_any(self):
        host = _host(inits=[tiny.container('i1'), tiny.container('i2')])
        self.assertEqual(('waiting', 'PodInitializing'), _state(host))
        self.assertEqual(('waiting', 'PodInitializing'),
                         _state(host, 'i2'))

    def test_the_last_error_says_why(self):
        host = tiny.Host(tiny.pod(tiny.container('main')))
        host.fates = ['none']
        host.settle()
        host.memory.waiting['main'] = model.Words('ErrImagePull', 'no such')
        self.assertEqual({'waiting': {
            'reason': 'ErrImagePull', 'message': 'no such'}},
            _status(host)['state'])

    def test_one_that_was_created_and_not_started_waits(self):
        host = tiny.Host(tiny.pod(tiny.container('main')))
        host.fates = ['created']
        host.settle()
        self.assertEqual(('waiting', 'ContainerCreating'), _state(host))
        host.memory.waiting['main'] = model.Words('RunContainerError', 'no')
        self.assertEqual(('waiting', 'RunContainerError'), _state(host))

    def test_a_restart_does_not_count_before_it_runs(self):
        host = _host()
        host.exit('main', 1)
        before = _status(host)
        newest = host.containers[0]
        host.containers.append(dataclasses.replace(
            newest, id='next', attempt=newest.attempt + 1,
            state=model.ContainerState.CREATED, started_at=0,
            finished_at=0))
        host.memory.starting.add('main')
        self.assertEqual(before['restartCount'],
                         _status(host)['restartCount'])
        host.memory.starting.clear()
        self.assertEqual(before['restartCount'] + 1,
                         _status(host)['restartCount'])

    def test_an_init_container_that_was_created_initializes_the_pod(self):
        host = tiny.Host(tiny.pod(tiny.container('main'),
                                  inits=[tiny.container('i1')]))
        host.fates = ['created']
        host.settle()
        for name in ('i1', 'main'):
            self.assertEqual(('waiting', 'PodInitializing'),
                             _state(host, name))

    def test_a_crash_loop_shows_how_it_ended_and_what_it_waits_for(self):
        host = _host()
        host.exit('main', 3)
        self.assertEqual(('terminated', 'Error'), _state(host))
        host.settle()
        self.assertEqual(('running', None), _state(host))
        self.assertEqual(3, _last(host)['exitCode'])
        host.wait(5)
        host.exit('main', 4)
        self.assertEqual({'waiting': {
            'reason': 'CrashLoopBackOff',
            'message': 'back-off 10s restarting failed container=main '
                       'pod=pod_default(uid)'}}, _status(host)['state'])
        self.assertEqual({
            'exitCode': 4, 'reason': 'Error',
            'startedAt': '1970-01-01T00:16:40Z',
            'finishedAt': '1970-01-01T00:16:45Z',
            'containerID': 'containerd://c3'}, _last(host))
        self.assertEqual(1, _status(host)['restartCount'])

    def test_a_long_back_off_is_told_in_minutes(self):
        host = _host()
        host.exit('main', 1)
        host.memory.backoff['main'] = model.Backoff(160, host.now)
        self.assertIn('back-off 2m40s ',
                      _status(host)['state']['waiting']['message'])

    def test_a_crash_loop_shows_until_the_container_runs(self):
        host = _host()
        for _ in range(2):
            host.exit('main', 1)
            host.settle()
        self.assertEqual(('waiting', 'CrashLoopBackOff'), _state(host))
        host.now += 10
        self.assertEqual(('waiting', 'CrashLoopBackOff'), _state(host))
        host.memory.starting.add('main')
        self.assertEqual(('waiting', 'CrashLoopBackOff'), _state(host))
        self.assertEqual(1, _last(host)['exitCode'])
        host.memory.starting.clear()
        host.settle()
        self.assertEqual(('running', None), _state(host))
        host.wait(5)
        host.exit('main', 1)
        host.memory.backoff.clear()
        self.assertEqual(('terminated', 'Error'), _state(host))

    def test_what_is_not_started_again_does_not_wait(self):
        host = _host(policy='OnFailure', inits=[tiny.container('i1')])
        host.exit('i1', 0)
        host.settle()
        host.exit('main', 0)
        for name in ('i1', 'main'):
            host.memory.waiting[name] = model.Words('ErrImagePull')
            self.assertEqual(('terminated', 'Completed'),
                             _state(host, name))


class TestTerminated(base.BaseTestCase):
    def test_the_runtimes_word_and_message_are_passed_on(self):
        host = _host(policy='Never')
        host.exit('main', 137)
        host.containers[0] = dataclasses.replace(
            host.containers[0], reason='OOMKilled', message='bye')
        state = _status(host)['state']['terminated']
        self.assertEqual(('OOMKilled', 'bye', 137), (
            state['reason'], state['message'], state['exitCode']))

    def test_a_container_that_vanished_is_not_as_if_it_had_never_run(self):
        host = _host()
        host.containers.clear()
        self.assertEqual(('waiting', 'ContainerCreating'), _state(host))
        self.assertEqual(('ContainerStatusUnknown', 137), (
            _last(host)['reason'], _last(host)['exitCode']))
        host.settle()
        self.assertEqual(1, _status(host)['restartCount'])
        self.assertEqual('ContainerStatusUnknown', _last(host)['reason'])

    def test_how_one_ended_is_known_though_it_was_collected(self):
        host = _host(policy='OnFailure')
        host.exit('main', 0)
        told = _status(host)
        host.containers.clear()
        self.assertEqual(told, _status(host))
        host.settle()
        self.assertTrue(host.plan.ended)
        self.assertEqual(told, _status(host))

    def test_the_end_before_is_known_though_it_was_collected(self):
        host = _host()
        host.exit('main', 3)
        host.report()
        host.settle()
        del host.containers[0]
        self.assertEqual(3, _last(host)['exitCode'])
        self.assertEqual(1, _status(host)['restartCount'])

    def test_one_in_an_unknown_state_that_ran_has_ended(self):
        host = _host()
        host.exit('main', 0, _UNKNOWN)
        self.assertEqual(('terminated', 'ContainerStatusUnknown'),
                         _state(host))

    def test_a_collected_init_container_has_succeeded(self):
        host = _host(inits=[tiny.container('i1')])
        host.exit('i1', 0)
        host.settle()
        host.begin_anew()
        host.memory.reported.clear()
        del host.containers[0]
        self.assertEqual(('terminated', 'Completed'), _state(host, 'i1'))
        self.assertTrue(_status(host, 'i1')['ready'])

    def test_a_pod_that_ended_has_no_container_that_waits(self):
        host = tiny.Host(tiny.pod(tiny.container('a'), tiny.container('b')))
        host.fates = ['none']
        host.settle()
        host.end(5)
        host.look()
        host.exit('b', 0)
        host.settle()
        self.assertTrue(host.plan.ended)
        self.assertEqual(('terminated', 'ContainerStatusUnknown'),
                         _state(host, 'a'))
        self.assertEqual(('terminated', 'Completed'), _state(host, 'b'))

    def test_what_had_no_turn_before_the_end_still_waits(self):
        host = _host(inits=[tiny.container('i1'), tiny.container('i2')],
                     policy='Never')
        host.exit('i1', 1)
        host.settle()
        self.assertTrue(host.plan.ended)
        self.assertEqual(('terminated', 'Error'), _state(host, 'i1'))
        self.assertEqual(('waiting', 'PodInitializing'), _state(host, 'i2'))
        self.assertEqual(('waiting', 'PodInitializing'), _state(host))

    def test_a_crash_loop_that_is_ended_shows_how_the_last_one_ended(self):
        host = _host()
        for _ in range(2):
            host.exit('main', 3)
            host.settle()
        host.end(5)
        self.assertEqual(('terminated', 'Error'), _state(host))


class TestPodState(base.BaseTestCase):
    def _told(self, host, **fields):
        return report.pod_state(
            host.pod, host.seen(), host.memory, host.now, capsule='capsule',
            node='node', generation=7, **fields)

    def test_it_survives_the_wire(self):
        host = _host(tiny.container('a'), inits=[tiny.sidecar('s1')])
        told = self._told(host)
        self.assertEqual(told, states.from_wire(told.to_wire()))
        self.assertEqual((['a'], ['s1'], 's1', True), (
            [each['name'] for each in told.containers],
            [each['name'] for each in told.init_containers],
            told.sandbox, told.sandbox_ready))

    def test_a_pod_without_a_sandbox_says_so(self):
        told = self._told(tiny.Host(tiny.pod(tiny.container('a'))))
        self.assertEqual(('', False), (told.sandbox, told.sandbox_ready))

    def test_it_says_which_containers_begin_to_wait(self):
        host = _host(tiny.container('a'), tiny.container('b'))
        before = self._told(host)
        for _ in range(2):
            host.exit('b', 1)
            host.settle()
        told = self._told(host)
        self.assertEqual(['b'], report.newly_waiting(
            before, told, 'CrashLoopBackOff'))
        self.assertEqual(['b'], report.newly_waiting(
            None, told, 'CrashLoopBackOff'))
        self.assertEqual([], report.newly_waiting(
            told, told, 'CrashLoopBackOff'))

    def test_it_says_how_the_pod_ended(self):
        host = _host()
        host.end(5, 'DeadlineExceeded')
        told = self._told(host)
        self.assertEqual((True, False, 'DeadlineExceeded'), (
            told.ending, told.ended, told.reason))
        host.look()
        host.obey()
        host.settle()
        self.assertTrue(self._told(host).ended)
        self.assertTrue(self._told(host, gone=True).gone)
