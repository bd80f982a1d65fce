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
"""What is scraped."""

from oslotest import base
import prometheus_client
from prometheus_client import parser

from zun_vk import metrics


def scrape():
    return prometheus_client.generate_latest().decode()


def series(name):
    """Return the labels and the value of each series of a metric."""
    return [(sample.labels, sample.value)
            for family in parser.text_string_to_metric_families(scrape())
            for sample in family.samples if sample.name == name]


class HeldNodesTestCase(base.BaseTestCase):

    def _hold(self, name, depth=0, statuses=()):
        figures = metrics.NodeFigures(name, lambda: depth, lambda: statuses)
        metrics.HELD_NODES.add(figures)
        self.addCleanup(metrics.HELD_NODES.remove, figures)
        return figures

    def _of(self, node):
        """Return queue depth and capsules of a node, as they are shown."""
        depths = [value for labels, value in series('zun_vk_pod_queue_depth')
                  if labels == {'node': node}]
        capsules = {labels['status']: value
                    for labels, value in series('zun_vk_capsules')
                    if labels['node'] == node}
        return depths, capsules

    def test_nodes_of_one_agent_are_shown_side_by_side(self):
        self._hold('n1', 3, ['Running', 'Running', 'Error'])
        self._hold('n2', 0, ['Running'])
        none = dict.fromkeys(metrics.CAPSULE_STATUSES, 0)
        self.assertEqual(([3], none | {'Running': 2, 'Error': 1}),
                         self._of('n1'))
        self.assertEqual(([0], none | {'Running': 1}), self._of('n2'))

    def test_what_zun_may_come_to_say_makes_no_new_series(self):
        self._hold('n1', 0, ['Running', '', 'Unknown', 'Sublimated'])
        self.assertEqual(
            {'Running': 1, 'Unknown': 3},
            {status: number for status, number in self._of('n1')[1].items()
             if number})

    def test_a_node_that_is_given_up_is_shown_no_more(self):
        kept = self._hold('n2', 2)
        gone = self._hold('n1', 1)
        for _ in range(2):
            metrics.HELD_NODES.remove(gone)
            self.assertEqual(([], {}), self._of('n1'))
        self.assertEqual([kept.queue_depth()], self._of('n2')[0])

    def test_who_gave_a_node_up_cannot_hide_who_holds_it(self):
        before = self._hold('n1', 1)
        self._hold('n1', 2)
        metrics.HELD_NODES.remove(before)
        self.assertEqual([2], self._of('n1')[0])


class ForgetNodeTestCase(base.BaseTestCase):

    def test_nothing_is_left_of_a_node_that_went(self):
        for node in ('n1', 'n2'):
            self.addCleanup(metrics.forget_node, node)
            metrics.LEASE_HELD.labels(node).set(1)
            metrics.CERTIFICATE_END.labels(node, 'client').set(5)
        metrics.forget_node('n1')
        metrics.forget_node('unheard-of')
        for gauge in ('zun_vk_lease_held',
                      'zun_vk_certificate_expiration_timestamp_seconds'):
            self.assertEqual({'n2'}, {
                labels['node'] for labels, _ in series(gauge)})
