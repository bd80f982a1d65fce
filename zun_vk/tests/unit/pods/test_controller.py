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
import copy
import threading
from unittest import mock

from oslotest import base
import prometheus_client

from zun_vk import exceptions
from zun_vk import workqueue
from zun_vk.cloud import neutron
from zun_vk.cloud import placement
from zun_vk.kube import client as kube_client
from zun_vk.kube import events
from zun_vk.kube import reflector
from zun_vk.kube import times
from zun_vk.pods import admission
from zun_vk.pods import controller
from zun_vk.pods import creation
from zun_vk.pods import discretion
from zun_vk.pods import environment
from zun_vk.pods import hosted
from zun_vk.pods import lifecycle
from zun_vk.pods import memory
from zun_vk.pods import orphans
from zun_vk.pods import removal
from zun_vk.pods import resolver
from zun_vk.pods import status
from zun_vk.pods import translate
from zun_vk.pods import writer
from zun_vk.pods.runtimes import base as runtimes_base
from zun_vk.tests.fixtures import wait
from zun_vk.tests.unit.pods import capsules
from zun_vk.tests.unit.pods import strategies

_HOST = '192.0.2.10'
_UID = '0a1b2c3d-0000-4000-8000-000000000001'


class _Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class ControllerTestCase(base.BaseTestCase):
    """The controller between stand-ins whose state a test sets."""

    def setUp(self):
        super().setUp()
        self.clock = _Clock()
        self.pods = {}
        self.capsules = []
        self.room = admission.Room((), 110)
        # Of the epoch: where a pod's deadlines are no concern.
        self.wall = 0.0
        self.mirror = mock.create_autospec(
            reflector.Reflector, instance=True)
        self.mirror.synced = threading.Event()
        self.mirror.synced.set()
        self.mirror.get.side_effect = self.pods.get
        self.mirror.snapshot.side_effect = lambda: dict(self.pods)
        self.runtime = mock.create_autospec(
            runtimes_base.CapsuleRuntime, instance=True)
        self.runtime.on_hosts = False
        self.runtime.of_pod.side_effect = lambda uid: [
            each for each in self.capsules if each.uid == uid]
        self.runtime.uids.side_effect = lambda: {
            each.uid for each in self.capsules}
        self.runtime.check.side_effect = translate.check
        self.runtime.translate.side_effect = lambda pod, variables: (
            translate.translate(pod, strategies.OWNER, variables))
        self.resolver = mock.create_autospec(
            resolver.Resolver, instance=True)
        self.resolver.resolve.return_value = environment.Environment()
        self.runtime.create.side_effect = self._created
        self.runtime.listed_at.side_effect = lambda: self.listed_at
        self.listed_at = self.clock.now + 100
        self.placement = mock.create_autospec(
            placement.PlacementClient, instance=True)
        self.neutron = mock.create_autospec(
            neutron.NeutronClient, instance=True)
        self.neutron.ports_of.return_value = []
        self.client = mock.create_autospec(
            kube_client.KubeClient, instance=True)
        self.recorder = mock.create_autospec(
            events.EventRecorder, instance=True)
        self.writer = mock.create_autospec(
            writer.StatusWriter, instance=True)
        self.writer.newest.side_effect = lambda pod: pod
        self.writer.publish.side_effect = self._published
        self.queue = workqueue.WorkQueue(
            clock=self.clock, chance=lambda: 0.0)
        self.controller = controller.PodController(
            self.client, self.runtime,
            removal.Removal(self.runtime, self.placement, self.neutron),
            self.recorder, self.queue, self.writer, _HOST, self._policy(),
            lambda: self.room, self.resolver, self.hosts(), self.clock,
            lambda: self.wall)
        self.controller.follow(self.mirror)

    def hosts(self):
        return hosted.NoHosts(_HOST)

    def _policy(self):
        return memory.Policy(lifecycle.IGNORE, 300)

    def _created(self, pod, translation):
        made = capsules.read(
            pod, status='Creating', containers=None, addresses=None,
            uuid=f'capsule-{self.runtime.create.call_count}')
        self.capsules.append(made)
        return made

    def _published(self, pod, wanted):
        uid = pod['metadata']['uid']
        self.pods[uid] = {**copy.deepcopy(pod),
                          'status': copy.deepcopy(wanted)}

    def _add(self, deleted=False, **fields):
        pod = strategies.pod(**fields)
        if deleted:
            pod['metadata']['deletionTimestamp'] = '2026-01-31T13:00:00Z'
        self.pods[pod['metadata']['uid']] = pod
        return pod

    def _acknowledged(self, **fields):
        pod = self._add(**fields)
        pod['status'] = status.pending(pod, _HOST, times.now())
        return pod

    def _running(self, **fields):
        """Add a pod whose capsule runs, as a predecessor left it."""
        pod = self._add(**fields)
        capsule = capsules.read(pod, uuid=f'of-{pod["metadata"]["uid"]}')
        pod['status'] = status.from_capsule(pod, capsule, _HOST,
                                            times.now())
        self.capsules.append(capsule)
        return pod, capsule

    def _sync(self, uid=_UID, times=1):
        for _ in range(times):
            self.controller._sync(uid)

    def _said(self):
        return [call.args[2] for call in self.recorder.pod.call_args_list]

    def _phase(self, uid=_UID):
        return self.pods[uid]['status']['phase']


class CreateTestCase(ControllerTestCase):

    def test_a_pod_is_acknowledged_and_then_made(self):
        self._add()
        self._sync()
        self.runtime.create.assert_not_called()
        self.assertTrue(self.pods[_UID]['status']['startTime'])
        self._sync()
        self.assertEqual(1, self.runtime.create.call_count)
        self._sync(times=3)
        self.assertEqual(1, self.runtime.create.call_count)

    def test_a_capsule_that_runs_makes_the_pod_run(self):
        pod = self._acknowledged()
        self.capsules.append(capsules.read(pod))
        self._sync()
        self.assertEqual('Running', self._phase())

    def test_a_refused_pod_fails_with_an_event_and_no_capsule(self):
        self._add(hostNetwork=True)
        self._sync(times=3)
        self.assertEqual('Failed', self._phase())
        self.assertEqual('UnsupportedPodSpec',
                         self.pods[_UID]['status']['reason'])
        self.assertEqual({'UnsupportedPodSpec'}, set(self._said()))
        self.assertIn('spec.hostNetwork',
                      self.recorder.pod.call_args.args[3])
        self.runtime.create.assert_not_called()

    def test_differences_and_the_token_are_said_once(self):
        self._acknowledged(containers=[
            strategies.container(command=['x'])])
        self._sync()
        said = {call.args[2]: call.kwargs.get('once')
                for call in self.recorder.pod.call_args_list}
        self.assertEqual({'ZunMeaningDiffers': True,
                          'ServiceAccountTokenNotMounted': True}, said)

    def test_zuns_refusal_is_told_in_its_words_and_tried_again(self):
        self._acknowledged()
        self.runtime.create.side_effect = exceptions.Rejected(
            'zun', 'Quota exceeded.', 400)
        self._sync()
        self.assertEqual('Quota exceeded.',
                         self.recorder.pod.call_args.args[3])
        self.assertEqual('Pending', self._phase())
        waiting = self.pods[_UID]['status']['containerStatuses'][0]
        self.assertEqual('Quota exceeded.',
                         waiting['state']['waiting']['message'])
        self.runtime.create.side_effect = self._created
        self._sync()
        self.assertEqual([], self.capsules)
        self.clock.now += 1
        self._sync()
        self.assertEqual(1, len(self.capsules))

    def _missing(self):
        self.resolver.resolve.side_effect = exceptions.NotYetResolvable(
            'MandatorySecretNotFound', 'secret "s" not found')

    def test_a_pod_waits_for_what_it_refers_to(self):
        self._acknowledged()
        self._missing()
        self._sync(times=3)
        entry, = self.pods[_UID]['status']['containerStatuses']
        self.assertEqual({'reason': 'CreateContainerConfigError',
                          'message': 'secret "s" not found'},
                         entry['state']['waiting'])
        self.assertEqual('Pending', self._phase())
        self.recorder.pod.assert_called_once_with(
            mock.ANY, 'Warning', 'MandatorySecretNotFound',
            'secret "s" not found', once=True)
        self.runtime.create.assert_not_called()
        self.resolver.resolve.side_effect = None
        self.clock.now += 10
        self._sync()
        self.assertEqual(1, len(self.capsules))

    def test_it_never_waits_longer_than_a_kubelet_would(self):
        self._acknowledged()
        self._missing()
        for count in range(1, 20):
            self._sync()
            self.assertEqual(count, self.resolver.resolve.call_count)
            self.clock.now += 10
            self.assertEqual(_UID, self.queue.get(0))
            self.queue.done(_UID)

    def test_each_look_sees_what_came_since_the_one_before(self):
        self._acknowledged()
        first = self.clock.now
        self._missing()
        self._sync()
        self.clock.now += 5
        failed = self.clock.now
        self._sync()
        self.clock.now += 10
        self._sync()
        self.assertEqual([first, first, failed], [
            call.args[1] for call in self.resolver.resolve.call_args_list])

    def test_an_outage_of_the_api_server_makes_nothing(self):
        self._acknowledged()
        self.resolver.resolve.side_effect = exceptions.Unreachable(
            'kubernetes', 'refused')
        self.assertRaises(exceptions.Unreachable, self._sync)
        self.runtime.create.assert_not_called()
        self.recorder.pod.assert_not_called()

    def test_what_may_be_missing_is_told_once(self):
        self._acknowledged()
        self.resolver.resolve.return_value = environment.Environment(
            notes=(environment.Note('OptionalSecretNotFound', 'words'),))
        self._sync()
        self.assertIn(mock.call(mock.ANY, 'Warning',
                                'OptionalSecretNotFound', 'words', once=True),
                      self.recorder.pod.call_args_list)
        self.assertEqual(1, len(self.capsules))

    def test_a_change_of_the_pod_does_not_shorten_the_wait(self):
        self._acknowledged()
        self.runtime.create.side_effect = exceptions.Rejected(
            'zun', 'no', 400)
        self._sync(times=50)
        self.assertEqual(1, self.runtime.create.call_count)

    def test_more_capacity_does(self):
        self._acknowledged()
        self.runtime.create.side_effect = exceptions.Rejected(
            'zun', 'no', 400)
        self._sync()
        self.controller.capacity_grew()
        self.assertEqual(_UID, self.queue.get(0))
        self._sync()
        self.assertEqual(2, self.runtime.create.call_count)

    def test_after_a_lost_answer_a_later_list_must_show_the_outcome(self):
        self._acknowledged()
        self.runtime.create.side_effect = exceptions.Unreachable(
            'zun', 'reset')
        self._sync()
        self.runtime.create.side_effect = self._created
        self.clock.now += 10
        self.listed_at = self.clock.now
        self._sync()
        self.assertEqual(1, self.runtime.create.call_count)
        self.clock.now += creation.SETTLE
        self.listed_at = self.clock.now
        self._sync()
        self.assertEqual(2, self.runtime.create.call_count)

    def test_a_list_that_comes_in_between_makes_no_double(self):
        self._acknowledged()
        self.listed_at = self.clock.now

        def look_just_before_the_list_is_in(uid):
            self.listed_at = self.clock.now + 100
            return []

        self.runtime.of_pod.side_effect = look_just_before_the_list_is_in
        self._sync()
        self.runtime.create.assert_not_called()

    def test_a_capsule_no_host_could_take_is_given_back_and_tried_again(
            self):
        pod = self._acknowledged()
        self.capsules.append(capsules.read(
            pod, status='Error', containers=[],
            status_reason='There are not enough hosts available.'))
        self._sync()
        self.assertEqual('There are not enough hosts available.',
                         self.recorder.pod.call_args.args[3])
        self.assertEqual('Pending', self._phase())
        self.runtime.delete.assert_called_once_with(self.capsules[0])
        self.placement.delete_allocations.assert_called_once_with(
            self.capsules[0].uuid)
        self.capsules.clear()
        self.clock.now += 1
        self.listed_at = self.clock.now
        self._sync()
        self.assertEqual(1, self.runtime.create.call_count)


class RestartTestCase(ControllerTestCase):

    def test_a_restart_keeps_running_capsules(self):
        self._running()
        self._sync(times=3)
        self.runtime.create.assert_not_called()
        self.runtime.delete.assert_not_called()
        self.assertEqual('Running', self._phase())

    def test_nothing_is_made_or_lost_before_the_first_list(self):
        self.listed_at = float('-inf')
        _, capsule = self._running()
        self.capsules.clear()
        self._acknowledged(uid='uid-2', name='other')
        for _ in range(5):
            self.clock.now += 60
            self._sync()
            self._sync('uid-2')
        self.runtime.create.assert_not_called()
        self.assertEqual('Running', self._phase())

    def test_a_request_of_a_predecessor_may_still_be_under_way(self):
        self._acknowledged()
        self.listed_at = self.clock.now + creation.SETTLE - 1
        self._sync()
        self.runtime.create.assert_not_called()
        self.listed_at = self.clock.now + creation.SETTLE
        self._sync()
        self.assertEqual(1, self.runtime.create.call_count)

    def test_a_new_pod_need_not_wait_for_that(self):
        self.listed_at = self.clock.now + 0.1
        self._add()
        self._sync(times=2)
        self.assertEqual(1, self.runtime.create.call_count)

    def test_a_capsule_that_vanished_fails_the_pod(self):
        self._running()
        self._sync()
        self.capsules.clear()
        self._sync()
        self.assertEqual(('Failed', 'CapsuleLost'), (
            self._phase(), self.pods[_UID]['status']['reason']))
        self.runtime.create.assert_not_called()

    def test_a_capsule_that_was_made_and_never_ran_is_made_again(self):
        """A kubelet makes another sandbox too: nothing ran in the first."""
        pod = self._acknowledged()
        self.capsules.append(capsules.read(pod, status='Creating',
                                           containers=[]))
        self._sync()
        self.capsules.clear()
        self._sync()
        self.assertEqual(1, self.runtime.create.call_count)

    def test_a_pod_that_ran_is_not_made_again_though_nobody_could_write_it(
            self):
        pod = self._acknowledged()
        self.writer.publish.side_effect = None  # the API server is away
        self.capsules.append(capsules.read(pod))
        self._sync()
        self.capsules.clear()
        self.writer.publish.side_effect = self._published
        self._sync()
        self.runtime.create.assert_not_called()
        self.assertEqual('CapsuleLost', self.pods[_UID]['status']['reason'])

    def test_of_two_capsules_of_one_pod_one_is_kept(self):
        pod, first = self._running()
        second = capsules.read(pod, uuid='second')
        self.capsules.append(second)
        self._sync()
        self.runtime.delete.assert_called_once_with(second)
        self.assertEqual('Running', self._phase())


class ChangedTestCase(ControllerTestCase):

    def _change(self, image):
        self.pods[_UID] = copy.deepcopy(self.pods[_UID])
        self.pods[_UID]['spec']['containers'][0]['image'] = image

    def _ignored(self):
        return [call for call in self.recorder.pod.call_args_list
                if call.args[2] == 'PodChangeIgnored']

    def test_a_change_of_a_pod_that_runs_is_told(self):
        self._running()
        self._sync(times=2)
        self.assertEqual([], self._ignored())
        self._change('other:1')
        self._sync()
        told = self._ignored()[0]
        self.assertIn('spec.containers[0].image (other:1)', told.args[3])
        self.assertEqual({'once': True}, told.kwargs)

    def test_a_change_while_the_capsule_is_made_is_told(self):
        self._acknowledged()
        self._sync()
        self._change('other:1')
        self._sync()
        self.assertEqual(1, len(self._ignored()))

    def test_a_change_before_another_capsule_is_carried(self):
        self._acknowledged()
        self._sync()
        self.capsules.clear()
        self.controller._memories[_UID].capsule_seen = False
        self._change('other:1')
        self._sync(times=2)
        self.assertEqual(2, self.runtime.create.call_count)
        self.assertEqual([], self._ignored())


class VanishedTestCase(ControllerTestCase):
    """A pod whose capsule somebody else deleted."""

    def _vanish(self, policy, *states):
        """Return the status of a pod whose containers were so."""
        specs = [strategies.container(f'c{number}')
                 for number, _ in enumerate(states)]
        pod = self._add(containers=specs)
        pod['spec'] = strategies.pod(*specs, restartPolicy=policy)['spec']
        raw = [capsules.container(number, **fields)
               for number, fields in enumerate(states)]
        pod['status'] = status.from_capsule(
            pod, capsules.read(pod, containers=raw), _HOST, times.now())
        self._sync()
        return self.pods[_UID]['status']

    def _states(self, found):
        return [(kind, fields.get('exitCode'), fields.get('reason'))
                for entry in found['containerStatuses']
                for kind, fields in entry['state'].items()]

    def test_whatever_the_restart_policy_it_fails_and_is_not_made_again(
            self):
        for policy in ('Always', 'OnFailure', 'Never'):
            found = self._vanish(policy, {'status': 'Running'})
            self.assertEqual(('Failed', 'CapsuleLost'),
                             (found['phase'], found['reason']))
            self.assertEqual(
                [('terminated', 137, 'ContainerStatusUnknown')],
                self._states(found))
            self.assertEqual([policy and 'CapsuleLost'], [
                *set(self._said())])
        self.runtime.create.assert_not_called()

    def test_what_is_known_of_containers_that_ended_is_kept(self):
        ended = {'status': 'Stopped', 'status_detail': 'Exited(0) now'}
        for policy in ('Always', 'OnFailure', 'Never'):
            found = self._vanish(policy, ended, {'status': 'Running'})
            self.assertEqual('Failed', found['phase'])
            self.assertEqual(
                [('terminated', 0, 'Completed'),
                 ('terminated', 137, 'ContainerStatusUnknown')],
                self._states(found))

    def test_a_pod_that_had_succeeded_stays_so(self):
        ended = {'status': 'Stopped', 'status_detail': 'Exited(0) now'}
        for policy in ('OnFailure', 'Never'):
            found = self._vanish(policy, ended)
            self.assertEqual(('Succeeded', None),
                             (found['phase'], found.get('reason')))

    def test_it_is_not_ready_and_has_its_start_and_address_still(self):
        found = self._vanish('Always', {'status': 'Running'})
        ready, = [condition for condition in found['conditions']
                  if condition['type'] == 'Ready']
        self.assertEqual(('False', 'PodFailed'),
                         (ready['status'], ready['reason']))
        self.assertTrue(found['startTime'])
        self.assertEqual('10.0.0.7', found['podIP'])


class ActiveDeadlineTestCase(ControllerTestCase):

    def _overdue(self, seconds=10, **fields):
        pod, capsule = self._running(activeDeadlineSeconds=seconds, **fields)
        self.wall = times.seconds(pod['status']['startTime']) + seconds
        return pod, capsule

    def test_its_capsule_goes_and_then_it_has_failed(self):
        _, capsule = self._overdue()
        self._sync()
        self.runtime.delete.assert_called_once_with(capsule)
        self.assertEqual('Running', self._phase())
        self.capsules.clear()
        self._sync()
        found = self.pods[_UID]['status']
        self.assertEqual(
            ('Failed', 'DeadlineExceeded', 'Pod was active on the node '
             'longer than the specified deadline'),
            (found['phase'], found['reason'], found['message']))
        self.assertIn('DeadlineExceeded', self._said())
        self.runtime.create.assert_not_called()

    def test_before_it_the_pod_runs_and_is_looked_at_in_time(self):
        self._overdue()
        self.wall -= 3
        self._sync()
        self.runtime.delete.assert_not_called()
        self.assertEqual('Running', self._phase())
        self.assertEqual(self.clock.now + 3, self.queue._due[_UID])

    def test_an_earlier_look_does_not_make_it_forgotten(self):
        self._overdue()
        self.wall -= 30
        self.queue.add_after(_UID, 5)
        self._sync()
        self.clock.now += 5
        self.assertEqual(_UID, self.queue.get(0))
        self.wall += 5
        self._sync()
        self.assertEqual(self.clock.now + 25, self.queue._due[_UID])

    def test_a_shorter_deadline_of_a_running_pod_is_honoured(self):
        pod, capsule = self._overdue(1000)
        self.wall -= 500
        self._sync()
        self.runtime.delete.assert_not_called()
        self.pods[_UID]['spec']['activeDeadlineSeconds'] = 100
        self._sync()
        self.runtime.delete.assert_called_once_with(capsule)

    def test_one_that_is_set_on_a_running_pod_is_honoured(self):
        pod, capsule = self._running()
        self.wall = times.seconds(pod['status']['startTime']) + 60
        self._sync()
        self.pods[_UID]['spec']['activeDeadlineSeconds'] = 60
        self._sync()
        self.runtime.delete.assert_called_once_with(capsule)

    def test_a_pod_that_still_waits_for_its_capsule_fails_too(self):
        pod = self._acknowledged(activeDeadlineSeconds=10)
        self.wall = times.seconds(pod['status']['startTime']) + 10
        self._sync()
        self.assertEqual('DeadlineExceeded',
                         self.pods[_UID]['status']['reason'])
        self.runtime.create.assert_not_called()

    def test_a_pod_that_was_not_taken_up_has_none_yet(self):
        self._add(activeDeadlineSeconds=1)
        self.wall = 1e12
        self._sync()
        self.assertEqual('Pending', self._phase())

    def test_a_pod_that_ended_is_left_as_it_is(self):
        pod, _ = self._overdue()
        pod['status']['phase'] = 'Succeeded'
        self.capsules.clear()
        self._sync()
        self.assertEqual('Succeeded', self._phase())
        self.assertNotIn(_UID, self.queue._due)


class PlacementBase(ControllerTestCase):

    _WORDS = 'There are not enough hosts available.'
    _RESOURCES = {'requests': {'cpu': '1500m', 'memory': '1Gi'}}

    def setUp(self):
        super().setUp()
        self.room = admission.Room((admission.Host(
            admission.Amount(4000, 1000), admission.Amount(2 ** 33, 2 ** 32)
        ),), 110)
        self.pod = self._acknowledged(containers=[])
        self.pod['spec']['containers'] = [
            strategies.container(resources=self._RESOURCES)]
        self.wall = times.seconds(self.pod['status']['startTime'])

    def _no_room(self, reason=_WORDS):
        """Zun tries once more, and finds none."""
        self.capsules[:] = [capsules.read(
            self.pod, status='Error', containers=[], status_reason=reason)]
        self._sync()
        self.capsules.clear()


class PlacementDeadlineTestCase(PlacementBase):

    def test_it_waits_until_then(self):
        self._no_room()
        self.wall += 299
        self._sync()
        self.assertEqual('Pending', self._phase())
        self.assertIn(self._WORDS, self.recorder.pod.call_args.args[3])

    def test_then_it_fails_as_a_kubelet_would_let_it(self):
        self._no_room()
        self.wall += 300
        self._sync()
        found = self.pods[_UID]['status']
        self.assertEqual(('Failed', 'OutOfcpu'),
                         (found['phase'], found['reason']))
        self.assertEqual(
            "Pod was rejected: Node didn't have enough resource: cpu, "
            'requested: 2000, used: 3000, capacity: 4000. '
            f'Zun: {self._WORDS}', found['message'])
        self.assertIn('OutOfcpu', self._said())

    def test_it_is_looked_at_then_however_long_the_pause(self):
        self._no_room()
        self.queue._due.clear()
        self.wall += 100
        self._sync()
        self.assertLessEqual(self.queue._due[_UID], self.clock.now + 200)

    def test_a_restart_gives_it_no_more_time(self):
        self.wall += 1000
        self._no_room()
        self.clock.now += 1
        self.listed_at = self.clock.now
        self._sync()
        self.assertEqual('OutOfcpu', self.pods[_UID]['status']['reason'])

    def test_a_host_that_had_no_room_after_all_counts_as_well(self):
        self._no_room('Insufficient compute resources: Free memory 1 MB <')
        self.wall += 300
        self._sync()
        self.assertEqual('Failed', self._phase())

    def test_what_is_no_lack_of_room_is_tried_for_ever(self):
        self._no_room()
        self._no_room('Image ghost was not found.')
        self.wall += 10000
        self._sync()
        self.assertEqual('Pending', self._phase())

    def test_a_refusal_after_that_is_no_lack_of_room_either(self):
        self._no_room()
        self.clock.now += 1000
        self.listed_at = self.clock.now
        self.runtime.create.side_effect = exceptions.Rejected(
            'zun', 'Quota exceeded', 403)
        self._sync()
        self.wall += 10000
        self._sync()
        self.assertEqual('Pending', self._phase())

    def _without_a_secret(self):
        """It is tried once more, and a Secret that it names is missing."""
        self.clock.now += 1000
        self.listed_at = self.clock.now
        self.resolver.resolve.side_effect = exceptions.NotYetResolvable(
            'MandatorySecretNotFound', 'secret "s" not found')
        self._sync()

    def test_time_that_it_waited_for_a_secret_does_not_count(self):
        self.wall += 1000
        self._without_a_secret()
        self._no_room()
        self.wall += 299
        self._sync()
        self.assertEqual('Pending', self._phase())
        self.wall += 1
        self._sync()
        self.assertEqual('OutOfcpu', self.pods[_UID]['status']['reason'])

    def test_time_that_something_else_held_it_back_does_not_count(self):
        self.wall += 1000
        self._no_room('Image ghost was not found.')
        self._no_room()
        self._sync()
        self.assertEqual('Pending', self._phase())

    def test_tries_that_find_no_room_give_it_no_more_time(self):
        for _ in range(2):
            self._no_room()
            self.wall += 150
        self._sync()
        self.assertEqual('Failed', self._phase())

    def test_a_pod_that_is_being_made_is_waited_for(self):
        self._no_room()
        self.capsules.append(capsules.read(self.pod, status='Creating'))
        self.wall += 10000
        self._sync()
        self.assertEqual('Pending', self._phase())


class NoPlacementDeadlineTestCase(PlacementBase):

    def _policy(self):
        return memory.Policy(lifecycle.IGNORE, 0)

    def test_a_pod_waits_for_ever(self):
        self._no_room()
        self.wall += 1e9
        self._sync()
        self.assertEqual('Pending', self._phase())


class SecrecyTestCase(ControllerTestCase):
    """Zun's words on capsules that were given a Secret."""

    _ENV = [{'name': 'PASSWORD', 'valueFrom': {
        'secretKeyRef': {'name': 's', 'key': 'k'}}}]

    def setUp(self):
        super().setUp()
        self.pod = self._acknowledged(
            containers=[strategies.container(env=self._ENV)])
        self.resolver.resolve.return_value = environment.Environment(
            {'main': {'PASSWORD': 's3cr3t'}}, frozenset({'PASSWORD'}))

    def _capsule(self, reason, container=None, **fields):
        """Zun says this of the capsule, or of its container."""
        self.capsules[:] = [capsules.read(
            self.pod, status_reason=reason, containers=[capsules.container(
                status='Error', status_reason=container)], **fields)]
        self._sync()

    def _shown(self):
        return f'{self.recorder.pod.call_args_list}{self.pods[_UID]}'

    def test_words_that_repeat_a_secret_go_nowhere(self):
        self._sync()
        for words in (('exec: s3cr3t: not found',),
                      ('', "{'PASSWORD': 's3")):
            self._capsule(*words, status='Error')
            self.assertIn(discretion.WITHHELD, self._shown())
            self.assertNotIn('s3', self._shown())

    def test_nor_do_they_where_a_part_of_the_capsule_runs(self):
        self._sync()
        self._capsule('', 'exec: s3cr3t: not found')
        self.assertIn(discretion.WITHHELD, self._shown())
        self.assertNotIn('s3cr3t', self._shown())

    def test_other_words_are_shown(self):
        self._sync()
        self._capsule('Image ghost was not found.', status='Error')
        self.assertIn('Image ghost was not found.', self._shown())

    def test_after_a_restart_no_words_are_known_to_be_harmless(self):
        self._capsule('Image ghost was not found.', status='Error')
        self.assertIn(discretion.WITHHELD, self._shown())
        self.assertNotIn('ghost', self._shown())

    def test_what_zun_says_of_any_capsule_is_shown_all_the_same(self):
        for words, shown in (
                ('There are not enough hosts available.',) * 2,
                ('Insufficient compute resources: for s3cr3t',
                 'Insufficient compute resources')):
            self._capsule(words, status='Error')
            self.assertEqual(shown, self.controller._memories[_UID].no_room)
            self.assertIn(shown, self._shown())
            self.assertNotIn('s3cr3t', self._shown())

    def test_a_pod_without_secrets_has_nothing_to_hide(self):
        del self.pod['spec']['containers'][0]['env']
        self._capsule('Image ghost was not found.', status='Error')
        self.assertIn('Image ghost was not found.', self._shown())

    def _kept(self):
        return self.controller._memories[_UID].secrets

    def test_values_are_kept_until_the_pod_runs_and_never_shown(self):
        self._sync()
        self.assertTrue(self._kept())
        self.assertNotIn('s3cr3t', repr(self.controller._memories))
        self.assertNotIn('s3cr3t', repr(self._kept()))
        self.capsules[:] = [capsules.read(self.pod)]
        self._sync()
        self.assertIsNone(self._kept())

    def test_values_are_not_kept_of_a_pod_that_has_failed(self):
        self._sync()
        self._published(self.pod, status.failed(
            self.pod, _HOST, times.now(), 'OutOfcpu', ''))
        self._sync()
        self.assertIsNone(self._kept())


class DaemonSetBase(ControllerTestCase):

    def _add(self, **fields):
        pod = super()._add(**fields)
        pod['metadata']['ownerReferences'] = [{
            'apiVersion': 'apps/v1', 'kind': 'DaemonSet', 'name': 'a',
            'uid': 'u', 'controller': True}]
        return pod


class DaemonSetTestCase(DaemonSetBase):

    def test_it_is_left_as_it_is(self):
        self._add()
        self._sync(times=3)
        self.assertNotIn('status', self.pods[_UID])
        self.runtime.create.assert_not_called()
        self.assertEqual({'DaemonSetPod'}, set(self._said()))
        for call in self.recorder.pod.call_args_list:
            self.assertTrue(call.kwargs['once'])
        self.assertEqual({}, self.queue._due)

    def test_it_goes_at_once(self):
        self.listed_at = float('-inf')
        self._add(deleted=True)
        self._sync()
        self.client.remove_pod.assert_called_once_with('shop', 'web', _UID)

    def test_the_room_it_takes_from_the_scheduler_is_given_back(self):
        pod = self._add()
        pod['spec']['containers'][0]['resources'] = {
            'requests': {'cpu': '100m', 'memory': '1Mi'}}
        self.assertEqual({_UID: (100, 2 ** 20)}, self.controller.claims())


class DaemonSetsFailTestCase(DaemonSetBase):

    def _policy(self):
        return memory.Policy(lifecycle.FAIL, 300)

    def test_it_fails(self):
        self._add()
        self._sync()
        found = self.pods[_UID]['status']
        self.assertEqual(('Failed', 'DaemonSetPod'),
                         (found['phase'], found['reason']))
        self.runtime.create.assert_not_called()


class DeleteTestCase(ControllerTestCase):

    def test_the_pod_goes_after_its_capsule(self):
        _, capsule = self._running(deleted=True)
        self._sync(times=2)
        self.runtime.delete.assert_called_with(capsule)
        self.client.remove_pod.assert_not_called()
        self.capsules.clear()
        self._sync()
        self.client.remove_pod.assert_called_once_with('shop', 'web', _UID)

    def test_a_pod_whose_capsule_may_be_under_way_stays(self):
        pod = self._acknowledged(deleted=True)
        pod['metadata']['deletionTimestamp'] = '2026-01-31T13:00:00Z'
        self.listed_at = self.clock.now
        self._sync()
        self.client.remove_pod.assert_not_called()

    def test_a_pod_is_removed_once_unless_the_watch_stays_silent(self):
        self._add(deleted=True)
        self._sync(times=3)
        self.client.remove_pod.assert_called_once_with('shop', 'web', _UID)
        self.clock.now += 6
        self._sync()
        self.assertEqual(2, self.client.remove_pod.call_count)

    def test_removing_a_pod_that_is_gone_or_another_is_no_error(self):
        for error in (exceptions.NotFound('kubernetes', '', 404),
                      exceptions.Conflict('kubernetes', '', 409)):
            self._add(deleted=True)
            self.client.remove_pod.side_effect = error
            self._sync()

    def test_a_pod_that_is_said_to_be_gone_and_is_not_is_removed(self):
        self._add(deleted=True)
        self.client.remove_pod.side_effect = exceptions.NotFound(
            'kubernetes', 'pod "web" not found', 404)
        self._sync()
        self.assertEqual(self.clock.now + 5, self.queue._due[_UID])
        self.clock.now += 5
        self.client.remove_pod.side_effect = None
        self._sync()
        self.assertEqual(2, self.client.remove_pod.call_count)

    def test_a_pod_removed_by_force_has_its_capsule_reaped(self):
        _, capsule = self._running()
        self.pods.clear()
        self.client.get_pod.side_effect = exceptions.NotFound(
            'kubernetes', 'gone', 404)
        self._sync()
        self.runtime.delete.assert_not_called()
        self.clock.now += orphans.GRACE
        self._sync()
        self.runtime.delete.assert_called_once_with(capsule)

    def test_a_pod_that_is_there_again_within_the_grace_keeps_its_capsule(
            self):
        pod, _ = self._running()
        self.pods.clear()
        gone = exceptions.NotFound('kubernetes', 'gone', 404)
        self.client.get_pod.side_effect = gone
        self._sync()
        self.clock.now += orphans.GRACE
        self.client.get_pod.side_effect = [pod]
        self._sync()
        self.client.get_pod.side_effect = gone
        self._sync()
        self.runtime.delete.assert_not_called()

    def test_a_capsule_whose_pod_the_api_server_has_is_not_reaped(self):
        pod, _ = self._running()
        self.pods.clear()
        self.client.get_pod.return_value = pod
        self._sync()
        self.runtime.delete.assert_not_called()

    def test_a_new_pod_of_the_same_name_does_not_keep_the_old_capsule(self):
        pod, capsule = self._running()
        self.pods.clear()
        self.client.get_pod.return_value = strategies.pod(uid='new-uid')
        self._sync()
        self.clock.now += orphans.GRACE
        self._sync()
        self.runtime.delete.assert_called_once_with(capsule)

    def test_nothing_is_reaped_while_pods_or_the_api_server_are_unknown(
            self):
        self._running()
        self.pods.clear()
        self.mirror.synced.clear()
        self._sync()
        self.mirror.synced.set()
        self.client.get_pod.side_effect = exceptions.Unreachable(
            'kubernetes', 'refused')
        self.assertRaises(exceptions.Unreachable, self._sync)
        self.runtime.delete.assert_not_called()

    def test_a_pod_that_ended_gives_its_capsule_back_and_stays(self):
        pod, capsule = self._running()
        pod['status']['phase'] = 'Succeeded'
        self._sync()
        self.runtime.delete.assert_called_once_with(capsule)
        self.capsules.clear()
        self._sync()
        self.client.remove_pod.assert_not_called()
        self.runtime.create.assert_not_called()

    def test_what_is_remembered_of_a_pod_goes_with_it(self):
        self._add(deleted=True)
        self._sync()
        self.pods.clear()
        self._sync()
        self.assertEqual({}, self.controller._memories)
        self.writer.forget.assert_called_with(_UID)


class ClaimsTestCase(ControllerTestCase):

    _RESOURCES = {'requests': {'cpu': '500m', 'memory': '64Mi'}}

    def _claiming(self, uid, **capsule):
        pod = self._add(uid=uid, containers=[
            strategies.container(resources=self._RESOURCES)])
        self.capsules.append(capsules.read(pod, uuid=uid, **capsule))
        return pod

    def test_pods_with_a_running_capsule_claim_their_requests(self):
        self._claiming('running')
        self._add(uid='no-capsule')
        self.assertEqual({'running': (500, 64 * 2 ** 20)},
                         self.controller.claims())

    def test_a_capsule_zun_works_on_promises_no_room(self):
        # Seen live: three pods just started, and the node offered 103 CPUs
        # of 100, for Zun claims on the host after it has answered.
        self._claiming('creating', status='Creating')
        self._claiming('deleting', status='Deleting')
        self.assertEqual({}, self.controller.claims())

    def test_a_capsule_in_error_claims_nothing(self):
        self._claiming('failed', status='Error')
        self.assertEqual({}, self.controller.claims())

    def test_a_pod_that_ended_claims_nothing(self):
        """The scheduler does not count it either."""
        for phase in ('Succeeded', 'Failed'):
            self._claiming(phase)['status'] = {'phase': phase}
        self.assertEqual({}, self.controller.claims())

    def test_a_capsule_without_a_pod_claims_nothing(self):
        self._claiming('gone')
        self.pods.clear()
        self.assertEqual({}, self.controller.claims())


class WorkTestCase(ControllerTestCase):

    def _work(self, until):
        stop = threading.Event()
        thread = threading.Thread(target=self.controller.work, args=(stop,))
        thread.start()
        try:
            wait.wait_for(until, 'the worker', timeout=10, interval=0.002)
        finally:
            stop.set()
            self.queue.shut_down()
            thread.join(10)
        self.assertFalse(thread.is_alive())

    def test_a_worker_survives_whatever_a_pod_does_to_it(self):
        self._add(uid='bad')
        self._add(uid='good', name='good')
        real = self.runtime.translate.side_effect

        def translate_or_fail(pod):
            if pod['metadata']['uid'] == 'bad':
                raise ZeroDivisionError('bug')
            return real(pod)

        self.runtime.translate.side_effect = translate_or_fail
        for uid in ('bad', 'good'):
            self.queue.add(uid)
        self._work(lambda: self.pods['good'].get('status'))

    def test_every_look_is_timed_by_its_result(self):
        def look(uid):
            self.clock.now += 0.25  # no retry comes due
            if uid == 'refused':
                raise exceptions.Unreachable('kubernetes', 'refused')
            if uid == 'buggy':
                raise ZeroDivisionError('bug')

        def figures(what):
            return [prometheus_client.REGISTRY.get_sample_value(
                f'zun_vk_pod_sync_duration_seconds_{what}',
                {'result': result}) for result in ('ok', 'retried',
                                                   'crashed')]

        counts, seconds = figures('count'), figures('sum')
        self.mirror.get.side_effect = look
        for uid in ('gone', 'refused', 'buggy'):
            self.queue.add(uid)
        self._work(lambda: figures('count') == [n + 1 for n in counts])
        self.assertEqual([n + 0.25 for n in seconds], figures('sum'))

    def test_a_remote_failure_is_tried_again_later(self):
        self._running(deleted=True)
        self.runtime.delete.side_effect = exceptions.Unreachable(
            'zun', 'refused')
        self.queue.add(_UID)
        self._work(lambda: _UID in self.queue._due)

    def test_a_busy_zun_puts_a_pod_off_without_a_word(self):
        pod = self._acknowledged()
        self.runtime.create.side_effect = exceptions.Throttled(
            'zun', 'busy', 7)
        before = copy.deepcopy(pod['status'])
        self.queue.add(_UID)
        self._work(lambda: _UID in self.queue._due)
        self.assertEqual(self.clock.now + 7, self.queue._due[_UID])
        self.assertEqual(before, self.pods[_UID]['status'])
        self.assertNotIn('FailedCreatePodSandBox', self._said())
        self.runtime.create.side_effect = self._created
        self._sync()
        self.assertEqual(1, len(self.capsules))

    def test_an_agent_that_may_not_act_blames_no_pod(self):
        pod = self._acknowledged()
        self.runtime.create.side_effect = exceptions.NotHolder(
            'kubernetes', 'the lease of node zun-vk is not held')
        before = copy.deepcopy(pod['status'])
        self.queue.add(_UID)
        self._work(lambda: _UID in self.queue._due)
        self.assertEqual(before, self.pods[_UID]['status'])
        self.assertNotIn('FailedCreatePodSandBox', self._said())
        self.runtime.create.side_effect = self._created
        self._sync()
        self.assertEqual(1, len(self.capsules))

    def test_resync_looks_at_every_pod_and_every_capsule(self):
        self._running(uid='both', name='both')
        self._running(uid='capsule-only', name='x')
        self.pods.pop('capsule-only')
        self._add(uid='pod-only', name='y')
        self.controller.resync()
        self.assertEqual({'both', 'capsule-only', 'pod-only'},
                         {self.queue.get(0) for _ in range(3)})

    def test_changes_of_a_pod_are_queued(self):
        pod = self._add()
        self.controller.pod_changed(None, pod)
        self.controller.pod_changed(pod, pod)
        self.controller.pod_gone(pod)
        self.assertEqual([_UID, None],
                         [self.queue.get(0), self.queue.get(0)])
