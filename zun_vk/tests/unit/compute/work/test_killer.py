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
import threading
from unittest import mock

import oslotest.base

from zun_vk.compute import model
from zun_vk.compute.work import killer
from zun_vk.compute.work import pod as pod_module
from zun_vk.compute.work import tasks
from zun_vk.tests.fixtures import wait

CAPSULE = pod_module.Capsule('cap-1', 'uid-1', 'node', 'ns', 'web')


class KillerTestCase(oslotest.base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.now = 1000.0
        self.tasks = tasks.Tasks('kill', 4)
        self.addCleanup(self.tasks.close)
        self.woken = threading.Event()
        self.stop = mock.Mock(spec=lambda identity, grace: None)
        self.hook = None
        self.killer = killer.Killer(
            self.stop, lambda pod, name, identity: self.hook, self.tasks,
            lambda uid: self.woken.set(), wall=lambda: self.now)
        self.pod = pod_module.Pod(CAPSULE)

    def kill(self, grace, hold=False, restart=False):
        return self.killer.kill(self.pod, model.KillContainer(
            'c-1', 'c', grace, 'words', hold=hold, restart=restart))

    def finish(self):
        wait.wait_for(lambda: self.pod.inbox, 'the kill is over')
        while self.pod.inbox:
            self.pod.inbox.popleft()(self.pod)

    def hook_that_cannot_be_cut(self):
        """Return what is set once it began, and what lets it end."""
        entered, go_on = threading.Event(), threading.Event()
        self.addCleanup(go_on.set)

        def hook(seconds, cut):
            entered.set()
            go_on.wait(10)
        self.hook = hook
        return entered, go_on

    def test_a_container_is_stopped_within_its_grace(self):
        self.assertTrue(self.kill(30))
        self.assertEqual(1030.0, self.pod.memory.killing['c-1'].deadline)
        self.finish()
        self.stop.assert_called_once_with('c-1', 30)
        self.assertEqual({}, self.pod.memory.killing)

    def test_the_hook_comes_before_the_signal_and_takes_of_the_grace(self):
        def hook(seconds, cut):
            self.assertEqual(30, seconds)
            self.stop.assert_not_called()
            self.now += 28.5
        self.hook = hook
        self.kill(30)
        self.finish()
        self.stop.assert_called_once_with('c-1', model.MIN_GRACE)

    def test_less_grace_cuts_the_hook_and_more_changes_nothing(self):
        entered, left = threading.Event(), threading.Event()

        def hook(seconds, cut):
            entered.set()
            if cut.wait(5):
                left.set()
        self.hook = hook
        self.kill(30)
        self.assertTrue(entered.wait(5))
        self.assertFalse(self.kill(300))
        self.assertEqual(1030.0, self.pod.memory.killing['c-1'].deadline)
        self.assertFalse(self.kill(0))
        self.assertTrue(left.wait(5))
        self.finish()
        self.assertLessEqual(self.stop.call_args.args[1], model.MIN_GRACE)

    def test_no_signal_comes_while_the_hook_has_time_left(self):
        entered, go_on = threading.Event(), threading.Event()

        def hook(seconds, cut):
            entered.set()
            go_on.wait(5)
        self.hook = hook
        self.kill(30, hold=True)
        self.assertTrue(entered.wait(5))
        self.kill(20)
        wait.hold_for(lambda: not self.stop.called, 'no signal comes', 0.5)
        go_on.set()
        self.finish()
        self.stop.assert_called_with('c-1', 20)

    def test_a_container_that_is_held_gets_no_signal_until_it_is_let_go(
            self):
        self.kill(30, hold=True)
        self.kill(30, hold=True)
        self.stop.assert_not_called()
        self.assertTrue(self.pod.memory.killing['c-1'].held)
        self.kill(30)
        self.finish()
        self.stop.assert_called_with('c-1', 30)

    def test_a_stop_that_fails_is_taken_out_to_be_tried_again(self):
        self.stop.side_effect = OSError('no')
        self.kill(30)
        self.finish()
        self.assertEqual({}, self.pod.memory.killing)
        self.assertEqual({'c-1': 1000.0 + killer.RETRY},
                         self.pod.memory.retry_at)
        self.stop.side_effect = None
        self.assertTrue(self.kill(30))
        self.finish()

    def test_it_is_remembered_who_is_to_start_again(self):
        self.kill(30, restart=True)
        self.finish()
        self.assertEqual({'c-1'}, self.pod.memory.again)

    def test_a_pod_that_has_gone_leaves_nothing_behind(self):
        entered, go_on = threading.Event(), threading.Event()
        self.addCleanup(go_on.set)

        def hook(seconds, cut):
            entered.set()
            # Of a container that ended of itself: nothing else ends it.
            cut.wait(5)
            go_on.wait(5)
        self.hook = hook
        self.kill(30)
        self.assertTrue(entered.wait(5))
        self.killer.forget(self.pod)
        self.assertEqual({}, self.killer._kills)
        go_on.set()
        self.finish()
        self.stop.assert_called_once_with('c-1', 30)

    def test_a_hook_that_breaks_keeps_no_container_running(self):
        self.hook = mock.Mock(side_effect=OSError('no'))
        self.kill(30)
        self.finish()
        self.stop.assert_called_once_with('c-1', 30)
        self.assertEqual({}, self.pod.memory.retry_at)

    def test_less_grace_ends_a_container_whose_hook_cannot_be_cut(self):
        entered, go_on = self.hook_that_cannot_be_cut()
        self.kill(3600)
        self.assertTrue(entered.wait(5))
        self.kill(0)
        wait.wait_for(lambda: self.stop.called, 'it is stopped', 5)
        self.stop.assert_called_once_with('c-1', model.MIN_GRACE)
        go_on.set()
        self.finish()

    def test_a_grace_that_is_drawn_tighter_twice_is_kept(self):
        entered, go_on = self.hook_that_cannot_be_cut()
        self.kill(3600)
        self.assertTrue(entered.wait(5))
        self.kill(1800)
        self.kill(0)
        wait.wait_for(lambda: self.stop.called, 'it is stopped', 5)
        go_on.set()
        self.finish()
