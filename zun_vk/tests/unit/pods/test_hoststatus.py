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
import json

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from zun_vk.pods import hoststatus
from zun_vk.pods import status as pod_status
from zun_vk.rpc import states
from zun_vk.tests.unit.pods import strategies

_HOST = '192.0.2.10'
_AT = '2026-01-31T12:00:00Z'
_LATER = '2026-01-31T12:05:00Z'
_RUNNING = {'running': {'startedAt': _AT}}
_WAITING = {'waiting': {'reason': 'ContainerCreating'}}
_BACK_OFF = {'waiting': {'reason': 'CrashLoopBackOff'}}


def ended(code=0):
    return {'terminated': {'exitCode': code, 'reason': 'Error',
                           'startedAt': _AT, 'finishedAt': _AT}}


def told(name, state, last=None, **fields):
    running = 'running' in state
    return {'name': name, 'image': 'busybox', 'imageID': 'sha256:1',
            'containerID': f'containerd://{name}', 'restartCount': 0,
            'ready': running, 'started': running, 'state': state,
            'lastState': last or {}, **fields}


def state(*containers, init=(), **fields):
    return states.PodState(
        'uid', 'capsule', 'zun-vk', 1, **{
            'sandbox': 's', 'sandbox_ready': True,
            'addresses': ('10.0.0.7',), 'containers': containers,
            'init_containers': tuple(init)} | fields)


class StatusTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.pod = strategies.pod()

    def _pod(self, *names, init=(), **spec):
        sidecar = {'restartPolicy': 'Always'}
        self.pod = strategies.pod(
            *(strategies.container(name) for name in names or ('main',)),
            initContainers=[strategies.container(
                name, **(sidecar if name.startswith('side') else {}))
                for name in init], **spec)

    def _status(self, *args, at=_AT, **fields):
        """Return the status, and let the pod have it."""
        made = hoststatus.from_state(
            self.pod, state(*args, **fields), (), _HOST, at)
        self.pod = copy.deepcopy({**self.pod, 'status': made})
        return made

    def _phase(self, *args, **fields):
        return self._status(*args, **fields)['phase']

    def _condition(self, kind):
        return next(each for each in self.pod['status']['conditions']
                    if each['type'] == kind)


class PhaseTestCase(StatusTestCase):

    def test_a_pod_runs_once_all_containers_were_started(self):
        self._pod('a', 'b')
        self.assertEqual('Pending', self._phase(
            told('a', _RUNNING), told('b', _WAITING)))
        self.assertEqual('Running', self._phase(
            told('a', _RUNNING), told('b', _RUNNING)))

    def test_between_restarts_it_runs(self):
        for policy in ('Always', 'OnFailure'):
            self._pod(restartPolicy=policy)
            self.assertEqual('Running', self._phase(
                told('main', _BACK_OFF, ended(1))))

    def test_it_ends_as_its_containers_did(self):
        for codes, phase in (((0, 0), 'Succeeded'), ((0, 1), 'Failed')):
            self._pod('a', 'b', restartPolicy='Never')
            self.assertEqual(phase, self._phase(
                *(told(name, ended(code)) for name, code in
                  zip('ab', codes, strict=True)), ended=True))

    def test_no_end_is_told_while_something_may_run(self):
        self._pod(restartPolicy='Never')
        self._phase(told('main', _RUNNING))
        self.assertEqual('Running', self._phase(told('main', ended(1))))
        self.assertEqual('Failed', self._phase(told('main', ended(1)),
                                               ended=True))

    def test_a_pod_that_was_deleted_ends_whatever_its_policy(self):
        self._pod(restartPolicy='Always')
        self.assertEqual('Failed', self._phase(told('main', ended(137)),
                                               ended=True))
        self._pod(restartPolicy='Always')
        self.assertEqual('Succeeded', self._phase(told('main', ended(0)),
                                                  ended=True))

    def test_one_that_never_began_has_failed(self):
        self._pod(init=['i'])
        self.assertEqual('Failed', self._phase(ended=True))

    def test_a_terminal_phase_stays(self):
        self._pod(restartPolicy='Never')
        self._phase(told('main', ended(0)), ended=True)
        self.assertEqual('Succeeded', self._phase(told('main', _RUNNING)))

    def test_a_pod_that_the_host_gave_up_has_its_words(self):
        status = self._status(ended=True, reason='Evicted', message='disk')
        self.assertEqual(('Failed', 'Evicted', 'disk'), tuple(
            status[name] for name in ('phase', 'reason', 'message')))

    def test_words_wait_for_the_end(self):
        status = self._status(told('main', _RUNNING), ending=True,
                              reason='DeadlineExceeded')
        self.assertEqual(('Running', None),
                         (status['phase'], status['reason']))

    def test_sidecars_keep_a_pod_running_and_do_not_fail_it(self):
        self._pod(init=['side'], restartPolicy='Never')
        self.assertEqual('Running', self._phase(
            told('main', ended(0)), init=[told('side', _RUNNING)]))
        self.assertEqual('Succeeded', self._phase(
            told('main', ended(0)), init=[told('side', ended(137))],
            ended=True))

    def test_a_sidecar_that_has_not_started_keeps_it_pending(self):
        self._pod(init=['side'])
        self.assertEqual('Pending', self._phase(
            init=[told('side', _RUNNING, started=False)]))
        self.assertEqual('Running', self._phase(
            told('main', _RUNNING), init=[told('side', _RUNNING)]))


class InitTestCase(StatusTestCase):

    def test_until_they_are_done_all_wait(self):
        self._pod(init=['init1', 'init2'])
        status = self._status(init=[
            told('init1', _BACK_OFF, ended(1), restartCount=3)])
        self.assertEqual('Pending', status['phase'])
        waiting = status['initContainerStatuses'][1]['state']['waiting']
        self.assertEqual('PodInitializing', waiting['reason'])
        waiting = status['containerStatuses'][0]['state']['waiting']
        self.assertEqual('PodInitializing', waiting['reason'])
        condition = self._condition('Initialized')
        self.assertEqual(
            ('False', 'ContainersNotInitialized',
             'containers with incomplete status: [init1 init2]'),
            tuple(condition[name] for name in
                  ('status', 'reason', 'message')))

    def test_one_that_fails_for_good_fails_the_pod(self):
        self._pod(init=['init1', 'init2'], restartPolicy='Never')
        done = told('init1', ended(0), ready=True)
        self.assertEqual('Failed', self._phase(
            init=[done, told('init2', ended(1))], ended=True))
        self.assertEqual(
            'containers with incomplete status: [init2]',
            self._condition('Initialized')['message'])

    def test_once_a_container_was_started_it_stays_initialized(self):
        self._pod(init=['side'])
        self._status(told('main', _RUNNING),
                     init=[told('side', _BACK_OFF, ended(1))])
        self.assertEqual('True', self._condition('Initialized')['status'])
        ready = self._condition('Ready')
        self.assertEqual('containers with unready status: [side]',
                         ready['message'])


class ConditionsTestCase(StatusTestCase):

    def test_a_change_has_its_time_and_what_stays_keeps_it(self):
        self._status(told('main', _RUNNING, ready=False))
        self._status(told('main', _RUNNING), at=_LATER)
        self.assertEqual(_LATER,
                         self._condition('Ready')['lastTransitionTime'])
        self.assertEqual(_AT, self._condition('Initialized')[
            'lastTransitionTime'])

    def test_gates_of_others_are_honoured(self):
        self._pod(readinessGates=[{'conditionType': 'lb'}])
        self._status(told('main', _RUNNING))
        self.assertEqual('ReadinessGatesNotReady',
                         self._condition('Ready')['reason'])
        self.pod['status']['conditions'].append(
            {'type': 'lb', 'status': 'True'})
        self._status(told('main', _RUNNING))
        self.assertEqual('True', self._condition('Ready')['status'])

    def test_what_was_seen_of_the_pod_is_told(self):
        self.pod['metadata']['generation'] = 3
        status = self._status(told('main', _RUNNING))
        self.assertEqual({3}, {status['observedGeneration'], *(
            each['observedGeneration'] for each in status['conditions'])})

    def test_a_sandbox_without_containers(self):
        self._status()
        self.assertEqual('True', self._condition(
            'PodReadyToStartContainers')['status'])
        self._status(sandbox_ready=False)
        self.assertEqual('False', self._condition(
            'PodReadyToStartContainers')['status'])

    def test_a_silent_host_makes_the_pod_not_ready_and_no_more(self):
        status = self._status(told('main', _RUNNING))
        silent = hoststatus.not_heard(self.pod, status, 'host-1', _LATER)
        ready = {each['type']: each for each in silent['conditions']}['Ready']
        self.assertEqual(('False', 'HostNotResponding', _LATER), tuple(
            ready[name] for name in
            ('status', 'reason', 'lastTransitionTime')))
        self.assertIn('host-1', ready['message'])
        self.assertEqual(status['containerStatuses'],
                         silent['containerStatuses'])
        self.assertEqual(4, sum(
            before == now for before, now in
            zip(status['conditions'], silent['conditions'], strict=True)))

    def test_after_a_restart_of_the_agent_the_status_stays(self):
        self._status(told('main', _RUNNING))
        kept = hoststatus.as_before(self.pod)
        self.assertFalse(pod_status.differs(self.pod['status'], kept))


class ContainersTestCase(StatusTestCase):

    def test_they_are_shown_as_told_in_the_order_of_the_spec(self):
        self._pod('a', 'b')
        a = told('a', _RUNNING, resources={'limits': {'cpu': '1'}})
        b = told('b', _BACK_OFF, ended(1), restartCount=2)
        self.assertEqual([a, b], self._status(b, a)['containerStatuses'])

    def test_what_has_another_kind_or_name_is_not_passed_on(self):
        status = self._status(
            told('main', _RUNNING, imageID=5, user='root', evil=1),
            told('stranger', _RUNNING))
        shown, = status['containerStatuses']
        self.assertEqual('', shown['imageID'])
        self.assertEqual(set(), {'user', 'evil'} & set(shown))

    def test_one_that_ended_for_good_does_not_run_again(self):
        for policy, code, again in (
                ('Never', 0, False), ('Never', 1, False),
                ('OnFailure', 0, False), ('OnFailure', 1, True),
                ('Always', 1, True), ('Always', 0, True)):
            self._pod(restartPolicy=policy)
            self._status(told('main', ended(code)))
            shown, = self._status(told('main', _RUNNING))[
                'containerStatuses']
            self.assertEqual(again, 'running' in shown['state'],
                             (policy, code))

    def test_no_count_of_restarts_goes_back(self):
        self._pod()
        for counted, shown in ((4, 4), (0, 4), (5, 5)):
            entry, = self._status(told(
                'main', _RUNNING, restartCount=counted))['containerStatuses']
            self.assertEqual(shown, entry['restartCount'])

    def test_what_was_known_is_kept_where_nothing_is_told(self):
        self._status(told('main', _RUNNING))
        shown, = self._status()['containerStatuses']
        self.assertEqual('containerd://main', shown['containerID'])

    def test_nothing_is_shown_to_run_of_a_pod_that_has_ended(self):
        shown, = self._status(told('main', _RUNNING), ended=True)[
            'containerStatuses']
        self.assertEqual((137, 'ContainerStatusUnknown'), (
            shown['state']['terminated']['exitCode'],
            shown['state']['terminated']['reason']))
        self.assertFalse(shown['ready'])

    def test_how_one_ended_that_waited_is_shown_at_the_end(self):
        shown, = self._status(told('main', _BACK_OFF, ended(3)), ended=True)[
            'containerStatuses']
        self.assertEqual(3, shown['state']['terminated']['exitCode'])


_STATES = st.sampled_from([_RUNNING, _WAITING, _BACK_OFF, ended(0), ended(1),
                           {}, {'running': 5}, {'odd': {}}])
_TOLD = st.lists(st.builds(
    lambda name, now, last, **fields: told(name, now, last, **fields),
    st.sampled_from(['main', 'init', 'side', 'other']), _STATES,
    st.sampled_from([{}, ended(0), ended(1)]), ready=st.booleans(),
    started=st.booleans()), max_size=4)
_MESSAGES = st.lists(st.tuples(_TOLD, _TOLD, st.booleans(), st.booleans()),
                     max_size=6)


@given(_MESSAGES, st.sampled_from(['Always', 'OnFailure', 'Never']))
def test_no_message_undoes_an_end(messages, policy):
    pod = strategies.pod(
        strategies.container('main'), restartPolicy=policy,
        initContainers=[strategies.container('init'), strategies.container(
            'side', restartPolicy='Always')])
    for containers, init, over, sandbox in messages:
        before = pod.get('status')
        made = hoststatus.from_state(
            pod, state(*containers, init=init, ended=over,
                       sandbox_ready=sandbox), (), _HOST, _AT)
        json.dumps(made)
        conditions = {each['type']: each['status']
                      for each in made['conditions']}
        if made['phase'] in pod_status.TERMINAL:
            assert conditions['Ready'] == 'False'
            assert over or before['phase'] == made['phase']
        if before and before['phase'] in pod_status.TERMINAL:
            assert made['phase'] == before['phase']
        if before and policy == 'Never':
            for old, new in zip(before['containerStatuses'],
                                made['containerStatuses'], strict=True):
                assert ('terminated' not in old['state']
                        or 'terminated' in new['state'])
        pod = copy.deepcopy({**pod, 'status': made})


class PropertyTestCase(base.BaseTestCase):

    def test_no_message_undoes_an_end(self):
        test_no_message_undoes_an_end()
