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
from pathlib import Path
from unittest import mock

from devcloud import hosts
from devcloud import leftovers
from devcloud import processes
from zun_vk.tests.unit.devcloud import base

MOUNTINFO = """\
22 1 254:0 / / rw - ext4 /dev/vda rw
23 22 0:4 / /proc rw - proc proc rw
40 22 0:50 / /a/state/data/docker-vm/overlay2/x/merged rw - overlay o rw
41 22 0:51 / /run/zvd/88ee/docker-vm/netns/1 rw - nsfs nsfs rw
42 40 0:52 / /a/state/data/docker-vm/overlay2/x/merged/deep rw - tmpfs t rw
43 22 0:53 / /a/state/database rw - tmpfs t rw
44 22 0:54 / /b\\040c/data/one rw - tmpfs t rw
"""


class MountsTestCase(base.TestCase):

    def test_mounts_inside_are_found_innermost_first(self):
        found = leftovers.mounts_below(
            [Path('/a/state/data'), Path('/run/zvd/88ee')], MOUNTINFO)
        self.assertEqual([
            '/a/state/data/docker-vm/overlay2/x/merged/deep',
            '/a/state/data/docker-vm/overlay2/x/merged',
            '/run/zvd/88ee/docker-vm/netns/1'], found)

    def test_mounts_of_what_runs_are_spared(self):
        found = leftovers.mounts_below(
            [Path('/a/state/data'), Path('/run/zvd/88ee')], MOUNTINFO,
            [Path('/a/state/data/docker-vm')])
        self.assertEqual(['/run/zvd/88ee/docker-vm/netns/1'], found)

    def test_a_folder_of_what_runs_may_be_a_mount_itself(self):
        self.assertEqual([], leftovers.mounts_below(
            [Path('/run/zvd/88ee')], MOUNTINFO,
            [Path('/run/zvd/88ee/docker-vm/netns/1')]))

    def test_a_folder_whose_name_only_begins_alike_is_not_touched(self):
        self.assertEqual([], leftovers.mounts_below(
            [Path('/a/state/dat')], MOUNTINFO))

    def test_blanks_in_paths_are_understood(self):
        self.assertEqual(['/b c/data/one'], leftovers.mounts_below(
            [Path('/b c')], MOUNTINFO))

    def test_nothing_is_unmounted_for_a_cloud_without_a_name(self):
        self.assertEqual([], leftovers.data_folders(''))


class NamesTestCase(base.TestCase):

    def test_a_bridge_tells_whose_it_is(self):
        name = hosts.bridge_prefix('88ee') + '119c4927'
        self.assertEqual('88ee', leftovers.owner_of(leftovers.BRIDGE, name))

    def test_a_bridge_name_fits_the_kernel(self):
        name = hosts.bridge_prefix(self.where.ident) + '0' * 8
        self.assertLessEqual(len(name), 15)

    def test_other_names_are_nobodys(self):
        for name in ('docker0', 'zvk', 'zvk88ee', 'zvk88eeXXXXXXXX', 'eth0',
                     'xzvk88ee119c4927', 'zvk88ee119c49270'):
            self.assertEqual('', leftovers.owner_of(leftovers.BRIDGE, name))
        for name in ('docker', 'zun-vk-devcloud', 'zun-vk-devcloud-88ee.x'):
            self.assertEqual('', leftovers.owner_of(leftovers.CGROUP, name))

    def test_a_cgroup_tells_whose_it_is(self):
        self.assertEqual(self.where.ident, leftovers.owner_of(
            leftovers.CGROUP, hosts.cgroup(self.where)))


class RuntimesTestCase(base.TestCase):

    RUNNING = {'dockerd', 'containerd-two', 'zun-vk-compute'}

    def setUp(self):
        super().setUp()
        self.where.make()
        hosts.add(self.where, 'two')
        live = mock.create_autospec(processes.Processes, instance=True)
        live.pid.side_effect = lambda name: 7 if name in self.RUNNING \
            else None
        self.leftovers = leftovers.Leftovers(self.where, live)

    def test_what_a_dead_runtime_left_goes_and_a_live_ones_stays(self):
        first = hosts.first()
        gone = ['docker-two', 'docker-two.sock', f'containerd-{first}',
                'zun-vk-compute-gone']
        kept = [f'docker-{first}', f'docker-{first}.sock', 'containerd-two',
                'zun-vk-compute-two', f'zun-vk-compute-{first}',
                'containerd-two.pid', 'zun-vk-compute-two.pid']
        for name in gone + kept:
            path = self.where.run / name
            path.touch() if '.' in name else path.mkdir()
        self.leftovers._forget_runtimes()
        self.assertEqual(sorted([*kept, 'state-dir']), sorted(
            path.name for path in self.where.run.iterdir()))

    def test_the_mounts_of_live_pods_are_spared(self):
        folders = self.leftovers._live_folders()
        for folder in (self.where.run / 'containerd-two',
                       self.where.data / 'containerd-two',
                       self.where.data / 'pods-two',
                       self.where.run / f'zun-vk-compute-{hosts.first()}'):
            self.assertIn(folder, folders)
        self.assertNotIn(self.where.data / 'docker-two', folders)


class ProcessesTestCase(base.TestCase):

    def process(self, pid, environ=b'', cmdline=b''):
        folder = self.tmp / 'proc' / str(pid)
        folder.mkdir(parents=True)
        (folder / 'environ').write_bytes(environ)
        (folder / 'cmdline').write_bytes(cmdline)

    def test_marked_processes_are_found_with_their_cloud(self):
        self.process(1, b'HOME=/\0')
        self.process(2, b'A=b\0ZUN_VK_DEVCLOUD=/a b/.devcloud\0C=d\0')
        self.process(3, b'XZUN_VK_DEVCLOUD=/no\0')
        (self.tmp / 'proc' / 'self').mkdir()
        self.assertEqual({2: '/a b/.devcloud'},
                         leftovers.marked(self.tmp / 'proc'))

    def test_a_cloud_in_a_container_is_not_on_this_machine(self):
        for pid, net in ((1, 'net:[1]'), (2, 'net:[1]'), (3, 'net:[2]')):
            folder = self.tmp / 'proc' / str(pid) / 'ns'
            folder.mkdir(parents=True)
            (folder / 'net').symlink_to(net)
            (folder / 'pid').symlink_to('pid:[1]')
        one, two, other, gone = (leftovers.namespaces(
            pid, self.tmp / 'proc') for pid in (1, 2, 3, 4))
        self.assertEqual(one, two)
        self.assertNotEqual(one, other)
        self.assertEqual(set(), gone)

    def test_children_belong_to_their_parents(self):
        stats = {pid: processes.Stat('S', parent, 1, 1) for pid, parent
                 in ((1, 0), (2, 1), (3, 2), (4, 3), (5, 1))}
        self.assertEqual({2, 3, 4}, leftovers.descendants({2}, stats))

    def test_a_shim_is_known_by_the_folder_of_its_dockerd(self):
        self.process(7, cmdline=b'shim\0-address\0/run/x/docker-vm/c.sock\0')
        proc = self.tmp / 'proc'
        self.assertTrue(leftovers.mentions(
            7, [Path('/run/x/docker-vm')], proc))
        self.assertFalse(leftovers.mentions(
            7, [Path('/run/x/docker-v')], proc))
        self.assertFalse(leftovers.mentions(
            8, [Path('/run/x/docker-vm')], proc))

    def test_processes_of_a_cgroup_and_below_are_found(self):
        (self.tmp / 'group' / 'deep').mkdir(parents=True)
        (self.tmp / 'group' / 'cgroup.procs').write_text('1\n')
        (self.tmp / 'group' / 'deep' / 'cgroup.procs').write_text('2\n3\n')
        self.assertEqual({1, 2, 3},
                         leftovers.processes_in([self.tmp / 'group']))

    def test_cgroups_of_running_clouds_are_left_out(self):
        for name in ('memory/zun-vk-devcloud-aaaa', 'zun-vk-devcloud-bbbb',
                     'memory/docker'):
            (self.tmp / name).mkdir(parents=True)
        with mock.patch.object(leftovers, 'CGROUPS', self.tmp):
            self.assertEqual([self.tmp / 'zun-vk-devcloud-bbbb'],
                             leftovers.cgroup_roots({'aaaa'}))
