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
import pathlib
import threading
from unittest import mock

import fixtures
import oslotest.base

from zun_vk import exceptions
from zun_vk.compute import endpoint
from zun_vk.compute import model
from zun_vk.compute import pods
from zun_vk.compute import store
from zun_vk.compute.work import pod as pod_module
from zun_vk.rpc import fields
from zun_vk.rpc import payload
from zun_vk.rpc import states

CAPSULE = pod_module.Capsule('cap-1', 'uid-1', 'node', 'ns', 'web')
_POD = pod_module.Pod
POD = {'metadata': {'uid': 'uid-1', 'name': 'web', 'namespace': 'ns'},
       'spec': {'terminationGracePeriodSeconds': 7,
                'containers': [{'name': 'c', 'image': 'i'}]}}


class PodsTestCase(oslotest.base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.now = 1000.0
        self.path = self.useFixture(fixtures.TempDir()).path
        self.pods = self.made()
        self.cleared = mock.Mock(return_value=True)
        self.endpoint = endpoint.Endpoint(
            self.pods, mock.Mock(), self.cleared, mock.Mock(), mock.Mock(),
            mock.Mock())

    def made(self):
        return pods.Pods(store.RecordStore(self.path),
                         wall=lambda: self.now)

    def run_capsule(self, **fields):
        return self.endpoint.run_capsule(
            {}, capsule=CAPSULE.to_wire() | {'payload': None} | fields)

    def look(self, look=lambda pod: None):
        """Be a worker until nothing is to be done now."""
        def drained(pod):
            while pod.inbox:
                pod.inbox.popleft()(pod)
            return look(pod)
        while uid := self.pods.queue.get(timeout=0):
            self.pods._work(uid, drained)
            self.pods.queue.done(uid)

    def test_a_capsule_that_runs_is_not_run_again(self):
        self.run_capsule()
        pod = self.pods.get('uid-1')
        self.run_capsule()
        self.assertIs(pod, self.pods.get('uid-1'))

    def test_a_record_without_an_interface_is_completed(self):
        # Of before an upgrade of this service, or of zun-compute.
        self.run_capsule()
        self.run_capsule(vif={'a': 1})
        self.look()
        self.assertEqual({'a': 1}, self.pods.get('uid-1').capsule.vif)
        again = self.made()
        again.restore()
        self.assertEqual({'a': 1}, again.get('uid-1').capsule.vif)
        self.run_capsule()
        self.run_capsule(vif={'b': 2})
        self.look()
        self.assertEqual({'a': 1}, self.pods.get('uid-1').capsule.vif)

    def broken(self, text):
        """Return the pod of no agent's after its payload's file broke."""
        own = {'node': '', 'payload': payload.PodPayload('zun', POD).to_wire()}
        self.run_capsule(**own)
        self.endpoint.end_pod({}, uid='uid-1', grace=30)
        self.look()
        pathlib.Path(self.path, 'uid-1.payload').write_text(text)
        self.pods = self.endpoint._pods = self.made()
        self.pods.restore()
        self.look()
        self.run_capsule(**own)
        self.look()
        return self.pods.get('uid-1')

    def test_a_payload_that_broke_is_taken_from_zun_again(self):
        for text in ('{', '{}', '{"version": 77}'):
            found = self.broken(text)
            self.assertEqual('zun', found.payload.generation)
            # What else is known of it has not been lost with that.
            self.assertEqual(1030.0, found.memory.ending.deadline)
            again = self.made()
            again.restore()
            self.assertEqual('zun', again.get('uid-1').payload.generation)

    def test_a_payload_that_is_known_is_not_replaced(self):
        own = {'node': '', 'payload': payload.PodPayload('zun', POD).to_wire()}
        self.run_capsule(**own)
        known = self.pods.get('uid-1').payload
        self.run_capsule(**own)
        self.look()
        self.assertIs(known, self.pods.get('uid-1').payload)

    def test_a_capsule_that_is_deleted_while_it_is_taken_does_not_run(self):
        save = store.RecordStore.save

        def slow(self_, uid, record):
            save(self_, uid, record)
            self.assertEqual({'gone': True}, self.endpoint.delete_capsule(
                {}, uuid='cap-1'))

        with mock.patch.object(store.RecordStore, 'save', slow):
            self.run_capsule()
        self.assertIsNone(self.pods.get('uid-1'))
        self.assertEqual({}, store.RecordStore(self.path).records())

    def test_a_second_capsule_of_a_pod_waits_until_the_first_is_gone(self):
        self.run_capsule()
        self.assertRaises(exceptions.Unavailable, self.run_capsule,
                          uuid='cap-2')
        self.look()
        self.assertTrue(self.pods.get('uid-1').removing)
        self.assertEqual('cap-1', self.pods.get('uid-1').capsule.uuid)

    def test_a_capsule_of_another_project_ends_no_pod(self):
        # Labels are anybody's who may make a capsule.
        self.run_capsule(project_id='theirs')
        self.assertRaises(fields.Malformed, self.run_capsule,
                          uuid='cap-2', project_id='mine')
        self.look()
        pod = self.pods.get('uid-1')
        self.assertEqual(('cap-1', False),
                         (pod.capsule.uuid, pod.removing))

    def test_names_that_no_directory_can_have_are_refused(self):
        # Labels are anybody's who may make a capsule.
        for name in ('', '.', '..', '.hidden', 'a/b', 'a_b', 'a\0b'):
            for field in ('namespace', 'pod'):
                self.assertRaises(fields.Malformed, self.run_capsule,
                                  **{field: name})
        for uid in ('', '..', 'a.b', 'a_b', 'a/b', 'a-', 'a' * 65):
            self.assertRaises(fields.Malformed, self.run_capsule, uid=uid)

    def test_a_node_that_the_bus_cannot_address_is_refused(self):
        # A message to it would fail for ever, and hold up the others.
        for name in ('a' * 243, 'a/b', 'A', '.', 'a b', 'a\n'):
            self.assertRaises(fields.Malformed, self.run_capsule, node=name)
        self.run_capsule(node='zun-vk.az1-' + 'a' * 200)

    def full_disk(self):
        """Return a patch: nothing can be written while it holds."""
        return mock.patch.object(
            store.RecordStore, '_write', autospec=True,
            side_effect=OSError(errno.ENOSPC, 'No space left on device'))

    def test_a_pod_that_cannot_be_recorded_is_not_taken(self):
        with self.full_disk():
            self.assertRaises(exceptions.Unavailable, self.run_capsule)
        self.assertIsNone(self.pods.get('uid-1'))
        self.run_capsule()
        self.assertIsNotNone(self.pods.get('uid-1'))

    def test_a_full_disk_keeps_no_pod_from_ending(self):
        self.run_capsule()
        with self.full_disk():
            self.endpoint.delete_capsule({}, uuid='cap-1', grace=5)
            self.look()
        pod = self.pods.get('uid-1')
        self.assertEqual((True, 5), (pod.removing, pod.memory.ending.grace))
        self.endpoint.pod_changed({}, uid='uid-1')
        self.look()
        again = self.made()
        again.restore()
        self.assertTrue(again.get('uid-1').removing)

    def test_a_full_disk_keeps_no_capsule_from_going(self):
        self.run_capsule()

        def gone(pod):
            pod.gone = True
        with self.full_disk():
            self.look(gone)
        self.assertEqual(
            {'gone': True}, self.endpoint.delete_capsule({}, uuid='cap-1'))

    def test_a_capsule_that_was_deleted_does_not_run_again(self):
        self.run_capsule()

        def gone(pod):
            pod.gone = pod.removing
        self.endpoint.delete_capsule({}, uuid='cap-1')
        self.look(gone)
        # Said before it was deleted, and come after.
        self.run_capsule()
        self.assertIsNone(self.pods.get('uid-1'))
        self.run_capsule(uuid='cap-2')
        self.assertEqual('cap-2', self.pods.get('uid-1').capsule.uuid)

    def test_a_capsule_deleted_before_it_came_does_not_run(self):
        self.assertEqual(
            {'gone': True}, self.endpoint.delete_capsule({}, uuid='cap-1'))
        self.run_capsule()
        self.assertIsNone(self.pods.get('uid-1'))

    def test_capsules_that_were_deleted_are_not_remembered_for_ever(self):
        for number in range(pods._MAX_DELETED + 5):
            self.pods.delete(f'cap-{number}', 0)
        self.assertEqual(pods._MAX_DELETED, len(self.pods._deleted))

    def test_a_capsule_that_comes_twice_at_once_is_one_pod(self):
        save = store.RecordStore.save
        others = []

        def slow(self_, uid, record):
            if not others:
                others.append(threading.Thread(target=self.run_capsule))
                others[0].start()
                others[0].join(0.3)
            save(self_, uid, record)

        made = []
        self.useFixture(fixtures.MockPatchObject(
            pods.pod_module, 'Pod', side_effect=lambda *args, **more:
            made.append(_POD(*args, **more)) or made[-1]))
        with mock.patch.object(store.RecordStore, 'save', slow):
            self.run_capsule()
            others[0].join(5)
        self.assertEqual(1, len(made))

    def test_a_restart_takes_up_all_pods(self):
        self.run_capsule()
        self.endpoint.end_pod({}, uid='uid-1', grace=30)
        self.look()
        again = self.made()
        again.restore()
        pod = again.get('uid-1')
        self.assertEqual(CAPSULE, pod.capsule)
        self.assertEqual(1030.0, pod.memory.ending.deadline)

    def test_a_grace_can_be_shortened_only(self):
        self.run_capsule()
        for grace, deadline in ((30, 1030.0), (60, 1030.0), (5, 1005.0)):
            self.endpoint.end_pod({}, uid='uid-1', grace=grace)
            self.look()
            self.assertEqual(
                deadline, self.pods.get('uid-1').memory.ending.deadline)

    def test_a_deleted_capsule_is_gone_once_its_worker_says_so(self):
        self.run_capsule()
        self.pods.get('uid-1').payload = payload.PodPayload('g', POD)
        self.assertEqual({'gone': False}, self.endpoint.delete_capsule(
            {}, uuid='cap-1'))
        self.look()
        pod = self.pods.get('uid-1')
        self.assertTrue(pod.removing)
        self.assertEqual(7.0, pod.memory.ending.grace)

        def gone(pod):
            pod.gone = True
        self.pods.queue.add('uid-1')
        self.look(gone)
        self.assertEqual({'gone': True}, self.endpoint.delete_capsule(
            {}, uuid='cap-1'))
        self.assertEqual(['uid-1'], list(store.RecordStore(
            self.path).kept()))
        self.assertEqual({}, store.RecordStore(self.path).records())

    def test_a_capsule_without_a_record_is_gone_once_the_runtime_agrees(
            self):
        self.cleared.return_value = False
        self.assertEqual({'gone': False}, self.endpoint.delete_capsule(
            {}, uuid='cap-9'))
        self.cleared.assert_called_once_with('cap-9', None)

    def test_a_payload_comes_with_a_capsule_of_no_agent_only(self):
        wire = payload.PodPayload('g', POD).to_wire()
        self.assertRaises(fields.Malformed, self.run_capsule, payload=wire)
        self.assertRaises(fields.Malformed, self.run_capsule, node='')
        self.run_capsule(node='', payload=wire)
        self.assertIsNotNone(self.pods.get('uid-1').payload)

    def test_all_is_told_once_zun_was_asked_and_every_pod_looked_at(self):
        self.run_capsule()
        self.assertFalse(self.pods.all_told('node'))
        self.pods.confirm()
        self.assertFalse(self.pods.all_told('node'))
        self.assertTrue(self.pods.all_told('other'))
        self.pods.get('uid-1').published = states.PodState(
            'uid-1', 'cap-1', 'node', 1)
        self.assertTrue(self.pods.all_told('node'))

    def test_ids_of_containers_name_the_runtime(self):
        self.pods.runtime = 'cri-o'
        self.run_capsule()
        self.assertEqual('cri-o', self.pods.get('uid-1').memory.runtime)

    def test_what_makes_no_sense_is_refused_by_name(self):
        for call, arguments in (
                (self.endpoint.end_pod, {'uid': '../x', 'grace': 1}),
                (self.endpoint.end_pod, {'uid': 'u', 'grace': -1}),
                (self.endpoint.end_pod, {'uid': 'u', 'grace': 'long'}),
                (self.endpoint.pod_changed, {'uid': None}),
                (self.endpoint.forget_pod, {'uid': 'a/b'}),
                (self.endpoint.delete_capsule, {'uuid': ''})):
            error = self.assertRaises(fields.Malformed, call, {},
                                      **arguments)
            self.assertRegex(str(error), 'uid|uuid|grace')

    def test_a_pod_that_cannot_be_looked_at_is_tried_again(self):
        self.run_capsule()
        stop = mock.Mock()
        stop.is_set.side_effect = [False, True]
        self.pods.work(mock.Mock(side_effect=ValueError('bug')), stop)
        self.assertEqual(model.PodMemory(),
                         self.pods.get('uid-1').memory)
        self.assertIsNotNone(self.pods.queue.get(timeout=5))
