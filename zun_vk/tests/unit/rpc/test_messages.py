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
import contextlib

import hypothesis
from hypothesis import strategies
import oslotest.base

from zun_vk.rpc import fields
from zun_vk.rpc import payload
from zun_vk.rpc import states

POD = {'metadata': {'uid': 'u', 'name': 'web', 'namespace': 'default'},
       'spec': {'containers': [{'name': 'c', 'image': 'i'}]}}
JSON = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers()
    | strategies.floats() | strategies.text(),
    lambda inner: strategies.lists(inner)
    | strategies.dictionaries(strategies.text(), inner), max_leaves=20)


def full():
    return payload.PodPayload(
        'g', POD, '10.0.0.1',
        volumes={'v': (payload.File('a/b', b'\0secret', 0o400),)},
        host_paths={'w': '/srv'}, container_errors={'c': 'no'},
        volume_errors=('why',),
        credentials=(payload.Credential('r', 'user', 'password'),),
        runtime_handler='kata', runtime_error='x',
        dns=payload.Dns(('10.0.0.2',), ('a',), ('ndots:5',)),
        dns_extra=payload.Dns(searches=('b',)), hostname='web',
        domain='sub.default.svc', refresh_after=12.5)


class PayloadTestCase(oslotest.base.BaseTestCase):

    def test_all_of_it_arrives(self):
        self.assertEqual(full(), payload.from_wire(full().to_wire()))

    def test_it_shows_no_secret(self):
        for word in ('secret', 'user', 'password'):
            self.assertNotIn(word, repr(full()))

    def test_a_file_cannot_lead_out_of_its_volume(self):
        for path in ('/etc/passwd', '../x', 'a/../../x', '', 'a\0b'):
            wire = full().to_wire()
            wire['volumes']['v'][0]['path'] = path
            self.assertRaisesRegex(fields.Malformed, 'path of a file',
                                   payload.from_wire, wire)

    def test_a_container_cannot_lead_out_of_its_logs(self):
        # They are in a directory of its name.
        for name in ('../../../root', '/root', '.', '', 'a\0b', 'a' * 64):
            for kind in ('containers', 'initContainers'):
                pod = {**POD, 'spec': {'containers': [], kind: [
                    {'name': name, 'image': 'i'}]}}
                self.assertRaisesRegex(
                    fields.Malformed, 'container', payload.from_wire,
                    full().to_wire() | {'pod': pod})

    def test_what_is_too_large_is_refused(self):
        file = payload.File('a', b'0' * (payload.MAX_BYTES // 2 + 1), 0o444)
        whole = payload.PodPayload('g', POD, volumes={'v': (file, file)})
        self.assertRaisesRegex(fields.Malformed, 'volumes have more',
                               payload.from_wire, whole.to_wire())

    def test_another_version_is_refused(self):
        self.assertRaisesRegex(fields.Malformed, 'version',
                               payload.from_wire,
                               full().to_wire() | {'version': 2})

    @hypothesis.given(strategies.sampled_from(sorted(full().to_wire())),
                      JSON)
    def test_nothing_malformed_gets_past(self, name, value):
        wire = full().to_wire() | {name: value}
        with contextlib.suppress(fields.Malformed):
            self.assertIsInstance(payload.from_wire(wire),
                                  payload.PodPayload)


class StateTestCase(oslotest.base.BaseTestCase):

    def state(self):
        return states.PodState(
            'u', 'c', 'node', 7, 'sandbox', True, ('10.0.0.3',),
            ({'name': 'c', 'state': {'running': {}}, 'restartCount': 1},),
            (), 'Evicted', 'words', True, True, True)

    def test_all_of_it_arrives(self):
        self.assertEqual(self.state(),
                         states.from_wire(self.state().to_wire()))

    @hypothesis.given(strategies.sampled_from(sorted(
        vars(states.PodState('u', 'c', '', 1)))), JSON)
    def test_nothing_malformed_gets_past(self, name, value):
        try:
            states.from_wire(self.state().to_wire() | {name: value})
        except fields.Malformed as error:
            self.assertTrue(str(error))

    def test_an_event_arrives_or_is_refused(self):
        event = states.PodEvent('u', 'ns', 'web', 'Normal', 'Pulled',
                                'words', 'spec.containers{c}', 5.0, 2)
        self.assertEqual(event, states.event_from_wire(event.to_wire()))
        for wire in ({}, event.to_wire() | {'kind': 'Odd'}, [],
                     event.to_wire() | {'message': 'x' * 10000}):
            self.assertRaises(fields.Malformed, states.event_from_wire,
                              wire)
