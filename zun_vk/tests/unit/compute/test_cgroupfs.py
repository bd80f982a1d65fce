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
import pathlib
import subprocess
import uuid

import fixtures
from oslotest import base

from zun_vk.compute import cgroupfs
from zun_vk.compute.configs import cgroups
from zun_vk.compute.configs import settings as configs

_V1 = ('cpu', 'memory', 'pids', 'freezer')
_LIMITS = cgroups.Limits(512, 50000, 64 * 1024 ** 2, 32)
_PATH = '/zun-vk/pod1'


class CgroupFsTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path)
        self.cgroupfs = cgroupfs.CgroupFs(self.root)

    def _read(self, *parts):
        return self.root.joinpath(*parts).read_text()

    def _empty(self):
        """Do as the kernel: a cgroup's files go with it."""
        for path in sorted(self.root.rglob('pod1/**/*'), reverse=True):
            if path.is_file():
                path.unlink()


class V1TestCase(CgroupFsTestCase):

    def setUp(self):
        super().setUp()
        for controller in _V1:
            (self.root / controller).mkdir()
        (self.root / 'cpuacct').symlink_to('cpu')

    def test_limits_are_written_to_each_controller(self):
        self.cgroupfs.apply(_PATH, _LIMITS)
        for path, value in (('cpu/zun-vk/pod1/cpu.shares', '512'),
                            ('cpu/zun-vk/pod1/cpu.cfs_period_us', '100000'),
                            ('cpu/zun-vk/pod1/cpu.cfs_quota_us', '50000'),
                            ('memory/zun-vk/pod1/memory.limit_in_bytes',
                             '67108864'),
                            ('pids/zun-vk/pod1/pids.max', '32')):
            self.assertEqual(value, self._read(path), path)
        self.assertFalse((self.root / 'freezer/zun-vk').exists())

    def test_limits_that_are_gone_are_taken_off(self):
        self.cgroupfs.apply(_PATH, _LIMITS)
        self.cgroupfs.apply(_PATH, cgroups.Limits(2))
        self.assertEqual('-1', self._read(
            'cpu/zun-vk/pod1/cpu.cfs_quota_us'))
        self.assertEqual('-1', self._read(
            'memory/zun-vk/pod1/memory.limit_in_bytes'))
        self.assertEqual('max', self._read('pids/zun-vk/pod1/pids.max'))

    def test_a_kernel_without_a_controller_is_none_to_fail_on(self):
        (self.root / 'memory').rmdir()
        self.cgroupfs.apply(_PATH, _LIMITS)
        self.assertFalse((self.root / 'memory').exists())

    def test_what_the_runtime_left_goes_from_every_hierarchy(self):
        self.cgroupfs.apply(_PATH, _LIMITS)
        (self.root / 'freezer/zun-vk/pod1/left/over').mkdir(parents=True)
        (self.root / 'freezer/zun-vk/pod2').mkdir()
        self._empty()
        self.assertTrue(self.cgroupfs.remove(_PATH))
        self.assertEqual([], list(self.root.rglob('pod1')))
        self.assertTrue((self.root / 'freezer/zun-vk/pod2').exists())
        self.assertTrue(self.cgroupfs.remove(_PATH))

    def test_one_in_use_is_left_and_told_of(self):
        busy = self.root / 'cpu/zun-vk/pod1/container'
        busy.mkdir(parents=True)
        (busy / 'kept').touch()
        (self.root / 'pids/zun-vk/pod1').mkdir(parents=True)
        self.assertFalse(self.cgroupfs.remove(_PATH))
        self.assertFalse((self.root / 'pids/zun-vk/pod1').exists())


class V2TestCase(CgroupFsTestCase):

    def setUp(self):
        super().setUp()
        (self.root / 'cgroup.controllers').touch()

    def test_limits_are_written_and_controllers_let_in(self):
        self.cgroupfs.apply(_PATH, _LIMITS)
        for path, value in (('cgroup.subtree_control', '+cpu +memory +pids'),
                            ('zun-vk/cgroup.subtree_control',
                             '+cpu +memory +pids'),
                            ('zun-vk/pod1/cpu.weight', '20'),
                            ('zun-vk/pod1/cpu.max', '50000 100000'),
                            ('zun-vk/pod1/memory.max', '67108864'),
                            ('zun-vk/pod1/pids.max', '32')):
            self.assertEqual(value, self._read(path), path)

    def test_no_limit_is_max(self):
        self.cgroupfs.apply(_PATH, cgroups.Limits(2))
        for path, value in (('cpu.weight', '1'), ('cpu.max', 'max 100000'),
                            ('memory.max', 'max'), ('pids.max', 'max')):
            self.assertEqual(value, self._read('zun-vk/pod1', path))

    def test_the_largest_share_is_the_largest_weight(self):
        self.assertIn(('cpu.weight', '10000'),
                      cgroupfs.v2_values(cgroups.Limits(262144)))

    def test_removal(self):
        self.cgroupfs.apply(_PATH, _LIMITS)
        self._empty()
        self.assertTrue(self.cgroupfs.remove(_PATH))
        self.assertTrue(self.cgroupfs.remove(_PATH))
        self.assertFalse((self.root / 'zun-vk/pod1').exists())


class KernelTestCase(base.BaseTestCase):
    """The same with the kernel of this machine."""

    def setUp(self):
        super().setUp()
        root = configs.CGROUP_ROOT
        where = root if configs.is_v2(root) else root / 'pids'
        if os.geteuid() or not os.access(where, os.W_OK):
            self.skipTest('no cgroups to write to')
        self.pids = where
        self.cgroupfs = cgroupfs.CgroupFs()
        self.parent = f'/zun-vk-test-{uuid.uuid4()}'
        self.path = self.parent + '/pod1'
        self.addCleanup(self.cgroupfs.remove, self.parent)

    def _directory(self):
        return self.pids / self.path.lstrip('/')

    def _pipe(self):
        """Return what a shell says that starts four processes."""
        done = subprocess.run(
            ['sh', '-c', 'echo $$ > "$0/cgroup.procs"; : | : | : | :',
             self._directory()],
            capture_output=True, text=True, check=False, timeout=30)
        return done.stderr

    def test_a_pod_cannot_have_more_processes_than_its_bound(self):
        self.cgroupfs.apply(self.path, cgroups.Limits(2, 5000, 2 ** 26))
        self.assertEqual('', self._pipe())
        self.cgroupfs.apply(self.path, cgroups.Limits(2, pids=3))
        self.assertIn('fork', self._pipe())

    def test_it_is_not_removed_while_a_process_is_in_it(self):
        self.cgroupfs.apply(self.path, cgroups.Limits(2))
        with subprocess.Popen(['cat'], stdin=subprocess.PIPE) as process:
            (self._directory() / 'cgroup.procs').write_text(str(process.pid))
            self.assertFalse(self.cgroupfs.remove(self.path))
            process.stdin.close()
        self.assertTrue(self.cgroupfs.remove(self.path))
        self.assertFalse(self._directory().exists())
