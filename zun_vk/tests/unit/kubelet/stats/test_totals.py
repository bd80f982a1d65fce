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
import dataclasses

import oslotest.base

from zun_vk.kubelet.stats import totals
from zun_vk.rpc import stats
from zun_vk.tests.unit.kubelet.stats import hosts

NANO = hosts.NANO


class AddedTestCase(oslotest.base.BaseTestCase):

    def test_a_sum_is_of_the_newest_time(self):
        self.assertEqual(stats.Cpu(9.0, 3, 30), totals.added(
            [stats.Cpu(9.0, 1, 10), None, stats.Cpu(5.0, 2, 20)]))

    def test_a_part_that_is_unknown_makes_the_sum_unknown(self):
        self.assertEqual(stats.Cpu(9.0, 3, None), totals.added(
            [stats.Cpu(9.0, 1, 10), stats.Cpu(5.0, 2)]))

    def test_a_sum_is_never_more_than_its_readers_can_hold(self):
        most = stats.MAX_AMOUNT
        self.assertEqual(most, totals.added(
            [stats.Cpu(1.0, most), stats.Cpu(1.0, most)]).total)

    def test_nothing_has_no_sum(self):
        self.assertIsNone(totals.added([None]))
        self.assertIsNone(totals.added([]))

    def test_a_pod_that_is_measured_as_a_whole_is_no_sum(self):
        pod = hosts.measured('a')
        self.assertEqual(NANO, totals.pod_cpu(pod).total)
        whole = stats.Pod('a', containers=pod.containers,
                          cpu=stats.Cpu(1.0, 5), memory=stats.Memory(1.0, 6))
        self.assertEqual(5, totals.pod_cpu(whole).total)
        self.assertEqual(6, totals.pod_memory(whole).usage)


class PodDiskTestCase(oslotest.base.BaseTestCase):

    def of(self, volumes, **parts):
        return totals.pod_disk(stats.Pod(
            'a', containers=(stats.Container('c', 'k', 1.0, **parts),),
            volumes=volumes, disk=stats.Disk(5.0, capacity=100)))

    def test_it_is_all_that_the_pod_wrote(self):
        self.assertEqual(stats.Disk(7.0, 6, capacity=100), self.of(
            (stats.Volume('v', stats.Disk(7.0, 3)),),
            rootfs=stats.Disk(1.0, 1), logs=stats.Disk(1.0, 2)))

    def test_it_is_unknown_while_a_part_is(self):
        whole = {'rootfs': stats.Disk(1.0, 1), 'logs': stats.Disk(1.0, 2)}
        self.assertIsNone(self.of(None, **whole))
        self.assertIsNone(self.of((), rootfs=whole['rootfs']))
        self.assertIsNone(self.of(
            (), **whole | {'logs': stats.Disk(1.0)}).used)
        self.assertEqual(3, self.of((), **whole).used)


class CpuCounterTestCase(oslotest.base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.counter = totals.CpuCounter()

    def take(self, at, *pods):
        self.counter.take(pods, at)
        return self.counter.total / NANO

    def test_it_never_falls(self):
        self.assertEqual(12, self.take(
            100, hosts.measured('a', 10), hosts.measured('b', 2)))
        self.assertEqual(13, self.take(110, hosts.measured('b', 3)))
        self.assertEqual(13, self.take(120))

    def test_it_never_passes_what_its_readers_can_hold(self):
        most = stats.MAX_AMOUNT
        self.take(100, hosts.measured('a', most // NANO),
                  hosts.measured('b', most // NANO))
        self.assertEqual(most, self.counter.total)

    def test_a_new_pod_counts_from_its_begin(self):
        self.take(100, hosts.measured('a', 10))
        self.assertEqual(14, self.take(
            110, hosts.measured('a', 10),
            hosts.measured('b', 4, started=105)))

    def test_what_was_used_out_of_sight_is_not_one_burst(self):
        self.take(100, hosts.measured('a', 10))
        self.take(110)
        self.assertEqual(10, self.take(120, hosts.measured('a', 500)))
        self.assertEqual(11, self.take(130, hosts.measured('a', 501)))

    def test_answers_in_another_order_count_once(self):
        self.take(100, hosts.measured('a', 100))
        self.take(102, hosts.measured('a', 110))
        self.assertEqual(110, self.take(101, hosts.measured('a', 105)))
        self.assertEqual(120, self.take(110, hosts.measured('a', 120)))

    def test_it_does_not_matter_whether_pods_are_told_as_a_whole(self):
        self.take(100, hosts.measured('a', 10))
        self.take(110, dataclasses.replace(
            hosts.measured('a', 11), cpu=stats.Cpu(110.0, 50 * NANO)))
        self.assertEqual(12, self.take(120, hosts.measured('a', 12)))

    def test_a_container_that_is_begun_again_is_another(self):
        self.take(100, hosts.measured('a', 10))
        again = stats.Pod('a', 's-a', 50.0, (stats.Container(
            'web', 'k-2', 105.0, cpu=stats.Cpu(110.0, 3 * NANO)),))
        self.assertEqual(13, self.take(110, again))
