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
import threading
from unittest import mock

import fixtures
from oslotest import base

from zun_vk import exceptions
from zun_vk import health
from zun_vk.pods import outbox
from zun_vk.rpc import bus as bus_module
from zun_vk.tests.fixtures.wait import wait_for


class OutboxTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            outbox.backoff.Backoff, 'next', autospec=True, return_value=0.01))
        self.bus = mock.create_autospec(bus_module.Bus, instance=True)
        self.sent = []
        self.fails = 0
        self.bus.peer.side_effect = self._peer
        self.guard = mock.Mock(return_value=None)
        self.told = []
        self.outbox = outbox.Outbox(
            self.bus, health.Health(), self.guard,
            lambda host, method: self.told.append((host, method)))

    def _peer(self, topic, host):
        peer = mock.create_autospec(bus_module.Peer, instance=True)
        peer.cast.side_effect = lambda method, **arguments: self._cast(
            topic, host, method, arguments)
        return peer

    def _cast(self, *message):
        if self.fails:
            self.fails -= 1
            raise exceptions.Unreachable('bus', 'down')
        self.sent.append(message)

    def _run(self, until):
        stop = threading.Event()
        thread = threading.Thread(target=self.outbox.run, args=(stop,),
                                  daemon=True)
        thread.start()
        try:
            wait_for(until, 'sent', 10, seen=lambda: self.sent)
        finally:
            stop.set()
            self.outbox.wake()
            thread.join(10)
        self.assertFalse(thread.is_alive())

    def test_of_one_subject_only_the_newest_is_sent(self):
        for grace in (30, 20, 5):
            self.outbox.put('host-1', 'end_pod', 'uid', uid='uid',
                            grace=grace)
        self.outbox.put('host-1', 'pod_changed', 'uid', uid='uid')
        self._run(lambda: len(self.sent) == 2)
        self.assertEqual([
            (bus_module.COMPUTE, 'host-1', 'end_pod',
             {'uid': 'uid', 'grace': 5}),
            (bus_module.COMPUTE, 'host-1', 'pod_changed', {'uid': 'uid'})],
            self.sent)
        self.assertEqual([('host-1', 'end_pod'), ('host-1', 'pod_changed')],
                         self.told)

    def test_what_could_not_be_sent_is_sent_later(self):
        self.fails = 3
        self.outbox.put('host-1', 'report', '', node='zun-vk')
        self._run(lambda: self.sent)
        self.assertEqual([('host-1', 'report')], self.told)

    def test_it_is_known_that_nothing_can_be_sent(self):
        self.assertFalse(self.outbox.stuck())
        self.fails, seen = 1, []
        self.guard.side_effect = lambda: seen.append(self.outbox.stuck())
        self.outbox.put('host-1', 'report', '', node='zun-vk')
        self._run(lambda: self.sent)
        self.assertEqual([False, True], seen)
        wait_for(lambda: not self.outbox.stuck(), 'it goes on')

    def test_a_message_that_is_long_under_way_is_stuck(self):
        now, seen = [0.0], []
        self.useFixture(fixtures.MockPatchObject(
            outbox.time, 'monotonic', lambda: now[0]))

        def look():
            for seconds in (0, 4.9, 5.1):
                now[0] = seconds
                seen.append(self.outbox.stuck())

        self.guard.side_effect = look
        self.outbox._try(('host-1', 'report', ''), {})
        self.assertEqual(([False, False, True], False),
                         (seen, self.outbox.stuck()))

    def test_nothing_is_sent_while_another_may_hold_the_node(self):
        self.guard.side_effect = [
            exceptions.NotHolder('kubernetes', 'lost'), None]
        self.outbox.put('host-1', 'report', '', node='zun-vk')
        self._run(lambda: self.sent)
        self.assertEqual(2, self.guard.call_count)

    def test_what_waits_is_bounded(self):
        self.useFixture(fixtures.MockPatchObject(outbox, '_MOST', 3))
        for number in range(10):
            self.outbox.put('host-1', 'pod_changed', str(number))
        self._run(lambda: len(self.sent) == 3)
