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

import hypothesis
from hypothesis import stateful
from hypothesis import strategies as st
from oslotest import base

from zun_vk.pods.runtimes import store
from zun_vk.tests.unit.pods import capsules
from zun_vk.tests.unit.pods import strategies


def _capsule(uuid='u1', uid='p1', status='Running', created='12:00:00'):
    return capsules.read(
        strategies.pod(uid=uid), uuid=uuid, status=status,
        created_at=f'2026-01-31 {created}+00:00')


class CapsuleStoreTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.store = store.CapsuleStore()

    def _uuids(self, uid='p1'):
        return [capsule.uuid for capsule in self.store.of_pod(uid)]

    def test_a_capsule_is_found_by_its_pod(self):
        self.assertTrue(self.store.put(_capsule(), 1))
        self.assertEqual(['u1'], self._uuids())
        self.assertEqual([], self._uuids('other'))
        self.assertEqual({'p1'}, self.store.uids())

    def test_the_same_again_is_nothing_new(self):
        self.store.put(_capsule(), 1)
        self.assertFalse(self.store.put(_capsule(), 2))
        self.assertTrue(self.store.put(_capsule(status='Error'), 3))

    def test_an_older_look_does_not_undo_a_newer_one(self):
        self.store.put(_capsule(status='Running'), 5)
        self.assertFalse(self.store.put(_capsule(status='Creating'), 4))
        self.assertEqual('Running', self.store.of_pod('p1')[0].status)

    def test_a_list_begun_before_a_removal_brings_nothing_back(self):
        self.store.put(_capsule(), 1)
        self.store.remove('u1', 5)
        changed, missing = self.store.merge([_capsule()], 4)
        self.assertEqual((set(), [], []), (changed, missing, self._uuids()))

    def test_a_capsule_seen_after_its_removal_is_there(self):
        self.store.remove('u1', 5)
        self.assertTrue(self.store.put(_capsule(), 6))
        self.assertEqual(['u1'], self._uuids())

    def test_removing_tells_whose_it_was(self):
        self.store.put(_capsule(), 1)
        self.assertEqual('p1', self.store.remove('u1', 2))
        self.assertIsNone(self.store.remove('u1', 3))
        self.assertEqual(set(), self.store.uids())

    def test_a_list_tells_what_changed_and_what_it_lacks(self):
        self.store.put(_capsule('u1', 'p1'), 1)
        self.store.put(_capsule('u2', 'p2'), 1)
        changed, missing = self.store.merge(
            [_capsule('u1', 'p1'), _capsule('u3', 'p3')], 2)
        self.assertEqual(({'p3'}, ['u2']),
                         (changed, [each.uuid for each in missing]))
        self.assertEqual(['u2'], self._uuids('p2'))

    def test_a_capsule_made_after_the_list_began_is_not_missing(self):
        self.store.put(_capsule(), 5)
        self.assertEqual((set(), []), self.store.merge([], 4))

    def test_a_deleted_capsule_that_two_lists_lack_is_gone(self):
        self.store.put(_capsule(), 1)
        self.store.deletion_asked('u1', 2)
        self.assertEqual((set(), []), self.store.merge([], 3))
        self.assertEqual(['u1'], self._uuids())
        self.assertEqual(({'p1'}, []), self.store.merge([], 4))
        self.assertEqual([], self._uuids())

    def test_a_deleted_capsule_that_comes_and_goes_in_lists_is_there(self):
        self.store.put(_capsule(), 1)
        self.store.deletion_asked('u1', 2)
        for at, listed in enumerate(([], [_capsule()], []), 3):
            self.store.merge(listed, at)
            self.assertEqual(['u1'], self._uuids())

    def test_a_list_begun_before_the_deletion_proves_nothing(self):
        self.store.put(_capsule(), 1)
        self.store.deletion_asked('u1', 5)
        for at in (3, 4, 6):
            self.store.merge([], at)
        self.assertEqual(['u1'], self._uuids())

    def test_of_two_capsules_the_oldest_sound_one_is_kept(self):
        self.store.put(_capsule('young', created='12:00:09'), 1)
        self.store.put(_capsule('old', created='12:00:01'), 1)
        self.store.put(_capsule('broken', status='Error',
                                created='12:00:00'), 1)
        self.store.put(_capsule('going', status='Deleting',
                                created='11:00:00'), 1)
        self.assertEqual(['old', 'young', 'broken', 'going'], self._uuids())

    def test_a_deletion_asked_for_shows_until_it_is_time_to_ask_again(self):
        self.store.put(_capsule(), 0)
        self.store.deletion_asked('u1', 10)
        self.assertTrue(self.store.of_pod('p1')[0].deleting)
        self.store.put(_capsule(), 60)
        self.assertTrue(self.store.of_pod('p1')[0].deleting)
        self.store.put(_capsule(), 71)
        self.assertFalse(self.store.of_pod('p1')[0].deleting)

    def test_what_zun_works_on_is_in_transition(self):
        for uuid, status in (('u1', 'Creating'), ('u2', 'Running'),
                             ('u3', 'Error'), ('u4', 'Deleting')):
            self.store.put(_capsule(uuid, uuid, status), 1)
        self.store.deletion_asked('u2', 2)
        self.assertEqual({'u1', 'u2', 'u4'},
                         {each.uuid for each in self.store.in_transition()})

    def test_the_age_counts_from_the_first_look(self):
        self.assertEqual(0, self.store.age('u1', 5))
        self.store.put(_capsule(), 5)
        self.store.put(_capsule(status='Error'), 8)
        self.assertEqual(4, self.store.age('u1', 9))

    def test_what_zun_began_last_is_told_by_its_age(self):
        self.assertEqual(0, self.store.youngest(9))
        self.store.put(_capsule('u1', 'p1', 'Creating'), 1)
        self.store.put(_capsule('u2', 'p2', 'Creating'), 4)
        self.assertEqual(5, self.store.youngest(9))
        self.store.deletion_asked('u1', 7)
        self.assertEqual(2, self.store.youngest(9))


class _Machine(stateful.RuleBasedStateMachine):
    """Looks at a cloud that overtake one another never lie for long."""

    UUIDS = st.sampled_from('abc')

    def __init__(self):
        super().__init__()
        self.store = store.CapsuleStore()
        self.now = 0.0
        self.cloud = {}
        self.under_way = []

    def _tick(self):
        self.now += 1
        return self.now

    @stateful.rule(uuid=UUIDS, status=st.sampled_from(
        ['Creating', 'Running', 'Error']))
    def change(self, uuid, status):
        self._tick()
        self.cloud[uuid] = _capsule(uuid, f'pod-of-{uuid}', status)

    @stateful.rule(uuid=UUIDS)
    def vanish(self, uuid):
        self._tick()
        self.cloud.pop(uuid, None)

    @stateful.rule(uuid=UUIDS)
    def delete(self, uuid):
        if uuid in self.cloud:
            self.store.deletion_asked(uuid, self._tick())

    @stateful.rule(uuid=UUIDS)
    def begin_a_look(self, uuid):
        self.under_way.append((self._tick(), uuid, self.cloud.get(uuid)))

    @stateful.rule()
    def begin_a_list(self):
        self.under_way.append(
            (self._tick(), None, list(self.cloud.values())))

    @stateful.precondition(lambda self: self.under_way)
    @stateful.rule(data=st.data())
    def an_answer_comes(self, data):
        index = data.draw(st.integers(0, len(self.under_way) - 1))
        self._answer(*self.under_way.pop(index))

    def _answer(self, at, uuid, seen):
        if uuid is None:
            _, missing = self.store.merge(seen, at)
            for capsule in missing:
                self._answer(self._tick(), capsule.uuid,
                             self.cloud.get(capsule.uuid))
        elif seen is None:
            self.store.remove(uuid, at)
        else:
            self.store.put(seen, at)

    @stateful.invariant()
    def every_capsule_is_of_one_pod(self):
        for uid in self.store.uids():
            assert self.store.of_pod(uid), uid

    def teardown(self):
        """Two more lists, after all answers came, tell the truth."""
        for answer in self.under_way:
            self._answer(*answer)
        for _ in range(2):
            self._answer(self._tick(), None, list(self.cloud.values()))
        known = {uid: [dataclasses.replace(capsule, delete_asked=False)
                       for capsule in self.store.of_pod(uid)]
                 for uid in self.store.uids()}
        assert known == {capsule.uid: [capsule]
                         for capsule in self.cloud.values()}, known


class CapsuleStoreModelTestCase(_Machine.TestCase):
    settings = hypothesis.settings(
        stateful_step_count=30)
