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
import signal
import threading

import fixtures
from oslo_config import cfg
from oslotest import base

from zun_vk import process


class _Process(process.Process):

    def __init__(self, conf):
        super().__init__(conf)
        self.began, self.ends = threading.Event(), threading.Event()

    def stop(self):
        self._stop.set()

    def _main(self):
        self.began.set()
        self.ends.wait(20)


class ProcessTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.addCleanup(signal.signal, signal.SIGHUP,
                        signal.getsignal(signal.SIGHUP))
        self.log = self.useFixture(fixtures.FakeLogger(process.__name__))
        self.process = _Process(cfg.ConfigOpts())
        self.addCleanup(self.process.ends.set)
        self.process.start()
        self.assertTrue(self.process.began.wait(20))

    def test_who_does_not_end_is_named(self):
        self.process.stop()
        self.process._join(0.01)
        self.assertIn('main is cut off', self.log.output)

    def test_an_end_in_time_is_no_news(self):
        self.process.stop()
        self.process.ends.set()
        self.process._join(20)
        self.assertEqual('', self.log.output)

    def test_a_signal_ends_the_wait(self):
        def end(*_signal):
            self.process.stop()

        self.addCleanup(signal.signal, signal.SIGALRM,
                        signal.signal(signal.SIGALRM, end))
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
        self.addCleanup(signal.setitimer, signal.ITIMER_REAL, 0)
        self.process.wait()
        self.assertTrue(self.process._stop.is_set())
