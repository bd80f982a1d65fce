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
import select
import socket
import threading

import fixtures
from oslotest import base

from zun_vk import relay
from zun_vk.compute.streams import sink
from zun_vk.tests.fixtures import connections


class TlsSinkTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.Timeout(60, gentle=True))
        self.pool = concurrent.futures.ThreadPoolExecutor(1)
        self.addCleanup(self.pool.shutdown)
        self.stop = relay.Wakeup()
        self.addCleanup(self.stop.close)
        self.reader, self.stream = self.useFixture(
            connections.Connections()).make(connections.STREAM)
        self.sink = sink.TlsSink(self.stream, self.stop)

    def fill(self):
        """Send until the kernel takes no more; return how much was."""
        for end, option in ((self.reader, socket.SO_RCVBUF),
                            (self.stream, socket.SO_SNDBUF)):
            end.socket.setsockopt(socket.SOL_SOCKET, option, 4096)
        count = 0
        while not self.stream.pending:
            count += self.stream.send(memoryview(bytes(1000))) or 0
        return count

    def test_a_slow_reader_sees_the_end(self):
        count, waits = self.fill(), threading.Event()
        poll = self.sink._poll

        def noted(events, seconds):
            if events & select.POLLOUT:
                waits.set()
            poll(events, seconds)

        self.useFixture(fixtures.MockPatchObject(self.sink, '_poll', noted))
        finished = self.pool.submit(self.sink.finish)
        self.assertTrue(waits.wait(30))
        found = connections.talk(self.reader, ends=False)
        self.assertEqual(count, len(found))
        connections.send(self.reader, b'')
        finished.result(30)
