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

import fixtures
import hypothesis
from hypothesis import strategies as st
from oslotest import base

from zun_vk import exceptions
from zun_vk.kube import client as kube_client
from zun_vk.kube import events
from zun_vk.tests.fixtures import wait
from zun_vk.tests.unit.pods import strategies


class _Server:
    """Events as an API server keeps them."""

    def __init__(self):
        self.events = {}
        self.errors = []

    def create(self, namespace, event):
        self._fail()
        name = event['metadata']['name']
        if name in self.events:
            raise exceptions.Conflict('kubernetes', 'exists', 409)
        self.events[name] = {**event, 'namespace': namespace}
        return event

    def patch(self, namespace, name, patch):
        self._fail()
        if name not in self.events:
            raise exceptions.NotFound('kubernetes', 'no', 404)
        self.events[name].update(patch)
        return self.events[name]

    def _fail(self):
        if self.errors:
            raise self.errors.pop(0)


class EventRecorderTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.server = _Server()
        self.client = mock.create_autospec(
            kube_client.KubeClient, instance=True)
        self.client.create_event.side_effect = self.server.create
        self.client.patch_event.side_effect = self.server.patch
        self.stop = threading.Event()
        self.recorder = self._start()
        self.pod = strategies.pod()

    def _start(self):
        recorder = events.EventRecorder(self.client, 'zun-vk')
        thread = threading.Thread(target=recorder.run, args=(self.stop,))
        thread.start()
        self.addCleanup(self._end, recorder, thread)
        return recorder

    def _end(self, recorder, thread):
        self.stop.set()
        recorder.wake()
        thread.join(10)
        self.assertFalse(thread.is_alive())

    def _say(self, message='words', recorder=None, times=1, **more):
        """Say something, and wait until all that was said is written."""
        recorder = recorder or self.recorder
        for _ in range(times):
            recorder.pod(self.pod, events.WARNING, 'Reason', message, **more)
        recorder.node({'metadata': {'name': 'n', 'uid': 'u'}},
                      events.NORMAL, 'Marker', str(self.getUniqueInteger()))
        wait.wait_for(self._marked, 'the marker', timeout=10,
                      interval=0.002)

    def _marked(self):
        marker = next((name for name, event in self.server.events.items()
                       if event['reason'] == 'Marker'), None)
        if marker:
            del self.server.events[marker]
        return marker

    def _counts(self):
        return [event['count'] for event in self.server.events.values()]

    def test_an_event_names_the_pod_and_says_who_saw_what(self):
        self._say('no room')
        (event,) = self.server.events.values()
        self.assertEqual(
            ('shop', 'Warning', 'Reason', 'no room', 1),
            tuple(event[name] for name in
                  ('namespace', 'type', 'reason', 'message', 'count')))
        self.assertEqual(
            {'apiVersion': 'v1', 'kind': 'Pod', 'name': 'web',
             'namespace': 'shop', 'uid': self.pod['metadata']['uid']},
            event['involvedObject'])
        self.assertEqual('zun-vk-agent', event['reportingComponent'])

    def test_an_event_on_a_node_is_found_by_kubectl_describe(self):
        self.recorder.node({'metadata': {'name': 'n', 'uid': 'u'}},
                           events.NORMAL, 'NodeReady', 'words')
        wait.wait_for(lambda: self.server.events, 'the event', timeout=10)
        (event,) = self.server.events.values()
        self.assertEqual(
            ('default', {'apiVersion': 'v1', 'kind': 'Node', 'name': 'n',
                         'uid': 'n'}),
            (event['namespace'], event['involvedObject']))

    def test_saying_the_same_again_counts(self):
        self._say(times=3)
        self.assertEqual([3], self._counts())

    def test_other_words_are_another_event(self):
        self._say('a')
        self._say('b')
        self.assertEqual([1, 1], self._counts())

    def test_what_is_said_once_is_not_counted(self):
        self._say(times=3, once=True)
        self.assertEqual([1], self._counts())

    def test_a_restart_does_not_say_it_in_another_event(self):
        self._say()
        self._say(recorder=self._start(), times=2)
        self.assertEqual(1, len(self.server.events))

    def test_a_restart_does_not_repeat_what_is_said_once(self):
        self._say(once=True)
        before = dict(next(iter(self.server.events.values())))
        self._say(recorder=self._start(), once=True)
        self.assertEqual([before], list(self.server.events.values()))

    def test_what_the_api_server_forgot_is_said_anew(self):
        self._say()
        self.server.events.clear()
        self._say()
        self.assertEqual([1], self._counts())

    def test_a_short_failure_loses_no_event(self):
        patch = mock.patch.object(self.stop, 'wait', autospec=True,
                                  return_value=False)
        patch.start()
        self.addCleanup(patch.stop)
        self.server.errors = [
            exceptions.Unreachable('kubernetes', 'refused'),
            exceptions.Unavailable('kubernetes', 'busy', 503)]
        self._say()
        self.assertEqual([1], self._counts())

    def test_the_api_server_says_when_to_try_again(self):
        self.server.errors = [
            exceptions.Throttled('kubernetes', 'slow down', 40),
            exceptions.Unavailable('kubernetes', 'busy', 503, 50),
            exceptions.Unavailable('kubernetes', 'busy', 503)]
        waits = self.useFixture(fixtures.MockPatchObject(
            self.stop, 'wait', autospec=True, return_value=False)).mock
        self._say()
        self.assertEqual([40, 50, 4], [
            call.args[0] for call in waits.call_args_list])

    def test_a_stop_ends_its_wait(self):
        self.server.errors = [
            exceptions.Throttled('kubernetes', 'slow down', 300)]
        self.recorder.pod(self.pod, events.WARNING, 'Reason', 'words')
        # What _end waits for is far less.
        wait.wait_for(lambda: not self.server.errors, 'a try', timeout=10)

    def test_an_event_that_is_refused_is_dropped(self):
        for error in (exceptions.Rejected, exceptions.AccessDenied,
                      exceptions.NotFound):
            self.server.errors = [error('kubernetes', 'no', 403)]
            self._say(error.__name__)
        self.assertEqual({}, self.server.events)

    def test_long_words_are_cut_to_what_kubernetes_takes(self):
        self._say('\u00e9' * 2000)
        (event,) = self.server.events.values()
        self.assertLessEqual(len(event['message'].encode()), 1024)
        self.assertTrue(event['message'].endswith('...'))

    def test_words_that_are_no_text_do_not_end_it(self):
        self._say('half a \ud83d pair')
        self.recorder.container(self.pod, '', events.NORMAL,
                                'Half\ud83d', 'a host said it')
        self._say('whole')
        self.assertEqual(3, len(self.server.events))
        for event in self.server.events.values():
            (event['message'] + event['reason']).encode()

    def test_a_full_queue_holds_nobody_up(self):
        recorder = events.EventRecorder(self.client, 'zun-vk')
        for _ in range(events._QUEUE_SIZE + 5):
            recorder.pod(self.pod, events.NORMAL, 'Reason', 'words')
        recorder.wake()
        recorder.wake()


class EventNameTestCase(base.BaseTestCase):

    @hypothesis.given(
        st.from_regex(r'[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?',
                      fullmatch=True), st.uuids(), st.text())
    def test_every_name_is_one_kubernetes_takes(self, name, uid, message):
        result = events.event_name({'name': name, 'uid': str(uid)},
                                   'Reason', message)
        self.assertLessEqual(len(result), 253)
        for part in result.split('.'):
            self.assertRegex(part, r'^[a-z0-9-]*$')
        self.assertRegex(result, r'^[a-z0-9].*[a-z0-9]$')

    def test_pods_of_one_name_have_events_of_their_own(self):
        names = {events.event_name({'name': 'web', 'uid': uid}, 'R', 'm')
                 for uid in ('u1', 'u2')}
        self.assertEqual(2, len(names))
