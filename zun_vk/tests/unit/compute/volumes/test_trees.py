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

import fixtures
from oslotest import base

from zun_vk.compute.volumes import linux
from zun_vk.compute.volumes import trees
from zun_vk.tests.fixtures import root


class TreesTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.dir = self.useFixture(fixtures.TempDir()).path
        self.tree = os.path.join(self.dir, 'tree')
        os.mkdir(self.tree)

    def _write(self, path, data=b'x'):
        full = os.path.join(self.dir, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, 'wb') as file:
            file.write(data)
        return full

    def _deep(self, levels):
        here = os.open(self.tree, os.O_RDONLY)
        for _ in range(levels):
            os.mkdir('a' * 50, dir_fd=here)
            there = os.open('a' * 50, os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = there
        descriptor = os.open('f', os.O_CREAT | os.O_WRONLY, dir_fd=here)
        os.write(descriptor, b'x' * 100_000)
        os.close(descriptor)
        os.close(here)

    def test_a_tree_is_removed(self):
        self._write('tree/a/b/c')
        self._write('tree/d')
        os.symlink('nowhere', os.path.join(self.tree, 'link'))
        trees.clear(self.tree)
        self.assertEqual([], os.listdir(self.dir))

    def test_no_tree_is_fine(self):
        trees.clear(os.path.join(self.dir, 'none'))

    def test_no_link_is_followed_out_of_it(self):
        kept = self._write('outside/kept')
        os.symlink(os.path.dirname(kept), os.path.join(self.tree, 'link'))
        os.mkdir(os.path.join(self.tree, 'd'))
        os.symlink('../../outside', os.path.join(self.tree, 'd', 'link'))
        trees.clear(self.tree)
        self.assertTrue(os.path.exists(kept))

    def test_a_tree_deeper_than_any_path_is_measured_and_removed(self):
        if os.geteuid() == 0:
            # Fast: what the disk takes for it is not of interest.
            linux.mount_tmpfs(self.tree, 'size=16m')
            self.addCleanup(root.unmount_all, self.dir)
        self._deep(1500)
        self.assertGreaterEqual(trees.used(self.tree), 100_000)
        here = os.open(self.tree, os.O_RDONLY)
        self.addCleanup(os.close, here)
        trees.remove(here, 'a' * 50)
        self.assertEqual([], os.listdir(self.tree))

    def test_a_file_is_measured_once_whatever_its_names(self):
        self._write('tree/a', b'x' * 100_000)
        before = trees.used(self.tree)
        os.link(os.path.join(self.tree, 'a'), os.path.join(self.tree, 'b'))
        self.assertEqual(before, trees.used(self.tree))

    def test_what_a_link_leads_to_is_not_measured(self):
        self._write('outside/big', b'x' * 1_000_000)
        os.symlink('../outside', os.path.join(self.tree, 'd'))
        os.symlink('../outside/big', os.path.join(self.tree, 'f'))
        self.assertLess(trees.used(self.tree), 100_000)

    def test_a_sparse_file_counts_what_it_takes(self):
        with open(os.path.join(self.tree, 'f'), 'wb') as file:
            file.truncate(10 ** 9)
        self.assertLess(trees.used(self.tree), 10 ** 6)

    def test_all_directories_are_measured(self):
        for name in ('a/b', 'a/c', 'd/e/f', 'd/e/g'):
            self._write(f'tree/{name}', b'x' * 50_000)
        self.assertGreaterEqual(trees.used(self.tree), 200_000)

    @root.needs_root
    def test_a_mount_is_never_emptied(self):
        for path in ('m', 'd/m'):
            mounted = os.path.join(self.tree, path)
            os.makedirs(mounted)
            linux.mount_tmpfs(mounted, 'size=64k')
            self.addCleanup(root.unmount_all, self.dir)
            with open(os.path.join(mounted, 'kept'), 'w'):
                pass
        outside = os.path.dirname(self._write('outside/kept'))
        os.mkdir(os.path.join(self.tree, 'd', 'b'))
        linux.bind(outside, os.path.join(self.tree, 'd', 'b'))
        self.assertRaises(OSError, trees.clear, self.tree)
        root.unmount_all(outside)
        self.assertEqual(['kept'], os.listdir(outside))
        self.assertEqual(['kept'], os.listdir(os.path.join(self.tree, 'm')))
        root.unmount_all(self.dir)
        trees.clear(self.tree)

    def test_private_directories_are_roots_alone(self):
        path = trees.make_private(self.dir, 'a', 'b')
        for each in (path, os.path.dirname(path)):
            self.assertEqual(0o700, os.stat(each).st_mode & 0o777)

    def test_a_link_is_no_private_directory(self):
        os.symlink('/tmp', os.path.join(self.dir, 'a'))
        self.assertRaises(OSError, trees.make_private, self.dir, 'a', 'b')
