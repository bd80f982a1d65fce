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
from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from zun_vk.compute import garbage
from zun_vk.compute import model

STATES = model.ContainerState
GIB = 1024 ** 3


def container(identity, state, created_at, name='main', uid='u1', **fields):
    return model.SeenContainer(identity, name, state=state, uid=uid,
                               created_at=created_at, **fields)


def ids(items):
    return [item.id for item in items]


CONTAINERS = st.lists(st.builds(
    container, st.uuids().map(str), st.sampled_from(STATES),
    st.integers(0, 9), st.sampled_from('ab'), st.sampled_from('uv'),
    attempt=st.integers(0, 3)), max_size=12)


class ContainersTestCase(base.BaseTestCase):

    def test_the_one_before_the_running_one_keeps_its_logs(self):
        self.assertEqual(['a', 'b'], ids(garbage.dead_containers([
            container('d', STATES.RUNNING, 4),
            container('b', STATES.EXITED, 2),
            container('a', STATES.EXITED, 1),
            container('c', STATES.EXITED, 3)])))

    def test_the_last_word_of_a_pod_stays(self):
        self.assertEqual(['a'], ids(garbage.dead_containers([
            container('a', STATES.EXITED, 1),
            container('b', STATES.EXITED, 2)])))

    def test_one_that_is_being_started_takes_no_one_s_place_yet(self):
        self.assertEqual([], garbage.dead_containers([
            container('a', STATES.EXITED, 1),
            container('b', STATES.CREATED, 2)]))

    def test_one_that_was_never_started_goes(self):
        self.assertEqual(['a'], ids(garbage.dead_containers([
            container('a', STATES.CREATED, 1),
            container('b', STATES.EXITED, 2)])))

    def test_names_and_pods_are_kept_apart(self):
        self.assertEqual([], garbage.dead_containers([
            container('a', STATES.EXITED, 1),
            container('b', STATES.EXITED, 2, name='init'),
            container('c', STATES.EXITED, 3, uid='u2')]))

    @given(CONTAINERS)
    def test_nothing_that_runs_and_no_newest_ever_goes(self, containers):
        gone = garbage.dead_containers(containers)
        self.assertFalse([each for each in gone
                          if each.state is STATES.RUNNING])
        left = [each for each in containers if each not in gone]
        for each in gone:
            same = [other for other in left
                    if (other.uid, other.name) == (each.uid, each.name)]
            self.assertTrue(any(
                (other.attempt, other.created_at)
                >= (each.attempt, each.created_at) for other in same))

    @given(CONTAINERS)
    def test_at_most_one_dead_of_a_name_stays(self, containers):
        gone = garbage.dead_containers(containers)
        exited = [(each.uid, each.name) for each in containers
                  if each not in gone and each.state is STATES.EXITED]
        self.assertEqual(len(exited), len(set(exited)))


class SandboxesTestCase(base.BaseTestCase):

    def _old(self, *sandboxes, containers=()):
        return ids(garbage.old_sandboxes(
            [model.SeenSandbox(*each) for each in sandboxes], containers))

    def test_the_newest_of_a_pod_stays(self):
        self.assertEqual(['a'], self._old(
            ('a', 0, False, 1, (), 'u1'), ('b', 1, False, 2, (), 'u1'),
            ('c', 0, False, 1, (), 'u2')))

    def test_one_with_containers_stays(self):
        self.assertEqual([], self._old(
            ('a', 0, False, 1, (), 'u1'), ('b', 1, True, 2, (), 'u1'),
            containers=[container('x', STATES.EXITED, 1, sandbox_id='a')]))

    def test_a_ready_one_stays(self):
        self.assertEqual([], self._old(
            ('a', 0, True, 1, (), 'u1'), ('b', 1, True, 2, (), 'u1')))


class StraysTestCase(base.BaseTestCase):

    def test_a_pod_nobody_knows_goes_after_a_while(self):
        gone, since = garbage.strays(['u1', 'u2'], {'u2'}, {}, 100, 60)
        self.assertEqual((set(), {'u1': 100}), (gone, since))
        gone, since = garbage.strays(['u1', 'u2'], {'u2'}, since, 160, 60)
        self.assertEqual(({'u1'}, {'u1': 100}), (gone, since))

    def test_one_that_became_known_begins_anew(self):
        _, since = garbage.strays(['u1'], set(), {}, 100, 60)
        _, since = garbage.strays(['u1'], {'u1'}, since, 130, 60)
        gone, since = garbage.strays(['u1'], set(), since, 170, 60)
        self.assertEqual((set(), {'u1': 170}), (gone, since))


def image(identity, size=1, pinned=False):
    return garbage.Image(identity, frozenset((identity, identity + ':1')),
                         size, pinned)


class ImagesTestCase(base.BaseTestCase):

    def test_disk_space_is_freed_down_to_the_lower_bound(self):
        self.assertEqual(
            5 * GIB, garbage.to_free(100 * GIB, 15 * GIB, 85, 80))

    def test_below_the_higher_bound_nothing_goes(self):
        self.assertEqual(
            0, garbage.to_free(100 * GIB, 16 * GIB, 85, 80))

    def test_a_hundred_percent_is_never(self):
        self.assertEqual(0, garbage.to_free(100, 0, 100, 80))
        self.assertEqual(0, garbage.to_free(0, 0, 85, 80))

    def test_bounds_the_wrong_way_round_free_nothing(self):
        self.assertEqual(0, garbage.to_free(100, 15, 80, 90))

    def test_what_went_unused_longest_goes_first(self):
        images = [image(name) for name in 'abc']
        used = garbage.uses(images, (), {}, 0)
        used = garbage.uses(images, {'a:1', 'b'}, used, 1000)
        used = garbage.uses(images, {'b'}, used, 2000)
        self.assertEqual(['c', 'a', 'b'], ids(garbage.superfluous(
            images, (), used, 3000)))

    def test_what_is_used_pinned_or_new_stays(self):
        images = [image('used'), image('pinned', pinned=True), image('old')]
        used = garbage.uses(images, (), {}, 0)
        images.append(image('new'))
        used = garbage.uses(images, (), used, 1000)
        self.assertEqual(['old'], ids(garbage.superfluous(
            images, {'used:1'}, used, 1119)))
        self.assertEqual(['old', 'new'], ids(garbage.superfluous(
            images, {'used:1'}, used, 1120)))

    def test_what_is_no_more_on_the_host_is_forgotten(self):
        used = garbage.uses([image('a'), image('b')], (), {}, 0)
        self.assertEqual({'b'}, set(garbage.uses([image('b')], (), used, 1)))

    @given(st.lists(st.builds(
        image, st.sampled_from('abcdef'), pinned=st.booleans()),
        unique_by=lambda each: each.id), st.sets(st.sampled_from('abcdef')),
        st.dictionaries(st.sampled_from('abcdef'), st.builds(
            garbage.Use, st.floats(0, 1000), st.floats(0, 1000))))
    def test_an_image_in_use_or_pinned_never_goes(self, images, in_use,
                                                  before):
        used = garbage.uses(images, in_use, before, 1000)
        for each in garbage.superfluous(images, in_use, used, 1000):
            self.assertNotIn(each.id, in_use)
            self.assertFalse(each.pinned)
