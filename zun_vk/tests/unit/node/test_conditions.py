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
from oslotest import base

from zun_vk import health
from zun_vk.node import conditions

_T0, _T1 = '2026-01-31T12:00:00Z', '2026-01-31T12:00:10Z'
_READY = (True, 'CloudReady', 'x')


def _problem(service, since=0.0, message='refused'):
    return health.Problem(service, message, since)


class ReadyTestCase(base.BaseTestCase):

    def test_hosts_and_no_problem_make_the_node_ready(self):
        self.assertTrue(conditions.ready([], 2, 100)[0])

    def test_each_service_that_fails_has_its_reason(self):
        for service, reason in (
                ('zun', 'ZunUnavailable'), ('keystone', 'KeystoneUnavailable'),
                ('placement', 'PlacementUnavailable')):
            value, why, message = conditions.ready(
                [_problem(service)], 2, 100)
            self.assertEqual((False, reason), (value, why))
            self.assertIn('refused', message)

    def test_a_short_failure_does_not_take_the_node_down(self):
        problem = _problem('zun', since=100)
        self.assertTrue(conditions.ready([problem], 2, 104.9)[0])
        self.assertFalse(conditions.ready([problem], 2, 105)[0])

    def test_no_host_is_told(self):
        self.assertEqual((False, 'NoZunHost'),
                         conditions.ready([], 0, 100)[:2])

    def test_no_host_is_told_once_it_is_sure(self):
        self.assertIsNone(conditions.ready([], 0, 100, deserted=False))
        self.assertTrue(conditions.ready([], 1, 100, deserted=False)[0])

    def test_a_failing_service_goes_before_missing_hosts(self):
        self.assertEqual('ZunUnavailable',
                         conditions.ready([_problem('zun')], 0, 100)[1])

    def test_the_oldest_problem_is_the_reason(self):
        self.assertEqual('KeystoneUnavailable', conditions.ready(
            [_problem('keystone', 1), _problem('zun', 2)], 2, 100)[1])

    def test_before_the_first_look_nothing_is_claimed(self):
        self.assertIsNone(conditions.ready([], None, 100))
        self.assertIsNone(conditions.ready([_problem('zun', 99)], None, 100))

    def test_a_cloud_that_never_answered_is_told_in_the_end(self):
        self.assertEqual('ZunUnavailable',
                         conditions.ready([_problem('zun')], None, 100)[1])

    def test_kubernetes_own_problems_say_nothing_of_the_cloud(self):
        self.assertTrue(
            conditions.ready([_problem('kubernetes')], 2, 100)[0])


class LastingTestCase(base.BaseTestCase):

    def _seen(self, *looks):
        lasting = conditions.Lasting()
        for present, now in looks:
            lasting.see(present, now)
        return lasting.sure, lasting.doubtful

    def test_what_no_look_showed_is_neither_sure_nor_doubtful(self):
        self.assertEqual((False, False), self._seen())
        self.assertEqual((False, False), self._seen((False, 0), (False, 9)))

    def test_what_looks_of_5_s_showed_is_sure(self):
        self.assertEqual((False, True), self._seen((True, 0)))
        self.assertEqual((False, True), self._seen((True, 0), (True, 4.9)))
        self.assertEqual((True, False), self._seen((True, 0), (True, 5)))

    def test_a_look_that_did_not_show_it_begins_it_anew(self):
        self.assertEqual((False, False), self._seen((True, 0), (False, 5)))
        self.assertEqual((False, True), self._seen(
            (True, 0), (False, 4), (True, 5), (True, 9)))


class ConditionsTestCase(base.BaseTestCase):

    def _conditions(self, ready=_READY, before=(), at=_T0):
        return {each['type']: each for each in
                conditions.conditions(ready, list(before), at)}

    def test_ready_and_no_pressure(self):
        self.assertEqual(
            {'Ready': 'True', 'MemoryPressure': 'False',
             'DiskPressure': 'False', 'PIDPressure': 'False',
             'NetworkUnavailable': 'False'},
            {kind: each['status']
             for kind, each in self._conditions().items()})

    def test_transition_times_move_with_the_status_only(self):
        first = self._conditions()
        second = self._conditions(before=first.values(), at=_T1)
        third = self._conditions((False, 'ZunUnavailable', 'y'),
                                 second.values(), _T1)
        self.assertEqual(
            [_T0, _T0, _T1], [each['Ready']['lastTransitionTime']
                              for each in (first, second, third)])
        self.assertEqual(
            _T0, third['MemoryPressure']['lastTransitionTime'])

    def test_another_reason_is_no_transition(self):
        first = self._conditions((False, 'ZunUnavailable', 'x'))
        second = self._conditions((False, 'NoZunHost', 'y'),
                                  first.values(), _T1)
        self.assertEqual((_T0, 'NoZunHost'), (
            second['Ready']['lastTransitionTime'],
            second['Ready']['reason']))

    def test_conditions_of_others_are_not_ours_to_write(self):
        theirs = {'type': 'FrequentReboots', 'status': 'True'}
        self.assertNotIn('FrequentReboots',
                         self._conditions(before=[theirs]))

    def test_only_what_they_say_is_compared(self):
        first = list(self._conditions().values())
        later = list(self._conditions(at=_T1).values())
        theirs = [{'type': 'FrequentReboots', 'status': 'True'}]
        self.assertTrue(conditions.same(first, later + theirs))
        other = list(self._conditions((True, 'CloudReady', 'y')).values())
        self.assertFalse(conditions.same(first, other))
        self.assertFalse(conditions.same(first, []))
