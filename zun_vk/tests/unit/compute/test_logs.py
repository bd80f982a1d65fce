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
import gzip
import os
import stat

import fixtures
import hypothesis
from hypothesis import strategies
from oslotest import base

from zun_vk.compute import logs

_STAMP = b'2026-01-02T03:04:05.678901234Z '


def _line(content, tag=b'F', stream=b'stdout'):
    return _STAMP + stream + b' ' + tag + b' ' + content + b'\n'


class LastLinesTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.path = os.path.join(
            self.useFixture(fixtures.TempDir()).path, '0.log')

    def _last(self, data, lines=80, size=2048):
        with open(self.path, 'wb') as file:
            file.write(data)
        return logs.last_lines(self.path, lines, size)

    def test_both_streams_are_read_in_order(self):
        self.assertEqual(b'one\ntwo\n', self._last(
            _line(b'one') + _line(b'two', stream=b'stderr')))

    def test_partial_lines_are_joined(self):
        self.assertEqual(b'abc\nd', self._last(
            _line(b'a', b'P') + _line(b'b', b'P') + _line(b'c')
            + _line(b'd', b'P')))

    def test_only_the_last_lines_count(self):
        data = b''.join(_line(b'%d' % each) for each in range(100))
        self.assertEqual(b'98\n99\n', self._last(data, lines=2))
        self.assertTrue(self._last(data).startswith(b'20\n'))

    def test_a_partial_line_is_not_a_line_of_its_own(self):
        data = (_line(b'x') + _line(b'a', b'P') + _line(b'b', b'P')
                + _line(b'c'))
        self.assertEqual(b'abc\n', self._last(data, lines=1))

    def test_only_the_last_bytes_count(self):
        self.assertEqual(b'89\n', self._last(_line(b'0123456789'), size=3))

    def test_a_huge_line_costs_no_more_than_a_window(self):
        data = _line(b'first') + _line(b'x' * 3_000_000 + b'end')
        found = self._last(data)
        self.assertEqual(2048, len(found))
        self.assertTrue(found.endswith(b'xend\n'))

    def test_bytes_that_are_no_text_are_kept(self):
        self.assertEqual(b'\xff\0 \r\n', self._last(_line(b'\xff\0 \r')))

    def test_no_log_is_nothing(self):
        self.assertEqual(b'', logs.last_lines(self.path, 80, 2048))

    def test_tags_may_have_more_fields(self):
        self.assertEqual(b'ab\n', self._last(
            _line(b'a', b'P:x') + _line(b'b', b'F:y')))

    @hypothesis.given(strategies.lists(strategies.tuples(
        strategies.binary(max_size=50).filter(lambda each: b'\n' not in each),
        strategies.booleans()), max_size=30), strategies.integers(1, 10))
    def test_what_was_said_last_is_found(self, said, lines):
        text = b''.join(content + b'\n' * full for content, full in said)
        data = b''.join(_line(content, b'F' if full else b'P')
                        for content, full in said)
        full, rest = text.rsplit(b'\n', 1) if b'\n' in text else (None, text)
        expected = rest
        if full is not None:
            expected = b'\n'.join(full.split(b'\n')[-lines:]) + b'\n' + rest
        self.assertEqual(expected, self._last(data, lines, 10 ** 6))


class RotationTestCase(base.BaseTestCase):

    def test_there_is_room_for_the_log_and_what_it_becomes(self):
        found = logs.rotation(
            '0.log', ['0.log', '0.log.1.gz', '0.log.2.gz', '0.log.3.gz',
                      '0.log.4', '1.log.0'], 5)
        self.assertEqual(('0.log.1.gz',), found.remove)
        self.assertEqual(('0.log.4',), found.compress)

    def test_what_a_crash_left_is_removed(self):
        found = logs.rotation('0.log', [
            '0.log', '0.log.1', '0.log.1.gz', '0.log.2', '0.log.2.tmp'], 5)
        self.assertEqual({'0.log.1', '0.log.2.tmp'}, set(found.remove))
        self.assertEqual(('0.log.2',), found.compress)

    def test_two_files_are_the_log_and_the_one_before(self):
        self.assertEqual(('0.log.1',), logs.rotation(
            '0.log', ['0.log', '0.log.1'], 2).remove)

    @hypothesis.given(strategies.sets(strategies.builds(
        '0.log.{:02}{}'.format, strategies.integers(0, 20),
        strategies.sampled_from(['', '.gz', '.tmp']))),
        strategies.integers(2, 8))
    def test_never_more_than_asked_for_and_the_newest_stay(
            self, names, max_files):
        found = logs.rotation('0.log', {'0.log', *names}, max_files)
        left = sorted(names - set(found.remove))
        self.assertLessEqual(len(left), max_files - 2)
        self.assertFalse(set(found.remove) & set(found.compress))
        removed = [name for name in found.remove
                   if not name.endswith('.tmp') and name + '.gz' not in names]
        self.assertFalse([name for name in removed if left
                          and name > left[0]])


class RotatorTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.dir = self.useFixture(fixtures.TempDir()).path
        self.path = os.path.join(self.dir, '0.log')
        self.rotator = logs.Rotator(100, 3)
        self.time = '20260101-000000'
        self.useFixture(fixtures.MockPatchObject(
            logs.time, 'strftime', lambda form, when: form.replace(
                '%Y%m%d-%H%M%S', self.time)))

    def _write(self, size=200):
        with open(self.path, 'ab') as file:
            file.write(b'x' * size)

    def _reopen(self):
        self._write(0)

    def test_a_small_log_is_left_alone(self):
        self._write(99)
        self.assertFalse(self.rotator.look(self.path, self.fail))
        self.assertEqual(['0.log'], os.listdir(self.dir))

    def test_a_large_log_begins_again(self):
        self._write()
        self.assertTrue(self.rotator.look(self.path, self._reopen))
        self.assertEqual(0, os.path.getsize(self.path))
        self.assertEqual(200, os.path.getsize(
            f'{self.path}.20260101-000000'))

    def test_older_ones_are_compressed_and_the_oldest_go(self):
        for second in range(4):
            self.time = f'20260101-00000{second}'
            self._write()
            self.assertTrue(self.rotator.look(self.path, self._reopen))
        self.assertEqual(
            ['0.log', '0.log.20260101-000002.gz', '0.log.20260101-000003'],
            sorted(os.listdir(self.dir)))
        with gzip.open(f'{self.path}.20260101-000002.gz') as file:
            self.assertEqual(b'x' * 200, file.read())

    def test_a_compressed_log_is_as_private_as_it_was(self):
        self.addCleanup(os.umask, os.umask(0o077))
        self._write()
        self.rotator.look(self.path, self._reopen)
        os.chmod(f'{self.path}.20260101-000000', 0o640)
        self.time = '20260101-000001'
        self._write()
        self.rotator.look(self.path, self._reopen)
        found = os.stat(f'{self.path}.20260101-000000.gz')
        self.assertEqual(0o640, stat.S_IMODE(found.st_mode))

    def test_a_runtime_that_does_not_reopen_keeps_its_log(self):
        self._write()
        self.assertRaises(ZeroDivisionError, self.rotator.look, self.path,
                          lambda: 1 / 0)
        self.assertEqual(['0.log'], os.listdir(self.dir))
        self.assertEqual(200, os.path.getsize(self.path))

    def test_a_log_that_is_missing_is_asked_for(self):
        self.assertFalse(self.rotator.look(self.path, self._reopen))
        self.assertEqual(['0.log'], os.listdir(self.dir))

    def test_nothing_is_overwritten_within_a_second(self):
        self._write()
        self.assertTrue(self.rotator.look(self.path, self._reopen))
        self._write()
        self.assertFalse(self.rotator.look(self.path, self.fail))
        self.assertEqual(200, os.path.getsize(self.path))


class DirsTestCase(base.BaseTestCase):

    def test_logs_are_where_kubernetes_has_them(self):
        self.assertEqual('/l/ns_pod.a_u-1',
                         logs.pod_dir('/l', 'ns', 'pod.a', 'u-1'))
        self.assertEqual('web/3.log', logs.container_log('web', 3))

    def test_no_name_leads_elsewhere(self):
        for parts in (('..', 'p', 'u'), ('n', 'a/b', 'u'), ('n', 'p', ''),
                      ('n', 'a_b', 'u')):
            self.assertRaises(ValueError, logs.pod_dir, '/l', *parts)

    def test_directories_are_made_and_removed(self):
        # As the service's unit has it.
        self.addCleanup(os.umask, os.umask(0o077))
        root = self.useFixture(fixtures.TempDir()).path
        pod = logs.pod_dir(os.path.join(root, 'pods'), 'n', 'p', 'u')
        for _ in range(2):
            logs.make_dirs(pod, ['web', 'init'])
        self.assertEqual({'web', 'init'}, set(os.listdir(pod)))
        for path in (os.path.dirname(pod), pod, os.path.join(pod, 'web')):
            self.assertEqual(0o755, stat.S_IMODE(os.stat(path).st_mode))
        for _ in range(2):
            logs.remove(pod)
        self.assertFalse(os.path.exists(pod))
