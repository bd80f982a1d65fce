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

import concurrent.futures
import threading
import time
from unittest import mock

from zun_vk import exceptions
from zun_vk import health
from zun_vk.cloud import throttle
from zun_vk.cloud import zun
from zun_vk.pods.runtimes import compute
from zun_vk.tests.fixtures import wait
from zun_vk.tests.unit.cloud import base
from zun_vk.tests.unit.pods import strategies


class LocatedTestCase(base.CloudTestCase):

    def setUp(self):
        super().setUp()
        self.runtime = compute.ComputeRuntime(
            self.conf, strategies.OWNER, health.Health(),
            throttle.Throttles('zun', 1000))
        self.zun = self.runtime._lister = mock.create_autospec(
            zun.ZunClient, instance=True)
        self.looks, self.answer = threading.Semaphore(0), threading.Event()
        self.zun.newest_capsules.side_effect = self._down
        patch = mock.patch.object(compute, 'time', wraps=time)
        self.clock = patch.start()
        self.addCleanup(patch.stop)

    def _down(self):
        self.looks.release()
        self.assertTrue(self.answer.wait(10))
        raise exceptions.Unreachable('zun', 'timeout')

    def test_those_who_waited_for_a_look_that_failed_are_told_so(self):
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            first = pool.submit(self.runtime.located, 'a')
            self.assertTrue(self.looks.acquire(timeout=10))
            others = [pool.submit(self.runtime.located, 'b')
                      for _ in range(19)]
            # All have come, and the first has begun to look.
            wait.wait_for(lambda: self.clock.monotonic.call_count >= 21,
                          'the others')
            self.answer.set()
            for each in (first, *others):
                self.assertIsInstance(each.exception(10),
                                      exceptions.Unreachable)
        # One time-out is enough for all of them.
        self.assertEqual(1, self.zun.newest_capsules.call_count)

    def test_after_a_look_that_failed_it_is_looked_again(self):
        self.answer.set()
        for _ in range(2):
            self.assertRaises(exceptions.Unreachable, self.runtime.located,
                              'a')
        self.zun.newest_capsules.side_effect = list
        self.assertIsNone(self.runtime.located('a'))

    def test_one_look_serves_all_that_came_with_one_message(self):
        self.zun.newest_capsules.side_effect = list
        came = time.monotonic()
        for number in range(5):
            self.assertIsNone(self.runtime.located(f'c{number}', came))
        self.assertEqual(1, self.zun.newest_capsules.call_count)
        self.assertIsNone(self.runtime.located('c0', time.monotonic()))
        self.assertEqual(2, self.zun.newest_capsules.call_count)
