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
import stat

import fixtures
import oslotest.base

from zun_vk.compute import model
from zun_vk.compute import store
from zun_vk.compute.work import pod as pod_module
from zun_vk.rpc import fields
from zun_vk.rpc import payload

CAPSULE = pod_module.Capsule('cap-1', 'uid-1', 'node', 'ns', 'web',
                             addresses=('10.0.0.5',))
POD = {'metadata': {'uid': 'uid-1', 'name': 'web', 'namespace': 'ns'},
       'spec': {'containers': [{'name': 'c', 'image': 'i', 'env': [
           {'name': 'P', 'value': 'hunter2'}]}]}}


class StoreTestCase(oslotest.base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.path = self.useFixture(fixtures.TempDir()).join('pods')
        self.store = store.RecordStore(self.path)
        self.store.open()

    def test_records_come_back_with_their_pods(self):
        self.store.save('u', {'a': 1})
        self.store.save('v', {'b': 2})
        self.store.save_payload('u', {'pod': 3})
        self.assertEqual({'u': ({'a': 1}, {'pod': 3}),
                          'v': ({'b': 2}, None)},
                         store.RecordStore(self.path).records())

    def test_what_is_kept_outlives_the_record(self):
        self.store.save('u', {'a': 1})
        self.store.keep('u', {'at': 5})
        self.store.remove('u')
        self.assertEqual({}, self.store.records())
        self.assertEqual({'u': {'at': 5}}, self.store.kept())
        self.assertEqual({'at': 5}, self.store.remnant('u'))
        self.assertIsNone(self.store.remnant('v'))
        self.assertIsNone(self.store.remnant('../u'))
        self.store.forget('u')
        self.assertEqual({}, self.store.kept())

    def test_secrets_without_a_record_do_not_outlive_a_restart(self):
        self.store.save('u', {'a': 1})
        self.store.save_payload('u', {'pod': 1})
        self.store.keep('v', {'at': 5})
        self.store.save_payload('v', {'secret': 'x'})
        with open(os.path.join(self.path, '.w.payload.new'), 'w') as stream:
            stream.write('cut off')
        store.RecordStore(self.path).open()
        self.assertEqual(['u.json', 'u.payload', 'v.kept'],
                         sorted(os.listdir(self.path)))

    def test_files_are_roots_alone(self):
        self.store.save_payload('u', {'secret': 'x'})
        self.assertEqual(0o700, stat.S_IMODE(os.stat(self.path).st_mode))
        for name in os.listdir(self.path):
            mode = os.stat(os.path.join(self.path, name)).st_mode
            self.assertEqual(0o600, stat.S_IMODE(mode))

    def test_a_record_that_cannot_be_read_hides_no_other(self):
        self.store.save('good', {'a': 1})
        for name, text in (('bad.json', '{'), ('odd.json', '[]')):
            with open(os.path.join(self.path, name), 'w') as stream:
                stream.write(text)
        self.assertEqual(['good'], list(self.store.records()))

    def test_a_crash_while_writing_leaves_the_old_record(self):
        self.store.save('u', {'a': 1})
        with open(os.path.join(self.path, '.u.json.new'), 'w') as stream:
            stream.write('{"a": ')
        self.assertEqual({'u': ({'a': 1}, None)}, self.store.records())
        self.store.save('u', {'a': 2})
        self.assertEqual({'u': ({'a': 2}, None)}, self.store.records())

    def test_a_uid_is_no_way_out_of_the_directory(self):
        for uid in ('../x', '', '.hidden', 'a/b', 'x' * 200):
            self.assertRaises(ValueError, self.store.save, uid, {})


class RecordTestCase(oslotest.base.BaseTestCase):

    def pod(self):
        memory = model.PodMemory(
            ending=model.Ending(5.0, 2.0, 'Evicted', 'words'), ended=True,
            finishing=model.Ending(6.0, 1.0),
            backoff={'c': model.Backoff(10.0, 3.0, 'hash')},
            reported={'c': {'name': 'c'}})
        return pod_module.Pod(CAPSULE, memory, payload.PodPayload('g', POD),
                              generation=7, removing=True)

    def test_what_must_outlive_the_service_does(self):
        pod = self.pod()
        again = pod_module.from_record(pod_module.to_record(pod),
                                       pod.payload.to_wire())
        for name in ('capsule', 'memory', 'payload', 'generation',
                     'removing'):
            self.assertEqual(getattr(pod, name), getattr(again, name), name)

    def test_a_record_has_no_secret(self):
        self.assertNotIn('hunter2', str(pod_module.to_record(self.pod())))

    def test_a_malformed_record_is_refused(self):
        good = pod_module.to_record(self.pod())
        for bad in ({}, good | {'capsule': None}, good | {'ending': []},
                    good | {'ending': {'odd': 1}},
                    good | {'backoff': {'c': 5}},
                    good | {'generation': 'x'}):
            self.assertRaises(fields.Malformed, pod_module.from_record, bad,
                              None)

    def test_a_capsule_that_names_a_path_is_refused(self):
        for odd in ({'uid': '../x'}, {'namespace': 'a/b'}, {'pod': ''},
                    {'uuid': ''}, {'pod': 'a\0'}):
            self.assertRaises(
                fields.Malformed, pod_module.capsule_from_wire,
                CAPSULE.to_wire() | odd)
