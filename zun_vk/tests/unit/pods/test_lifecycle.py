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
import itertools

from oslotest import base

from zun_vk.pods import lifecycle
from zun_vk.tests.unit.pods import capsules
from zun_vk.tests.unit.pods import strategies

_STEP = lifecycle.Step
_ACKNOWLEDGED = {'startTime': '2026-01-31T12:00:00Z', 'phase': 'Pending'}
_HAS_RUN = {**_ACKNOWLEDGED, 'phase': 'Running', 'containerStatuses': [
    {'name': 'main', 'containerID': 'zun://x'}]}
_CERTAIN = lifecycle.Known(True)
_OWNER = {'apiVersion': 'apps/v1', 'kind': 'DaemonSet', 'name': 'agent',
          'uid': 'u', 'controller': True}


def _pod(status=None, deleted=False):
    pod = strategies.pod(status=status)
    if deleted:
        pod['metadata']['deletionTimestamp'] = '2026-01-31T13:00:00Z'
    return pod


def _decide(status=None, capsule=None, deleted=False, certain=True,
            daemonset=False, **known):
    seen = [] if capsule is None else [capsules.read(status=capsule)]
    pod = _pod(status, deleted)
    if daemonset:
        pod['metadata']['ownerReferences'] = [_OWNER]
    return lifecycle.decide(pod, seen, lifecycle.Known(certain, **known))


class DecideTestCase(base.BaseTestCase):

    def test_a_new_pod_is_acknowledged_before_anything_is_made(self):
        for certain in (True, False):
            for status in (None, {}, {'phase': 'Pending'}):
                self.assertEqual(_STEP.ACKNOWLEDGE,
                                 _decide(status, certain=certain))

    def test_an_acknowledged_pod_gets_a_capsule_once_there_is_surely_none(
            self):
        self.assertEqual(_STEP.CREATE, _decide(_ACKNOWLEDGED))
        self.assertEqual(_STEP.WAIT, _decide(_ACKNOWLEDGED, certain=False))

    def test_a_pod_that_ran_and_has_no_capsule_is_lost_not_made_anew(self):
        self.assertEqual(_STEP.LOST, _decide(_HAS_RUN))
        self.assertEqual(_STEP.WAIT, _decide(_HAS_RUN, certain=False))

    def test_a_pod_that_others_keep_is_told_to_have_ended_and_removed_once(
            self):
        pod = _pod({**_ACKNOWLEDGED}, deleted=True)
        pod['metadata'].update(finalizers=['batch.kubernetes.io/job-tracking'],
                               deletionGracePeriodSeconds=30)
        self.assertEqual(_STEP.TERMINATED, lifecycle.decide(
            pod, [], _CERTAIN))
        self.assertEqual(_STEP.WAIT, lifecycle.decide(
            pod, [], lifecycle.Known(False)))
        pod['status']['phase'] = 'Failed'
        self.assertEqual(_STEP.REMOVE_POD, lifecycle.decide(
            pod, [], _CERTAIN))
        pod['metadata']['deletionGracePeriodSeconds'] = 0
        self.assertEqual(_STEP.NOTHING, lifecycle.decide(pod, [], _CERTAIN))
        pod['metadata']['finalizers'] = []
        self.assertEqual(_STEP.REMOVE_POD, lifecycle.decide(
            pod, [], _CERTAIN))

    def test_a_capsule_is_reported_however_the_pod_was(self):
        for status in (None, _ACKNOWLEDGED, _HAS_RUN):
            for capsule in ('Creating', 'Running', 'Stopped'):
                self.assertEqual(_STEP.REPORT, _decide(status, capsule))

    def test_a_capsule_that_never_ran_is_made_again(self):
        seen = capsules.read(status='Error', containers=[])
        self.assertEqual(_STEP.DISCARD,
                         lifecycle.decide(_pod(_ACKNOWLEDGED), [seen],
                                          _CERTAIN))

    def test_a_capsule_in_error_that_ran_is_reported(self):
        seen = capsules.read(status='Error', containers=[
            capsules.container(status='Running')])
        self.assertEqual(_STEP.REPORT,
                         lifecycle.decide(_pod(_HAS_RUN), [seen], _CERTAIN))

    def test_a_capsule_that_someone_deletes_is_waited_for(self):
        self.assertEqual(_STEP.WAIT, _decide(_HAS_RUN, 'Deleting'))

    def test_a_deleted_pod_goes_only_after_its_capsule(self):
        for status, capsule, certain in itertools.product(
                (None, _ACKNOWLEDGED, _HAS_RUN, {'phase': 'Failed'}),
                ('Creating', 'Running', 'Error', 'Deleting'),
                (True, False)):
            self.assertEqual(
                _STEP.DELETE_CAPSULE,
                _decide(status, capsule, deleted=True, certain=certain))
        self.assertEqual(_STEP.REMOVE_POD, _decide(_HAS_RUN, deleted=True))

    def test_a_deleted_pod_stays_while_a_capsule_may_exist(self):
        for status in (None, _ACKNOWLEDGED, _HAS_RUN):
            self.assertEqual(
                _STEP.WAIT, _decide(status, deleted=True, certain=False))

    def test_a_pod_that_ended_gives_its_capsule_back_and_gets_no_other(self):
        for phase in ('Succeeded', 'Failed'):
            status = {**_HAS_RUN, 'phase': phase}
            self.assertEqual(_STEP.DELETE_CAPSULE,
                             _decide(status, 'Running'))
            self.assertEqual(_STEP.NOTHING, _decide(status))

    def test_a_pod_past_its_deadline_loses_its_capsule_and_then_fails(self):
        for status in (None, _ACKNOWLEDGED, _HAS_RUN):
            for capsule in ('Creating', 'Running', 'Error', 'Deleting'):
                self.assertEqual(_STEP.CUT_OFF,
                                 _decide(status, capsule, overdue=True))
            self.assertEqual(_STEP.EXPIRE, _decide(status, overdue=True))
            self.assertEqual(_STEP.WAIT, _decide(
                status, overdue=True, certain=False))

    def test_the_deadline_of_a_pod_that_ended_or_goes_does_not_matter(self):
        ended = {**_HAS_RUN, 'phase': 'Succeeded'}
        for status, capsule, deleted in itertools.product(
                (_HAS_RUN, ended), (None, 'Running'), (True, False)):
            if deleted or status is ended:
                self.assertEqual(
                    _decide(status, capsule, deleted),
                    _decide(status, capsule, deleted, overdue=True))

    def test_a_pod_that_was_seen_to_run_is_lost_though_nobody_wrote_it(self):
        self.assertEqual(_STEP.LOST, _decide(_ACKNOWLEDGED, ran=True))

    def test_a_pod_without_room_for_too_long_fails(self):
        self.assertEqual(_STEP.REJECT, _decide(
            _ACKNOWLEDGED, unplaceable=True))
        self.assertEqual(_STEP.WAIT, _decide(
            _ACKNOWLEDGED, unplaceable=True, certain=False))
        failed = capsules.read(status='Error', containers=[])
        self.assertEqual(_STEP.REJECT, lifecycle.decide(
            _pod(_ACKNOWLEDGED), [failed],
            lifecycle.Known(True, unplaceable=True)))

    def test_one_that_found_room_at_last_does_not(self):
        for capsule in ('Creating', 'Running'):
            self.assertEqual(_STEP.REPORT, _decide(
                _ACKNOWLEDGED, capsule, unplaceable=True))

    def test_a_new_pod_of_a_daemonset_goes_by_the_operators_choice(self):
        for choice, step in (('ignore', _STEP.IGNORE),
                             ('fail', _STEP.TURN_AWAY),
                             ('run', _STEP.ACKNOWLEDGE)):
            for certain in (True, False):
                self.assertEqual(step, _decide(
                    daemonset=True, certain=certain, daemonsets=choice))
                self.assertEqual(_STEP.ACKNOWLEDGE, _decide(
                    certain=certain, daemonsets=choice))

    def test_a_pod_of_a_daemonset_that_was_taken_up_runs_on(self):
        for choice in ('ignore', 'fail', 'run'):
            for status, capsule in itertools.product(
                    (_ACKNOWLEDGED, _HAS_RUN), (None, 'Running', 'Error')):
                self.assertEqual(
                    _decide(status, capsule),
                    _decide(status, capsule, daemonset=True,
                            daemonsets=choice))

    def test_a_pod_that_is_ignored_goes_at_once(self):
        self.assertEqual(_STEP.REMOVE_POD, _decide(
            deleted=True, daemonset=True, certain=False,
            daemonsets='ignore'))
        self.assertEqual(_STEP.WAIT, _decide(
            deleted=True, daemonset=True, certain=False, daemonsets='run'))

    def test_other_owners_are_no_daemonsets(self):
        for changed in ({'controller': False}, {'kind': 'ReplicaSet'},
                        {'apiVersion': 'example.com/v1'}):
            pod = _pod()
            pod['metadata']['ownerReferences'] = [{**_OWNER, **changed}]
            self.assertFalse(lifecycle.from_daemonset(pod), changed)

    def test_nothing_ever_creates_beside_a_capsule_or_after_the_end(self):
        for status, capsule, deleted, certain in itertools.product(
                (None, _ACKNOWLEDGED, _HAS_RUN, {'phase': 'Failed'}),
                (None, 'Creating', 'Running', 'Error', 'Deleting', ''),
                (True, False), (True, False)):
            step = _decide(status, capsule, deleted, certain)
            if step is _STEP.CREATE:
                self.assertEqual((None, False, True, _ACKNOWLEDGED),
                                 (capsule, deleted, certain, status))
