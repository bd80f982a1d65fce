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
"""The server of the kubelet's API, over real connections."""

import contextlib
import os
import pathlib
import socket
import ssl
import threading
import time

import fixtures
from oslotest import base
import prometheus_client

from zun_vk.kubelet import connection
from zun_vk.kubelet import server
from zun_vk.tests.fixtures.wait import wait_for
from zun_vk.tests.unit.kubelet import served


def refused(why):
    """Return how many connections were refused, for this reason."""
    return prometheus_client.REGISTRY.get_sample_value(
        'zun_vk_kubelet_connections_refused_total', {'reason': why}) or 0


def threads():
    return [one for one in threading.enumerate()
            if one.name.startswith('kubelet-') and one.name.endswith(':n1')]


class ServerTestCase(base.BaseTestCase):

    LIMIT = 100

    def setUp(self):
        super().setUp()
        self.exchanges = []
        self.api = self.useFixture(served.Served(self.serve, self.LIMIT))

    def serve(self, exchange):
        self.exchanges.append(exchange)
        self.hold()
        exchange.trusted()
        exchange.send(200, b'ok')

    def hold(self):
        """Wait, before anybody is known."""

    def patch(self, module, name, value):
        self.useFixture(fixtures.MockPatchObject(module, name, value))

    def is_healthy(self):
        with self.api.connect() as sock:
            sock.sendall(served.GET)
            return served.answer(sock) == (200, b'ok')


class TestRequests(ServerTestCase):

    def test_a_connection_serves_one_request_after_another(self):
        sock = self.api.connect()
        for _ in range(3):
            sock.sendall(served.GET)
            self.assertEqual((200, b'ok'), served.answer(sock))

        self.assertEqual(1, len(threads()))

    def test_a_client_that_vanished_is_found_out_soon(self):
        # Its streams would go on, and what they run, for two hours.
        seconds = []

        def serve(exchange):
            with socket.socket(fileno=os.dup(exchange.fileno())) as sock:
                seconds.extend(sock.getsockopt(level, name) for level, name
                               in ((socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                                   (socket.IPPROTO_TCP,
                                    socket.TCP_KEEPIDLE)))
            exchange.send(200)

        sock = self.useFixture(served.Served(serve)).connect()
        sock.sendall(served.GET)
        served.answer(sock)

        self.assertEqual([1, 30], seconds)

    def test_requests_that_come_at_once_are_served_in_turn(self):
        sock = self.api.connect()
        sock.sendall(served.GET * 2)

        self.assertEqual((200, b'ok'), served.answer(sock))
        self.assertEqual((200, b'ok'), served.answer(sock))

    def test_a_client_that_wants_it_closed_gets_it_closed(self):
        sock = self.api.connect()
        sock.sendall(b'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n'
                     b'\r\n')

        got, peaceful = served.until_closed(sock)

        self.assertTrue(got.endswith(b'Connection: close\r\n\r\nok'))
        self.assertTrue(peaceful)
        wait_for(lambda: not threads(), 'no thread left')

    def test_a_head_is_answered_without_body(self):
        sock = self.api.connect()
        sock.sendall(served.GET.replace(b'GET', b'HEAD') + served.GET)

        got = b''
        while not got.endswith(b'ok'):
            got += sock.recv(1)

        self.assertEqual(1, got.count(b'ok'))
        self.assertEqual(2, got.count(b'Content-Length: 2\r\n'))

    def test_a_malformed_request_gets_an_answer_and_no_second_one(self):
        for bad, status in (
                (b'GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked'
                 b'\r\n\r\n0\r\n\r\n', 400),
                (b'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n'
                 b'\r\n' + b'x' * 99999, 413),
                (b'GET / HTTP/1.1\r\nHost: x\r\nA: ' + b'x' * 70000, 431),
                (b'GET / HTTP/1.1\nHost: x\n\n', 400)):
            sock = self.api.connect()
            sock.sendall(bad + served.GET)

            got, peaceful = served.until_closed(sock)

            self.assertTrue(peaceful, status)
            self.assertEqual(f'HTTP/1.1 {status} '.encode(), got[:13])
            self.assertEqual(1, got.count(b'HTTP/1.1'))
        self.assertEqual([], self.exchanges)

    def test_a_long_command_takes_a_certificate(self):
        line = b'GET /?command=' + b'x' * 900_000 + b' HTTP/1.1\r\n'
        request = served.GET.replace(b'GET /healthz HTTP/1.1\r\n', line)
        for issuer, status in ((None, 414), (self.api.authority, 200)):
            sock = self.api.connect(issuer)
            sock.sendall(request)

            self.assertEqual(status, served.answer(sock)[0])

    def test_the_certificate_of_the_client_is_shown_to_who_authenticates(
            self):
        sock = self.api.connect(self.api.authority)
        sock.sendall(served.GET)
        served.answer(sock)
        other = self.api.connect()
        other.sendall(served.GET)
        served.answer(other)

        self.assertIn(b'kube-apiserver', self.exchanges[0].certificate)
        self.assertIsNone(self.exchanges[1].certificate)
        host, port = sock.getsockname()
        self.assertEqual(f'{host}:{port}', self.exchanges[0].peer)


class TestTls(ServerTestCase):

    def test_a_client_of_a_foreign_authority_is_refused(self):
        before = refused('handshake')
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            sock = self.api.connect(self.api.foreign)
            sock.sendall(served.GET)
            if not sock.recv(1):
                raise ConnectionError
        wait_for(lambda: refused('handshake') > before, 'it is counted')

        self.assertEqual([], self.exchanges)

    def test_who_is_not_believed_is_told_so(self):
        made = self.api.tls(self.api.foreign)
        with self.assertRaisesRegex(ssl.SSLError, 'UNKNOWN_CA'), \
                made.wrap_socket(self.api.dial(),
                                 server_hostname=served.ADDRESS) as sock:
            sock.recv(1)

    def test_old_tls_is_refused(self):
        self.assertEqual(ssl.TLSVersion.TLSv1_2,
                         self.api.contexts.current().minimum_version)

    def test_tls_1_2_will_do(self):
        made = self.api.tls(self.api.authority)
        made.maximum_version = ssl.TLSVersion.TLSv1_2
        with made.wrap_socket(self.api.dial(),
                              server_hostname=served.ADDRESS) as sock:
            sock.sendall(served.GET)
            self.assertEqual((200, b'ok'), served.answer(sock))
            self.assertFalse(sock.session.has_ticket)

    def test_what_is_no_tls_is_refused(self):
        sock = self.api.dial()
        sock.sendall(served.GET)

        got, _ = served.until_closed(sock)

        self.assertNotIn(b'HTTP', got)
        self.assertTrue(self.is_healthy())

    def test_a_client_that_does_not_shake_hands_holds_nobody_up(self):
        silent = [self.api.dial() for _ in range(5)]

        self.assertTrue(self.is_healthy())
        for sock in silent:
            sock.settimeout(0.01)
            self.assertRaises(TimeoutError, sock.recv, 1)

    def test_a_client_that_does_not_shake_hands_is_cut_off(self):
        self.patch(connection, 'HEAD_SECONDS', 0.2)

        got, _ = served.until_closed(self.api.dial())

        self.assertEqual(b'', got)

    def test_a_new_certificate_is_for_new_connections(self):
        old = self.api.connect()
        new_certificate = self.api.certify('renewed')

        new = self.api.connect()

        self.assertEqual(new_certificate, new.getpeercert(True))
        self.assertNotEqual(new_certificate, old.getpeercert(True))
        old.sendall(served.GET)
        self.assertEqual((200, b'ok'), served.answer(old))

    def test_clients_of_a_new_authority_are_believed_from_when_it_is_there(
            self):
        with self.api.client_ca.open('ab') as file:
            file.write(self.api.foreign.certificate.read_bytes())

        def is_believed():
            try:
                with self.api.connect(self.api.foreign) as sock:
                    sock.sendall(served.GET)
                    return served.answer(sock) == (200, b'ok')
            except OSError:
                return False

        wait_for(is_believed, 'the new authority is believed', 10)


class TestUncertified(base.BaseTestCase):

    def test_before_there_is_a_certificate_a_client_is_told_at_once(self):
        api = self.useFixture(served.Served(None, certified=False))

        error = self.assertRaises(ssl.SSLError, api.connect)

        self.assertEqual('TLSV1_ALERT_INTERNAL_ERROR', error.reason)
        wait_for(lambda: not threads(), 'no thread left')


class TestSlowClients(ServerTestCase):

    def setUp(self):
        super().setUp()
        self.patch(connection, 'HEAD_SECONDS', 0.5)

    def test_a_head_that_comes_byte_by_byte_is_cut_off(self):
        sock = self.api.connect()
        before, began = refused('slow'), time.monotonic()
        with self.assertRaises((ssl.SSLError, ConnectionError, EOFError)):
            for byte in served.GET * 100:
                sock.send(bytes([byte]))
                # How slow it is: it looks for its end between two bytes.
                sock.settimeout(0.02)
                try:
                    if not sock.recv(1):
                        raise EOFError
                except TimeoutError:
                    pass
                sock.settimeout(5)

        self.assertLess(time.monotonic() - began, 3)
        self.assertEqual(before + 1, refused('slow'))
        self.assertEqual([], self.exchanges)

    def test_one_that_sends_nothing_is_cut_off(self):
        self.assertEqual(b'', served.until_closed(self.api.connect())[0])

    def test_one_that_had_an_answer_may_wait_for_longer(self):
        sock = self.api.connect()
        sock.sendall(served.GET)
        served.answer(sock)
        sock.settimeout(0.8)
        self.assertRaises(TimeoutError, sock.recv, 1)
        sock.settimeout(5)
        sock.sendall(served.GET)

        self.assertEqual((200, b'ok'), served.answer(sock))

    def test_but_not_for_ever(self):
        self.patch(connection, 'IDLE_SECONDS', 0.3)
        sock = self.api.connect()
        sock.sendall(served.GET)
        served.answer(sock)

        self.assertEqual(b'', served.until_closed(sock)[0])


class TestBound(ServerTestCase):

    LIMIT = 3

    def test_a_newer_one_takes_the_place_of_the_oldest_stranger(self):
        strangers = [self.api.connect(), self.api.dial(), self.api.connect()]

        self.assertTrue(self.is_healthy())

        self.assertEqual(b'', served.until_closed(strangers[0])[0])

    def test_one_with_a_certificate_stays_for_longer(self):
        known = [self.api.connect(self.api.authority)
                 for _ in range(self.LIMIT - 1)]
        wait_for(lambda: sum(one.certified for one in self.api.server._open)
                 == self.LIMIT - 1, 'handshakes')
        stranger = self.api.dial()

        self.assertTrue(self.is_healthy())

        self.assertEqual(b'', served.until_closed(stranger)[0])
        for sock in known:
            sock.sendall(served.GET)
            self.assertEqual((200, b'ok'), served.answer(sock))

    def test_one_that_was_let_in_keeps_its_place(self):
        known = [self.api.connect() for _ in range(self.LIMIT)]
        for sock in known:
            sock.sendall(served.GET)
            served.answer(sock)
        before = refused('full')

        self.assertEqual(b'', served.until_closed(self.api.dial())[0])

        self.assertEqual(before + 1, refused('full'))
        for sock in known:
            sock.sendall(served.GET)
            self.assertEqual((200, b'ok'), served.answer(sock))

    def test_strangers_that_wait_for_the_api_server_are_bounded(self):
        # Each of them has a thread, cut off or not.
        held = threading.Event()
        self.addCleanup(held.set)
        self.hold = lambda: held.wait(30)
        waiting = []
        for _ in range(2 * self.LIMIT):
            sock = self.api.connect()
            sock.sendall(served.GET)
            waiting.append(sock)
            wait_for(lambda: len(self.exchanges) >= len(waiting),
                     'the request')
        before = refused('full')

        self.assertEqual(b'', served.until_closed(self.api.dial())[0])

        self.assertEqual(before + 1, refused('full'))
        self.assertEqual(2 * self.LIMIT, len(threads()))
        held.set()
        for sock in waiting:
            sock.close()
        wait_for(lambda: not threads(), 'no thread left')
        self.assertTrue(self.is_healthy())

    def test_there_is_room_again_when_one_ends(self):
        for _ in range(3 * self.LIMIT):
            self.assertTrue(self.is_healthy())


class TestStreams(ServerTestCase):

    def setUp(self):
        super().setUp()
        self.patch(server, 'GRACE_SECONDS', 0.5)
        self.began = threading.Event()
        self.outcome = None

    def serve(self, exchange):
        exchange.trusted()
        if exchange.path == '/echo':
            self.echo(exchange)
        elif exchange.path == '/chunks':
            self.chunks(exchange)
        elif exchange.path == '/hushed':
            with contextlib.suppress(ValueError):
                self.chunks(exchange)
        else:
            exchange.send(200, b'ok')

    def echo(self, exchange):
        stream = exchange.hijack()
        until = time.monotonic() + 60
        stream.send_all(b'upgraded', until)
        with contextlib.suppress(OSError):
            # The end of a connection that is cut off is an error.
            while piece := stream.receive(100, until):
                self.began.set()
                stream.send_all(piece, until)
        self.outcome = 'ended'

    def chunks(self, exchange):
        with exchange.chunks() as write:
            write(b'first')
            write(b'')
            if 'break' in exchange.query:
                try:
                    raise ValueError
                finally:
                    self.outcome = 'broken'
            if 'wait' in exchange.query:
                self.began.set()
                wait_for(lambda: exchange.gone() or exchange.stop.is_set(),
                         'the client gone, or a stop')
                self.outcome = 'gone' if exchange.gone() else 'stopped'

    def ask(self, path, after=b''):
        sock = self.api.connect()
        sock.sendall(f'GET {path} HTTP/1.1\r\nHost: x\r\n\r\n'.encode()
                     + after)
        return sock

    def test_not_a_byte_of_a_stream_is_swallowed(self):
        sock = self.ask('/echo', b'early')
        got = b''
        while len(got) < len('upgradedearly'):
            got += sock.recv(100)

        self.assertEqual(b'upgradedearly', got)

    def test_an_answer_in_pieces_ends_so_that_it_is_whole(self):
        sock = self.ask('/chunks', served.GET)
        got = b''
        while not got.endswith(b'ok'):
            got += sock.recv(100)

        self.assertIn(b'Transfer-Encoding: chunked\r\n', got)
        self.assertIn(b'\r\n\r\n5\r\nfirst\r\n0\r\n\r\nHTTP/1.1 200', got)

    def test_one_that_fails_ends_so_that_it_is_not(self):
        for path in ('/chunks?break', '/hushed?break'):
            got, _ = served.until_closed(self.ask(path, served.GET))

            self.assertTrue(got.endswith(b'5\r\nfirst\r\n'), got)

    def test_a_client_that_goes_is_noticed(self):
        sock = self.ask('/chunks?wait')
        self.assertTrue(self.began.wait(10))
        sock.close()

        wait_for(lambda: self.outcome, 'the handler ended')
        self.assertEqual('gone', self.outcome)

    def stop(self):
        began = time.monotonic()
        self.api.server.stop()
        self.api.thread.join(10)
        self.assertFalse(self.api.thread.is_alive())
        self.assertEqual([], threads())
        return time.monotonic() - began

    def test_a_stop_tells_streams_to_end(self):
        self.ask('/chunks?wait')
        self.assertTrue(self.began.wait(10))

        self.assertLess(self.stop(), 0.5)

        self.assertEqual('stopped', self.outcome)

    def test_a_stop_cuts_off_what_does_not_end_by_itself(self):
        sock = self.ask('/echo', b'x')
        self.assertTrue(self.began.wait(10))

        self.assertLess(self.stop(), 5)

        self.assertEqual('ended', self.outcome)
        served.until_closed(sock)

    def test_a_stop_does_not_wait_for_those_that_wait_for_a_request(self):
        idle = self.api.connect()
        idle.sendall(served.GET)
        served.answer(idle)
        shy = self.api.dial()

        self.stop()

        for sock in (idle, shy):
            self.assertEqual(b'', served.until_closed(sock)[0])

    def test_nobody_is_let_in_after_a_stop(self):
        self.stop()

        self.assertRaises(ConnectionRefusedError, self.api.dial)

    def test_nothing_is_left_behind(self):
        files = pathlib.Path('/proc/self/fd')
        self.is_healthy()
        wait_for(lambda: not threads(), 'no thread left')
        before = len(list(files.iterdir()))
        for path in ('/echo', '/chunks', '/chunks?wait') * 5:
            self.ask(path, b'x').close()
        wait_for(lambda: not threads(), 'no thread left')

        self.assertEqual(before, len(list(files.iterdir())))


class TestListen(base.BaseTestCase):

    def taken(self, **options):
        sock = socket.create_server((served.ADDRESS, 0), **options)
        self.addCleanup(sock.close)
        return sock.getsockname()[1]

    def test_the_first_free_port_is_taken(self):
        port = self.taken()

        with server.listen(served.ADDRESS, port) as listener:
            self.assertLess(port, listener.getsockname()[1])

    def test_a_port_of_one_address_is_not_free_for_all(self):
        port = self.taken()

        with server.listen('', port) as listener:
            self.assertLess(port, listener.getsockname()[1])

    def test_all_addresses_are_served(self):
        with server.listen('', 0) as listener:
            port = listener.getsockname()[1]
            socket.create_connection(('127.0.0.1', port), 5).close()
            if listener.family == socket.AF_INET6:
                socket.create_connection(('::1', port), 5).close()

    def test_an_address_that_is_not_ours_is_an_error(self):
        self.assertRaises(OSError, server.listen, '192.0.2.1', 10250)

    def test_how_an_address_is_written(self):
        for address, written in (
                (('192.0.2.1', 5), '192.0.2.1:5'),
                (('::ffff:192.0.2.1', 5, 0, 0), '192.0.2.1:5'),
                (('2001:db8::1', 5, 0, 0), '[2001:db8::1]:5')):
            self.assertEqual(written, server._peer(address))
