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

from zun_vk.compute.volumes import termination

_STAMP = b'2026-01-02T03:04:05.678901234Z stdout F '


class TerminationTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.dir = self.useFixture(fixtures.TempDir()).path
        self.path = os.path.join(self.dir, '0')
        self.log = os.path.join(self.dir, 'log')

    def _write(self, path, data):
        with open(path, 'wb') as file:
            file.write(data)

    def _message(self, policy='File', exit_code=1, containers=1):
        return termination.message(
            self.path, policy, self.log, exit_code, containers)

    def test_what_the_container_wrote_is_its_message(self):
        termination.make(self.path)
        self._write(self.path, b'it is over')
        self.assertEqual('it is over', self._message())

    def test_anyone_may_write_the_file(self):
        termination.make(self.path)
        self.assertEqual(0o666, os.stat(self.path).st_mode & 0o777)

    def test_a_long_message_keeps_its_end(self):
        self._write(self.path, b'x' * 5000 + b'end')
        self.assertEqual('x' * 4093 + 'end', self._message())

    def test_many_containers_share_the_pods_bound(self):
        self._write(self.path, b'x' * 5000)
        self.assertEqual(1024, len(self._message(containers=12)))

    def test_bytes_that_are_no_text_are_left_out(self):
        self._write(self.path, b'a\xffb\xe2\x82')
        self.assertEqual('ab', self._message())

    def test_a_failed_container_falls_back_to_its_log(self):
        self._write(self.log, _STAMP + b'no disk\n')
        self.assertEqual('no disk\n',
                         self._message(termination.FALLBACK))
        self.assertEqual('', self._message(termination.FALLBACK, 0))
        self.assertEqual('', self._message('File'))
        self._write(self.path, b'said')
        self.assertEqual('said', self._message(termination.FALLBACK))

    def test_nothing_at_all_is_no_message(self):
        self.assertEqual('', self._message(termination.FALLBACK))

    def test_what_is_no_file_is_not_read(self):
        os.mkfifo(self.path)
        self.assertEqual('', self._message())
        os.unlink(self.path)
        self._write(self.log + '2', b'secret')
        os.symlink(self.log + '2', self.path)
        self.assertEqual('', self._message())
