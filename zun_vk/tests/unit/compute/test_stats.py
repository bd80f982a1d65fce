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
import os
import threading
import types
from unittest import mock

import fixtures
import oslotest.base

from zun_vk import exceptions
from zun_vk.compute import diskusage
from zun_vk.compute import endpoint
from zun_vk.compute import model
from zun_vk.compute import pods
from zun_vk.compute import stats
from zun_vk.compute import store
from zun_vk.compute.cri import client
from zun_vk.compute.cri import cri_pb2
from zun_vk.compute.work import pod as pod_module
from zun_vk.rpc import fields
from zun_vk.rpc import stats as rpc_stats
from zun_vk.tests.fixtures import wait

NANO = 10 ** 9


def number(value):
    return cri_pb2.UInt64Value(value=value)


def labels(uid, capsule):
    return {model.LABEL_UID: uid, model.LABEL_CAPSULE: capsule,
            model.LABEL_MANAGED_BY: model.MANAGED_BY}


def sandbox(identity, uid='u1', capsule='c1', attempt=0,
            state=cri_pb2.SANDBOX_READY):
    return cri_pb2.PodSandbox(
        id=identity, state=state, created_at=50 * NANO,
        metadata=cri_pb2.PodSandboxMetadata(attempt=attempt),
        labels=labels(uid, capsule))


def container(identity, of='s1', name='web',
              state=cri_pb2.CONTAINER_RUNNING):
    return cri_pb2.Container(
        id=identity, pod_sandbox_id=of, state=state, created_at=60 * NANO,
        metadata=cri_pb2.ContainerMetadata(name=name),
        image=cri_pb2.ImageSpec(image='sha', user_specified_image='i:1'))


def used(identity, cores=1, at=100, **extra):
    return cri_pb2.ContainerStats(
        attributes=cri_pb2.ContainerAttributes(id=identity),
        # A rate of 0 at first, as containerd tells it.
        cpu=cri_pb2.CpuUsage(timestamp=at * NANO,
                             usage_core_nano_seconds=number(cores * NANO),
                             usage_nano_cores=number(0)),
        memory=cri_pb2.MemoryUsage(
            timestamp=at * NANO, working_set_bytes=number(1000),
            available_bytes=number(0)), **extra)


class HostStatsTestCase(oslotest.base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.root = self.useFixture(fixtures.TempDir()).path
        self.pods = pods.Pods(store.RecordStore(
            self.useFixture(fixtures.TempDir()).path))
        for number_ in (1, 2):
            self.pods.run(pod_module.Capsule(
                f'c{number_}', f'u{number_}', f'node-{number_}', 'ns',
                f'web{number_}'), mock.Mock(to_wire=dict))
        self.runtime = mock.create_autospec(client.Runtime, instance=True)
        self.runtime.sandboxes.return_value = [sandbox('s1')]
        self.runtime.containers.return_value = [container('k1')]
        self.runtime.containers_stats.return_value = [used('k1')]
        self.runtime.sandboxes_stats.side_effect = (
            exceptions.RuntimeRefused('none', 'UNIMPLEMENTED'))
        self.runtime.sandbox_status.return_value = mock.Mock(pid=0)
        self.volumes = {'cache': 4096}
        self.disk = diskusage.DiskUsage(lambda uid: self.volumes,
                                        wall=lambda: 100.0)
        self.addCleanup(self.disk.close)
        self.counts = {}
        self.stats = stats.HostStats(
            self.runtime, self.pods, types.SimpleNamespace(
                log_root=self.root, pod_root=self.root), self.disk,
            lambda uid: self.counts.get(uid, {}), wall=lambda: 100.0)

    def gather(self, kind=rpc_stats.USAGE, node='node-1'):
        return self.stats.gather(node, kind)

    def test_it_tells_what_the_runtime_measured(self):
        found, = self.gather()
        self.assertEqual(rpc_stats.Pod('u1', 's1', 50.0, (
            rpc_stats.Container(
                'web', 'k1', 60.0, 'i:1',
                rpc_stats.Cpu(100.0, NANO),
                rpc_stats.Memory(100.0, working_set=1000)),)), found)

    def test_only_the_pods_of_the_node_are_told(self):
        self.runtime.sandboxes.return_value += [
            sandbox('s2', 'u2', 'c2'), sandbox('s3', 'u1', 'other')]
        self.assertEqual(['s1'], [pod.sandbox for pod in self.gather()])
        self.assertEqual(['s2'], [pod.sandbox for pod in
                                  self.gather(node='node-2')])
        self.assertEqual([], self.gather(node=''))

    def test_what_does_not_run_is_absent(self):
        self.runtime.sandboxes.return_value = [
            sandbox('s0', attempt=0), sandbox('s1', attempt=1),
            sandbox('s9', attempt=2, state=cri_pb2.SANDBOX_NOTREADY)]
        self.runtime.containers.return_value += [
            container('k0', 's0'),
            container('k2', state=cri_pb2.CONTAINER_EXITED),
            container('k3', name='not-measured')]
        self.runtime.containers_stats.return_value += [
            used('k0'), used('k2')]
        found, = self.gather()
        self.assertEqual('s1', found.sandbox)
        self.assertEqual(['k1'], [each.id for each in found.containers])

    def test_a_rate_needs_two_samples(self):
        self.assertIsNone(self.gather()[0].containers[0].cpu.rate)
        self.runtime.containers_stats.return_value = [used('k1', 6, 110)]
        self.assertEqual(NANO // 2,
                         self.gather()[0].containers[0].cpu.rate)

    def test_a_pod_as_a_whole_is_told_where_the_runtime_can(self):
        whole = used('')
        self.runtime.sandboxes_stats.side_effect = None
        self.runtime.sandboxes_stats.return_value = [
            cri_pb2.PodSandboxStats(
                attributes=cri_pb2.PodSandboxAttributes(id='s1'),
                linux=cri_pb2.LinuxPodSandboxStats(
                    cpu=whole.cpu, memory=whole.memory,
                    process=cri_pb2.ProcessUsage(process_count=number(3)),
                    network=cri_pb2.NetworkUsage(
                        default_interface=cri_pb2.NetworkInterfaceUsage(
                            name='eth0', rx_bytes=number(5))))),
            cri_pb2.PodSandboxStats(
                attributes=cri_pb2.PodSandboxAttributes(id='old'))]
        self.assertIsNone(self.gather()[0].cpu)
        self.runtime.sandboxes_stats.assert_not_called()
        found, = self.gather(rpc_stats.ALL)
        self.assertEqual(rpc_stats.Cpu(100.0, NANO), found.cpu)
        self.assertEqual(3, found.processes)
        # It has no time: containerd does not tell it.
        self.assertEqual(rpc_stats.Network(100.0, 'eth0', (
            rpc_stats.Interface('eth0', 5),)), found.network)

    def test_logs_volumes_and_disks_are_measured_on_demand(self):
        logs = os.path.join(self.root, 'ns_web1_u1', 'web')
        os.makedirs(logs)
        with open(os.path.join(logs, '0.log'), 'w') as log:
            log.write('x' * 5000)
        self.runtime.containers_stats.return_value = [used(
            'k1', writable_layer=cri_pb2.FilesystemUsage(
                timestamp=90 * NANO, used_bytes=number(77),
                fs_id=cri_pb2.FilesystemIdentifier(mountpoint=self.root)))]
        self.assertIsNone(self.gather()[0].disk)
        first, = self.gather(rpc_stats.ALL)
        self.assertIsNone(first.volumes)
        wait.wait_for(lambda: self.gather(rpc_stats.ALL)[0].volumes,
                      'the volumes', 10)
        found, = self.gather(rpc_stats.ALL)
        self.assertEqual((rpc_stats.Volume(
            'cache', rpc_stats.Disk(100.0, 4096)),), found.volumes)
        logged = found.containers[0].logs
        self.assertGreaterEqual(logged.used, 5000)
        self.assertEqual(1, logged.inodes_used)
        rootfs = found.containers[0].rootfs
        self.assertEqual((90.0, 77), (rootfs.at, rootfs.used))
        self.assertGreater(rootfs.capacity, 77)

    def test_a_layer_that_was_not_measured_yet_is_unknown(self):
        """As containerd tells of a container that has just begun."""
        self.runtime.containers_stats.return_value = [used(
            'k1', writable_layer=cri_pb2.FilesystemUsage(
                used_bytes=number(0), fs_id=cri_pb2.FilesystemIdentifier(
                    mountpoint=self.root)))]
        found, = self.gather(rpc_stats.ALL)
        self.assertIsNone(found.containers[0].rootfs)

    def test_a_log_directory_that_is_not_there_is_unknown(self):
        found, = self.gather(rpc_stats.ALL)
        self.assertIsNone(found.containers[0].logs)

    def test_probes_ask_no_runtime(self):
        self.counts['u1'] = {('web', 'liveness', 'failed'): 2}
        self.assertEqual(
            [rpc_stats.Pod('u1', probed=(rpc_stats.Probed(
                'web', 'liveness', 'failed', 2),))],
            self.gather(rpc_stats.PROBES))
        self.assertEqual([], self.runtime.method_calls)

    def test_a_runtime_that_hangs_takes_one_thread_alone(self):
        self.useFixture(fixtures.MockPatchObject(stats, '_PATIENCE', 0.05))
        begun, held = threading.Event(), threading.Event()

        def hang(_labels):
            begun.set()
            held.wait(10)
            return []
        self.runtime.sandboxes.side_effect = hang
        first = threading.Thread(target=self.gather)
        first.start()
        begun.wait(10)
        self.assertRaises(exceptions.Unavailable, self.gather)
        held.set()
        first.join(10)
        self.assertEqual([], self.gather())

    def test_a_runtime_that_does_not_answer_is_no_empty_host(self):
        self.runtime.containers_stats.side_effect = (
            exceptions.RuntimeUnavailable('gone'))
        self.assertRaises(exceptions.RuntimeUnavailable, self.gather)

    def test_the_bus_gets_json_and_bad_questions_an_error(self):
        served = endpoint.Endpoint(self.pods, self.stats.told, mock.Mock(),
                                   mock.Mock(), mock.Mock(), mock.Mock())
        told = served.stats({}, node='node-1', kind=rpc_stats.USAGE)
        self.assertEqual(self.gather(),
                         [rpc_stats.from_wire(each)
                          for each in told['pods']])
        for node, kind, word in ((7, 'all', 'node'), ('n', [], 'kind'),
                                 ('n', 'some', 'kind')):
            self.assertRaisesRegex(fields.Malformed, word, served.stats,
                                   {}, node, kind)
