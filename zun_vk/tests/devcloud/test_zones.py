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
"""A node for each availability zone, each as its zone's hosts are."""

import fixtures

from zun_vk.tests.devcloud import base
from zun_vk.tests.devcloud import streamed
from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures import pods
from zun_vk.tests.fixtures.wait import hold_for
from zun_vk.tests.fixtures.wait import wait_for

HOST = 'host-of-a-zone'
ZONE = 'zone-of-a-test'
LABEL = 'topology.kubernetes.io/zone'


class TestZones(base.DevcloudTestCase):

    def setUp(self):
        super().setUp()
        self.wait_no_capsules()
        # After the agent has ended: it would make them anew.
        self.addCleanup(self.forget_nodes)
        self.addCleanup(self.remove_host)
        self.devcloud.add_host(HOST, ZONE)
        state = self.useFixture(fixtures.TempDir()).path
        self.configure_agent(
            agent={'state_path': state},
            node={'per_availability_zone': True, 'capacity_interval': 1})
        # Nobody else acts for what is on these nodes.
        self.addCleanup(self.wait_no_capsules)
        self.node_name = self.name_of(ZONE)

    def test_each_zone_has_a_node_and_takes_the_pods_that_select_it(self):
        zones = self.cloud.zones()
        self.assertEqual(ZONE, zones.pop(HOST))
        others = set(zones.values())
        self.assertTrue(others)
        for zone in (ZONE, *others):
            node = self.wait_offers(zone)
            self.assertEqual(zone, node['metadata']['labels'][LABEL])
            self.assertTrue(self.api.lease(self.name_of(zone))['spec'][
                'holderIdentity'])

        consumer = self.cloud.claim(HOST, {'VCPU': 2, 'MEMORY_MB': 64})
        self.addCleanup(self.cloud.release, consumer)

        before = [self.offered(zone) for zone in others]
        self.wait_offers(ZONE)
        self.assertEqual(before, [self.offered(zone) for zone in others])
        pod = self.run_in_zone()
        self.assertEqual(self.node_name, pod['spec']['nodeName'])
        self.assertEqual(HOST, self.cloud.host_of(self.capsule(pod)))
        self.check_reached(pod)

    def test_a_zone_that_takes_no_pods_and_one_that_goes_keep_their_node(
            self):
        uid = self.wait_node_ready()['metadata']['uid']
        pod = self.run_in_zone()
        capsule = self.capsule(pod)['uuid']

        # Before the pod goes: a host that is disabled tells Placement so
        # before it finishes a deletion, and may be refused.
        self.addCleanup(self.uncordon)
        self.cloud.cordon(HOST)
        node = self.wait_node_not_ready('NoZunHost')
        self.assertNotIn('unschedulable', node['spec'])
        self.assertEqual(capsule, self.capsule(pod)['uuid'])
        self.uncordon()
        self.wait_node_ready()

        self.delete(pod)
        self.wait_pod(pod, lambda seen: seen is None, 'gone')
        self.devcloud.remove_host(HOST)
        self.wait_node(lambda node: node['spec'].get('unschedulable'),
                       'cordoned')
        self.wait_node_not_ready('NoZunHost')
        self.restart_agent()
        hold_for(lambda: self.api.node(self.node_name)['metadata'][
            'uid'] == uid, 'the node stays', 3)

        self.devcloud.add_host(HOST, ZONE)
        self.wait_node_ready()
        node = self.wait_node(lambda node: 'unschedulable' not in node[
            'spec'], 'uncordoned')
        self.assertEqual(uid, node['metadata']['uid'])

    def name_of(self, zone):
        return f'{base.api.NODE}-{zone}'

    def offered(self, zone):
        return base.amounts(self.api.node(self.name_of(zone)))

    def wait_offers(self, zone):
        """Return the zone's node once it offers what its hosts have free."""
        hosts = [host for host, its in self.cloud.zones().items()
                 if its == zone]

        def ask():
            node = self.api.node(self.name_of(zone))
            free = self.cloud.free(*hosts)
            offers = kube.is_ready(node) and base.amounts(node) == (
                free['VCPU'] * 1000, free['MEMORY_MB'])
            return node if offers else None
        return wait_for(ask, f'a node that offers what {zone} has', 30,
                        seen=lambda: self.cloud.free(*hosts))

    def run_in_zone(self):
        """Return a running pod that the scheduler bound by its zone."""
        return self.wait_ready(self.submit(pods.pod(
            'web', base.container(), nodeSelector={LABEL: ZONE})))

    def check_reached(self, pod):
        """Check that kubectl reaches a pod, by its own node's API."""
        kubectl = streamed.Kubectl(self.devcloud,
                                   pod['metadata']['namespace'])
        # The node's certificate has to be signed.
        wait_for(lambda: kubectl('exec', 'web', '--', 'true').code == 0,
                 'a command in a pod', 30)
        port = {name: self.api.node(name)['status']['daemonEndpoints'][
            'kubeletEndpoint']['Port'] for name in map(
                self.name_of, set(self.cloud.zones().values()))}
        self.assertEqual(len(port), len(set(port.values())), port)

    def uncordon(self):
        if HOST in self.cloud.zones():
            self.cloud.cordon(HOST, False)

    def forget_nodes(self):
        for zone in {ZONE, *self.cloud.zones().values()}:
            self.api.delete_node(self.name_of(zone))
        self.forget_agents()

    def remove_host(self):
        if HOST in self.devcloud.hosts():
            self.devcloud.remove_host(HOST)
