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
import json
import re

import hypothesis
from hypothesis import strategies as st
from oslotest import base

from zun_vk.pods import identity
from zun_vk.rpc import marks
from zun_vk.tests.fixtures.openstack import zun_schema
from zun_vk.tests.unit.pods import strategies

# Kubernetes: a namespace is a DNS label, a pod's name a DNS subdomain.
_LABELS = st.from_regex(r'[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?',
                        fullmatch=True)
_SUBDOMAINS = st.from_regex(
    r'[a-z0-9]([-a-z0-9.]{0,250}[a-z0-9])?', fullmatch=True)


class OwnerTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.owner = strategies.OWNER
        self.labels = self.owner.labels(strategies.pod())

    def test_a_capsule_of_a_pod_of_this_node_is_its_own(self):
        self.assertTrue(self.owner.owns(self.labels))

    def test_a_capsule_of_another_cluster_is_foreign(self):
        other = identity.Owner('other', self.owner.node)
        self.assertFalse(other.owns(self.labels))

    def test_a_capsule_of_another_node_is_foreign(self):
        other = identity.Owner(self.owner.cluster, 'other')
        self.assertFalse(other.owns(self.labels))

    def test_a_capsule_that_lacks_a_label_is_foreign(self):
        for label in (marks.CLUSTER, marks.NODE, marks.UID):
            labels = dict(self.labels)
            del labels[label]
            self.assertFalse(self.owner.owns(labels), label)

    def test_a_capsule_without_labels_is_foreign(self):
        self.assertFalse(self.owner.owns(None))
        self.assertFalse(self.owner.owns({}))

    def test_the_labels_name_the_pod(self):
        self.assertEqual({
            'zun.openstack.org/cluster': self.owner.cluster,
            'zun.openstack.org/node': 'zun-vk',
            'zun.openstack.org/namespace': 'shop',
            'zun.openstack.org/pod': 'web',
            'zun.openstack.org/uid':
                '0a1b2c3d-0000-4000-8000-000000000001'}, self.labels)


class NameTestCase(base.BaseTestCase):

    def test_a_name_says_namespace_pod_and_uid(self):
        self.assertEqual('shop_web_0a1b2c3d',
                         identity.capsule_name(strategies.pod()))

    def test_a_dash_moved_from_namespace_to_pod_makes_another_name(self):
        one = identity.capsule_name(
            strategies.pod(namespace='a-b', name='c'))
        other = identity.capsule_name(
            strategies.pod(namespace='a', name='b-c'))
        self.assertNotEqual(one, other)

    @hypothesis.given(_LABELS, _SUBDOMAINS, st.uuids())
    def test_zun_takes_every_name(self, namespace, name, uid):
        result = identity.capsule_name(strategies.pod(
            namespace=namespace, name=name, uid=str(uid)))
        self.assertLessEqual(len(result), 220)
        self.assertTrue(re.search(zun_schema.NAME, result))
        self.assertTrue(result.endswith(f'_{str(uid)[:8]}'))

    @hypothesis.given(_LABELS, _SUBDOMAINS, _LABELS, _SUBDOMAINS)
    def test_no_two_pods_share_a_name(self, namespace, name, other_namespace,
                                      other_name):
        hypothesis.assume((namespace, name) != (other_namespace, other_name))
        hypothesis.assume(len(namespace) + len(name) < 200
                          and len(other_namespace) + len(other_name) < 200)
        self.assertNotEqual(
            identity.capsule_name(
                strategies.pod(namespace=namespace, name=name)),
            identity.capsule_name(
                strategies.pod(namespace=other_namespace, name=other_name)))


class ContainersTestCase(base.BaseTestCase):

    @hypothesis.given(st.lists(_LABELS, min_size=1, max_size=5))
    def test_container_names_come_back_in_order(self, names):
        pod = strategies.pod(*map(strategies.container, names))
        self.assertEqual(
            names, identity.container_names(identity.annotations(pod)))

    def test_an_annotation_that_makes_no_sense_names_nothing(self):
        for value in ('', 'no', '{}', '5', 'null', '"ab"', '[', '\x00', None,
                      7, ['a'], '[' * 100000):
            self.assertEqual([], identity.container_names(
                {marks.CONTAINERS: value}), repr(value)[:20])

    def test_names_that_are_no_text_name_nothing(self):
        for value in ([1], [None], [['a']], [{}], ['a', 2]):
            self.assertEqual([], identity.container_names(
                {marks.CONTAINERS: json.dumps(value)}), value)

    def test_without_annotations_nothing_is_named(self):
        self.assertEqual([], identity.container_names(None))
        self.assertEqual([], identity.container_names({}))
