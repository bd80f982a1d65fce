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
import errno
import threading
import time
from unittest import mock

import oslotest.base

from zun_vk.compute import pods
from zun_vk.compute import store as store_module
from zun_vk.compute.work import fetcher
from zun_vk.compute.work import pod as pod_module
from zun_vk.compute.work import tasks
from zun_vk.rpc import bus
from zun_vk.rpc import payload
from zun_vk.tests.fixtures import wait

CAPSULE = pod_module.Capsule('cap-1', 'uid-1', 'node', 'ns', 'web')
POD = {'metadata': {'uid': 'uid-1', 'name': 'web', 'namespace': 'ns'},
       'spec': {'containers': [{'name': 'c', 'image': 'i'}]}}
PAYLOAD = payload.PodPayload('1', POD).to_wire()


class FetcherTestCase(oslotest.base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.pod = pod_module.Pod(CAPSULE)
        self.tasks = tasks.Tasks('fetch', 1)
        self.addCleanup(self.tasks.close)
        made = mock.create_autospec(bus.Bus, instance=True)
        self.agent = made.peer.return_value = mock.create_autospec(
            bus.Peer, instance=True)
        self.agent.call.return_value = {'payload': PAYLOAD}
        self.keep = mock.Mock(spec=lambda uid, wire: None)
        self.fetcher = fetcher.Fetcher(
            made, 'host-1', self.tasks, lambda uid: None, self.keep)

    def answered(self):
        self.fetcher.look(self.pod)
        wait.wait_for(lambda: self.pod.inbox, 'an answer has come')

    def test_what_comes_for_a_pod_that_has_gone_meanwhile_is_not_kept(self):
        self.answered()
        # Nobody looks into its inbox any more.
        self.keep.assert_not_called()

    def test_what_comes_is_kept(self):
        self.answered()
        self.pod.inbox.popleft()(self.pod)
        self.keep.assert_called_once_with('uid-1', PAYLOAD)
        self.assertEqual('1', self.pod.payload.generation)

    def test_what_cannot_be_kept_is_used_all_the_same(self):
        self.keep.side_effect = OSError(errno.ENOSPC, 'No space left')
        self.answered()
        self.pod.inbox.popleft()(self.pod)
        self.assertEqual('1', self.pod.payload.generation)

    def test_what_the_agent_cannot_renew_is_not_asked_for_all_the_time(self):
        self.agent.call.return_value = {
            'payload': PAYLOAD | {'refresh_after': 1.0}}
        for most, answer in ((5.0, {'unchanged': True}), (60.0, None)):
            self.answered()
            self.pod.inbox.popleft()(self.pod)
            left = self.pod.fetch_at - time.monotonic()
            self.assertTrue(most / 2 < left <= most, left)
            self.agent.call.return_value = answer
            self.pod.fetch_at = float('-inf')

    def test_states_are_newer_than_those_that_the_agent_has(self):
        # The clock was ahead, and the record is lost.
        self.pod.generation, told = 7, mock.sentinel.told
        self.pod.published = told
        for known, generation, published in (
                (5, 7, told), (7, 7, told), (9, 9, None)):
            self.agent.call.return_value = {'payload': PAYLOAD,
                                            'generation': known}
            self.answered()
            self.pod.inbox.popleft()(self.pod)
            self.assertEqual((generation, published),
                             (self.pod.generation, self.pod.published))
            self.pod.fetch_at = float('-inf')
        self.agent.call.return_value = {'unchanged': True,
                                        'generation': 'many'}
        self.answered()
        self.pod.inbox.popleft()(self.pod)
        self.assertEqual(9, self.pod.generation)

    def test_what_waits_for_what_was_missing_waits_no_longer(self):
        self.agent.call.return_value = {'payload': payload.PodPayload(
            '0', POD, volume_errors=('no x',), runtime_error='no class',
            container_errors={'c': 'no y'}).to_wire()}
        self.answered()
        self.pod.inbox.popleft()(self.pod)
        later = float('inf')
        self.pod.memory.sandbox_retry_at = self.pod.volumes_at = later
        self.pod.memory.retry_at = {'c': later, 'other': later}
        self.pod.fetch_at = 0
        self.agent.call.return_value = {'payload': PAYLOAD}
        self.answered()
        self.pod.inbox.popleft()(self.pod)
        self.assertEqual(
            (0, float('-inf'), {'other': later}),
            (self.pod.memory.sandbox_retry_at, self.pod.volumes_at,
             self.pod.memory.retry_at))

    def test_a_change_while_an_answer_is_awaited_is_asked_for(self):
        store = mock.create_autospec(store_module.RecordStore, instance=True)
        known = pods.Pods(store)
        known.run(CAPSULE, None)
        self.pod = known.get('uid-1')
        gate = threading.Event()
        self.addCleanup(gate.set)
        self.agent.call.side_effect = lambda *args, **more: (
            gate.wait(10) and {'payload': PAYLOAD})
        self.fetcher.look(self.pod)
        wait.wait_for(lambda: self.agent.call.called, 'it is asked')
        # What is on its way may be older than that.
        known.changed('uid-1')
        self.pod.inbox.popleft()(self.pod)
        self.fetcher.look(self.pod)
        gate.set()
        wait.wait_for(lambda: self.pod.inbox, 'an answer has come')
        self.pod.inbox.popleft()(self.pod)
        self.assertIsNone(self.fetcher.look(self.pod))
        wait.wait_for(lambda: self.agent.call.call_count == 2,
                      'it is asked again', 5)
        wait.wait_for(lambda: self.pod.inbox, 'an answer has come')
        self.pod.inbox.popleft()(self.pod)
        self.assertGreater(self.fetcher.look(self.pod), 30)

    def test_nothing_is_asked_for_a_pod_that_has_ended(self):
        self.answered()
        self.pod.inbox.popleft()(self.pod)
        self.pod.memory.ended = True
        self.pod.fetch_at = float('-inf')
        self.assertIsNone(self.fetcher.look(self.pod))
        self.assertEqual(1, self.agent.call.call_count)
        self.assertFalse(self.tasks.running(('fetch', 'uid-1')))
        # But what it was, where that is not known.
        self.pod.payload = None
        self.answered()
        self.assertEqual(2, self.agent.call.call_count)
