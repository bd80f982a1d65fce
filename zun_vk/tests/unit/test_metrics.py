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
"""What is scraped, and that the documentation tells of all of it."""

import pathlib
import re
import textwrap

from oslotest import base
import prometheus_client
from prometheus_client import parser
import yaml

import zun_vk
from zun_vk import metrics

_ADMIN = pathlib.Path(zun_vk.__file__).parents[1] / 'doc/source/admin'
_NAME = re.compile(r'\bzun_vk_\w+')


def scrape():
    return prometheus_client.generate_latest().decode()


def families():
    """Return the type of each of our metrics, by name."""
    found = re.findall(r'^# TYPE (zun_vk_\w+) (\w+)$', scrape(), re.MULTILINE)
    assert len(found) == len(dict(found)), found
    return dict(found)


def series(name):
    """Return the labels and the value of each series of a metric."""
    return [(sample.labels, sample.value)
            for family in parser.text_string_to_metric_families(scrape())
            for sample in family.samples if sample.name == name]


class NamesTestCase(base.BaseTestCase):
    """Prometheus: metric and label naming."""

    def test_names_are_lower_case_words(self):
        for name in families():
            self.assertRegex(name, r'^zun_vk(_[a-z]+)+$')

    def test_counters_end_in_total_and_nothing_else_does(self):
        for name, kind in families().items():
            self.assertEqual(kind == 'counter', name.endswith('_total'), name)

    def test_histograms_end_in_their_base_unit(self):
        for name, kind in families().items():
            if kind == 'histogram':
                self.assertRegex(name, '_(seconds|bytes)$')

    def test_units_are_base_units_at_the_end(self):
        for name in families():
            self.assertNotRegex(
                name, '_(ms|milli|micro|minutes|hours|percent|kib|mib|mb)')
            if 'seconds' in name:
                self.assertRegex(name, '_seconds(_total)?$')

    def test_no_name_ends_as_the_parts_of_another_do(self):
        for name in families():
            self.assertNotRegex(name, '_(count|sum|bucket|created)$')

    def test_every_series_belongs_to_a_metric(self):
        known = families()
        for name in re.findall(r'^(zun_vk_\w+)', scrape(), re.MULTILINE):
            self.assertIn(_metric(name, known), known)


class DocumentationTestCase(base.BaseTestCase):

    def test_every_metric_is_in_the_table_and_no_other(self):
        listed = re.findall(r'^   \* - ``(zun_vk_\w+)``$',
                            _text('monitoring'), re.MULTILINE)
        self.assertEqual(sorted(families()), sorted(listed))

    def test_the_documentation_names_no_metric_that_is_not_there(self):
        known = families()
        for page in _ADMIN.glob('*.rst'):
            for name in re.findall(r'``(zun_vk_\w+)``', page.read_text()):
                self.assertIn(_metric(name, known), known, page)

    def test_alerts_ask_for_metrics_that_exist(self):
        known = families()
        for rule in _rules():
            for name in _NAME.findall(rule['expr']):
                self.assertIn(_metric(name, known), known, rule)

    def test_alerts_say_what_is_wrong_in_labels_that_they_have(self):
        for rule in _rules():
            self.assertRegex(rule['alert'], '^ZunVk[A-Za-z]+$')
            summary = rule['annotations']['summary']
            aggregated = re.search(r'by \((\w+)\)', rule['expr'])
            if aggregated:
                self.assertLessEqual(
                    set(re.findall(r'\$labels\.(\w+)', summary)),
                    {aggregated[1]})

    def test_brackets_of_expressions_are_closed(self):
        for rule in _rules():
            for pair in ('()', '{}', '[]'):
                self.assertEqual(*map(rule['expr'].count, pair), rule)

    def test_matchers_name_labels_that_the_metrics_have(self):
        labels = {'zun_vk_api_calls_total': {'service', 'call', 'code'},
                  'zun_vk_pod_sync_duration_seconds_count': {'result'}}
        matched = [pair for rule in _rules() for pair in re.findall(
            r'(zun_vk_\w+)\{\s*(\w+)=', rule['expr'])]
        self.assertEqual(set(labels), {name for name, _ in matched})
        for name, label in matched:
            self.assertIn(label, labels[name])


def _text(page):
    return (_ADMIN / f'{page}.rst').read_text()


def _rules():
    """Return the alerts of the pages that have some."""
    blocks = re.findall(r'^\.\. code-block:: yaml\n\n((?:   .*\n|\n)+)',
                        _text('monitoring') + '\n' + _text('identity'),
                        re.MULTILINE)
    rules = [rule for block in blocks
             for rule in yaml.safe_load(textwrap.dedent(block))
             if 'alert' in rule]
    assert len(rules) > 8, rules
    return rules


def _metric(name, known):
    """Return the metric a series is of: histograms have three kinds."""
    whole = re.sub('_(bucket|count|sum)$', '', name)
    return whole if known.get(whole) == 'histogram' else name


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
            # Other tests may have left nodes of their own.
            self.assertEqual({'n2'}, {'n1', 'n2'} & {
                labels['node'] for labels, _ in series(gauge)})
