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
import os
from unittest import mock

import fixtures
from oslotest import base

from zun_vk import exceptions
from zun_vk.compute import model
from zun_vk.compute import pods
from zun_vk.compute import store
from zun_vk.compute.cri import client as cri
from zun_vk.compute.cri import cri_pb2
from zun_vk.compute.streams import logsource
from zun_vk.compute.work import pod as pod_module
from zun_vk.rpc import states
from zun_vk.rpc import streams
from zun_vk.tests.unit.compute.streams import speaker


class SourceTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.store = store.RecordStore(self.useFixture(
            fixtures.TempDir()).path)
        self.pods = pods.Pods(self.store)
        self.root = self.useFixture(fixtures.TempDir()).path
        self.attempts: dict[tuple[str, str], int] = {}
        self.source = logsource.LogSource(
            self.pods, self.store, self.root,
            lambda *who: self.attempts.get(who))
        self.container = speaker.Container(self.root)
        self.addCleanup(self.container.close)
        self.container.say(b'hello')

    def _run(self) -> pod_module.Pod:
        self.pods.run(pod_module.Capsule('cap', 'uid', 'node', 'ns', 'pod'),
                      None)
        pod = self.pods.get('uid')
        assert pod is not None
        return pod

    def _request(self, container='web', container_id='', uid='uid',
                 **options) -> streams.StreamRequest:
        return streams.StreamRequest(streams.LOGS, uid, container,
                                     container_id,
                                     logs=streams.LogOptions(**options))

    def _read(self, *args, **options) -> bytes:
        sink = speaker.Sink()
        self.source.prepare(self._request(*args, **options))(sink)
        return sink.all

    def _refused(self, *args, **options) -> None:
        error = self.assertRaises(
            exceptions.Refused, self.source.prepare,
            self._request(*args, **options))
        self.assertEqual(404, error.status)

    def test_a_pod_that_is_here_has_its_logs(self):
        self._run()
        self.assertEqual(b'hello\n', self._read())

    def test_a_pod_that_is_gone_keeps_its_logs(self):
        self.store.keep('uid', {'namespace': 'ns', 'pod': 'pod', 'at': 1})
        self.assertEqual(b'hello\n', self._read(follow=True))

    def test_a_pod_that_was_never_here_has_none(self):
        self._refused()
        self._refused(uid='../uid')

    def test_an_attempt_without_a_log_is_refused(self):
        self._run()
        self._refused(attempt=1)

    def test_nothing_but_containers_of_the_pod_can_be_named(self):
        self._run()
        other = os.path.join(self.root, 'ns_pod_uid', '..', 'other')
        os.makedirs(other)
        with open(os.path.join(other, '0.log'), 'wb') as file:
            file.write(speaker.Said(0, b'secret').raw)
        os.symlink('../other', os.path.join(self.root, 'ns_pod_uid', 'lnk'))
        for name in ('', '.', '..', '../other', 'lnk', 'web/../../other',
                     'web\0'):
            self._refused(name)

    def test_what_is_kept_cannot_lead_elsewhere(self):
        self.store.keep('uid', {'namespace': '../ns', 'pod': 'pod'})
        self._refused()

    def test_the_runtime_may_know_the_attempt_better(self):
        self._run()
        self.attempts['uid', 'abc'] = 0
        self.assertEqual(b'hello\n', self._read('web', 'abc', attempt=3))
        self._refused('web', 'unknown', attempt=3)

    def test_a_log_that_went_meanwhile_breaks_off(self):
        self._run()
        write = self.source.prepare(self._request())
        os.rename(os.path.join(self.root, 'ns_pod_uid'),
                  os.path.join(self.root, 'gone'))
        self.assertRaises(exceptions.Refused, write, speaker.Sink())

    def test_following_ends_when_the_container_did(self):
        pod, looks = self._run(), iter(range(9))
        pod.published = self._state({'running': {}}, 0)
        sink = speaker.Sink()

        def write(data: bytes) -> None:
            sink.writes.append(data)
            if next(looks) == 0:
                self.container.say(b'bye')
                pod.published = self._state({'terminated': {}}, 0)

        with mock.patch.object(sink, 'write', write):
            self.source.prepare(self._request(follow=True))(sink)
        self.assertEqual(b'hello\nbye\n', sink.all)

    def _state(self, state: dict, restarts: int, **fields
               ) -> states.PodState:
        return states.PodState(
            'uid', 'cap', 'node', 1, containers=({
                'name': 'web', 'state': state, 'lastState': {},
                'restartCount': restarts},), **fields)

    def test_only_a_container_that_runs_may_say_more(self):
        for expected, state in (
                (True, None),
                (True, self._state({'running': {}}, 1)),
                (False, self._state({'running': {}}, 2)),
                (False, self._state({'terminated': {}}, 1)),
                (False, self._state({'waiting': {}}, 1)),
                (False, self._state({'running': {}}, 1, ended=True)),
                (False, self._state({'running': {}}, 1, gone=True)),
                (False, states.PodState('uid', 'cap', 'node', 1))):
            self.assertEqual(expected, logsource.may_speak(state, 'web', 1))


class AttemptsTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.runtime = mock.create_autospec(cri.Runtime, instance=True)
        self.runtime.container_status.return_value = cri_pb2.ContainerStatus(
            metadata=cri_pb2.ContainerMetadata(name='web', attempt=4),
            labels={model.LABEL_UID: 'uid'})
        self.attempt_of = logsource.attempts(self.runtime)

    def test_the_runtime_tells_the_attempt_of_a_container(self):
        self.assertEqual(4, self.attempt_of('uid', 'abc'))

    def test_a_container_of_another_pod_is_unknown(self):
        self.assertIsNone(self.attempt_of('other', 'abc'))

    def test_one_that_the_runtime_forgot_is_unknown(self):
        self.runtime.container_status.side_effect = (
            exceptions.RuntimeNotFound('not found'))
        self.assertIsNone(self.attempt_of('uid', 'abc'))
