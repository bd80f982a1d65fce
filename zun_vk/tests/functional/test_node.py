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
"""The virtual node in a real API server."""

from oslo_utils import units

from zun_vk import quantity
from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures import pods
from zun_vk.tests.fixtures.wait import hold_for
from zun_vk.tests.fixtures.wait import wait_for
from zun_vk.tests.functional import base

TAINT = {'key': 'virtual-kubelet.io/provider', 'value': 'zun',
         'effect': 'NoSchedule'}
PRESSURES = ('MemoryPressure', 'DiskPressure', 'PIDPressure')


class TestRegistration(base.AgentTestCase):

    OPTIONS = {'node': {'labels': 'rack:r7,zone:left'}}

    def test_ready_is_said_once_the_node_is_there(self):
        self.assertTrue(self.agent.notified)
        self.assertIsNotNone(self.node)

    def test_the_node_is_ready_and_under_no_pressure(self):
        node = self.wait_node_ready()

        for kind in PRESSURES:
            self.assertEqual('False', kube.condition(node, kind)['status'])
        for found in node['status']['conditions']:
            self.assertTrue(found['lastTransitionTime'])

    def test_labels_say_what_the_node_is(self):
        labels = self.node['metadata']['labels']

        self.assertEqual('virtual-kubelet', labels['type'])
        self.assertIn('node.kubernetes.io/exclude-from-external-'
                      'load-balancers', labels)
        self.assertEqual(self.agent.node, labels['kubernetes.io/hostname'])
        self.assertEqual('linux', labels['kubernetes.io/os'])

    def test_labels_of_the_option_are_set(self):
        labels = self.node['metadata']['labels']

        self.assertEqual(('r7', 'left'), (labels['rack'], labels['zone']))

    def test_the_taint_keeps_other_pods_away(self):
        self.assertIn(TAINT, self.node['spec']['taints'])

    def test_no_other_controller_takes_the_node_for_a_server(self):
        self.assertRegex(self.node['spec']['providerID'], '^zun-vk://')

    def test_addresses_and_versions_are_shown(self):
        status = self.node['status']

        self.assertIn({'type': 'InternalIP', 'address': '127.0.0.1'},
                      status['addresses'])
        self.assertIn({'type': 'Hostname', 'address': self.agent.node},
                      status['addresses'])
        for name in ('kubeletVersion', 'operatingSystem', 'architecture'):
            self.assertTrue(status['nodeInfo'][name])

    def test_an_idle_agent_writes_nothing_but_its_lease(self):
        self.wait_node_ready()
        before = self.node['metadata']['resourceVersion']
        renewed = self.lease()['renewTime']

        wait_for(lambda: self.lease()['renewTime'] != renewed,
                 'the lease renewed', 12)

        self.assertEqual(15, self.lease()['leaseDurationSeconds'])
        self.assertTrue(self.lease()['holderIdentity'])
        self.assertEqual(before, self.node['metadata']['resourceVersion'])

    def lease(self):
        return self.api.lease(self.agent.node)['spec']


class TestAdoption(base.OwnAgentTestCase):

    def foreign_node(self):
        return {
            'apiVersion': 'v1', 'kind': 'Node',
            'metadata': {'name': self.agent.node,
                         'labels': {'theirs/label': 'kept'},
                         'annotations': {'theirs/annotation': 'kept'}},
            'spec': {'unschedulable': True, 'taints': [
                {'key': 'theirs/taint', 'effect': 'NoExecute'}]}}

    def add_condition(self):
        self.api.patch_node_status(self.agent.node, {'status': {
            'conditions': [{'type': 'TheirProblem', 'status': 'False',
                            'reason': 'Theirs', 'message': 'kept'}]}})

    def check_foreign_fields(self):
        node = self.node
        self.assertEqual('kept', node['metadata']['labels']['theirs/label'])
        self.assertEqual(
            'kept', node['metadata']['annotations']['theirs/annotation'])
        self.assertTrue(node['spec']['unschedulable'])
        self.assertIn({'key': 'theirs/taint', 'effect': 'NoExecute'},
                      node['spec']['taints'])
        self.assertEqual('kept',
                         kube.condition(node, 'TheirProblem')['message'])

    def test_an_existing_node_is_adopted_with_what_others_put_there(self):
        uid = self.api.create_node(self.foreign_node())['metadata']['uid']
        self.add_condition()

        self.agent.start_ready()

        node = self.wait_node_ready()
        self.assertEqual(uid, node['metadata']['uid'])
        self.assertEqual('virtual-kubelet', node['metadata']['labels']['type'])
        self.check_foreign_fields()

    def test_a_taint_that_a_node_may_not_set_is_asked_of_an_admin(self):
        self.api.create_node(self.foreign_node())
        self.add_condition()

        self.agent.start_ready()

        self.wait_node_ready()
        told = wait_for(lambda: self.api.events(
            'default', self.agent.node, 'TaintNotSet'), 'the event', 20)
        self.assertIn(f'kubectl taint nodes {self.agent.node} '
                      'virtual-kubelet.io/provider=zun:NoSchedule',
                      told[0]['message'])
        self.check_foreign_fields()

    def test_what_others_change_later_is_kept(self):
        self.agent.start_ready()
        self.wait_node_ready()
        theirs = self.foreign_node()
        del theirs['metadata']['name']
        self.api.patch_node(self.agent.node, theirs)
        self.add_condition()

        self.cloud.add_claim('nova', {'VCPU': 4})

        self.wait_node(lambda node: _cpu(node) == 12_000, 'smaller')
        self.check_foreign_fields()

    def test_what_others_change_survives_a_restart(self):
        self.agent.start_ready()
        theirs = self.foreign_node()
        del theirs['metadata']['name']
        # A list of taints is written as a whole.
        theirs['spec']['taints'].append(TAINT)
        self.api.patch_node(self.agent.node, theirs)
        self.add_condition()

        self.agent.stop()
        self.agent.start_ready()

        self.wait_node_ready()
        self.check_foreign_fields()
        taints = self.node['spec']['taints']
        self.assertEqual(1, taints.count(TAINT))

    def test_an_empty_taint_lets_every_pod_in(self):
        self.agent.write_config({'node': {'taint': ''}})

        self.agent.start_ready()

        found = self.wait_node_ready()['spec'].get('taints') or []
        self.assertNotIn(TAINT['key'], [taint['key'] for taint in found])

    def test_a_deleted_node_is_registered_again(self):
        self.agent.start_ready()
        pod = self.running_pod()
        uid = self.node['metadata']['uid']

        self.api.delete_node(self.agent.node)

        self.wait_node(lambda node: node['metadata']['uid'] != uid,
                       'registered anew', 30)
        self.wait_node_ready()
        self.assertIsNotNone(self.capsule(pod))

    def test_a_pod_comes_by_the_real_scheduler(self):
        self.agent.start_ready()
        self.wait_node_ready()
        self.kube.start_scheduler()
        namespace = self.namespace()
        only_here = {'kubernetes.io/hostname': self.agent.node}
        # only a controller manager would take this taint of new nodes off
        new = {'key': 'node.kubernetes.io/not-ready', 'operator': 'Exists'}
        body = pods.pod('wants-zun', nodeSelector=only_here,
                        tolerations=[pods.TOLERATION, new])
        intruder = pods.pod('does-not', nodeSelector=only_here,
                            tolerations=[new])
        intruder = self.submit(intruder, namespace)

        pod = self.wait_ready(self.submit(body, namespace), 40)

        self.assertEqual(self.agent.node, pod['spec']['nodeName'])
        self.assertNotIn('nodeName', self.now(intruder)['spec'])


class TestCapacity(base.AgentTestCase):

    HOSTS = 2

    def setUp(self):
        super().setUp()
        self.wait_capacity(cpu=32_000)

    def wait_capacity(self, **expected):
        def fits(node):
            found = {'cpu': _cpu(node), 'memory': _bytes(node, 'memory'),
                     'pods': int(node['status']['allocatable']['pods'])}
            return all(found[name] == value
                       for name, value in expected.items())
        return self.wait_node(fits, f'with {expected}')

    def test_allocatable_is_what_placement_has_free(self):
        node = self.wait_capacity(cpu=32_000, memory=2 * 32768 * units.Mi,
                                  pods=220)

        self.assertEqual(400 * units.Gi, _bytes(node, 'ephemeral-storage'))
        for name in ('cpu', 'memory', 'pods', 'ephemeral-storage'):
            self.assertIn(name, node['status']['capacity'])

    def test_a_claim_of_another_consumer_shrinks_the_node(self):
        self.addCleanup(self.cloud.remove_claim, 'nova')
        self.cloud.add_claim('nova', {'VCPU': 5, 'MEMORY_MB': 1024})

        self.wait_capacity(cpu=27_000, memory=(65536 - 1024) * units.Mi)

        self.cloud.remove_claim('nova')
        self.wait_capacity(cpu=32_000, memory=65536 * units.Mi)

    def test_what_the_scheduler_sees_as_free_is_free_in_placement(self):
        first = self.running_pod(pods.container(
            resources=pods.requests('300m', '100Mi')))
        self.running_pod(pods.container(
            resources=pods.requests('1500m', '64Mi')), name='second')

        # Zun claims 1 and 2 whole CPUs: 29 stay free, and the node must
        # look as if 29 were free beside the pods' 1.8
        self.wait_capacity(cpu=29_000 + 1_800, memory=65536 * units.Mi)

        self.delete(first)
        self.wait_gone(first)
        self.wait_capacity(cpu=30_000 + 1_500)

    def test_a_disabled_host_is_left_out(self):
        self.addCleanup(self.cloud.disable_host, 'host-0', False)
        self.cloud.disable_host('host-0')

        self.wait_capacity(cpu=16_000, memory=32768 * units.Mi, pods=110)

        self.cloud.disable_host('host-0', False)
        self.wait_capacity(cpu=32_000, pods=220)

    def test_a_host_that_is_down_is_left_out(self):
        self.addCleanup(self.cloud.host_down, 'host-1', False)
        self.cloud.host_down('host-1')

        self.wait_capacity(cpu=16_000, pods=110)

    def test_what_is_reserved_or_overcommitted_counts(self):
        self.addCleanup(self.cloud.placement.set_inventory, 'host-0', 'VCPU',
                        reserved=0, allocation_ratio=1.0)
        self.cloud.placement.set_inventory('host-0', 'VCPU', reserved=2,
                                           allocation_ratio=2.5)

        self.wait_capacity(cpu=16_000 + 35_000)

    def test_a_host_without_a_provider_offers_nothing(self):
        with self.cloud.lock:
            self.cloud.zun.services['ghost'] = {
                **self.cloud.zun.services['host-0'], 'host': 'ghost'}
        self.addCleanup(self.cloud.zun.services.pop, 'ghost')

        self.cloud.add_claim('nova', {'VCPU': 1})
        self.addCleanup(self.cloud.remove_claim, 'nova')

        self.wait_capacity(cpu=31_000)

    def test_without_a_host_the_node_is_not_ready(self):
        for host in ('host-0', 'host-1'):
            self.addCleanup(self.cloud.disable_host, host, False)
            self.cloud.disable_host(host)

        self.wait_node_not_ready('NoZunHost')

        self.cloud.disable_host('host-0', False)
        self.wait_node_ready()

    def test_a_steady_cloud_makes_no_writes(self):
        self.wait_node_ready()
        before = self.node['metadata']['resourceVersion']

        hold_for(lambda: self.node['metadata']['resourceVersion'] == before,
                 'the node is not written', 3)


def _cpu(node):
    return quantity.parse_cpu(node['status']['allocatable']['cpu'])


def _bytes(node, name):
    return quantity.parse_bytes(node['status']['allocatable'][name])
