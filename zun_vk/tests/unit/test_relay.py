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
import fcntl
import hashlib
import itertools
import os
import socket
import struct
import termios
import threading
import time

import fixtures
from oslotest import base

from zun_vk import relay
from zun_vk.tests.fixtures import connections
from zun_vk.tests.fixtures import wait

KINDS = (connections.PLAIN, connections.STREAM)
PAIRS = tuple(itertools.product(KINDS, KINDS))
MIB = 1024 ** 2
SECONDS = 30


class RelayTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.Timeout(120, gentle=True))
        self.made = self.useFixture(connections.Connections())
        self.pool = self.useFixture(_Pool()).pool
        self.stop = relay.Wakeup()
        self.addCleanup(self.stop.close)

    def begin(self, left, right, **bounds):
        """Return clients of both sides, and the outcome to come."""
        (client, ours), (server, theirs) = map(self.made.make, (left, right))

        def run():
            try:
                return relay.relay(ours, theirs, stop=self.stop, **bounds)
            finally:
                ours.close()
                theirs.close()

        return client, server, self.pool.submit(run)

    def assert_same(self, expected, found):
        # Not the bytes themselves: they would be shown.
        self.assertEqual((len(expected), hashlib.sha256(expected).hexdigest()),
                         (len(found), hashlib.sha256(found).hexdigest()))

    def each_pair(self):
        for left, right in PAIRS:
            with self.subTest(left=left, right=right):
                yield left, right

    def test_both_directions_at_once_arrive_whole(self):
        there, back = os.urandom(6 * MIB), os.urandom(4 * MIB)
        for left, right in self.each_pair():
            client, server, outcome = self.begin(left, right)
            got = self.pool.submit(connections.talk, client, there,
                                   ends=False, most=len(back))
            self.assert_same(there, connections.talk(
                server, back, ends=False, most=len(there)))
            self.assert_same(back, got.result(SECONDS))
            connections.send(client, b'')
            connections.talk(server)
            self.assertEqual(relay.Outcome(6 * MIB, 4 * MIB, 'closed'),
                             outcome.result(SECONDS))

    def test_both_directions_end_on_their_own(self):
        there, back = os.urandom(6 * MIB), os.urandom(1 * MIB)
        for left, right in self.each_pair():
            client, server, outcome = self.begin(left, right)
            got = self.pool.submit(connections.talk, client, there)
            self.assert_same(there, connections.talk(server, back))
            self.assert_same(back, got.result(SECONDS))
            self.assertEqual(relay.Outcome(6 * MIB, 1 * MIB, 'closed'),
                             outcome.result(SECONDS))

    def test_much_arrives_whole(self):
        client, server, outcome = self.begin(connections.STREAM,
                                             connections.STREAM)
        data = os.urandom(MIB) * 50
        self.pool.submit(connections.send, client, data)
        self.assert_same(data, connections.talk(server, ends=False))
        connections.send(server, b'')
        connections.talk(client, ends=False)
        self.assertEqual('closed', outcome.result(SECONDS).why)

    def test_an_answer_may_come_after_the_end_of_the_question(self):
        for left, right in self.each_pair():
            client, server, outcome = self.begin(left, right)
            connections.send(client, b'question')
            self.assertEqual(b'question', connections.talk(
                server, ends=False))
            data = os.urandom(MIB)
            self.pool.submit(connections.send, server, data)
            self.assert_same(data, connections.talk(client))
            self.assertEqual('closed', outcome.result(SECONDS).why)

    def test_a_question_may_come_after_the_end_of_the_answer(self):
        # Nothing is lost that was sent before the end was heard of.
        data = os.urandom(8 * MIB)
        for left, right in self.each_pair():
            client, server, outcome = self.begin(left, right)
            sending = self.pool.submit(connections.send, client, data)
            connections.send(server, b'')
            self.assert_same(data, connections.talk(server, ends=False))
            sending.result(SECONDS)
            self.assertEqual(b'', connections.talk(client, ends=False))
            self.assertEqual('closed', outcome.result(SECONDS).why)

    def test_an_answer_ends_though_the_question_goes_on(self):
        for right in KINDS:
            with self.subTest(right=right):
                client, server, outcome = self.begin(
                    connections.STREAM, right)
                started = time.monotonic()
                connections.send(client, bytes(1000), ends=False)
                connections.send(server, b'answer')
                self.assertEqual(b'answer', connections.talk(client))
                connections.talk(server, ends=False)
                self.assertEqual('closed', outcome.result(SECONDS).why)
                # It was not time alone that ended it.
                self.assertLess(time.monotonic() - started,
                                relay.DRAIN_SECONDS)

    def test_small_pieces_pass_at_once(self):
        for left, right in self.each_pair():
            client, server, outcome = self.begin(left, right)
            for number in range(200):
                piece = b'%d' % number
                connections.send(client, piece, ends=False)
                self.assertEqual(piece, connections.talk(
                    server, piece, ends=False, most=len(piece)))
                self.assertEqual(piece, connections.talk(
                    client, ends=False, most=len(piece)))
            connections.send(client, b'')
            connections.talk(server)
            self.assertEqual('closed', outcome.result(SECONDS).why)

    def test_who_does_not_read_costs_no_memory(self):
        for left, right in ((connections.STREAM, connections.STREAM),
                            (connections.STREAM, connections.PLAIN),
                            (connections.PLAIN, connections.STREAM)):
            client, _server, outcome = self.begin(left, right)
            taken = _fill(client)
            # What the kernel's own buffers hold, and two of ours.
            self.assertLess(taken, 16 * MIB)
            self.stop.set()
            self.assertEqual('stopped', outcome.result(SECONDS).why)
            self.stop = relay.Wakeup()
            self.addCleanup(self.stop.close)

    def test_a_stop_ends_it(self):
        for left, right in self.each_pair():
            client, _server, outcome = self.begin(left, right)
            connections.send(client, b'x', ends=False)
            self.assertFalse(outcome.done())
        self.stop.set()
        self.assertEqual('stopped', outcome.result(SECONDS).why)

    def test_a_stop_that_came_before_ends_it(self):
        self.stop.set()
        _client, _server, outcome = self.begin(*PAIRS[0])
        self.assertEqual('stopped', outcome.result(SECONDS).why)

    def test_it_ends_when_nothing_passes_for_long(self):
        client, _server, outcome = self.begin(*PAIRS[0], idle=0.3)
        started = time.monotonic()
        connections.send(client, b'x', ends=False)
        self.assertEqual('idle', outcome.result(SECONDS).why)
        self.assertGreaterEqual(time.monotonic() - started, 0.29)

    def test_who_does_not_end_after_the_other_is_not_waited_for(self):
        for left, right in self.each_pair():
            client, _server, outcome = self.begin(left, right, drain=0.2)
            connections.send(client, b'x')
            self.assertEqual('idle', outcome.result(SECONDS).why)

    def test_a_client_may_be_slow_to_read_the_end_of_an_answer(self):
        # As "kubectl exec ... | less" is.
        data = os.urandom(100000)
        for left, right in self.each_pair():
            (client, ours), (server, theirs) = map(
                self.made.make, (left, right))
            _narrow(getattr(ours, 'socket', ours), socket.SO_SNDBUF)
            _narrow(client.socket, socket.SO_RCVBUF)
            outcome = self.pool.submit(relay.relay, ours, theirs,
                                       stop=self.stop, drain=0.1)
            outcome.add_done_callback(lambda _done, ours=ours: ours.close())
            self.pool.submit(connections.send, server, data)
            wait.hold_for(lambda outcome=outcome: not outcome.done(),
                          'the relay waits for its reader', 0.3, 0.05)
            self.assert_same(data, connections.talk(client, ends=False))
            outcome.result(SECONDS)

    def test_a_reset_ends_it(self):
        for left, right in self.each_pair():
            client, server, outcome = self.begin(left, right)
            connections.send(client, b'x', ends=False)
            connections.talk(server, ends=False, most=1)
            _reset(client)
            self.assertEqual('broken', outcome.result(SECONDS).why)

    def test_a_reset_while_the_other_does_not_read_ends_it(self):
        client, _server, outcome = self.begin(
            connections.PLAIN, connections.PLAIN, drain=0.5)
        _fill(client)
        _reset(client)
        outcome.result(SECONDS)

    def test_tls_that_is_cut_off_is_no_end(self):
        client, server, outcome = self.begin(
            connections.STREAM, connections.STREAM)
        connections.send(client, b'whole', ends=False)
        client.close()
        self.assertEqual('broken', outcome.result(SECONDS).why)
        # What came before did pass, but not an end.
        self.assertEqual(b'whole', connections.talk(
            server, ends=False, most=5))
        self.assertRaises(OSError, connections.talk, server)

    def test_the_tail_passes_though_nobody_takes_what_is_sent_to_it(self):
        # A command ends while its client still sends: the answer counts.
        tail = os.urandom(4 * MIB)
        for left in KINDS:
            with self.subTest(left=left):
                client, server, outcome = self.begin(left, connections.PLAIN)
                closing = self.pool.submit(_close_with_a_tail, server, tail)
                self.assert_same(tail, connections.talk(
                    client, bytes(64 * MIB), ends=False))
                closing.result(SECONDS)
                client.close()
                outcome.result(SECONDS)

    def test_nothing_is_left_behind(self):
        for each in PAIRS:
            self._round(*each)
        before = _descriptors(), threading.active_count()
        for _ in range(20):
            for each in PAIRS:
                self._round(*each)
        wait.wait_for(lambda: (_descriptors(), threading.active_count())
                      <= before, 'what there was before',
                      seen=_descriptors)

    def _round(self, left, right):
        (client, ours), (server, theirs) = map(self.made.make, (left, right))
        ending = threading.Thread(target=_reset, args=(client,))
        ending.start()
        relay.relay(ours, theirs, stop=self.stop)
        ending.join(SECONDS)
        for each in (ours, theirs, server):
            each.close()


class TrickleTestCase(base.BaseTestCase):

    def waits(self, moves, seconds=0.0001):
        """Return after which of these moves it is worth a wait.

        :param moves: bytes that each pipe passes on
        :param seconds: between two of them
        """
        trickle, passed, now, found = relay._Trickle(), [0, 0], 5.0, []
        for move in moves:
            passed = [a + b for a, b in zip(passed, move, strict=True)]
            now += seconds
            found.append(trickle.goes_on(passed, now))
        return found

    def test_many_small_pieces_one_way_are_worth_a_wait(self):
        for piece in ((4096, 0), (0, 4096)):
            found = self.waits([piece] * 40)
            self.assertEqual([True] * 24, found[16:])
            self.assertFalse(any(found[:7]))

    def test_what_came_in_a_wait_is_worth_another_unless_it_is_much(self):
        for piece, worth in ((60000, True), (200000, False)):
            found = self.waits([(4096, 0)] * 16 + [(piece, 0)] * 16)
            self.assertEqual((piece, [worth] * 8), (piece, found[24:]))

    def test_who_asks_is_answered_at_once_after_many_pieces(self):
        found = self.waits([(4096, 0)] * 20 + [(0, 4096), (4096, 0)] * 4)
        self.assertTrue(found[19])
        self.assertFalse(any(found[21:]))

    def test_nothing_else_is_held_up(self):
        for what, moves, seconds in (
                ('words', [(10, 0)] * 50, 0.0001),
                ('large pieces', [(65536, 0)] * 50, 0.0001),
                ('slow pieces', [(4096, 0)] * 50, 0.005),
                ('both ways', [(4096, 4096)] * 50, 0.0001),
                ('questions and answers', [(4096, 0), (0, 4096)] * 50,
                 0.0001),
                ('nothing', [(0, 0)] * 50, 0.0001)):
            self.assertFalse(any(self.waits(moves, seconds)), what)


class WakeupTestCase(base.BaseTestCase):

    def test_it_stays_set(self):
        wakeup = relay.Wakeup()
        self.addCleanup(wakeup.close)
        self.assertFalse(wakeup.is_set())
        for _ in range(2):
            wakeup.set()
            self.assertTrue(wakeup.is_set())


class _Pool(fixtures.Fixture):

    def _setUp(self):
        self.pool = concurrent.futures.ThreadPoolExecutor(12)
        self.addCleanup(self.pool.shutdown, cancel_futures=True)


def _narrow(connection, option):
    connection.setsockopt(socket.SOL_SOCKET, option, 4096)


def _fill(end):
    """Send until nothing is taken for a while; return the bytes."""
    taken, since = 0, time.monotonic()
    block = memoryview(bytes(MIB))
    while time.monotonic() - since < 0.5:
        if count := end.send(block):
            taken, since = taken + count, time.monotonic()
    return taken


def _close_with_a_tail(server, tail):
    """Send all, end, and close with something unread."""
    connections.talk(server, ends=False, most=1)
    connections.send(server, tail)
    wait.wait_for(lambda: _unread(server) == 0, 'the tail to be on its way')
    server.close()


def _unread(server):
    """Return how much the kernel has still to send."""
    buffer = bytearray(4)
    fcntl.ioctl(server.socket, termios.TIOCOUTQ, buffer)
    return struct.unpack('i', buffer)[0]


def _reset(end):
    end.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                          struct.pack('ii', 1, 0))
    end.close()


def _descriptors():
    return len(os.listdir('/proc/self/fd'))
