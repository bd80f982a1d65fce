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
import queue
import threading

import fixtures
import grpc
from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from zun_vk import exceptions
from zun_vk.compute import model
from zun_vk.compute.cri import client
from zun_vk.compute.cri import cri_pb2
from zun_vk.compute.cri import seen
from zun_vk.compute.cri import watcher
from zun_vk.tests.fixtures import cri
from zun_vk.tests.fixtures import wait


class WatcherTestCase(base.BaseTestCase):

    EVENTS = False
    OFTEN, SELDOM = 0.02, 0.1

    def setUp(self):
        super().setUp()
        for name, value in (('OFTEN', self.OFTEN), ('SELDOM', self.SELDOM),
                            ('_PROVEN', 0.0)):
            self.useFixture(fixtures.MockPatchObject(watcher, name, value))
        self.fake = self.useFixture(cri.FakeRuntime(events=self.EVENTS))
        self.runtime = client.Runtime(self.fake.endpoint)
        self.addCleanup(self.runtime.close)
        self.told: queue.Queue = queue.Queue()
        self.watcher = watcher.Watcher(self.runtime, self.told.put)
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.watcher.run,
                                       args=(self.stop,))
        self.addCleanup(self._end)

    def _end(self):
        self.stop.set()
        if self.thread.ident:
            self.thread.join(10)
            self.assertFalse(self.thread.is_alive())

    def _sandbox(self, uid='u1', labels=None):
        return self.runtime.run_sandbox(cri_pb2.PodSandboxConfig(
            metadata=cri_pb2.PodSandboxMetadata(
                name=uid, uid=uid, namespace='default'),
            labels={model.LABEL_UID: uid,
                    **(seen.OURS if labels is None else labels)}))

    def _container(self, sandbox, uid='u1'):
        self.fake.add_image('busybox')
        container = self.runtime.create_container(
            sandbox, cri_pb2.ContainerConfig(
                metadata=cri_pb2.ContainerMetadata(name='main'),
                image=cri_pb2.ImageSpec(image='busybox'),
                labels={model.LABEL_UID: uid, **seen.OURS}),
            cri_pb2.PodSandboxConfig())
        self.runtime.start_container(container)
        return container

    def _quiet(self):
        """Wait for a list that came after all that was told."""
        number = len(self.fake.called('ListContainers'))
        wait.wait_for(
            lambda: len(self.fake.called('ListContainers')) > number + 1,
            'two more lists', interval=0.01)
        while not self.told.empty():
            self.told.get()

    def _lists(self):
        return len(self.fake.called('ListContainers'))


class ListsTestCase(WatcherTestCase):

    def test_what_is_there_at_the_start_is_told(self):
        self._sandbox('u1')
        self._sandbox('u2')
        self.thread.start()
        self.assertEqual({'u1', 'u2'},
                         {self.told.get(timeout=10) for _ in range(2)})

    def test_an_end_is_told_and_nothing_else(self):
        container = self._container(self._sandbox('u1'))
        self._sandbox('u2')
        self.thread.start()
        self._quiet()
        self.fake.exit(container, 3)
        self.assertEqual('u1', self.told.get(timeout=10))
        self._quiet()
        self.assertTrue(self.told.empty())

    def test_what_went_is_told(self):
        sandbox = self._sandbox()
        self.thread.start()
        self._quiet()
        self.runtime.remove_sandbox(sandbox)
        self.assertEqual('u1', self.told.get(timeout=10))

    def test_what_others_made_is_not_told(self):
        self._sandbox(labels={})
        self.thread.start()
        self._quiet()
        self.assertTrue(self.told.empty())

    def test_no_events_is_asked_for_once(self):
        self.useFixture(fixtures.MockPatchObject(
            watcher.backoff.Backoff, 'next', lambda self: 0.01))
        self.thread.start()
        self._quiet()
        self._quiet()
        self.assertEqual(1, len(self.fake.called('GetContainerEvents')))

    def test_a_restart_of_the_runtime_is_survived(self):
        container = self._container(self._sandbox())
        self.thread.start()
        self._quiet()
        self.assertLess(self.watcher.age(), 10)
        self.fake.stop()
        wait.wait_for(lambda: not self.watcher._answers, 'it is missed')
        self.fake.exit(container)
        self.fake.events = True
        self.fake.start()
        self.assertEqual('u1', self.told.get(timeout=10))
        wait.wait_for(lambda: self.fake.streams, 'events of the new version')

    def test_its_age_is_that_of_the_last_lists(self):
        now = [100.0]
        watched = watcher.Watcher(self.runtime, self.told.put,
                                  clock=lambda: now[0])
        self.assertEqual(float('inf'), watched.age())
        watched._relist()
        now[0] += 7
        self.assertEqual(7, watched.age())
        self.fake.fail('ListContainers')
        self.assertRaises(exceptions.RuntimeRefused, watched._relist)
        self.assertEqual(7, watched.age())


class EventsTestCase(WatcherTestCase):

    EVENTS = True
    # Too long for a test to see: only events can tell.
    SELDOM = 1000.0

    def _relied(self):
        wait.wait_for(lambda: self.fake.streams, 'the stream is open')
        wait.wait_for(self.watcher._relied_on, 'events are relied on')

    def test_events_tell_without_a_list(self):
        container = self._container(self._sandbox())
        self.thread.start()
        self.assertEqual('u1', self.told.get(timeout=10))
        self._relied()
        lists = self._lists()
        self.fake.exit(container)
        self.assertEqual('u1', self.told.get(timeout=10))
        self.assertLessEqual(self._lists(), lists + 1)

    def test_events_of_what_others_made_are_not_told(self):
        self.thread.start()
        self._relied()
        self._sandbox('other', labels={})
        self._sandbox('mine')
        self.assertEqual('mine', self.told.get(timeout=10))

    def test_a_stream_that_ended_is_not_relied_on(self):
        self.thread.start()
        self._relied()
        self.fake.fail('GetContainerEvents', times=None,
                       code=grpc.StatusCode.UNAVAILABLE)
        lists = self._lists()
        self.fake.streams[0].put(None)
        wait.wait_for(lambda: self._lists() > lists + 2, 'lists often')

    def test_a_missed_event_ends_the_reliance(self):
        self.watcher._stream = self.runtime.events()
        self.addCleanup(self.watcher._end_stream)
        self.assertFalse(self.watcher._relied_on())
        self.watcher._relist()
        self.assertTrue(self.watcher._relied_on())
        # Nobody reads the stream.
        self._sandbox()
        self.watcher._relist()
        self.assertFalse(self.watcher._relied_on())
        self.assertEqual('u1', self.told.get(timeout=10))


STATES = st.dictionaries(
    st.sampled_from('abc'), st.frozensets(st.tuples(
        st.sampled_from('xyz'), st.integers(0, 3)), min_size=1))


class ChangesTestCase(base.BaseTestCase):

    @given(STATES, STATES)
    def test_who_is_told_knows_all(self, before, now):
        told = watcher.changes(before, now)
        updated = {uid: now.get(uid) if uid in told else before.get(uid)
                   for uid in before.keys() | now.keys()}
        self.assertEqual(now, {uid: items for uid, items in updated.items()
                               if items is not None})
        self.assertLessEqual(watcher.news(before, now), told)

    @given(STATES)
    def test_nothing_is_told_of_what_stayed(self, now):
        self.assertEqual(set(), watcher.changes(now, now))
