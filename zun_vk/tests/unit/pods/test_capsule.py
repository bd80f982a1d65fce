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
import dataclasses
import json

import hypothesis
from hypothesis import strategies as st
from oslotest import base

from zun_vk.pods import capsule
from zun_vk.rpc import marks
from zun_vk.tests.unit.pods import capsules
from zun_vk.tests.unit.pods import strategies

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.text(max_size=3), inner, max_size=3), max_leaves=6)


class FromZunTestCase(base.BaseTestCase):

    def test_a_running_capsule(self):
        pod = strategies.pod(strategies.container('a'),
                             strategies.container('b'))
        seen = capsules.read(pod)
        self.assertEqual(
            (capsules.UUID, pod['metadata']['uid'], 'shop', 'web', 'Running',
             '', ('10.0.0.7',), '2026-01-31T12:00:00Z'),
            (seen.uuid, seen.uid, seen.namespace, seen.pod, seen.status,
             seen.reason, seen.addresses, seen.created_at))
        self.assertEqual(['a', 'b'], [each.name for each in seen.containers])
        self.assertEqual('2026-01-31T12:00:04Z',
                         seen.containers[0].started_at)
        self.assertFalse(seen.in_transition)

    def test_containers_take_their_pods_names_in_order(self):
        pod = strategies.pod(*map(strategies.container, 'cab'))
        seen = capsules.read(pod)
        self.assertEqual(
            [(name, capsules.container(index)['uuid'])
             for index, name in enumerate('cab')],
            [(each.name, each.uuid) for each in seen.containers])

    def test_exit_codes_are_read_where_zun_tells_them(self):
        for detail, code in (
                ('Exited(0) 2 minutes ago', 0), ('Exited (137) now', 137),
                ('Exited(3)', 3), ('Up 5 minutes', None), (None, None),
                ('', None), ('Exited', None), ('Exited(x)', None)):
            seen = capsules.read(containers=[
                capsules.container(status='Stopped', status_detail=detail)])
            self.assertEqual(code, seen.containers[0].exit_code, detail)

    def test_addresses_of_all_networks_are_kept_in_order_once(self):
        seen = capsules.read(addresses={
            'b': [{'addr': '10.0.0.9'}, {'addr': 'fd00::9'}, {}],
            'a': [{'addr': '10.0.0.1'}, {'addr': '10.0.0.9'}], 'c': None})
        self.assertEqual(('10.0.0.9', 'fd00::9', '10.0.0.1'), seen.addresses)
        self.assertEqual((), capsules.read(addresses=None).addresses)

    def test_ports_that_zun_was_given_are_told_from_its_own(self):
        seen = capsules.read(addresses={
            'b': [{'port': 'own', 'preserve_on_delete': False},
                  {'port': 'given', 'preserve_on_delete': True}],
            'a': [{'port': 'unclear'}, {}], 'c': None})
        self.assertEqual(('given',), seen.given_ports)
        self.assertEqual(capsules.PROJECT, seen.project)

    def test_times_that_make_no_sense_are_left_out(self):
        for text in (None, '', 'yesterday', '2026'):
            self.assertEqual('', capsules.read(created_at=text).created_at)

    def test_a_capsule_without_a_uuid_is_refused(self):
        for uuid in (None, ''):
            self.assertRaises(ValueError, capsules.read, uuid=uuid)

    def test_nulls_of_a_capsule_being_made_are_read(self):
        seen = capsules.read(
            status='Creating', status_reason=None, addresses=None,
            containers=None, updated_at=None)
        self.assertTrue(seen.creating)
        self.assertEqual(((), ()), (seen.addresses, seen.containers))

    @hypothesis.given(st.dictionaries(
        st.sampled_from(sorted(capsules.raw())), _JSON))
    def test_any_answer_is_read_or_refused(self, fields):
        try:
            seen = capsules.read(**fields)
        except (AttributeError, TypeError, ValueError):
            return
        for text in (seen.uuid, seen.uid, seen.namespace, seen.pod,
                     seen.status, seen.reason, seen.created_at,
                     seen.project, *seen.given_ports):
            self.assertIsInstance(text, str)
        for each in seen.containers:
            for text in (each.name, each.uuid, each.status, each.reason,
                         each.image):
                self.assertIsInstance(text, str)
        for address in seen.addresses:
            self.assertIsInstance(address, str)
        hash(seen)


class StateTestCase(base.BaseTestCase):

    def test_what_a_host_has_taken_up_has_its_claim(self):
        seen = capsules.read(status='Creating')
        self.assertTrue(seen.unplaced)
        placed = dataclasses.replace(seen, host='host-1')
        self.assertFalse(placed.unplaced)
        self.assertFalse(placed.in_transition)
        self.assertTrue(dataclasses.replace(
            placed, status='Deleting').in_transition)

    def test_what_zun_is_at_work_on_is_in_transition(self):
        for status, expected in (
                ('Creating', True), ('Created', True), ('', True),
                ('Deleting', True), ('Deleted', True), ('Running', False),
                ('Error', False), ('Stopped', False)):
            self.assertEqual(
                expected, capsules.read(status=status).in_transition, status)

    def test_an_error_before_any_container_ran_is_a_failed_start(self):
        for status, expected in (
                ('Creating', True), ('Error', True), ('Running', False),
                ('Stopped', False), ('Dead', False)):
            seen = capsules.read(status='Error', containers=[
                capsules.container(status=status)])
            self.assertEqual(expected, seen.failed_to_start, status)
        self.assertTrue(capsules.read(status='Error',
                                      containers=[]).failed_to_start)
        self.assertFalse(capsules.read().failed_to_start)

    def test_a_foreign_annotation_names_no_container(self):
        seen = capsules.read(annotations={
            marks.CONTAINERS: json.dumps({'a': 1})})
        self.assertEqual((), seen.containers)
        self.assertIsInstance(seen, capsule.Capsule)
