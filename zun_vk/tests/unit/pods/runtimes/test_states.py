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

from zun_vk.pods.runtimes import states as states_module
from zun_vk.rpc import states

_CAPSULES = ('capsule-a', 'capsule-b')


def state(generation, capsule='capsule-a', **fields):
    return states.PodState('uid', capsule, 'zun-vk', generation,
                           **{'sandbox': str(generation)} | fields)


class StatesTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.states = states_module.PodStates()

    def test_nothing_is_known_of_what_was_not_told(self):
        self.assertIsNone(self.states.of('capsule-a'))

    def test_the_same_again_is_no_news(self):
        self.assertTrue(self.states.put(state(1), 'host-1'))
        self.assertFalse(self.states.put(state(1), 'host-1'))

    def test_a_pod_that_is_gone_leaves_nothing_but_its_hosts(self):
        self.states.put(state(1), 'host-1')
        self.states.put(state(1, 'capsule-b'), 'host-2')
        self.assertEqual({'host-1', 'host-2'}, self.states.forget('uid'))
        self.assertIsNone(self.states.of('capsule-a'))
        self.assertEqual(set(), self.states.forget('uid'))

    def test_the_hosts_of_a_pod_are_known_until_it_is_gone(self):
        self.states.put(state(1), 'host-1')
        self.assertEqual({'host-1'}, self.states.hosts_of('uid'))
        self.states.forget('uid')
        self.assertEqual(set(), self.states.hosts_of('uid'))

    def test_a_capsule_that_its_host_lacks_is_found_again(self):
        self.states.put(state(1), 'host-1')
        self.states.lack('uid', 'capsule-a')
        self.assertTrue(self.states.is_lacking('capsule-a'))
        self.assertFalse(self.states.is_lacking('capsule-a', 2))
        self.assertTrue(self.states.put(state(1), 'host-1'))
        self.assertFalse(self.states.is_lacking('capsule-a'))

    def test_one_that_was_never_told_of_can_be_lacked_too(self):
        for times in (1, 2):
            self.states.lack('uid', 'capsule-a')
            self.assertTrue(self.states.is_lacking('capsule-a', times))
        self.states.forget('uid')
        self.assertFalse(self.states.is_lacking('capsule-a'))


@given(st.lists(st.tuples(st.sampled_from(_CAPSULES), st.integers(1, 20))))
def test_late_double_and_lost_messages_never_show_older_truth(messages):
    kept = states_module.PodStates()
    newest = dict.fromkeys(_CAPSULES, 0)
    for capsule, generation in messages:
        before = {each: kept.of(each) for each in _CAPSULES}
        news = kept.put(state(generation, capsule), 'host-1')
        newest[capsule] = max(newest[capsule], generation)
        for each in _CAPSULES:
            shown = kept.of(each)
            assert (shown.generation if shown else 0) == newest[each]
        assert news == (kept.of(capsule) != before[capsule])


class OrderTestCase(base.BaseTestCase):

    def test_late_double_and_lost_messages_never_show_older_truth(self):
        test_late_double_and_lost_messages_never_show_older_truth()
