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
import contextlib
import errno
import itertools
import os
import stat
from unittest import mock

import fixtures
import hypothesis
from hypothesis import strategies
from oslotest import base

from zun_vk.compute.volumes import atomic
from zun_vk.tests.fixtures import root

_CALLS = ('mkdir', 'open', 'fchmod', 'fchown', 'symlink', 'rename', 'unlink',
          'rmdir', 'readlink', 'listdir')


class _Crash(Exception):
    """The process ended here."""


class _Failing:
    """The os module, but that its n-th call of those above is a crash."""

    def __init__(self, left):
        self.left = left
        self.failed = False

    def __getattr__(self, name):
        if name not in _CALLS:
            return getattr(os, name)

        def call(*args, **kwargs):
            self.left -= 1
            if self.left == 0:
                self.failed = True
                raise _Crash(name)
            return getattr(os, name)(*args, **kwargs)
        return call


def _seen(volume):
    """Return what a container reads: by the names, through the links."""
    found = {}
    for name in os.listdir(volume):
        if name.startswith('..'):
            continue
        path = os.path.join(volume, name)
        if os.path.isdir(path):
            for directory, _, files in os.walk(path):
                for file in files:
                    full = os.path.join(directory, file)
                    with open(full, 'rb') as stream:
                        found[os.path.relpath(full, volume)] = stream.read()
        elif os.path.exists(path):
            with open(path, 'rb') as stream:
                found[name] = stream.read()
    return found


def _entries(files):
    return [atomic.Entry(path, data) for path, data in files.items()]


@root.needs_root
class PublishTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.volume = self.useFixture(fixtures.TempDir()).path

    def _publish(self, files, **kwargs):
        return atomic.publish(self.volume, _entries(files), **kwargs)

    def test_files_are_seen_by_their_paths(self):
        files = {'a': b'1', 'dir/b': b'2', 'dir/deep/c': b'\0\xff'}
        self.assertTrue(self._publish(files))
        self.assertEqual(files, _seen(self.volume))

    def test_what_is_the_same_is_not_written_again(self):
        self._publish({'a': b'1', 'd/b': b'2'})
        before = os.readlink(os.path.join(self.volume, '..data'))
        self.assertFalse(self._publish({'a': b'1', 'd/b': b'2'}))
        self.assertEqual(
            before, os.readlink(os.path.join(self.volume, '..data')))

    def test_a_change_replaces_all_files_and_leaves_nothing_behind(self):
        self._publish({'a': b'1', 'd/b': b'2', 'gone': b'3'})
        self.assertTrue(self._publish({'a': b'9', 'd/b': b'2', 'new': b'4'}))
        self.assertEqual({'a': b'9', 'd/b': b'2', 'new': b'4'},
                         _seen(self.volume))
        self.assertEqual(
            5, len(os.listdir(self.volume)), os.listdir(self.volume))

    def test_a_changed_mode_or_owner_is_a_change(self):
        path = os.path.join(self.volume, 'a')
        atomic.publish(self.volume, [atomic.Entry('a', b'1', 0o400)])
        self.assertEqual(0o400, stat.S_IMODE(os.stat(path).st_mode))
        self.assertTrue(atomic.publish(
            self.volume, [atomic.Entry('a', b'1', 0o444)]))
        self.assertEqual(0o444, stat.S_IMODE(os.stat(path).st_mode))
        self.assertTrue(atomic.publish(
            self.volume, [atomic.Entry('a', b'1', 0o444, user=1000)]))
        self.assertEqual(1000, os.stat(path).st_uid)

    def test_the_group_of_the_pod_may_read(self):
        atomic.publish(
            self.volume, [atomic.Entry('d/a', b'1', 0o400)], group=2000)
        found = os.stat(os.path.join(self.volume, 'd/a'))
        self.assertEqual((0o440, 2000),
                         (stat.S_IMODE(found.st_mode), found.st_gid))
        found = os.stat(os.path.join(self.volume, 'd'))
        self.assertEqual((0o2755, 2000),
                         (stat.S_IMODE(found.st_mode), found.st_gid))

    def test_a_reader_of_the_old_files_keeps_them(self):
        self._publish({'a': b'old'})
        with open(os.path.join(self.volume, 'a'), 'rb') as reader:
            self._publish({'a': b'new'})
            self.assertEqual(b'old', reader.read())

    def test_a_directory_that_a_mount_made_gives_way(self):
        os.mkdir(os.path.join(self.volume, 'a'))
        self._publish({'a': b'1'})
        self.assertEqual({'a': b'1'}, _seen(self.volume))

    def test_no_files_are_an_empty_volume(self):
        self._publish({'a': b'1'})
        self._publish({})
        self.assertEqual({}, _seen(self.volume))

    def test_nothing_is_written_of_a_bad_path(self):
        self.assertRaises(atomic.BadPath, self._publish,
                          {'a': b'1', '../b': b'2'})
        self.assertEqual([], os.listdir(self.volume))

    def test_what_cannot_be_written_leaves_nothing_behind(self):
        # It is tried again and again, on a file system that is full, say.
        atomic.publish(self.volume, _entries({'a': b'old'}))
        before = set(os.listdir(self.volume))
        self.assertRaises(
            OSError, atomic.publish, self.volume,
            _entries({'b': b'1' * 10000, 'c': b'', 'c/d': b''}))
        self.assertEqual(before, set(os.listdir(self.volume)))
        self.assertEqual({'a': b'old'}, _seen(self.volume))

    def test_what_a_crash_left_makes_room_before_more_is_written(self):
        os.mkdir(os.path.join(self.volume, '..left'))
        with mock.patch.object(
                atomic, '_write_all', autospec=True,
                side_effect=OSError(errno.ENOSPC, 'No space left')):
            self.assertRaises(OSError, atomic.publish, self.volume,
                              _entries({'a': b'new'}))
        self.assertEqual([], os.listdir(self.volume))

    def test_a_crash_at_any_point_leaves_old_or_new_files(self):
        old = {'a': b'old', 'd/b': b'old', 'gone': b'old'}
        new = {'a': b'new', 'd/b': b'new', 'd/e': b'new', 'top': b'new'}
        for step in itertools.count(1):
            volume = os.path.join(self.volume, str(step))
            os.mkdir(volume)
            atomic.publish(volume, _entries(old))
            failing = _Failing(step)
            with (mock.patch.object(atomic, 'os', failing),
                  contextlib.suppress(_Crash)):
                atomic.publish(volume, _entries(new))
            # Which names show may lag; what they show is of one set.
            values = set(_seen(volume).values())
            self.assertIn(values, ({b'old'}, {b'new'}), step)
            atomic.publish(volume, _entries(new))
            self.assertEqual(new, _seen(volume), step)
            self.assertEqual(5, len(os.listdir(volume)), step)
            if not failing.failed:
                break
        self.assertGreater(step, 30)


class CheckTestCase(base.BaseTestCase):

    def test_paths_that_lead_out_are_refused(self):
        for path in ('', '/a', '..', '../a', 'a/../b', 'a/./b', 'a//b', 'a/',
                     '..data', '..data/x', 'a\0', 'x' * 256, 'a/' * 2100):
            self.assertRaises(atomic.BadPath, atomic.check, path)

    def test_honest_paths_are_not(self):
        for path in ('a', 'a/b', '.hidden', 'a..b', 'ca.crt', 'd/..e'):
            atomic.check(path)

    @hypothesis.given(strategies.text('./a\0', max_size=8))
    def test_what_passes_stays_below_the_volume(self, path):
        try:
            atomic.check(path)
        except atomic.BadPath:
            return
        full = os.path.normpath(os.path.join('/v/x', path))
        self.assertTrue(full.startswith('/v/x/'), path)
