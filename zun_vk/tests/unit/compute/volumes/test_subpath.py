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

import fixtures
import hypothesis
from hypothesis import strategies
from oslotest import base

from zun_vk.compute.volumes import linux
from zun_vk.compute.volumes import mountinfo
from zun_vk.compute.volumes import subpath
from zun_vk.tests.fixtures import root


class OpenTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.dir = os.path.realpath(self.useFixture(fixtures.TempDir()).path)
        self.volume = os.path.join(self.dir, 'volume')
        os.makedirs(os.path.join(self.volume, 'a/b'))
        os.mkdir(os.path.join(self.dir, 'host'))
        with open(os.path.join(self.dir, 'host/secret'), 'w'):
            pass
        with open(os.path.join(self.volume, 'a/file'), 'w'):
            pass

    def _link(self, name, target):
        os.symlink(target, os.path.join(self.volume, name))

    def _open(self, path):
        """Return where the path leads, as the kernel knows it."""
        descriptor = subpath.open_within(self.volume, path)
        try:
            return os.readlink(f'/proc/self/fd/{descriptor}')
        finally:
            os.close(descriptor)

    def _below(self, path):
        return os.path.join(self.volume, path)

    def test_files_and_directories_are_opened(self):
        for path in ('a', 'a/b', 'a/file', './a//b/'):
            self.assertEqual(os.path.normpath(self._below(path)),
                             self._open(path))

    def test_links_within_the_volume_are_followed(self):
        self._link('in', 'a/b')
        self._link('up', 'a/../a/file')
        self._link('chain', 'in/../file')
        self.assertEqual(self._below('a/b'), self._open('in'))
        self.assertEqual(self._below('a/file'), self._open('up'))
        self.assertEqual(self._below('a/file'), self._open('chain'))

    def test_links_out_of_the_volume_are_not(self):
        self._link('absolute', os.path.join(self.dir, 'host'))
        self._link('relative', '../host')
        self._link('hidden', 'a/b/../../../host/secret')
        self._link('root', '/')
        self._link('proc', '/proc/self/root')
        self._link('loop', 'loop')
        for path in ('absolute', 'relative', 'hidden', 'root', 'proc', 'loop',
                     'absolute/secret', 'relative/new'):
            self.assertRaises(OSError, self._open, path)
        self.assertEqual(['secret'],
                         os.listdir(os.path.join(self.dir, 'host')))

    def test_what_is_missing_is_made_as_the_volume_is(self):
        os.chmod(self.volume, 0o777)
        self.assertEqual(self._below('new/deep'), self._open('new/deep'))
        for path in ('new', 'new/deep'):
            self.assertEqual(
                0o777, os.stat(self._below(path)).st_mode & 0o777)

    def test_a_file_on_the_way_is_an_error(self):
        self.assertRaises(OSError, self._open, 'a/file/x')

    def test_no_descriptor_is_left_open(self):
        self._link('out', '/')
        before = len(os.listdir('/proc/self/fd'))
        for path in ('a/b', 'new/x/y'):
            self._open(path)
        for path in ('out', 'a/file/x', 'a/b/' + 'n' * 300):
            self.assertRaises(OSError, self._open, path)
        self.assertEqual(before, len(os.listdir('/proc/self/fd')))

    @hypothesis.given(strategies.lists(strategies.sampled_from(
        ['..', '.', 'a', 'b', 'in', 'out', 'abs', 'new']), min_size=1))
    def test_no_path_whatsoever_leads_out(self, parts):
        for name, target in (('in', 'a'), ('a/out', '../..'),
                             ('abs', self.dir)):
            if not os.path.lexists(self._below(name)):
                self._link(name, target)
        try:
            found = self._open('/'.join(parts))
        except OSError:
            return
        self.assertTrue(
            (found + '/').startswith(self.volume + '/'), found)

    def test_a_container_that_swaps_directories_gains_nothing(self):
        done = threading.Event()

        def swap():
            while not done.is_set():
                for target in ('a', '../host'):
                    os.symlink(target, self._below('next'))
                    os.rename(self._below('next'), self._below('swap'))

        self._link('swap', 'a')
        thread = threading.Thread(target=swap, name='swapper')
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(done.set)
        for _ in range(300):
            try:
                found = self._open('swap/file')
            except OSError:
                continue
            self.assertEqual(self._below('a/file'), found)
        self.assertEqual(['secret'],
                         os.listdir(os.path.join(self.dir, 'host')))

    def test_paths_that_kubernetes_refuses(self):
        for path in ('/a', '..', 'a/..', '../a', 'a\0'):
            self.assertRaises(ValueError, subpath.check, path)
        for path in ('a', 'a..b', '..a/b', '.'):
            subpath.check(path)


@root.needs_root
class BindTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.dir = os.path.realpath(self.useFixture(fixtures.TempDir()).path)
        self.addCleanup(root.unmount_all, self.dir)
        self.place = os.path.join(self.dir, 'place')

    def _make(self, name, words):
        os.mkdir(os.path.join(self.dir, name))
        with open(os.path.join(self.dir, name, 'file'), 'w') as file:
            file.write(words)

    def _bind(self, path):
        descriptor = subpath.open_within(self.dir, path)
        try:
            subpath.bind(descriptor, self.place)
        finally:
            os.close(descriptor)

    def _mounts(self):
        return mountinfo.beneath(mountinfo.read(), self.dir)

    def test_what_is_bound_stays_whatever_the_name_becomes(self):
        self._make('a', 'good')
        self._make('host', 'evil')
        self._bind('a')
        os.rename(os.path.join(self.dir, 'a'), os.path.join(self.dir, 'b'))
        os.symlink('host', os.path.join(self.dir, 'a'))
        with open(os.path.join(self.place, 'file')) as file:
            self.assertEqual('good', file.read())

    def test_the_same_is_not_bound_twice(self):
        self._make('a', 'x')
        self._bind('a')
        self._bind('a')
        self.assertEqual([self.place], self._mounts())

    def test_another_takes_its_place_even_of_another_kind(self):
        self._make('a', 'x')
        self._make('b', 'y')
        for path in ('a', 'b', 'b/file', 'a'):
            self._bind(path)
            self.assertEqual([self.place], self._mounts())
        with open(os.path.join(self.place, 'file')) as file:
            self.assertEqual('x', file.read())

    def test_an_unmount_of_nothing_is_an_error(self):
        self.assertRaises(OSError, linux.unmount, self.dir)
