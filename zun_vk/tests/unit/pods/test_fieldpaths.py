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

import hypothesis
from hypothesis import strategies as st
from oslotest import base

from zun_vk.pods import fieldpaths
from zun_vk.tests.unit.pods import strategies


class FieldTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.pod = strategies.pod(serviceAccountName='robot')
        self.pod['metadata'].update(
            labels={'app.kubernetes.io/name': 'web', 'empty': ''},
            annotations={'note': "it's $(x)"})

    def _value(self, path, **reference):
        reference = {'fieldPath': path, **reference}
        self.assertTrue(fieldpaths.has_field(reference), path)
        return fieldpaths.field(self.pod, reference,
                                ('192.0.2.1', '2001:db8::1'))

    def test_each_field_has_its_value(self):
        for path, value in (
                ('metadata.name', 'web'), ('metadata.namespace', 'shop'),
                ('metadata.uid', '0a1b2c3d-0000-4000-8000-000000000001'),
                ("metadata.labels['app.kubernetes.io/name']", 'web'),
                ("metadata.labels['empty']", ''),
                ("metadata.labels['missing']", ''),
                ("metadata.annotations['note']", "it's $(x)"),
                ('spec.nodeName', 'zun-vk'),
                ('spec.serviceAccountName', 'robot'),
                ('status.hostIP', '192.0.2.1'),
                ('status.hostIPs', '192.0.2.1,2001:db8::1')):
            self.assertEqual(value, self._value(path, apiVersion='v1'))

    def test_without_labels_and_annotations_they_are_empty(self):
        del self.pod['metadata']['labels']
        self.pod['metadata']['annotations'] = None
        self.assertEqual('', self._value("metadata.labels['x']"))
        self.assertEqual('', self._value("metadata.annotations['x']"))

    def test_what_is_not_known_before_a_pod_runs_is_no_field(self):
        for path in ('status.podIP', 'status.podIPs', 'status.phase',
                     'metadata.labels', 'metadata.annotations',
                     "metadata.name['x']", 'spec', '', 'metadata.labels[x]',
                     "metadata.labels['x'", 'spec.hostname'):
            self.assertFalse(fieldpaths.has_field({'fieldPath': path}), path)
        self.assertFalse(fieldpaths.has_field({}))
        self.assertFalse(fieldpaths.has_field(
            {'fieldPath': 'metadata.name', 'apiVersion': 'v1beta1'}))

    def test_the_pods_addresses_are_fields_once_it_has_them(self):
        for path, value in (('status.podIP', '10.0.0.5'),
                            ('status.podIPs', '10.0.0.5,fd00::5')):
            reference = {'fieldPath': path}
            self.assertTrue(fieldpaths.has_field(reference, addressed=True))
            self.assertEqual(value, fieldpaths.field(
                self.pod, reference, (), ('10.0.0.5', 'fd00::5')))
            self.assertEqual('', fieldpaths.field(self.pod, reference, ()))
        self.assertFalse(fieldpaths.has_field(
            {'fieldPath': 'metadata.labels'}, addressed=True))


class FileFieldTestCase(base.BaseTestCase):

    def _value(self, path, labels):
        pod = strategies.pod()
        pod['metadata'].update(labels=labels, annotations=labels)
        self.assertTrue(fieldpaths.has_file_field({'fieldPath': path}), path)
        return fieldpaths.field(pod, {'fieldPath': path}, ())

    def test_all_labels_and_annotations_are_lines_in_order(self):
        for path in ('metadata.labels', 'metadata.annotations'):
            self.assertEqual('a="1"\nb="2 x"', self._value(
                path, {'b': '2 x', 'a': '1'}))
            self.assertEqual('', self._value(path, {}))
            self.assertEqual('', self._value(path, None))

    def test_values_are_quoted_as_go_quotes_them(self):
        for text, quoted in (
                ('"', r'\"'), ('\\', r'\\'), ('\n\t\r', r'\n\t\r'),
                ('\a\b\f\v', r'\a\b\f\v'), ('\0\x1f\x7f', r'\x00\x1f\x7f'),
                ('\x80\xa0', r'\u0080\u00a0'), ('\u2028', r'\u2028'),
                ('\U000e0001', r'\U000e0001'), ("'\u00e9 $", "'\u00e9 $")):
            self.assertEqual(f'k="{quoted}"', self._value(
                'metadata.labels', {'k': text}))

    def test_what_a_file_may_not_have_is_no_field(self):
        for path in ('status.podIP', 'status.hostIP', 'spec.nodeName', ''):
            self.assertFalse(fieldpaths.has_file_field({'fieldPath': path}))
        for path in ('metadata.name', 'metadata.uid', 'metadata.namespace',
                     "metadata.labels['x']"):
            self.assertTrue(fieldpaths.has_file_field({'fieldPath': path}))


class ResourceTestCase(base.BaseTestCase):

    ALLOCATABLE = {'cpu': '3500m', 'memory': '8Gi',
                   'ephemeral-storage': '10G', 'pods': '110'}

    def _value(self, resource, divisor=None, requests=None, limits=None):
        reference = {'resource': resource}
        if divisor is not None:
            reference['divisor'] = divisor
        self.assertTrue(fieldpaths.has_resource(reference))
        container = strategies.container(resources={
            'requests': requests or {}, 'limits': limits or {}})
        return fieldpaths.resource(container, reference, self.ALLOCATABLE)

    def test_amounts_are_counted_in_divisors_and_rounded_up(self):
        for text, divisor, value in (
                ('250m', None, '1'), ('250m', '0', '1'), ('250m', '1m', '250'),
                ('1500m', '1', '2'), ('2', '1m', '2000'), ('1n', '1m', '1')):
            self.assertEqual(value, self._value(
                'requests.cpu', divisor, {'cpu': text}), (text, divisor))
        for text, divisor, value in (
                ('64Mi', None, '67108864'), ('64Mi', '1Mi', '64'),
                ('65Mi', '1Gi', '1'), ('1G', '1Mi', '954'),
                ('1k', '1', '1000'), ('0', '1Ei', '0')):
            for name in ('memory', 'ephemeral-storage'):
                self.assertEqual(value, self._value(
                    f'requests.{name}', divisor, {name: text}))

    def test_a_missing_limit_is_what_the_node_has(self):
        for limits in ({}, {'cpu': '0', 'memory': '0',
                            'ephemeral-storage': '0'}):
            for resource, value in (
                    ('limits.cpu', '4'), ('limits.memory', str(8 * 2 ** 30)),
                    ('limits.ephemeral-storage', str(10 ** 10))):
                self.assertEqual(value, self._value(resource, limits=limits))
        self.assertEqual('3500', self._value('limits.cpu', '1m'))
        self.assertEqual('1', self._value('limits.cpu', limits={'cpu': '1'}))

    def test_a_missing_request_is_nothing(self):
        self.assertEqual('0', self._value('requests.cpu',
                                          limits={'cpu': '1'}))

    def test_a_node_without_the_resource_has_none_of_it(self):
        self.ALLOCATABLE = {}
        self.assertEqual('0', self._value('limits.memory'))

    def test_other_resources_and_divisors_are_none_of_ours(self):
        for reference in (
                {'resource': 'limits.hugepages-2Mi'}, {'resource': 'cpu'},
                {'resource': ''}, {}, {'resource': 'limits.pods'},
                {'resource': 'limits.cpu', 'divisor': 'x'},
                {'resource': 'limits.cpu', 'divisor': '-1'}):
            self.assertFalse(fieldpaths.has_resource(reference), reference)

    @hypothesis.given(st.integers(0, 2 ** 62), st.sampled_from(
        ['1', '1k', '1M', '1G', '1Ki', '1Mi', '1Gi', '1Ei']))
    def test_the_quotient_is_the_smallest_that_covers_the_amount(
            self, amount, divisor):
        size = int(self._value('requests.memory', '1',
                               {'memory': divisor}))
        count = int(self._value('requests.memory', divisor,
                                {'memory': str(amount)}))
        self.assertTrue((count - 1) * size < amount <= count * size
                        or amount == count == 0)
