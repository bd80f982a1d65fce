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

import hypothesis
from hypothesis import strategies as st
from oslotest import base

from zun_vk.pods import status
from zun_vk.tests.unit.pods import capsules
from zun_vk.tests.unit.pods import strategies

_HOST = '192.0.2.10'
_T0, _T1, _T2 = (f'2026-01-31T12:00:0{second}Z' for second in (0, 1, 2))
_EXIT_0 = {'status': 'Stopped', 'status_detail': 'Exited(0) now'}
_EXIT_3 = {'status': 'Stopped', 'status_detail': 'Exited(3) now'}
_WORDS = st.sampled_from([
    'Creating', 'Created', 'Running', 'Stopped', 'Error', 'Paused', 'Dead',
    'Deleted', 'Rebooting', 'Unknown', ''])
_DETAILS = st.sampled_from([None, 'Up 1 s', 'Exited(0)', 'Exited(1) x'])


def _pod(*names, **fields):
    return strategies.pod(*map(strategies.container, names or ['main']),
                          **fields)


def _of(pod, at=_T0, **capsule):
    """Return the status of a pod whose capsule is like this."""
    return status.from_capsule(pod, capsules.read(pod, **capsule), _HOST, at)


def _of_containers(*states, restart='Always', **fields):
    pod = _pod(*(f'c{index}' for index, _ in enumerate(states)),
               restartPolicy=restart, **fields)
    return _of(pod, containers=[
        capsules.container(index, **state)
        for index, state in enumerate(states)])


def _conditions(result):
    return {each['type']: each['status'] for each in result['conditions']}


def _condition(result, kind):
    return next(each for each in result['conditions']
                if each['type'] == kind)


def _then(pod, result):
    """Return the pod as the API server has it once that is written."""
    return {**copy.deepcopy(pod), 'status': copy.deepcopy(result)}


class PendingTestCase(base.BaseTestCase):

    def test_a_pod_taken_up_is_pending_with_a_start_time(self):
        result = status.pending(_pod('a', 'b'), _HOST, _T0)
        self.assertEqual(('Pending', _T0, _HOST, [{'ip': _HOST}], None),
                         (result['phase'], result['startTime'],
                          result['hostIP'], result['hostIPs'],
                          result['podIP']))
        self.assertEqual(
            [('a', {'waiting': {'reason': 'ContainerCreating'}}, False),
             ('b', {'waiting': {'reason': 'ContainerCreating'}}, False)],
            [(each['name'], each['state'], each['ready'])
             for each in result['containerStatuses']])
        self.assertEqual(
            {'PodScheduled': 'True', 'Initialized': 'True',
             'PodReadyToStartContainers': 'False',
             'ContainersReady': 'False', 'Ready': 'False'},
            _conditions(result))

    def test_the_reason_for_waiting_is_told(self):
        result = status.pending(_pod(), _HOST, _T0, status.Waiting(
            'CreateContainerError', 'There are not enough hosts available.'))
        self.assertEqual(
            {'waiting': {'reason': 'CreateContainerError', 'message':
                         'There are not enough hosts available.'}},
            result['containerStatuses'][0]['state'])

    def test_a_capsule_being_made_is_pending(self):
        for word in ('Creating', 'Created', ''):
            self.assertEqual('Pending', _of(_pod(), status=word)['phase'])

    def test_the_start_time_is_kept(self):
        pod = _then(_pod(), status.pending(_pod(), _HOST, _T0))
        self.assertEqual(_T0, status.pending(pod, _HOST, _T1)['startTime'])
        self.assertEqual(_T0, _of(pod, _T1)['startTime'])


class RunningTestCase(base.BaseTestCase):

    def test_a_running_capsule_is_a_ready_pod(self):
        result = _of(_pod('a', 'b'))
        self.assertEqual(
            ('Running', '10.0.0.7', [{'ip': '10.0.0.7'}]),
            (result['phase'], result['podIP'], result['podIPs']))
        self.assertEqual({'True'}, set(_conditions(result).values()))
        for index, entry in enumerate(result['containerStatuses']):
            uuid = capsules.container(index)['uuid']
            self.assertEqual(
                ('ab'[index], True, True, 0, 'busybox', f'zun://{uuid}',
                 {'running': {'startedAt': '2026-01-31T12:00:04Z'}}),
                (entry['name'], entry['ready'], entry['started'],
                 entry['restartCount'], entry['image'],
                 entry['containerID'], entry['state']))

    def test_every_address_of_the_capsule_is_told(self):
        result = _of(_pod(), addresses={
            'n': [{'addr': '10.0.0.7'}, {'addr': 'fd00::7'}]})
        self.assertEqual('10.0.0.7', result['podIP'])
        self.assertEqual([{'ip': '10.0.0.7'}, {'ip': 'fd00::7'}],
                         result['podIPs'])

    def test_the_time_a_container_started_does_not_move(self):
        pod = _then(_pod(), _of(_pod()))
        result = _of(pod, _T2, containers=[capsules.container(
            updated_at='2026-01-31 13:30:00+00:00')])
        self.assertEqual(
            {'running': {'startedAt': '2026-01-31T12:00:04Z'}},
            result['containerStatuses'][0]['state'])

    def test_another_container_has_a_start_of_its_own(self):
        pod = _then(_pod(), _of(_pod()))
        result = _of(pod, _T2, containers=[capsules.container(
            7, updated_at='2026-01-31 13:30:00+00:00')])
        self.assertEqual(
            {'running': {'startedAt': '2026-01-31T13:30:00Z'}},
            result['containerStatuses'][0]['state'])

    def test_a_container_zun_does_not_show_waits(self):
        result = _of(_pod('a', 'b'), containers=[capsules.container()])
        self.assertEqual('Pending', result['phase'])
        self.assertEqual(
            'CreateContainerError', result['containerStatuses'][1][
                'state']['waiting']['reason'])

    def test_the_reason_zun_gives_is_told(self):
        for fields in ({'status': 'Error', 'status_reason': 'no disk'},
                       {'status': 'Creating', 'status_reason': None}):
            result = _of(_pod(), status='Error', status_reason='no disk',
                         containers=[capsules.container(**fields)])
            self.assertEqual(
                {'waiting': {'reason': 'CreateContainerError',
                             'message': 'no disk'}},
                result['containerStatuses'][0]['state'])


class EndedTestCase(base.BaseTestCase):

    def test_the_phase_is_the_kubelets(self):
        running = {'status': 'Running'}
        for states, always, on_failure, never in (
                ([running], 'Running', 'Running', 'Running'),
                ([running, _EXIT_0], 'Running', 'Running', 'Running'),
                ([running, _EXIT_3], 'Running', 'Running', 'Running'),
                ([_EXIT_0], 'Running', 'Succeeded', 'Succeeded'),
                ([_EXIT_0, _EXIT_0], 'Running', 'Succeeded', 'Succeeded'),
                ([_EXIT_3], 'Running', 'Running', 'Failed'),
                ([_EXIT_0, _EXIT_3], 'Running', 'Running', 'Failed')):
            self.assertEqual(
                [always, on_failure, never],
                [_of_containers(*states, restart=policy)['phase']
                 for policy in ('Always', 'OnFailure', 'Never')], states)

    def test_an_exit_is_told_with_code_and_reason(self):
        for state, code, reason in (
                (_EXIT_0, 0, 'Completed'), (_EXIT_3, 3, 'Error'),
                ({'status': 'Stopped'}, 137, 'ContainerStatusUnknown')):
            result = _of_containers(state, restart='Never')
            ended = result['containerStatuses'][0]['state']['terminated']
            self.assertEqual((code, reason),
                             (ended['exitCode'], ended['reason']))

    def test_times_of_an_end_do_not_move(self):
        pod = _pod(restartPolicy='Never')
        first = _of(pod, _T0, containers=[capsules.container(**_EXIT_3)])
        second = _of(_then(pod, first), _T2,
                     containers=[capsules.container(**_EXIT_3)])
        self.assertEqual(first, second)

    def test_an_ended_pod_is_not_ready_and_says_why(self):
        for state, reason in ((_EXIT_0, 'PodCompleted'),
                              (_EXIT_3, 'PodFailed')):
            result = _of_containers(state, restart='Never')
            self.assertEqual(
                ('False', reason), (
                    _condition(result, 'Ready')['status'],
                    _condition(result, 'Ready')['reason']))


class FailedTestCase(base.BaseTestCase):

    def _failed(self, pod):
        return status.failed(pod, _HOST, _T2, 'UnsupportedPodSpec', 'why')

    def test_a_pod_given_up_says_why(self):
        result = self._failed(_pod())
        self.assertEqual(('Failed', 'UnsupportedPodSpec', 'why'),
                         (result['phase'], result['reason'],
                          result['message']))
        self.assertEqual('False', _condition(result, 'Ready')['status'])

    def test_no_container_of_a_failed_pod_runs(self):
        pod = _then(_pod('a', 'b'), _of(_pod('a', 'b')))
        for entry in self._failed(pod)['containerStatuses']:
            self.assertEqual((False, False),
                             (entry['ready'], entry['started']))
            self.assertEqual(
                {'exitCode': 137, 'reason': 'ContainerStatusUnknown',
                 'startedAt': '2026-01-31T12:00:04Z', 'finishedAt': _T2,
                 'containerID': entry['containerID']},
                entry['state']['terminated'])

    def test_an_exit_code_once_seen_is_kept(self):
        pod = _pod('a', 'b', restartPolicy='Never')
        pod = _then(pod, _of(pod, containers=[
            capsules.container(0, **_EXIT_3), capsules.container(1)]))
        ended = self._failed(pod)['containerStatuses'][0]
        self.assertEqual(3, ended['state']['terminated']['exitCode'])

    def test_the_address_once_had_is_kept(self):
        pod = _then(_pod(), _of(_pod()))
        self.assertEqual('10.0.0.7', self._failed(pod)['podIP'])


class ConditionsTestCase(base.BaseTestCase):

    def test_transition_times_move_with_the_status_only(self):
        pod = _pod()
        first = status.pending(pod, _HOST, _T0)
        second = _of(_then(pod, first), _T1)
        third = _of(_then(pod, second), _T2)
        self.assertEqual(
            (_T0, _T1, _T1),
            tuple(_condition(result, 'Ready')['lastTransitionTime']
                  for result in (first, second, third)))
        self.assertEqual(
            _T0, _condition(third, 'PodScheduled')['lastTransitionTime'])

    def test_containers_that_are_not_ready_are_named(self):
        result = _of(_pod('a', 'b'), containers=[
            capsules.container(0), capsules.container(1, status='Error')])
        for kind in ('Ready', 'ContainersReady'):
            self.assertIn('[b]', _condition(result, kind)['message'])

    def test_a_readiness_gate_holds_the_pod_back(self):
        gates = [{'conditionType': 'lb.example.com/ready'}]
        pod = _pod(readinessGates=gates)
        result = _of(pod)
        self.assertEqual(
            ('True', 'False', 'ReadinessGatesNotReady'),
            (_condition(result, 'ContainersReady')['status'],
             _condition(result, 'Ready')['status'],
             _condition(result, 'Ready')['reason']))
        pod['status'] = {'conditions': [
            {'type': 'lb.example.com/ready', 'status': 'True'}]}
        self.assertEqual('True', _condition(_of(pod), 'Ready')['status'])

    def test_conditions_of_others_are_not_written(self):
        pod = _pod(status={'conditions': [
            {'type': 'lb.example.com/ready', 'status': 'True'}]})
        self.assertNotIn('lb.example.com/ready', _conditions(_of(pod)))


class DiffersTestCase(base.BaseTestCase):

    def test_a_status_does_not_differ_from_itself(self):
        for result in (status.pending(_pod(), _HOST, _T0), _of(_pod()),
                       _of_containers(_EXIT_3, restart='Never')):
            self.assertFalse(status.differs(copy.deepcopy(result), result))

    def test_what_the_api_server_adds_or_drops_is_no_difference(self):
        wanted = _of(_pod())
        stored = _stored(wanted)
        stored['qosClass'] = 'BestEffort'
        stored['observedGeneration'] = 1
        stored['conditions'].append({'type': 'other', 'status': 'True'})
        for condition in stored['conditions']:
            condition['lastProbeTime'] = None
            condition['observedGeneration'] = 1
        self.assertFalse(status.differs(stored, wanted))

    def test_any_change_that_people_see_is_a_difference(self):
        before = _of(_pod('a', 'b'))
        for change in (
                {'addresses': None}, {'addresses': {'n': [{'addr': 'x'}]}},
                {'containers': [capsules.container(0),
                                capsules.container(1, **_EXIT_0)]},
                {'containers': [capsules.container(0),
                                capsules.container(1, image='other')]},
                {'status': 'Creating'}):
            wanted = _of(_pod('a', 'b'), **change)
            self.assertTrue(status.differs(_stored(before), wanted), change)
        self.assertTrue(status.differs({}, before))

    def test_a_state_that_was_left_is_a_difference(self):
        pod = _pod(restartPolicy='Never')
        waiting = status.pending(pod, _HOST, _T0)
        self.assertTrue(status.differs(_stored(waiting),
                                       _of(_then(pod, waiting), _T0)))


class AnyCapsuleTestCase(base.BaseTestCase):

    @hypothesis.given(
        st.sampled_from(['Always', 'OnFailure', 'Never']), _WORDS,
        st.lists(st.tuples(_WORDS, _DETAILS), max_size=3),
        st.sampled_from([None, {}, {'n': [{'addr': '10.0.0.7'}]}]))
    def test_any_capsule_gives_one_lasting_status(self, policy, word, states,
                                                  addresses):
        pod = _pod('a', 'b', restartPolicy=policy)
        before = copy.deepcopy(pod)
        capsule = {'status': word, 'addresses': addresses, 'containers': [
            capsules.container(index, status=each, status_detail=detail)
            for index, (each, detail) in enumerate(states)]}
        first = _of(pod, _T0, **capsule)
        self.assertEqual(before, pod)
        self._check(first)
        second = _of(_then(pod, first), _T2, **capsule)
        self.assertEqual(first, second)
        self.assertFalse(status.differs(_stored(first), second))

    @hypothesis.given(st.lists(
        st.tuples(_WORDS, _WORDS, _DETAILS), min_size=2, max_size=5))
    def test_any_history_gives_valid_statuses(self, history):
        pod = _pod('a', restartPolicy='Never')
        for word, each, detail in history:
            result = _of(pod, _T1, status=word, containers=[
                capsules.container(0, status=each, status_detail=detail)])
            self._check(result)
            pod = _then(pod, result)

    def _check(self, result):
        self.assertIn(result['phase'],
                      ('Pending', 'Running', 'Succeeded', 'Failed'))
        for entry in result['containerStatuses']:
            self.assertEqual(1, len(entry['state']), entry)
            self.assertEqual('running' in entry['state'], entry['ready'])
            if 'terminated' in entry['state']:
                self.assertIn('exitCode', entry['state']['terminated'])
        ready = all(entry['ready'] for entry in result['containerStatuses'])
        self.assertEqual('True' if ready else 'False',
                         _conditions(result)['Ready'])


class HelpersTestCase(base.BaseTestCase):

    def test_what_a_pod_says_of_its_past_is_read(self):
        for pod_status, terminal, acknowledged, has_run in (
                (None, False, False, False), ({}, False, False, False),
                ({'phase': 'Pending'}, False, False, False),
                ({'phase': 'Pending', 'startTime': _T0}, False, True, False),
                (_of(_pod()), False, True, True),
                ({'phase': 'Failed', 'startTime': _T0}, True, True, False),
                ({'phase': 'Succeeded'}, True, False, False)):
            pod = _pod(status=pod_status)
            self.assertEqual(
                (terminal, acknowledged, has_run),
                (status.is_terminal(pod), status.acknowledged(pod),
                 status.has_run(pod)), pod_status)


def _stored(result):
    """Return a status as the API server keeps it: without empty fields."""
    if isinstance(result, dict):
        return {name: _stored(value) for name, value in result.items()
                if value not in (None, '', []) or name == 'imageID'}
    if isinstance(result, list):
        return [_stored(value) for value in result]
    return result
