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
import oslotest.base

from zun_vk.compute import diskusage
from zun_vk.rpc import stats
from zun_vk.tests.fixtures import wait


class DiskUsageTestCase(oslotest.base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.now = 1000.0
        self.asked = []
        self.used = {'v': 7}
        self.disk = diskusage.DiskUsage(self._measure, lambda: self.now)
        self.addCleanup(self.disk.close)

    def _measure(self, uid):
        self.asked.append(uid)
        if isinstance(self.used, Exception):
            raise self.used
        return self.used

    def _measured(self):
        wait.wait_for(lambda: self.disk.of('u') is not None, 'it', 10)
        return self.disk.of('u')

    def test_a_walk_keeps_nobody_waiting(self):
        held = threading.Event()
        self.addCleanup(held.set)
        slow = diskusage.DiskUsage(lambda uid: held.wait(10) and {'v': 1})
        self.addCleanup(slow.close)
        self.assertIsNone(slow.of('u'))
        self.assertIsNone(slow.of('u'))
        held.set()
        wait.wait_for(lambda: slow.of('u') is not None, 'the walk', 10)

    def test_it_is_measured_once_a_minute_with_its_time(self):
        self.assertEqual((stats.Volume('v', stats.Disk(1000.0, 7)),),
                         self._measured())
        self.now += 59
        self.disk.of('u')
        self.assertEqual(['u'], self.asked)
        self.now += 2
        self.used = {'v': 8}
        self.assertEqual(7, self.disk.of('u')[0].disk.used)
        wait.wait_for(lambda: self.disk.of('u')[0].disk.used == 8, 'it', 10)
        self.assertEqual(1061.0, self.disk.of('u')[0].disk.at)

    def test_what_cannot_be_measured_is_unknown_and_left_for_a_while(self):
        self.used = OSError('no')
        self.assertIsNone(self.disk.of('u'))
        wait.wait_for(lambda: self.asked, 'the walk', 10)
        self.assertIsNone(self.disk.of('u'))
        self.now += 61
        self.used = {}
        self.assertEqual((), self._measured())

    def test_pods_that_are_gone_are_forgotten(self):
        self._measured()
        self.disk.keep(set())
        self.assertIsNone(self.disk.of('u'))


class OfDirectoryTestCase(oslotest.base.BaseTestCase):

    def test_files_that_go_meanwhile_are_nothing(self):
        path = self.useFixture(fixtures.TempDir()).path
        os.symlink('/nowhere', os.path.join(path, 'link'))
        self.assertEqual(1, diskusage.of_directory(path, 1.0).inodes_used)

    def test_what_is_not_there_is_unknown(self):
        self.assertIsNone(diskusage.of_directory('/no/such', 1.0))
        self.assertIsNone(diskusage.of_filesystem('/no/such', 1.0))
