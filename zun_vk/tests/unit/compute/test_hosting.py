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
import types
from unittest import mock

import fixtures
import oslotest.base

from zun_vk import exceptions
from zun_vk.compute import hosting
from zun_vk.compute import pods as pods_module
from zun_vk.compute import store as store_module
from zun_vk.compute.cri import client as cri
from zun_vk.compute.work import pod as pod_module
from zun_vk.compute.work import tasks as tasks_module
from zun_vk.rpc import bus
from zun_vk.tests.fixtures import wait

CAPSULE = pod_module.Capsule('cap-1', 'uid-1', 'node', 'ns', 'web')


def wire(uuid, **fields):
    return pod_module.Capsule(
        uuid, f'uid-{uuid}', 'node', 'ns', 'web').to_wire() | {
            'status': 'Running', 'payload': None} | fields


class HostingTestCase(oslotest.base.BaseTestCase):

    def setUp(self):
        super().setUp()
        store = store_module.RecordStore(
            self.useFixture(fixtures.TempDir()).path)
        self.store = store
        self.pods = pods_module.Pods(store)
        self.peer = mock.create_autospec(bus.Peer, instance=True)
        self.bus = mock.create_autospec(bus.Bus, instance=True)
        self.bus.peer.return_value = self.peer
        self.runtime = mock.create_autospec(cri.Runtime, instance=True)
        tasks = tasks_module.Tasks('test', 2)
        self.addCleanup(tasks.close)
        self.hosting = hosting.Hosting(
            self.bus, 'host-1', self.runtime, self.pods, store, '/log',
            tasks, mock.Mock())

    def compare(self, *wires):
        self.peer.call.return_value = {'capsules': list(wires)}
        self.hosting._compare()

    def test_a_capsule_without_a_record_is_removed_from_the_runtime(self):
        self.runtime.sandboxes.return_value = [types.SimpleNamespace(
            id='s', labels={}, state=None)]
        self.assertFalse(self.hosting.clear('cap-1', None))
        wait.wait_for(lambda: self.runtime.remove_sandbox.called,
                      'it is removed')
        self.runtime.sandboxes.return_value = []
        self.assertTrue(self.hosting.clear('cap-1', None))

    def test_a_runtime_that_hangs_holds_few_threads_of_the_bus(self):
        held = threading.Event()
        self.addCleanup(held.set)
        self.runtime.sandboxes.side_effect = lambda labels: (
            held.wait(30) and [])
        answers = []
        threads = [threading.Thread(
            target=lambda: answers.append(self.hosting.clear('cap-1', None)))
            for _ in range(40)]
        for thread in threads:
            thread.start()
            self.addCleanup(thread.join)
        wait.wait_for(lambda: len(answers) == 32,
                      'most are told to ask again', seen=lambda: answers)
        self.assertEqual({False}, set(answers))
        held.set()
        wait.wait_for(lambda: len(answers) == 40, 'all are answered')
        self.assertTrue(self.hosting.clear('cap-1', None))

    def test_a_runtime_that_fails_gives_the_turn_back(self):
        self.runtime.sandboxes.side_effect = exceptions.RuntimeUnavailable(
            'cri', 'away')
        for _ in range(40):
            self.assertRaises(exceptions.RuntimeUnavailable,
                              self.hosting.clear, 'cap-1', None)

    def test_only_what_zun_lacks_twice_ends(self):
        self.pods.run(CAPSULE, None)
        for wires in ((), ({'uuid': 'cap-1', 'status': 'Deleting'},), ()):
            self.compare(*wires)
            self.assertFalse(self.pods.get('uid-1').inbox)
        self.compare()
        self.assertTrue(self.pods.get('uid-1').inbox)

    def test_what_is_not_taken_now_confirms_nothing(self):
        self.pods.run(CAPSULE, None)
        other = CAPSULE.to_wire() | {'uuid': 'cap-2', 'payload': None,
                                     'status': 'Running'}
        self.compare(other)
        self.assertIsNone(self.pods.known())
        self.compare(CAPSULE.to_wire() | {'payload': None,
                                          'status': 'Running'})
        self.assertEqual({'uid-1'}, self.pods.known())

    def known(self):
        return {pod.capsule.uuid for pod in self.pods.all()}

    def deleted(self):
        return set(self.pods._deleted)

    def test_what_runs_in_zun_runs_here(self):
        self.compare(wire('a'), wire('b', status='Stopped'))
        self.assertEqual({'a'}, self.known())
        self.assertEqual({'uid-a'}, self.pods.known())

    def test_what_zun_has_forgotten_twice_ends(self):
        self.compare(wire('a'), wire('b'))
        self.compare(wire('a'))
        self.assertEqual(set(), self.deleted())
        self.compare(wire('a'))
        self.assertEqual({'b'}, self.deleted())

    def test_one_status_that_makes_no_sense_holds_up_no_other(self):
        self.compare(wire('a', status=7), wire('b'))
        self.assertEqual({'b'}, self.known())

    def test_a_capsule_of_a_status_that_makes_no_sense_stays(self):
        self.compare(wire('a'))
        for _ in range(3):
            self.compare(wire('a', status=7))
        self.assertEqual(set(), self.deleted())

    def test_nothing_ends_for_an_identity_that_makes_no_sense(self):
        self.compare(wire('a'))
        for _ in range(3):
            self.compare(wire('a') | {'uuid': 7}, wire('b'))
        self.assertEqual((set(), {'a', 'b'}), (self.deleted(), self.known()))

    def test_a_capsule_that_cannot_be_run_holds_up_no_other(self):
        self.compare(wire('a', namespace=''), wire('b'))
        self.assertEqual({'b'}, self.known())
        self.assertEqual({'uid-b'}, self.pods.known())

    def test_names_that_cannot_be_hold_up_no_other_pod(self):
        for uid, name in (('uid-1', 'a_b'), ('uid-2', 'web')):
            self.store.keep(uid, {'node': '', 'namespace': 'ns',
                                  'pod': name, 'at': 0})
        self.hosting._forget_old()
        self.assertEqual({}, self.store.kept())
