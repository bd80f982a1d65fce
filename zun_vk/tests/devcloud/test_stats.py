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
"""What pods use: through the node's proxy, kubectl top, and an autoscaler.

The metrics-server is a real one, which is built and started for it.
"""

import json
import os
import subprocess

from prometheus_client import parser

from devcloud import metrics_server
from zun_vk.kube import times
from zun_vk.tests.devcloud import base
from zun_vk.tests.devcloud import hosted
from zun_vk.tests.devcloud import life
from zun_vk.tests.fixtures import pods
from zun_vk.tests.fixtures.wait import wait_for

# Bounded, for others share the machine.
BURN = 'while :; do :; done'
BURNER = {'resources': pods.requests('100m', '32Mi')}
# What a container writes, in bytes, to its layer and to a volume.
MIB = 2 ** 20
WRITES = ('dd if=/dev/zero of=/written bs=1M count=3; '
          'dd if=/dev/zero of=/cache/written bs=1M count=2; '
          f'echo told; {BURN}')
# Seconds for a metrics-server to have two samples of a new pod, and for what
# asks it to look.
SOON = 120


class StatsCase(hosted.HostedCase):

    def kubectl(self, *words):
        """Return what kubectl prints; None where it fails."""
        done = subprocess.run(
            [self.devcloud.kubectl, *words], capture_output=True, text=True,
            timeout=60, env={**os.environ, **self.devcloud.environment()})
        self.said = done.stdout + done.stderr
        return done.stdout if done.returncode == 0 else None

    def raw(self, path):
        """Return what the node answers, through the API server's proxy."""
        answer = self.kubectl(
            'get', '--raw', f'/api/v1/nodes/{self.node_name}/proxy/{path}')
        self.assertIsNotNone(answer, self.said)
        return answer

    def series(self, path):
        """Return metrics: by name, labels and value of each."""
        found = {}
        for family in parser.text_string_to_metric_families(self.raw(path)):
            for sample in family.samples:
                found.setdefault(sample.name, []).append(
                    (sample.labels, sample.value, sample.timestamp))
        return found

    def of(self, pod, series):
        """Return those of one pod."""
        metadata = pod['metadata']
        return {(labels.get('container', ''), value)
                for labels, value, _ in series
                if labels.get('pod') == metadata['name']
                and labels.get('namespace') == metadata['namespace']}

    def summed(self, pod):
        """Return the node's and a pod's part of /stats/summary."""
        summary = json.loads(self.raw('stats/summary'))
        uid = pod['metadata']['uid']
        return summary['node'], next(
            (each for each in summary['pods']
             if each['podRef']['uid'] == uid), {})


class TestNodeProxy(StatsCase):

    def test_the_summary_tells_what_a_pod_uses(self):
        pod = self.run_pod(
            hosted.shell(WRITES, volumeMounts=[
                {'name': 'cache', 'mountPath': '/cache'}], **BURNER),
            volumes=[{'name': 'cache', 'emptyDir': {}}])
        self.wait_ready(pod)

        def whole():
            found = self.summed(pod)[1]
            return (found.get('cpu', {}).get('usageNanoCores')
                    and found.get('ephemeral-storage', {}).get(
                        'usedBytes', 0) >= 5 * MIB)
        wait_for(whole, 'figures of all kinds', 90, interval=2,
                 seen=lambda: self.summed(pod))

        node, found = self.summed(pod)
        container, = found['containers']
        self.assertEqual('main', container['name'])
        self.assertGreater(container['memory']['workingSetBytes'], 0)
        self.assertGreaterEqual(container['rootfs']['usedBytes'], 3 * MIB)
        self.assertGreater(container['logs']['usedBytes'], 0)
        volume, = found['volume']
        self.assertGreaterEqual(volume['usedBytes'], 2 * MIB)
        self.assertIn('rxBytes', found['network'])
        self.assertGreaterEqual(times.seconds(container['startTime']),
                                life.seconds(pod['metadata'][
                                    'creationTimestamp']))
        # Of a bounded burner: not nothing, and not more than it may.
        self.assertGreater(found['cpu']['usageNanoCores'], 10 ** 7)
        self.assertLess(found['cpu']['usageNanoCores'], 2 * 10 ** 8)
        self.assertEqual(self.node_name, node['nodeName'])
        self.assertGreaterEqual(node['cpu']['usageCoreNanoSeconds'],
                                found['cpu']['usageCoreNanoSeconds'])

    def test_metrics_have_the_kubelets_names(self):
        pod = self.run_pod(hosted.shell(
            BURN, livenessProbe={'periodSeconds': 1,
                                 'exec': {'command': ['true']}}, **BURNER))
        self.wait_ready(pod)

        def probed():
            return self.of(pod, self.series('metrics/probes').get(
                'prober_probe_total', ()))
        wait_for(probed, 'counts of probes', 30)
        resource = self.series('metrics/resource')
        self.assertEqual([({}, 0.0, None)], resource[
            'resource_scrape_error'])
        for name in ('container_cpu_usage_seconds_total',
                     'container_memory_working_set_bytes',
                     'container_start_time_seconds'):
            (container, value), = self.of(pod, resource[name])
            self.assertEqual('main', container)
            self.assertGreater(value, 0)
        for name in ('node_cpu_usage_seconds_total',
                     'node_memory_working_set_bytes'):
            (_, value, at), = resource[name]
            self.assertGreater(value, 0)
            self.assertIsNotNone(at)
        self.assertEqual(2, len(self.of(pod, self.series('metrics/cadvisor')[
            'container_cpu_usage_seconds_total'])))
        own = self.series('metrics')
        self.assertEqual([({'node': self.node_name}, 1.0, None)],
                         own['kubelet_node_name'])

    def test_a_pod_that_is_gone_leaves_no_figure(self):
        pod = self.run_pod(hosted.shell(BURN, **BURNER))
        self.wait_ready(pod)
        wait_for(lambda: self.summed(pod)[1], 'the pod', 30)
        self.delete(pod)
        wait_for(lambda: not self.summed(pod)[1], 'no such pod', 30)


class TestMetricsServer(StatsCase):

    def setUp(self):
        super().setUp()
        # It stays for the next test of these; nobody can delete a namespace
        # while one is registered that does not answer, so it goes with them.
        if self.devcloud.pid(metrics_server.NAME) is None:
            self.devcloud.start(metrics_server.NAME)

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        base.running_cloud().devcloud.stop(metrics_server.NAME)

    def test_top_shows_pods_and_nodes(self):
        pod = self.run_pod(hosted.shell(BURN, **BURNER))
        self.wait_ready(pod)
        metadata = pod['metadata']

        def top(*words):
            return (self.kubectl('top', *words, '--no-headers')
                    or '').split()
        words = ('pod', metadata['name'], '-n', metadata['namespace'],
                 '--containers')
        wait_for(lambda: len(top(*words)) == 4, 'kubectl top pod', SOON,
                 interval=3, seen=lambda: self.said)
        _, container, cpu, memory = top(*words)
        self.assertEqual('main', container)
        self.assertTrue(0 < int(cpu.removesuffix('m')) < 200, cpu)
        self.assertTrue(memory.endswith('Mi'), memory)
        wait_for(lambda: len(top('node', self.node_name)) == 5
                 and top('node', self.node_name)[1] != '<unknown>',
                 'kubectl top node', SOON, interval=3,
                 seen=lambda: self.said)

    def test_an_autoscaler_makes_more_of_what_is_busy(self):
        namespace = self.namespace()
        self.api.create_deployment(namespace, pods.deployment(
            'busy', 1, {'type': 'virtual-kubelet'},
            hosted.shell(BURN, **BURNER)))
        self.assertIsNotNone(self.kubectl(
            'autoscale', 'deployment', 'busy', '-n', namespace,
            '--cpu=20%', '--min=1', '--max=2'), self.said)
        wait_for(lambda: self.api.deployment(namespace, 'busy')['status'].get(
            'readyReplicas') == 2, 'two of the busy pod', 2 * SOON,
            interval=3, seen=lambda: self.kubectl(
                'describe', 'hpa', 'busy', '-n', namespace))
