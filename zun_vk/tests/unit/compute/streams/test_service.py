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
import contextlib
import socket
import ssl
import threading
import time
from unittest import mock

import fixtures
from oslotest import base

from zun_vk import exceptions
from zun_vk import tls
from zun_vk.compute.streams import listener
from zun_vk.compute.streams import service
from zun_vk.compute.streams import sink
from zun_vk.rpc import streams
from zun_vk.tests.fixtures import connections
from zun_vk.tests.fixtures import streams as streams_fixture
from zun_vk.tests.fixtures import wait

EXEC = streams.StreamRequest(streams.EXEC, 'uid-1', 'main',
                             command=('cat',), stdin=True, stdout=True)
FORWARD = streams.StreamRequest(streams.PORT_FORWARD, 'uid-1')
LOGS = streams.StreamRequest(streams.LOGS, 'uid-1', 'main',
                             logs=streams.LogOptions())
HEAD = (b'POST / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n'
        b'Content-Length: 0\r\n\r\n')


class HostTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.Timeout(60, gentle=True))
        self.host = self.useFixture(streams_fixture.Host())
        self.listener = self.host.streams._listener
        self.until = time.monotonic() + 30

    def connect(self):
        """Return a connection after its handshake."""
        stream = tls.Stream(self.plain(), connections.client_context(),
                            server=False)
        stream.handshake(self.until)
        return stream

    def plain(self):
        made = socket.create_connection(('127.0.0.1', self.listener.port))
        made.settimeout(30)
        self.addCleanup(made.close)
        return made

    def greeted(self, request):
        """Return a stream that was opened."""
        opened = self.host.opened(request)
        stream = self.connect()
        self.assertEqual(opened.fingerprint, stream.fingerprint())
        stream.send_all(b'zun-vk-stream/1 %s\n' % opened.token.encode(),
                        self.until)
        self.assertEqual(b'OK\n', stream.receive(3, self.until))
        return stream

    def ended(self):
        wait.wait_for(lambda: not self.listener.connections(),
                      'no connection to be left')

    def assert_nothing_comes(self, stream):
        try:
            self.assertEqual(b'', stream.receive(100, self.until))
        except OSError as error:
            self.assertNotIsInstance(error, TimeoutError)
        self.ended()


class OpenedTestCase(HostTestCase):

    def assert_declined(self, status, words, request):
        self.assertEqual(streams.Declined(words, status),
                         self.host.opened(request))

    def test_the_runtime_is_told_what_was_asked_for(self):
        self.host.opened(EXEC)
        name, request = self.host.runtime.calls[-1]
        self.assertEqual('Exec', name)
        self.assertEqual(
            (self.host.container, ['cat'], True, True, False, False),
            (request.container_id, list(request.cmd), request.stdin,
             request.stdout, request.stderr, request.tty))

    def test_a_pod_that_is_not_here_has_no_streams(self):
        self.host.pods.clear()
        for request in (EXEC, FORWARD):
            self.assert_declined(404, 'pod does not exist', request)

    def test_a_container_that_does_not_run_has_none(self):
        self.host.runtime.exit(self.host.container, 0)
        self.assert_declined(500, 'container not found ("main")', EXEC)

    def test_a_container_of_another_pod_is_not_found(self):
        self.host.pods.add('uid-2')
        self.assert_declined(
            500, 'container not found ("main")', streams.StreamRequest(
                streams.EXEC, 'uid-2', 'main', self.host.container,
                command=('id',), stdout=True))

    def test_the_refusal_of_a_runtime_is_told(self):
        self.host.runtime.fail('Exec', 'no such thing')
        self.assert_declined(500, 'Exec: no such thing', EXEC)

    def test_a_runtime_that_is_away_is_told(self):
        self.host.runtime.stop()
        self.assertEqual(503, self.host.opened(EXEC).status)

    def test_a_runtime_that_serves_elsewhere_is_not_followed(self):
        self.host.runtime.stream_root = 'http://10.0.0.1:4000'
        self.assertEqual(500, self.host.opened(EXEC).status)

    def test_a_runtime_that_hangs_takes_no_more_than_its_threads(self):
        self.useFixture(fixtures.MockPatchObject(
            self.host.streams, '_turns', threading.BoundedSemaphore(1)))
        self.useFixture(fixtures.MockPatchObject(
            service, '_TURN_SECONDS', 0.1))
        held, asked = threading.Event(), threading.Event()

        def hang(request):
            asked.set()
            held.wait(30)
            raise exceptions.Refused(404, 'no such')

        self.host.streams.register(streams.LOGS, hang)
        hung = threading.Thread(target=self.host.opened, args=(LOGS,))
        hung.start()
        self.addCleanup(hung.join)
        self.addCleanup(held.set)
        self.assertTrue(asked.wait(10))
        self.assertEqual(503, self.host.opened(EXEC).status)
        held.set()
        hung.join()
        self.assertIsInstance(self.host.opened(EXEC), streams.Opened)

    def test_what_is_no_request_is_declined(self):
        self.assertEqual(400, self.host.streams.opened({'kind': 1}).status)

    def test_a_kind_that_nobody_serves_is_declined(self):
        self.assertEqual(501, self.host.opened(LOGS).status)

    def test_what_agents_cannot_connect_to_is_a_wrong_option(self):
        for address in ('0.0.0.0', '::', 'localhost'):  # noqa: S104
            with self.subTest(address=address), mock.patch.object(
                    self.host.streams, '_address', address):
                error = self.assertRaises(exceptions.ConfigError,
                                          self.host.streams.open)
                self.assertIn('stream_address', str(error))

    def test_a_port_in_use_is_a_wrong_option(self):
        streams_ = self.host.streams
        streams_._listener._port = self.listener.port
        other = listener.Listener('127.0.0.1', self.listener.port,
                                  streams_._certificate, streams_._tickets)
        self.useFixture(fixtures.MockPatchObject(
            streams_, '_listener', other))
        self.assertRaises(exceptions.ConfigError, streams_.open)


class StreamsTestCase(HostTestCase):

    def test_an_upgrade_reaches_the_runtime_and_bytes_pass(self):
        stream = self.greeted(EXEC)
        data = bytes(range(256)) * 4096
        found = connections.talk(
            stream, HEAD + data, ends=False,
            most=len(streams_fixture.SWITCHED) + len(data))
        self.assertEqual(streams_fixture.SWITCHED,
                         found[:-len(data)])
        self.assertEqual(data, found[-len(data):])
        connections.send(stream, b'')
        self.assertEqual(b'', connections.talk(stream, ends=False))
        self.ended()
        head, = self.host.echo.heads
        self.assertTrue(head.startswith('POST /exec/token HTTP/1.1\r\n'
                                        'Host: 127.0.0.1:'), head)

    def test_a_port_forward_is_the_sandbox_s(self):
        stream = self.greeted(FORWARD)
        self.assertEqual(streams_fixture.SWITCHED, connections.talk(
            stream, HEAD, ends=False, most=len(streams_fixture.SWITCHED)))
        name, request = self.host.runtime.calls[-1]
        self.assertEqual(('PortForward', self.host.sandbox),
                         (name, request.pod_sandbox_id))

    def test_a_client_that_goes_leaves_nothing(self):
        for _ in range(20):
            stream = self.greeted(EXEC)
            connections.talk(stream, HEAD, ends=False, most=20)
            stream.close()
        self.ended()
        wait.wait_for(self.host.echo.ended.is_set, 'the runtime to be left')

    def test_a_runtime_that_goes_ends_the_stream(self):
        stream = self.greeted(EXEC)
        connections.talk(stream, HEAD, ends=False,
                         most=len(streams_fixture.SWITCHED))
        self.host.echo.cut()
        self.assertEqual(b'', connections.talk(stream))
        self.ended()

    def test_a_stop_ends_streams(self):
        self.host.streams.register(streams.LOGS, lambda request: _forever)
        following = self.greeted(LOGS)
        stream = self.greeted(EXEC)
        connections.talk(stream, HEAD, ends=False, most=20)
        self.host.streams.stop()
        for each in (stream, following):
            self.assertRaises(OSError, connections.talk, each, ends=False)
        self.ended()

    def test_a_token_opens_one_stream(self):
        opened = self.host.opened(EXEC)
        for accepted in (True, False):
            stream = self.connect()
            stream.send_all(b'zun-vk-stream/1 %s\n' % opened.token.encode(),
                            self.until)
            if accepted:
                self.assertEqual(b'OK\n', stream.receive(3, self.until))
                stream.close()
            else:
                self.assert_nothing_comes(stream)

    def test_who_has_no_token_gets_nothing(self):
        token = self.host.opened(EXEC).token
        for greeting in (b'zun-vk-stream/1 ' + b'a' * 43 + b'\n', b'\n',
                         b'GET / HTTP/1.1\r\n\r\n',
                         b'zun-vk-stream/2 %s\n' % token.encode(),
                         b'zun-vk-stream/1 %s \n' % token.encode(),
                         b'zun-vk-stream/1 %s\nmore' % token.encode(),
                         b'x' * 256, b'x' * 5000):
            with self.subTest(greeting=greeting[:20]):
                stream = self.connect()
                stream.send_all(greeting, self.until)
                self.assert_nothing_comes(stream)

    def test_who_speaks_no_tls_gets_nothing(self):
        for said in (b'GET / HTTP/1.1\r\n\r\n', b'\x16\x03\x01\x00\x05hello',
                     b'zun-vk-stream/1 ' + b'a' * 43 + b'\n'):
            plain = self.plain()
            plain.sendall(said)
            with contextlib.suppress(ConnectionResetError):
                self.assertEqual(b'', plain.recv(100))
            self.ended()

    def test_old_tls_is_not_spoken(self):
        context = connections.client_context()
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        self.assertRaises(OSError, context.wrap_socket, self.plain())
        self.ended()

    def test_who_is_slow_is_cut_off(self):
        self.useFixture(fixtures.MockPatchObject(
            listener, '_GREETING_SECONDS', 0.3))
        self.plain()
        slow = self.connect()
        slow.send_all(b'zun-vk', self.until)
        wait.wait_for(lambda: self.listener.connections() == 0,
                      'the slow ones to be cut off', 10)

    def test_one_too_many_gets_nothing(self):
        self.listener._most = 2
        for _ in range(2):
            self.greeted(EXEC)
        opened = self.host.opened(EXEC)
        stream = self.connect()
        stream.send_all(b'zun-vk-stream/1 %s\n' % opened.token.encode(),
                        self.until)
        self.assertRaises(OSError, stream.receive, 3, self.until)
        wait.wait_for(lambda: self.listener.connections() == 2,
                      'the two to be left')

    def test_who_has_a_token_gets_in_however_many_have_none(self):
        self.useFixture(fixtures.MockPatchObject(listener, '_MOST_NEW', 3))
        oldest, *_others = [self.plain() for _ in range(9)]
        self.greeted(EXEC)
        with contextlib.suppress(ConnectionResetError):
            self.assertEqual(b'', oldest.recv(1))
        wait.wait_for(lambda: self.listener.connections() <= 4,
                      'the others to be cut off')

    def test_without_a_thread_a_connection_is_closed_and_forgotten(self):
        with mock.patch.object(
                threading.Thread, 'start', autospec=True,
                side_effect=RuntimeError("can't start new thread")):
            self.assertEqual(b'', self.plain().recv(1))
        self.ended()
        self.greeted(EXEC)

    def test_no_token_and_no_command_is_logged(self):
        logged = self.useFixture(fixtures.FakeLogger())
        opened = self.host.opened(EXEC)
        stream = self.connect()
        stream.send_all(b'zun-vk-stream/1 wrong%s\n'
                        % opened.token.encode(), self.until)
        self.assert_nothing_comes(stream)
        self.assertIn('gets nothing', logged.output)
        self.assertNotIn(opened.token, logged.output)
        self.assertNotIn("'cat'", logged.output)

    def test_a_head_that_is_none_ends_it(self):
        for head in (b'GET /etc HTTP/1.1\r\n\r\n', b'x' * 70000):
            stream = self.greeted(EXEC)
            with contextlib.suppress(OSError):
                stream.send_all(head, self.until)
            self.assert_nothing_comes(stream)
        self.assertEqual([], self.host.echo.heads)


class WriterTestCase(HostTestCase):

    def write(self, writer):
        self.host.streams.register(streams.LOGS, lambda request: writer)
        return self.greeted(LOGS)

    def test_what_is_written_arrives_and_ends(self):
        data = bytes(range(256)) * 8192
        stream = self.write(lambda to: [to.write(data), to.write(b'end')])
        self.assertEqual(data + b'end', connections.talk(stream))
        self.ended()

    def test_a_writer_that_fails_breaks_the_stream(self):
        def fail(to):
            to.write(b'some')
            raise OSError('disk')

        stream = self.write(fail)
        self.assertEqual(b'some', stream.receive(4, self.until))
        self.assertRaises(OSError, stream.receive, 1, self.until)
        self.ended()

    def test_a_log_that_went_after_its_token_was_given_is_no_crash(self):
        def fail(to):
            raise exceptions.Refused(404, 'the log is gone')

        with mock.patch.object(listener.LOG, 'exception',
                               autospec=True) as crashed:
            self.assertRaises(OSError, self.write(fail).receive, 1,
                              self.until)
            self.ended()
        crashed.assert_not_called()

    def test_a_writer_learns_that_its_reader_has_gone(self):
        learnt = threading.Event()

        def write(to):
            try:
                _forever(to)
            except exceptions.ReaderGone:
                learnt.set()
                raise

        stream = self.write(write)
        stream.close()
        self.assertTrue(learnt.wait(10))
        self.ended()

    def test_who_waits_learns_that_the_reader_has_gone(self):
        learnt = threading.Event()

        def write(to):
            to.write(b'x')
            wait.wait_for(to.gone, 'the reader to go')
            learnt.set()

        stream = self.write(write)
        self.assertFalse(learnt.is_set())
        stream.close()
        self.assertTrue(learnt.wait(10))
        self.ended()

    def test_a_reader_that_does_not_read_stops_the_writer(self):
        written = []

        def write(to):
            while True:
                to.write(bytes(1024 ** 2))
                written.append(1)

        stream = self.write(write)
        wait.wait_for(lambda: written, 'some to be written')
        wait.hold_for(lambda: len(written) < 32, 'it is held back', 1)
        stream.close()
        self.ended()

    def test_a_refusal_of_its_maker_is_told(self):
        refuse = mock.Mock(spec=[], side_effect=exceptions.Refused(
            400, 'no such log'))
        self.host.streams.register(streams.LOGS, refuse)
        self.assertEqual(streams.Declined('no such log', 400),
                         self.host.opened(LOGS))


class RunTestCase(HostTestCase):
    RUN = streams.StreamRequest(streams.RUN, 'uid-1', 'main',
                                command=('id',))

    def ran(self, *answer):
        self.host.runtime.execs = lambda *_asked: answer
        return connections.talk(self.greeted(self.RUN))

    def test_its_output_comes(self):
        self.assertEqual(b'200\nouterr', self.ran(b'out', b'err', 0))

    def test_a_command_that_fails_is_told(self):
        self.assertEqual(b"500\ncommand 'id' exited with 3: err",
                         self.ran(b'out', b'err', 3))

    def test_a_container_that_is_gone_is_told(self):
        self.host.runtime.exit(self.host.container, 0)
        self.assertEqual('container not found ("main")',
                         self.host.opened(self.RUN).words)


def _forever(to: sink.Sink) -> None:
    while True:
        to.write(b'x' * 100)
