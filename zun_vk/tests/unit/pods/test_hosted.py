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
"""What becomes of pods by what their hosts tell, without a bus."""

from unittest import mock

import fixtures

from zun_vk import health
from zun_vk.pods import hosted
from zun_vk.rpc import bus as bus_module
from zun_vk.rpc import marks
from zun_vk.rpc import states
from zun_vk.tests.unit.pods import capsules
from zun_vk.tests.unit.pods import strategies
from zun_vk.tests.unit.pods import test_controller

_UID = '0a1b2c3d-0000-4000-8000-000000000001'
_AT = '2026-01-31T12:00:00Z'
_RUNNING = {'running': {'startedAt': _AT}}


class HostedTestCase(test_controller.ControllerTestCase):
    """The controller over hosts whose messages a test makes."""

    def setUp(self):
        super().setUp()
        self.runtime.on_hosts = True
        self.numbers = iter(range(1, 1000))

    def hosts(self):
        self.side = hosted.Hosts(
            mock.create_autospec(bus_module.Bus, instance=True), 'zun-vk',
            '192.0.2.10', self.runtime, health.Health(), lambda: None,
            self.queue.add, self.clock, lambda: self.wall)
        return self.side

    def test_the_newest_state_is_known_by_its_number(self):
        self.assertEqual(0, self.side.newest(capsules.UUID))
        for number in (5, 3):
            self.side.told(states.PodState(
                _UID, capsules.UUID, 'zun-vk', number), 'host-1')
            self.assertEqual(5, self.side.newest(capsules.UUID))

    def running(self, **fields):
        """Add a pod whose host tells that it runs."""
        pod = self._acknowledged(**fields)
        capsule = capsules.read(pod, host='host-1')
        self.capsules.append(capsule)
        self.tell(pod, _RUNNING)
        self._sync()
        return self.pods[_UID]

    def tell(self, pod, state, **fields):
        entries = tuple({
            'name': each['name'], 'image': 'busybox', 'imageID': 'sha256:1',
            'containerID': f'containerd://{each["name"]}',
            'restartCount': 0, 'ready': 'running' in state,
            'started': 'running' in state, 'state': state, 'lastState': {}}
            for each in pod['spec']['containers'])
        self.side.told(states.PodState(
            _UID, capsules.UUID, 'zun-vk', next(self.numbers),
            sandbox_ready=True, containers=entries, **fields), 'host-1')

    def end(self, pod, code=143, **fields):
        self.tell(pod, {'terminated': {
            'exitCode': code, 'startedAt': _AT, 'finishedAt': _AT}},
            ended=True, **fields)

    def told(self):
        """Return what waits to be told to hosts, and let it be told."""
        waiting = self.side._outbox._waiting
        found = [(host, method, arguments) for (host, method, _), arguments
                 in waiting.items()]
        waiting.clear()
        return found

    def deleted(self, pod, grace=30):
        pod['metadata'].update(deletionTimestamp=_AT,
                               deletionGracePeriodSeconds=grace)
        # When it was asked for.
        self.wall = 1769860800 - grace


class DeletionTestCase(HostedTestCase):

    def test_the_containers_end_before_the_capsule_goes(self):
        pod = self.running()
        self.deleted(pod)
        self._sync()
        (host, method, arguments), = self.told()
        self.assertEqual(('host-1', 'end_pod', 30),
                         (host, method, arguments['grace']))
        self.clock.now += 3600
        self._sync(times=3)
        self.runtime.delete.assert_not_called()
        self.end(pod)
        self._sync()
        self.assertEqual('Failed', self._phase())
        self.runtime.delete.assert_not_called()
        self._sync()
        self.runtime.delete.assert_called_once_with(self.capsules[0])
        self.client.remove_pod.assert_not_called()

    def test_it_is_told_again_until_it_shows(self):
        pod = self.running()
        self.deleted(pod)
        for told in (1, 0, 1):
            self._sync()
            self.assertEqual(told, len(self.told()))
            self.clock.now += 2
        self.tell(pod, _RUNNING, ending=True)
        self._sync(times=2)
        self.assertEqual(0, len(self.told()))

    def test_what_is_left_of_the_grace_period_is_told(self):
        pod = self.running()
        self.deleted(pod)
        self.wall += 10.5
        self._sync()
        self.assertEqual(20, self.told()[0][2]['grace'])

    def test_a_negative_grace_period_is_a_second(self):
        self.assertEqual(1, self.side._grace({'metadata': {}, 'spec': {
            'terminationGracePeriodSeconds': -5}}))

    def test_a_clock_that_is_wrong_gives_no_more_than_was_asked_for(self):
        pod = self.running()
        self.deleted(pod)
        for wrong, grace in ((-3600, 30), (3600, 0)):
            self.wall += wrong
            self.clock.now += 100
            self._sync()
            self.assertEqual(grace, self.told()[0][2]['grace'])
            self.wall -= wrong

    def test_a_host_that_does_not_know_the_pod_is_not_waited_for(self):
        pod = self.running()
        self.deleted(pod, 5)
        self._sync()
        self.side.has_only('host-1', set())
        self.clock.now += 20
        self._sync()
        self.runtime.delete.assert_not_called()
        self.clock.now += 20
        self._sync()
        self.assertEqual(1, self.runtime.delete.call_count)

    def test_a_status_that_cannot_be_written_does_not_keep_the_capsule(
            self):
        pod = self.running()
        self.deleted(pod)
        self.writer.publish.side_effect = None
        self.end(pod)
        self._sync()
        self.clock.now += 30
        self._sync()
        self.runtime.delete.assert_not_called()
        self.clock.now += 31
        self._sync()
        self.assertEqual(1, self.runtime.delete.call_count)

    def test_one_that_never_ran_is_left_to_zun_at_once(self):
        pod = self._acknowledged()
        self.capsules.append(capsules.read(
            pod, status='Creating', host='host-1', containers=[]))
        self.deleted(pod)
        self._sync()
        self.assertEqual([], self.told())
        self.assertEqual(1, self.runtime.delete.call_count)

    def test_when_all_is_gone_its_host_forgets_it(self):
        self.running()
        self.pods.clear()
        self.capsules.clear()
        self._sync()
        self.assertEqual([('host-1', 'forget_pod', {'uid': _UID})],
                         self.told())


class EndTestCase(HostedTestCase):

    def test_the_end_is_written_before_the_capsule_goes(self):
        pod = self.running(restartPolicy='Never')
        self.end(pod, 0)
        self._sync()
        self.assertEqual('Succeeded', self._phase())
        self.runtime.delete.assert_not_called()
        self._sync()
        self.assertEqual(1, self.runtime.delete.call_count)

    def test_while_it_is_not_written_the_capsule_stays(self):
        pod = self.running(restartPolicy='Never')
        self.writer.publish.side_effect = None
        self.end(pod, 0)
        for _ in range(5):
            self.clock.now += 600
            self._sync()
        self.runtime.delete.assert_not_called()

    def test_a_deadline_gives_containers_their_grace_period(self):
        pod = self.running(activeDeadlineSeconds=60,
                           terminationGracePeriodSeconds=9)
        self.pods[_UID]['status']['startTime'] = _AT
        self.wall = 1769860800 + 61
        self._sync()
        (_, method, arguments), = self.told()
        self.assertEqual(
            ('end_pod', 9, 'DeadlineExceeded'),
            (method, arguments['grace'], arguments['reason']))
        self.assertEqual('Running', self._phase())
        self.end(pod, ending=True)
        self._sync()
        status = self.pods[_UID]['status']
        self.assertEqual(('Failed', 'DeadlineExceeded'),
                         (status['phase'], status['reason']))
        self.assertEqual(143, status['containerStatuses'][0]['state'][
            'terminated']['exitCode'])
        self._sync()
        self.assertEqual(1, self.runtime.delete.call_count)

    def test_one_that_finished_by_itself_has_not_missed_its_deadline(self):
        pod = self.running(activeDeadlineSeconds=60, restartPolicy='Never')
        self.pods[_UID]['status']['startTime'] = _AT
        self.end(pod, 0)
        self.wall = 1769860800 + 61
        self._sync()
        self.assertEqual('Succeeded', self._phase())

    def test_a_capsule_in_error_that_its_host_runs_is_kept(self):
        self.running()
        self.capsules[:] = [capsules.read(
            self.pods[_UID], status='Error', host='host-1', containers=[])]
        self._sync(times=3)
        self.runtime.delete.assert_not_called()
        self.assertEqual('Running', self._phase())

    def report_without(self, times):
        for _ in range(times):
            self.side.has_only('host-1', set())
            self._sync()

    def ended_in_zun(self, **fields):
        self.capsules[:] = [capsules.read(
            self.pods[_UID], host='host-1', **{'status': 'Stopped',
                                               **fields})]

    def test_an_end_that_its_host_no_longer_knows_fails_the_pod(self):
        # It was started again since; and what it told, or this agent, was
        # lost.
        for forget in (False, True):
            pod = self.running()
            if forget:
                self.side.gone(_UID)
            self.ended_in_zun()
            self.report_without(1)
            self.assertEqual('Running', self._phase())
            self.report_without(1)
            self.assertEqual(('Failed', 'CapsuleLost'), (
                self._phase(), self.pods[_UID]['status']['reason']))
            self._sync()
            self.assertTrue(self.runtime.delete.called)
            self.runtime.delete.reset_mock()
            pod['status'] = {}
            self.pods.clear()
            self.capsules.clear()
            self.side.gone(_UID)

    def test_what_a_host_is_about_to_run_again_is_not_lost(self):
        self.running()
        self.report_without(3)
        self.assertEqual('Running', self._phase())

    def test_what_a_host_has_told_of_its_end_is_not_lost(self):
        pod = self.running(restartPolicy='Never')
        self.ended_in_zun()
        self.report_without(1)
        self.end(pod, 0)
        self.report_without(3)
        self.assertEqual('Succeeded', self._phase())


class SilenceTestCase(HostedTestCase):

    def _silent(self):
        self.side._sent('host-1', 'report')
        for _ in range(9):
            self.clock.now += 5
            self.side._look()

    def _ready(self):
        return next(each for each in self.pods[_UID]['status']['conditions']
                    if each['type'] == 'Ready')

    def test_its_pods_are_not_ready_and_recover(self):
        self.running()
        self._silent()
        self._sync()
        self.assertEqual('HostNotResponding', self._ready()['reason'])
        self.runtime.create.assert_not_called()
        self.side.heard('host-1')
        self._sync()
        self.assertEqual('True', self._ready()['status'])

    def test_they_stay_as_they_are_while_the_bus_is_away(self):
        self.running()
        self.useFixture(fixtures.MockPatchObject(
            self.side._outbox, 'stuck', lambda: True))
        self._silent()
        self._sync()
        self.assertEqual('True', self._ready()['status'])

    def test_a_change_of_a_pod_is_told_unless_it_is_of_our_making(self):
        pod = self.running()
        self.told()
        for field in ('labels', 'annotations'):
            changed = {**pod, 'metadata': {**pod['metadata'],
                                           field: {'a': 'b'}}}
            self.controller.pod_changed(pod, changed)
            self.assertEqual([('host-1', 'pod_changed', {'uid': _UID})],
                             self.told())
        self.controller.pod_changed(pod, {**pod, 'status': {}})
        self.controller.pod_changed(None, pod)
        self.assertEqual([], self.told())

    def test_a_capsule_is_known_by_its_own_states_only(self):
        pod = self.running()
        self.capsules[:] = [capsules.read(
            pod, uuid='another', host='host-1',
            labels=strategies.OWNER.labels(pod) | {marks.UID: _UID})]
        self.end(pod)
        self._sync()
        self.assertEqual('Running', self._phase())
