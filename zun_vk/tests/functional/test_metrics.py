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
"""What the metrics say, on the port of a running agent, is true."""

import collections
import socket
import urllib.error
import urllib.request

from prometheus_client import parser

from benchmarks import accounting
from zun_vk.tests.fixtures.wait import wait_for
from zun_vk.tests.functional import base
from zun_vk.tests.functional import test_agents

_WRITES = 'PATCH pods/status'


class Figures:
    """The metrics of an agent, as they are now.

    :param port: where they are served
    """

    def __init__(self, port: int):
        self._url = f'http://127.0.0.1:{port}/metrics'

    def series(self, name: str) -> dict[frozenset, float]:
        """Return the values of one metric, by labels."""
        with urllib.request.urlopen(self._url, timeout=10) as answer:
            text = answer.read().decode()
        samples = [sample for family in
                   parser.text_string_to_metric_families(text)
                   for sample in family.samples if sample.name == name]
        found = {frozenset(sample.labels.items()): sample.value
                 for sample in samples}
        assert len(found) == len(samples), f'{name}: twice the same labels'
        return found

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value with just these labels, None: there is none."""
        return self.series(name).get(frozenset(labels.items()))

    def by(self, label: str, name: str, **labels: str) -> dict[str, float]:
        """Return values other than 0 by one label, of those with others."""
        found = ((dict(key), value)
                 for key, value in self.series(name).items())
        return {own[label]: value for own, value in found
                if value and labels.items() <= own.items()}


def free_port() -> int:
    with socket.create_server(('127.0.0.1', 0)) as held:
        return held.getsockname()[1]


class TestFigures(base.OwnAgentTestCase):

    def setUp(self):
        super().setUp()
        port = free_port()
        self.agent.write_config({'metrics': {'port': port}})
        self.figures = Figures(port)
        self.agent.start_ready()
        self.labels = {'node': self.node_name}

    def _wait(self, holds, what):
        wait_for(holds, what, seen=lambda: self.figures.series(
            'zun_vk_capsules'))

    def _written(self):
        return accounting.served(self.kube.metrics())[_WRITES]

    def test_capsules_are_those_of_the_cloud(self):
        self.cloud.add_capsule()
        pods = [self.running_pod(name=f'p{number}') for number in range(3)]
        self._wait_capsules({'Running': 3})
        self.cloud.change(self.capsule(pods[0]), 'Stopped')
        self.cloud.change(self.capsule(pods[1]), 'Sublimated')
        self._wait_capsules({'Running': 1, 'Stopped': 1, 'Unknown': 1})
        for pod in pods:
            self.delete(pod, 0)
        self._wait_capsules({})
        self._wait(lambda: self.figures.value(
            'zun_vk_pod_queue_depth', **self.labels) == 0, 'an empty queue')

    def _wait_capsules(self, expected):
        self._wait(lambda: self.figures.by(
            'status', 'zun_vk_capsules', **self.labels) == expected,
            f'capsules {expected}')

    def test_statuses_are_timed_and_counted_as_they_are_written(self):
        before = self._written()
        for number in range(3):
            self.running_pod(name=f'p{number}')
        self._wait(lambda: self._written() - before == self.figures.value(
            'zun_vk_pod_status_latency_seconds_count'), 'all of them timed')
        written = self._written() - before

        self.assertGreaterEqual(written, 3)
        self.assertEqual(written, self.figures.value(
            'zun_vk_pod_status_writes_total', result='written'))
        self.assertEqual({'200': written}, self._codes(
            'kubernetes', 'patch pod status'))
        total = self.figures.value('zun_vk_pod_status_latency_seconds_sum')
        self.assertTrue(0 < total < 60, total)

    def _codes(self, service, call):
        return self.figures.by('code', 'zun_vk_api_calls_total',
                               service=service, call=call)

    def test_calls_are_counted_by_what_came_of_them(self):
        # Of all failures the one after which Zun is asked again soon.
        self.cloud.zun.fail_next('POST', '/v1/capsules', status=429,
                                 headers={'Retry-After': '1'})
        self.running_pod()
        self.assertEqual({'202': 1, '429': 1},
                         self._codes('zun', 'create capsule'))
        self.assertEqual({'200': 1}, self._codes('kubernetes', 'watch pods'))
        syncs = self.figures.by('result',
                                'zun_vk_pod_sync_duration_seconds_count')
        self.assertEqual({'ok', 'retried'}, set(syncs))

    def test_the_lease_and_the_build_are_shown(self):
        self.assertEqual(1, self.figures.value('zun_vk_lease_held',
                                               **self.labels))
        self.assertEqual([1], list(
            self.figures.series('zun_vk_build_info').values()))
        self.assertEqual({}, self.figures.series(
            'zun_vk_thread_crashes_total'))


class TestNodes(test_agents.AgentsTestCase):
    """Two nodes, which agents share."""

    HOSTS = 2

    def setUp(self):
        super().setUp()
        self.nodes = set()
        for number, service in enumerate(self.cloud.zun.services.values()):
            with self.cloud.lock:
                service['availability_zone'] = f'az{number}'
            self.nodes.add(f'{self.name}-az{number}')
        for node in self.nodes:
            self.addCleanup(self.api.delete_node, node)

    def _start(self):
        port = free_port()
        agent = self.start_agent(node={'per_availability_zone': True},
                                 metrics={'port': port})
        return agent, Figures(port)

    def _shown(self, figures):
        """Return the nodes that the gauges of an agent are of."""
        shown = [{dict(key)['node'] for key in figures.series(name)}
                 for name in ('zun_vk_pod_queue_depth', 'zun_vk_capsules')]
        self.assertEqual(*shown)
        return shown[0]

    def _held(self, *agents):
        """Return how many agents say that they hold each node."""
        held = collections.Counter()
        for figures in agents:
            for key, value in figures.series('zun_vk_lease_held').items():
                held[dict(key)['node']] += value
        return dict(held)

    def test_a_node_is_shown_by_the_agent_that_holds_it(self):
        first, of_first = self._start()
        self.assertEqual(self.nodes, self._shown(of_first))
        _second, of_second = self._start()
        wait_for(lambda: self._shown(of_second), 'a node moved', 40,
                 seen=lambda: self._held(of_first, of_second))
        once = dict.fromkeys(self.nodes, 1)
        wait_for(lambda: self._held(of_first, of_second) == once,
                 'each node held once', 10)
        self.assertEqual(1, len(self._shown(of_first)))
        self.assertEqual(self.nodes, (self._shown(of_first)
                                      | self._shown(of_second)))

        first.stop()
        self.assertRaises(urllib.error.URLError, self._shown, of_first)
        wait_for(lambda: self._held(of_second) == once, 'all nodes moved',
                 20, seen=lambda: self._held(of_second))
        self.assertEqual(self.nodes, self._shown(of_second))
