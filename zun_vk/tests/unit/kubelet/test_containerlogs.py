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
import email.message
import socket
import threading
from unittest import mock

import hypothesis
from hypothesis import strategies
from oslo_config import cfg
from oslotest import base

from zun_vk import exceptions
from zun_vk import relay
from zun_vk.kubelet import containerlogs
from zun_vk.kubelet import context
from zun_vk.kubelet import hoststream
from zun_vk.kubelet import logoptions
from zun_vk.rpc import bus as bus_module
from zun_vk.rpc import streams

_NOW = 1_800_000_000.0


def _pod(statuses=None, **status) -> dict:
    if statuses is not None:
        status['containerStatuses'] = statuses
    return {'metadata': {'name': 'web', 'namespace': 'ns', 'uid': 'u-1'},
            'spec': {'containers': [{'name': 'c'}, {'name': 'd'}]},
            'status': status}


def _status(state: dict, last: dict | None = None, restarts: int = 0,
            identity: str = 'containerd://now', **fields) -> dict:
    return {'name': 'c', 'state': state, 'restartCount': restarts,
            'lastState': {'terminated': last} if last else {},
            **({'containerID': identity} if identity else {}), **fields}


_RUNS = {'running': {'startedAt': '2026-01-02T03:04:05Z'}}
_CRASH = {'waiting': {'reason': 'CrashLoopBackOff'}}


def _ended(identity: str = 'containerd://now') -> dict:
    return {'exitCode': 1, **({'containerID': identity} if identity else {})}


class ParseTestCase(base.BaseTestCase):

    def _parse(self, **query) -> logoptions.Wish:
        return logoptions.parse(
            {name: [value] for name, value in query.items()}, _NOW)

    def _refused(self, **query) -> tuple[int, str]:
        error = self.assertRaises(exceptions.Refused, self._parse, **query)
        return error.status, error.words

    def test_nothing_asked_is_everything(self):
        self.assertEqual(logoptions.Wish(streams.LogOptions()),
                         self._parse())

    def test_all_options_are_understood(self):
        self.assertEqual(
            logoptions.Wish(streams.LogOptions(
                follow=True, timestamps=True, tail=5, since=_NOW - 60,
                limit=7), previous=True),
            self._parse(follow='true', timestamps='1', tailLines='5',
                        sinceSeconds='60', limitBytes='7', previous='True',
                        insecureSkipTLSVerifyBackend='true', stream='All',
                        container='other'))
        self.assertEqual('stderr',
                         self._parse(stream='Stderr').options.streams)
        self.assertEqual(1767322645.5, self._parse(
            sinceTime='2026-01-02T04:57:25.5+02:00').options.since)

    def test_only_false_and_0_are_false(self):
        for value, meant in (('false', False), ('FALSE', False),
                             ('0', False), ('', True), ('no', True)):
            self.assertEqual(meant, self._parse(follow=value).options.follow)

    def test_the_old_name_of_tail_is_understood(self):
        self.assertEqual(3, self._parse(tail='3').options.tail)
        self.assertIsNone(self._parse(tail='all',
                                      tailLines='x').options.tail)

    def test_old_clients_send_no_time_as_null(self):
        self.assertEqual(0, self._parse(sinceTime='null').options.since)

    def test_what_cannot_be_read_is_a_bad_request(self):
        for query in ({'tailLines': 'x'}, {'tailLines': ''},
                      {'tailLines': '1_0'}, {'tailLines': '٣'},
                      {'limitBytes': str(2 ** 63)}, {'sinceSeconds': '1.5'},
                      {'sinceTime': 'yesterday'},
                      {'sinceTime': '2026-01-02 03:04:05Z'},
                      {'sinceTime': '2026-13-02T03:04:05Z'},
                      {'tail': 'x'}):
            self.assertEqual(
                (400, '{"message": "Unable to decode query."}'),
                self._refused(**query), query)

    def test_what_cannot_be_is_unprocessable(self):
        for query in ({'tailLines': '-1'}, {'limitBytes': '0'},
                      {'sinceSeconds': '0'}, {'stream': 'stdout'},
                      {'stream': ''},
                      {'sinceSeconds': '1', 'sinceTime': 'null'},
                      {'stream': 'Stdout', 'tailLines': '1'}):
            self.assertEqual((422, '{"message": "Invalid request."}'),
                             self._refused(**query), query)

    @hypothesis.given(strategies.dictionaries(
        strategies.sampled_from(('tailLines', 'limitBytes', 'sinceSeconds',
                                 'sinceTime', 'stream', 'tail', 'follow')),
        strategies.one_of(strategies.text(max_size=30),
                          strategies.integers().map(str),
                          strategies.datetimes().map(
                              lambda at: at.isoformat() + 'Z'))))
    def test_any_query_is_understood_or_refused(self, query):
        try:
            options = self._parse(**query).options
        except exceptions.Refused as error:
            self.assertIn(error.status, (400, 422))
        else:
            wire = streams.StreamRequest('logs', 'u', 'c', logs=options)
            self.assertEqual(wire, streams.from_wire(wire.to_wire()))


class ChooseTestCase(base.BaseTestCase):

    def _choose(self, status: dict, previous: bool = False
                ) -> logoptions.Choice:
        return logoptions.choose(_pod([status]), 'c', previous)

    def _words(self, *args) -> str:
        error = self.assertRaises(exceptions.Refused, self._choose, *args)
        self.assertEqual(400, error.status)
        return error.words

    def test_one_that_runs_is_meant(self):
        self.assertEqual(logoptions.Choice(3), self._choose(
            _status(_RUNS, _ended('containerd://before'), 3)))

    def test_the_one_before_is_the_last_that_ended(self):
        self.assertEqual(logoptions.Choice(2, 'before'), self._choose(
            _status(_RUNS, _ended('containerd://before'), 3), True))

    def test_one_that_ended_is_meant(self):
        self.assertEqual(logoptions.Choice(1), self._choose(
            _status({'terminated': _ended()}, None, 1)))

    def test_in_a_crash_loop_the_last_one_is_meant(self):
        status = _status(_CRASH, _ended(), 4)
        self.assertEqual(logoptions.Choice(4), self._choose(status))
        self.assertEqual(logoptions.Choice(4), self._choose(status, True))

    def test_one_that_was_lost_is_meant_if_it_was_ever_made(self):
        lost = {'terminated': _ended('')}
        self.assertEqual(logoptions.Choice(2),
                         self._choose(_status(lost, None, 2)))
        self.assertEqual(
            'container "c" in pod "web" is terminated',
            self._words(_status(lost, None, 2, '')))
        self.assertEqual(logoptions.Choice(1, 'before'), self._choose(
            _status(lost, _ended('containerd://before'), 2, '')))

    def test_without_one_before_the_kubelets_words_say_so(self):
        words = 'previous terminated container "c" in pod "web" not found'
        self.assertEqual(words, self._words(_status(_RUNS), True))
        self.assertEqual(words, self._words(
            _status(_RUNS, _ended(''), 1), True))

    def test_one_that_waits_has_the_kubelets_words(self):
        for reason, words in (
                ('ContainerCreating', 'ContainerCreating'),
                ('ErrImagePull', "image can't be pulled"),
                ('ImagePullBackOff', 'trying and failing to pull image')):
            self.assertEqual(
                f'container "c" in pod "web" is waiting to start: {words}',
                self._words(_status({'waiting': {'reason': reason}},
                                    identity='')))
        self.assertEqual(
            'container "c" in pod "web" is waiting to start - no logs yet',
            self._words(_status({}, identity='')))

    def test_a_pod_of_which_nothing_was_told_is_being_made(self):
        error = self.assertRaises(
            exceptions.Refused, logoptions.choose, _pod(phase='Pending'), 'c',
            False)
        self.assertEqual('container "c" in pod "web" is waiting to start: '
                         'ContainerCreating', error.words)
        error = self.assertRaises(
            exceptions.Refused, logoptions.choose, _pod(phase='Failed'), 'c',
            False)
        self.assertEqual('container "c" in pod "web" is not available',
                         error.words)

    def test_a_container_that_the_pod_has_not_is_not_found(self):
        error = self.assertRaises(
            exceptions.Refused, logoptions.choose, _pod([]), '../c', False)
        self.assertEqual(
            (404, 'container "../c" not found in pod "web"'),
            (error.status, error.words))


class Stream:
    """What a host sends; ``complete`` ends it."""

    def __init__(self) -> None:
        self._ours, self.theirs = socket.socketpair()
        self._ours.setblocking(False)
        self.ended = threading.Event()
        self.closed = threading.Event()
        self.told_end = False

    def fileno(self) -> int:
        return self._ours.fileno()

    def recv_into(self, buffer: memoryview) -> int | None:
        try:
            count = self._ours.recv_into(buffer)
        except BlockingIOError:
            return None
        if not count and not self.ended.is_set():
            raise ConnectionResetError('broken')
        return count

    def complete(self) -> None:
        self.ended.set()
        self.theirs.close()

    def end(self) -> None:
        self.told_end = True

    def close(self) -> None:
        self._ours.close()
        self.theirs.close()
        self.closed.set()


class Exchange:
    """A request whose answer is kept."""

    method, path, peer = 'GET', '/containerLogs/ns/web/c', '192.0.2.1:1'

    def __init__(self, **query) -> None:
        self.query = {name: [value] for name, value in query.items()}
        self.headers = email.message.Message()
        self.user = context.User('somebody')
        self.stop = relay.Wakeup()
        self.answer, self.how = b'', ''
        self.begun = threading.Event()
        self.flow: tuple = ()
        self._client, self._server = socket.socketpair()

    def chunks(self, content_type: str = context.TEXT) -> 'Exchange':
        return self

    def __enter__(self):
        self.begun.set()
        return self._write

    def _write(self, data: bytes) -> None:
        assert data
        self.answer += data

    def __exit__(self, kind, error, trace) -> None:
        self.how = 'broken' if kind else 'whole'

    def gone(self) -> bool:
        return self._client.fileno() == -1

    def go(self) -> None:
        self._client.close()

    def fileno(self) -> int:
        return self._server.fileno()

    def flowed(self, sent: int, received: int, why: str) -> None:
        self.flow = sent, received, why

    def close(self) -> None:
        self._client.close()
        self._server.close()
        self.stop.close()


class LogsTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.pods = mock.create_autospec(context.Pods, instance=True)
        self.pods.find.return_value = _pod([_status(_RUNS, None, 2)])
        self.pods.host_of.return_value = 'host-1'
        self.pods.all_hosts.return_value = {'host-1'}
        bus = mock.create_autospec(bus_module.Bus, instance=True)
        self.services = context.Services(
            cfg.ConfigOpts(), 'node', '192.0.2.9', self.pods, bus, True,
            lambda: None, None)
        self.stream = Stream()
        self.addCleanup(self.stream.close)
        patched = mock.patch.object(hoststream, 'open_stream', autospec=True,
                                    return_value=self.stream)
        self.open = patched.start()
        self.addCleanup(patched.stop)

    def _exchange(self, **query) -> Exchange:
        exchange = Exchange(**query)
        self.addCleanup(exchange.close)
        return exchange

    def _logs(self, exchange) -> None:
        containerlogs.logs(self.services, exchange, ('ns', 'web', 'c'))

    def _refused(self) -> tuple[int, str]:
        exchange = self._exchange()
        error = self.assertRaises(exceptions.Refused, self._logs, exchange)
        self.assertFalse(exchange.begun.is_set())
        return error.status, error.words

    def _start(self, exchange) -> tuple[threading.Thread, list]:
        errors: list = []

        def run() -> None:
            try:
                self._logs(exchange)
            except OSError as error:
                errors.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread, errors

    def test_what_the_host_says_is_the_answer(self):
        self.stream.theirs.sendall(b'\x00one\ntwo')
        self.stream.complete()
        exchange = self._exchange(tailLines='2')
        self._logs(exchange)
        self.assertEqual((b'\x00one\ntwo', 'whole'),
                         (exchange.answer, exchange.how))
        request = self.open.call_args.args[2]
        self.assertEqual(
            ('logs', 'u-1', 'c', '', streams.LogOptions(attempt=2, tail=2)),
            (request.kind, request.uid, request.container,
             request.container_id, request.logs))
        self.assertTrue(self.stream.closed.is_set())
        self.assertEqual((8, 0, 'closed'), exchange.flow)
        self.assertTrue(self.stream.told_end)

    def test_a_stream_that_breaks_breaks_the_answer(self):
        self.stream.theirs.sendall(b'one\n')
        self.stream.theirs.close()
        exchange = self._exchange()
        self.assertRaises(OSError, self._logs, exchange)
        self.assertEqual((b'one\n', 'broken'),
                         (exchange.answer, exchange.how))
        self.assertTrue(self.stream.closed.is_set())

    def test_the_answer_begins_before_anything_is_said(self):
        exchange = self._exchange(follow='true')
        thread, _ = self._start(exchange)
        self.assertTrue(exchange.begun.wait(2))
        self.stream.complete()
        thread.join(2)
        self.assertEqual('whole', exchange.how)

    def test_a_client_that_goes_ends_the_hosts_stream(self):
        exchange = self._exchange(follow='true')
        thread, _ = self._start(exchange)
        self.assertTrue(exchange.begun.wait(2))
        exchange.go()
        self.assertTrue(self.stream.closed.wait(1))
        thread.join(2)
        self.assertFalse(thread.is_alive())

    def test_the_stop_of_the_server_breaks_the_answer(self):
        exchange = self._exchange(follow='true')
        thread, errors = self._start(exchange)
        self.assertTrue(exchange.begun.wait(2))
        exchange.stop.set()
        thread.join(2)
        self.assertEqual('broken', exchange.how)
        self.assertTrue(errors)

    def test_a_pod_that_is_not_there_is_not_found(self):
        self.pods.find.return_value = None
        self.assertEqual((404, 'pod "web" does not exist'), self._refused())

    def test_without_hosts_there_are_no_logs(self):
        self.services = context.Services(
            cfg.ConfigOpts(), 'node', '192.0.2.9', self.pods, None, False,
            lambda: None, None)
        self.assertEqual(501, self._refused()[0])

    def test_a_host_that_does_not_answer_is_said_to(self):
        self.open.side_effect = exceptions.Refused(504, 'host-1 is silent')
        self.pods.all_hosts.return_value = {'host-1', 'host-2'}
        self.assertEqual((504, 'host-1 is silent'), self._refused())
        self.assertEqual(1, self.open.call_count)

    def test_logs_of_a_pod_whose_host_is_forgotten_are_looked_for(self):
        self.pods.host_of.return_value = None
        self.pods.all_hosts.return_value = {'host-1', 'host-2', 'host-3'}

        def open_stream(bus, host, request, timeout):
            if host == 'host-3':
                return self.stream
            raise exceptions.Refused(404 if host == 'host-1' else 504, host)

        self.open.side_effect = open_stream
        self.stream.complete()
        exchange = self._exchange()
        self._logs(exchange)
        self.assertEqual('whole', exchange.how)

    def test_a_silent_host_may_have_had_them(self):
        self.pods.host_of.return_value = None
        self.pods.all_hosts.return_value = {'host-1', 'host-2'}
        self.open.side_effect = lambda bus, host, *rest: (
            mock.DEFAULT if host == 'no' else self._fail(host))
        self.assertEqual((504, 'host-1'), self._refused())

    def _fail(self, host: str) -> None:
        raise exceptions.Refused(504 if host == 'host-1' else 404, host)

    def test_no_host_at_all_has_no_logs(self):
        self.pods.host_of.return_value = None
        self.pods.all_hosts.return_value = set()
        self.assertEqual(404, self._refused()[0])
