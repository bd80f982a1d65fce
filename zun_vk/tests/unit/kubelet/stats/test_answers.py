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

import oslotest.base
from prometheus_client import parser

from zun_vk.kubelet.stats import cadvisor
from zun_vk.kubelet.stats import figures
from zun_vk.kubelet.stats import own
from zun_vk.kubelet.stats import probes
from zun_vk.kubelet.stats import resource
from zun_vk.kubelet.stats import summary
from zun_vk.rpc import stats
from zun_vk.tests.unit.kubelet.stats import hosts as fakes

DISK = stats.Disk(160.9, 10, 1000, 900, 2, 50, 40)
FULL = stats.Pod(
    'a', 's', 30.0, (stats.Container(
        'web', 'k', 60.0, 'i:1', stats.Cpu(120.5, 2_500_000_000, 7),
        stats.Memory(120.5, 30, 20, 10, 5, 3, 1),
        stats.Swap(120.5, 4, 6), DISK, DISK),),
    stats.Cpu(120.5, 3_000_000_000, 8), stats.Memory(120.5, 40, 25),
    stats.Network(121.0, 'eth0', (
        stats.Interface('net1', 5, 0, 6, 0),
        stats.Interface('eth0', 1, 2, 3, 4))),
    9, (stats.Volume('cache', DISK),), stats.Disk(160.0, capacity=2000),
    (stats.Probed('web', 'liveness', 'failed', 2),))
NAME = 'web-1'


def found(*pods, silent=(), total=4_000_000_000):
    return figures.Gathered(
        200.25, 10.0, total, tuple(
            figures.Figures(fakes.pod_object(pod.uid, NAME), pod)
            for pod in pods), frozenset(silent))


def series(families):
    """What a reader makes of it: (name, labels) -> (value, time)."""
    made = fakes.Exchange()
    own.exposition.send(made, families)
    assert made.type.startswith('text/plain; version='), made.type
    return {(sample.name, *sorted(sample.labels.items())):
            (sample.value, sample.timestamp)
            for family in parser.text_string_to_metric_families(
                made.body.decode()) for sample in family.samples}


class SummaryTestCase(oslotest.base.BaseTestCase):

    maxDiff = None

    def test_a_pod_has_kubernetes_shape(self):
        disk = {'time': '1970-01-01T00:02:40Z', 'availableBytes': 900,
                'capacityBytes': 1000, 'usedBytes': 10, 'inodesFree': 40,
                'inodes': 50, 'inodesUsed': 2}
        at = {'time': '1970-01-01T00:02:00Z'}
        interfaces = [
            {'name': 'net1', 'rxBytes': 5, 'rxErrors': 0, 'txBytes': 6,
             'txErrors': 0},
            {'name': 'eth0', 'rxBytes': 1, 'rxErrors': 2, 'txBytes': 3,
             'txErrors': 4}]
        swap = at | {'swapAvailableBytes': 6, 'swapUsageBytes': 4}
        self.assertEqual([{
            'podRef': {'name': NAME, 'namespace': 'ns', 'uid': 'a'},
            'startTime': '1970-01-01T00:00:30Z',
            'containers': [{
                'name': 'web', 'startTime': '1970-01-01T00:01:00Z',
                'cpu': at | {'usageNanoCores': 7,
                             'usageCoreNanoSeconds': 2_500_000_000},
                'memory': at | {
                    'availableBytes': 5, 'usageBytes': 30,
                    'workingSetBytes': 20, 'rssBytes': 10, 'pageFaults': 3,
                    'majorPageFaults': 1},
                'rootfs': disk, 'logs': disk, 'swap': swap}],
            'cpu': at | {'usageNanoCores': 8,
                         'usageCoreNanoSeconds': 3_000_000_000},
            'memory': at | {'usageBytes': 40, 'workingSetBytes': 25},
            'network': {'time': '1970-01-01T00:02:01Z', **interfaces[1],
                        'interfaces': interfaces},
            'volume': [{'name': 'cache', **disk}],
            'ephemeral-storage': {'time': '1970-01-01T00:02:40Z',
                                  'capacityBytes': 2000, 'usedBytes': 30},
            'process_stats': {'process_count': 9}, 'swap': swap}],
            summary.of('zun', found(FULL))['pods'])

    def test_the_node_is_the_sum_of_its_pods(self):
        self.assertEqual({
            'nodeName': 'zun', 'startTime': '1970-01-01T00:00:10Z',
            'cpu': {'time': '1970-01-01T00:03:20Z',
                    'usageNanoCores': 8 + fakes.NANO // 2,
                    'usageCoreNanoSeconds': 4_000_000_000},
            'memory': {'time': '1970-01-01T00:03:20Z', 'usageBytes': 3040,
                       'workingSetBytes': 2025},
            'swap': {'time': '1970-01-01T00:03:20Z', 'swapUsageBytes': 4}},
            summary.of('zun', found(FULL, fakes.measured('b')))['node'])

    def test_what_is_unknown_is_left_out(self):
        bare = stats.Pod('a', started_at=30.0, containers=(
            stats.Container('web', 'k', 60.0, cpu=stats.Cpu(1.0, 5)),))
        pod, = summary.of('zun', found(bare))['pods']
        self.assertEqual({'podRef', 'startTime', 'containers', 'cpu'},
                         set(pod))
        self.assertEqual({'time', 'usageCoreNanoSeconds'}, set(pod['cpu']))
        self.assertEqual({'name', 'startTime', 'cpu'},
                         set(pod['containers'][0]))

    def test_nothing_is_said_of_a_node_whose_hosts_are_all_silent(self):
        self.assertEqual({
            'node': {'nodeName': 'zun', 'startTime': '1970-01-01T00:00:10Z'},
            'pods': []}, summary.of('zun', found(silent=['one'])))

    def test_it_is_answered_as_json_of_what_was_asked(self):
        hosts = fakes.Hosts()
        hosts.told['one'] = [fakes.measured('a')]
        for query, kind in (({}, stats.ALL),
                            ({'only_cpu_and_memory': 'true'}, stats.USAGE),
                            ({'only_cpu_and_memory': '1'}, stats.ALL)):
            exchange = fakes.Exchange(**query)
            summary.summary(fakes.services(fakes.NodePods(
                fakes.pod_object('a'), a='one'), hosts), exchange, ())
            self.assertEqual((200, 'application/json'),
                             (exchange.status, exchange.type))
            self.assertEqual('zun', json.loads(
                exchange.body)['node']['nodeName'])
            self.assertEqual(kind, hosts.asked[-1][1])


class ResourceTestCase(oslotest.base.BaseTestCase):

    def test_metrics_server_finds_what_it_reads(self):
        made = series(resource.of(found(FULL)))
        of_pod = (('namespace', 'ns'), ('pod', NAME))
        of_container = (('container', 'web'), *of_pod)
        self.assertEqual({
            ('node_cpu_usage_seconds_total',): (4.0, 200.25),
            ('node_memory_working_set_bytes',): (25, 200.25),
            ('node_swap_usage_bytes',): (4, 200.25),
            ('container_cpu_usage_seconds_total', *of_container):
            (2.5, 120.5),
            ('container_memory_working_set_bytes', *of_container):
            (20, 120.5),
            ('container_start_time_seconds', *of_container): (60, None),
            ('container_swap_usage_bytes', *of_container): (4, 120.5),
            ('container_swap_limit_bytes', *of_container): (10, 120.5),
            ('pod_cpu_usage_seconds_total', *of_pod): (3.0, 120.5),
            ('pod_memory_working_set_bytes', *of_pod): (25, 120.5),
            ('pod_swap_usage_bytes', *of_pod): (4, 120.5),
            ('resource_scrape_error',): (0, None)}, made)

    def test_it_says_that_a_host_is_missing(self):
        made = series(resource.of(found(FULL, silent=['two'])))
        self.assertEqual((1, None), made[('resource_scrape_error',)])
        self.assertIn(('node_cpu_usage_seconds_total',), made)

    def test_of_silent_hosts_no_figure_is_made_up(self):
        self.assertEqual({('resource_scrape_error',): (1, None)},
                         series(resource.of(found(silent=['one']))))

    def test_an_empty_node_uses_nothing(self):
        made = series(resource.of(found(total=0)))
        self.assertEqual((0, 200.25),
                         made[('node_memory_working_set_bytes',)])

    def test_it_answers(self):
        hosts = fakes.Hosts()
        hosts.told['one'] = [fakes.measured('a')]
        exchange = fakes.Exchange()
        resource.resource_metrics(fakes.services(fakes.NodePods(
            fakes.pod_object('a'), a='one'), hosts), exchange, ())
        self.assertEqual(200, exchange.status)
        self.assertIn(b'pod_cpu_usage_seconds_total{namespace="ns",'
                      b'pod="pod-a"} 1.0 100000', exchange.body.replace(
                          b'pod="pod-a",namespace="ns"',
                          b'namespace="ns",pod="pod-a"'))


class CadvisorTestCase(oslotest.base.BaseTestCase):

    def labels(self, **others):
        return tuple(sorted({
            'container': '', 'id': '', 'image': '', 'name': '',
            'namespace': 'ns', 'pod': NAME, **others}.items()))

    def test_pods_and_containers_have_cadvisors_names(self):
        made = series(cadvisor.of(found(FULL)))
        web = {'container': 'web', 'image': 'i:1', 'name': 'k'}
        for name, labels, value in (
                ('container_cpu_usage_seconds_total',
                 {**web, 'cpu': 'total'}, (2.5, 120.5)),
                ('container_cpu_usage_seconds_total', {'cpu': 'total'},
                 (3.0, 120.5)),
                ('container_memory_working_set_bytes', web, (20, 120.5)),
                ('container_memory_rss', web, (10, 120.5)),
                ('container_memory_usage_bytes', {}, (40, 120.5)),
                ('container_memory_swap', web, (4, 120.5)),
                ('container_memory_failures_total',
                 {**web, 'failure_type': 'pgmajfault',
                  'scope': 'container'}, (1, 120.5)),
                ('container_fs_usage_bytes', {**web, 'device': ''},
                 (10, 160.9)),
                ('container_network_receive_bytes_total',
                 {'interface': 'eth0'}, (1, 121.0)),
                ('container_network_transmit_errors_total',
                 {'interface': 'eth0'}, (4, 121.0)),
                ('container_processes', {}, (9, None)),
                ('container_start_time_seconds', web, (60, None))):
            self.assertEqual(value, made[(name, *self.labels(**labels))])

    def test_what_was_not_measured_is_no_zero(self):
        self.assertEqual({}, series(cadvisor.of(found(stats.Pod('a')))))

    def test_what_an_image_is_called_breaks_nothing(self):
        name = 'a"b\\c\n} 1'
        pod = stats.Pod('a', containers=(stats.Container(
            'web', 'k', 60.0, name),))
        (key, _), = series(cadvisor.of(found(pod))).items()
        self.assertIn(('image', name), key)


class ProbesTestCase(oslotest.base.BaseTestCase):

    def test_runs_are_counted_by_result(self):
        self.assertEqual({
            ('prober_probe_total', ('container', 'web'),
             ('namespace', 'ns'), ('pod', NAME), ('pod_uid', 'a'),
             ('probe_type', 'Liveness'), ('result', 'failed')): (2, None)},
            series(probes.of(found(FULL))))

    def test_hosts_are_asked_for_that_alone(self):
        hosts = fakes.Hosts()
        hosts.told['one'] = []
        exchange = fakes.Exchange()
        probes.probe_metrics(fakes.services(fakes.NodePods(
            fakes.pod_object('a'), a='one'), hosts), exchange, ())
        self.assertEqual((200, b''), (exchange.status, exchange.body))
        self.assertEqual([('one', stats.PROBES)], hosts.asked)


class OwnTestCase(oslotest.base.BaseTestCase):

    def test_of_other_nodes_nothing_is_shown(self):
        family = own.exposition.gauge('g', 'words', ['node'])
        for node in ('zun', 'other'):
            family.add({'node': node}, 1)
        plain = own.exposition.gauge('h', 'words')
        plain.add({}, 1)
        self.assertEqual(
            {('g', ('node', 'zun')): (1, None), ('h',): (1, None)},
            series(own.of_node([family.metric, plain.metric], 'zun')))
        self.assertEqual(2, len(family.metric.samples))

    def test_the_kubelets_names_tell_what_runs(self):
        pods = [
            fakes.pod_object('a', phase='Running', containerStatuses=[
                {'state': {'running': {}}},
                {'state': {'terminated': {}}}],
                initContainerStatuses=[{'state': {'terminated': {}}}]),
            fakes.pod_object('b', phase='Succeeded'),
            fakes.pod_object('c')]
        self.assertEqual({
            ('kubelet_node_name', ('node', 'zun')): (1, None),
            ('kubelet_running_pods',): (1, None),
            ('kubelet_active_pods', ('static', '')): (2, None),
            ('kubelet_running_containers',
             ('container_state', 'running')): (1, None),
            ('kubelet_running_containers',
             ('container_state', 'exited')): (2, None)},
            series(own.kubelets('zun', pods)))

    def test_it_answers_with_the_agents_own_without_any_host(self):
        exchange = fakes.Exchange()
        own.metrics(fakes.services(fakes.NodePods(), None, on_hosts=False),
                    exchange, ())
        self.assertEqual(200, exchange.status)
        for word in (b'zun_vk_pod_status_writes_total', b'kubelet_node_name',
                     b'process_cpu_seconds_total'):
            self.assertIn(word, exchange.body)
