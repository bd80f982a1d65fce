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
import dataclasses
import hashlib
import select
import socket
import threading
import time
from unittest import mock

import fixtures
from oslotest import base

from zun_vk import exceptions
from zun_vk import relay
from zun_vk.kubelet import hoststream
from zun_vk.rpc import bus
from zun_vk.rpc import streams
from zun_vk.tests.fixtures import connections
from zun_vk.tests.fixtures import streams as streams_fixture

EXEC = streams.StreamRequest(streams.EXEC, 'uid-1', 'main',
                             command=('cat',), stdin=True, stdout=True)


class FakeBus:
    """A bus whose hosts all answer the same."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    def peer(self, topic, host):
        self.asked.append((topic, host))
        return self

    def call(self, method, timeout, request):
        self.asked.append((method, timeout))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class OpenStreamTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.Timeout(60, gentle=True))
        self.host = self.useFixture(streams_fixture.Host())

    def refused(self, answer, timeout=10.0):
        """Return the refusal that an answer over the bus leads to."""
        self.bus = FakeBus(answer)
        return self.assertRaises(
            exceptions.Refused, hoststream.open_stream, self.bus, 'host-1',
            EXEC, timeout)

    def opened(self):
        opened = self.host.opened(EXEC)
        self.assertIsInstance(opened, streams.Opened)
        return opened

    def test_a_stream_is_had(self):
        stream = hoststream.open_stream(self.host, 'host-1', EXEC)
        self.addCleanup(stream.close)
        self.assertFalse(stream.pending)

    def test_the_host_is_asked_with_a_time_limit(self):
        self.refused(streams.Declined('no', 404).to_wire())
        self.assertEqual((bus.COMPUTE, 'host-1'), self.bus.asked[0])
        method, timeout = self.bus.asked[1]
        self.assertEqual('open_stream', method)
        self.assertLess(timeout, 10)

    def test_what_the_host_says_is_passed_on(self):
        refused = self.refused(streams.Declined('no such', 404).to_wire())
        self.assertEqual((404, 'no such'), (refused.status, refused.words))

    def test_a_host_that_does_not_answer_is_504(self):
        self.assertEqual(504, self.refused(
            exceptions.Unreachable('bus', 'x')).status)

    def test_a_bus_that_does_not_keep_the_time_is_504_in_time(self):
        # oslo.messaging, which was never connected, waits for ever.
        held = threading.Event()
        self.addCleanup(held.set)
        bus = FakeBus({})
        bus.call = lambda *_arguments, **_named: held.wait(30)
        started = time.monotonic()
        refused = self.assertRaises(
            exceptions.Refused, hoststream.open_stream, bus, 'host-1', EXEC,
            0.3)
        self.assertEqual(504, refused.status)
        self.assertLess(time.monotonic() - started, 5)

    def test_calls_that_take_no_end_are_bounded(self):
        self.useFixture(fixtures.MockPatchObject(
            hoststream, '_CALLS', threading.BoundedSemaphore(1)))
        held = threading.Event()
        self.addCleanup(held.set)
        bus = FakeBus({})
        bus.call = lambda *_arguments, **_named: held.wait(30)
        statuses = [self.assertRaises(
            exceptions.Refused, hoststream.open_stream, bus, 'host-1', EXEC,
            0.1).status for _ in range(2)]
        self.assertEqual([504, 503], statuses)

    def test_a_host_that_fails_is_502(self):
        for answer in (exceptions.Unavailable('bus', 'x'), {}, {'port': 1}):
            self.assertEqual(502, self.refused(answer).status)

    def test_a_host_that_refuses_the_connection_is_502(self):
        with socket.create_server(('127.0.0.1', 0)) as taken:
            port = taken.getsockname()[1]
        opened = dataclasses.replace(self.opened(), port=port)
        refused = self.refused(opened.to_wire())
        self.assertEqual(502, refused.status)
        self.assertIn('host-1', refused.words)

    def test_a_host_that_says_nothing_is_504_in_time(self):
        with socket.create_server(('127.0.0.1', 0)) as silent:
            opened = dataclasses.replace(self.opened(),
                                         port=silent.getsockname()[1])
            started = time.monotonic()
            self.assertEqual(504, self.refused(opened.to_wire(), 0.5).status)
            self.assertLess(time.monotonic() - started, 5)

    def test_nothing_is_sent_to_a_host_with_another_certificate(self):
        opened = dataclasses.replace(
            self.opened(), fingerprint=hashlib.sha256(b'x').hexdigest())
        self.assertEqual(502, self.refused(opened.to_wire()).status)
        # Its token was not used up.
        tickets = self.host.streams._tickets
        self.assertEqual(1, tickets.waiting())
        self.assertIsNotNone(tickets.redeem(opened.token))

    def test_a_token_that_is_not_taken_is_502(self):
        opened = dataclasses.replace(self.opened(), token='a' * 43)
        self.assertEqual(502, self.refused(opened.to_wire()).status)

    def test_no_refusal_shows_the_token(self):
        opened = dataclasses.replace(self.opened(), token='a' * 43)
        self.assertNotIn('a' * 43, self.refused(opened.to_wire()).words)

    def test_no_descriptor_is_left_of_one_that_failed(self):
        opened = dataclasses.replace(self.opened(), token='a' * 43)
        with mock.patch.object(hoststream.socket, 'create_connection',
                               autospec=True) as connect:
            made = []

            def create(address, seconds):
                made.append(socket.socket())
                made[-1].connect(address)
                return made[-1]

            connect.side_effect = create
            self.refused(opened.to_wire())
        self.assertEqual([-1], [each.fileno() for each in made])


class PiecesTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        made = self.useFixture(connections.Connections())
        self.host, self.stream = made.make(connections.STREAM)
        self.client, server = made.make(connections.PLAIN)
        self.exchange = Watching(server)
        self.addCleanup(self.exchange.stop.close)

    def pieces(self, **bounds):
        return b''.join(hoststream.pieces(self.stream, self.exchange,
                                          **bounds))

    def test_all_of_it_comes(self):
        data = bytes(range(256)) * 4096
        thread = threading.Thread(target=connections.send,
                                  args=(self.host, data))
        thread.start()
        self.assertEqual(data, self.pieces())
        thread.join(10)

    def test_one_that_breaks_is_no_end(self):
        connections.send(self.host, b'some', ends=False)
        self.host.close()
        self.assertRaises(OSError, self.pieces)

    def test_it_ends_with_its_client(self):
        self.client.close()
        self.assertRaises(hoststream.Interrupted, self.pieces)

    def test_it_ends_with_the_server(self):
        self.exchange.stop.set()
        self.assertRaises(hoststream.Interrupted, self.pieces)

    def test_it_ends_in_time(self):
        self.assertRaises(TimeoutError, self.pieces, seconds=0.1)


class Watching:
    """What ``pieces`` looks at of an exchange."""

    def __init__(self, server):
        self._server = server
        self.stop = relay.Wakeup()

    def fileno(self):
        return self._server.fileno()

    def gone(self):
        poll = select.poll()
        poll.register(self._server, select.POLLRDHUP)
        return bool(poll.poll(0))
