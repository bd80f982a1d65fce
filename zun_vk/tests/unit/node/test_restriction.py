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
"""Labels that NodeRestriction would refuse are known before it does."""

from oslotest import base

from zun_vk.node import restriction


class TestLabels(base.BaseTestCase):

    def test_what_a_node_may_not_say_is_found(self):
        for key in ('node-restriction.kubernetes.io/pci',
                    'x.node-restriction.kubernetes.io/pci',
                    'node-role.kubernetes.io/worker', 'kubernetes.io/role',
                    'k8s.io/x', 'team.k8s.io/x',
                    'topology.kubernetes.io/rack'):
            self.assertEqual([key], restriction.forbidden_labels([key]))

    def test_what_a_node_may_say_is_let_through(self):
        self.assertEqual([], restriction.forbidden_labels((
            'type', 'rack', 'example.org/rack', 'notkubernetes.io/x',
            'kubernetes.io', 'kubernetes.io/hostname', 'kubernetes.io/arch',
            'topology.kubernetes.io/zone',
            'node.kubernetes.io/exclude-from-external-load-balancers',
            'x.kubelet.kubernetes.io/y', '')))
