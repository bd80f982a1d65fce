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
"""What pods use, asked of their hosts over the bus."""

import json
import time

from prometheus_client import parser

from zun_vk.kubelet import context
from zun_vk.kubelet import nodepods
from zun_vk.kubelet.stats import gather
from zun_vk.kubelet.stats import resource
from zun_vk.kubelet.stats import summary
from zun_vk.tests.fixtures import hosts
from zun_vk.tests.fixtures.wait import wait_for
from zun_vk.tests.functional import test_hosted
from zun_vk.tests.unit.kubelet.stats import hosts as fakes


class StatsTestCase(test_hosted.HostedTestCase):

    def setUp(self):
        super().setUp()
        held = self.agent.held
        self.services = context.Services(
            self.agent.conf, self.agent.node, '127.0.0.1',
            nodepods.NodePods(held._mirror, held._writer, held._runtime,
                              held._hosts),
            self.agent.bus, True, self.agent.fence.check, gather.Gatherer())

    def asked(self, handler):
        """Return what the node answers."""
        exchange = fakes.Exchange()
        handler(self.services, exchange, ())
        self.assertEqual(200, exchange.status)
        return exchange.body.decode()

    def series(self):
        return {(sample.name, sample.labels.get('pod', '')): sample.value
                for family in parser.text_string_to_metric_families(
                    self.asked(resource.resource_metrics))
                for sample in family.samples}

    def test_the_node_tells_what_its_hosts_measured(self):
        pod = self.running_pod()
        name = pod['metadata']['name']

        wait_for(lambda: ('pod_cpu_usage_seconds_total', name)
                 in self.series(), 'the pod')

        found = self.series()
        self.assertEqual(2 ** 20, found[
            'container_memory_working_set_bytes', name])
        self.assertEqual(1, found['node_cpu_usage_seconds_total', ''])
        self.assertEqual(0, found['resource_scrape_error', ''])
        told = json.loads(self.asked(summary.summary))
        self.assertEqual(
            [(name, ['main'])],
            [(each['podRef']['name'],
              [one['name'] for one in each['containers']])
             for each in told['pods']])

    def test_a_silent_host_keeps_nobody_waiting(self):
        self.running_pod()
        other = self.useFixture(hosts.FakeHost(
            self.agent.conf, self.cloud, 'host-1'))
        other.stop()
        self.host.stop()

        begun = time.monotonic()
        found = self.series()

        self.assertLess(time.monotonic() - begun, 5)
        self.assertEqual({('resource_scrape_error', ''): 1}, found)
        self.host.start()
        other.start()
