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
import email.message
import os
from unittest import mock

import fixtures
from oslotest import base

from zun_vk import exceptions
from zun_vk import relay
from zun_vk.kubelet import context
from zun_vk.kubelet import streaming
from zun_vk.tests.fixtures import connections
from zun_vk.tests.fixtures import streams as streams_fixture
from zun_vk.tests.fixtures import wait

POD = {'metadata': {'uid': 'uid-1', 'name': 'web', 'namespace': 'default'},
       'spec': {'containers': [{'name': 'main'}, {'name': 'absent'}]}}
PARTS = ('default', 'web', 'main')
SPDY = {'Connection': 'Upgrade', 'Upgrade': 'SPDY/3.1',
        'X-Stream-Protocol-Version': 'v4.channel.k8s.io'}
WEBSOCKET = {'Connection': 'upgrade', 'Upgrade': 'websocket',
             'Sec-WebSocket-Key': 'abc', 'Sec-WebSocket-Version': '13',
             'Authorization': 'Bearer secret', 'X-Forwarded-For': '1.2.3.4'}
SWITCHED = streams_fixture.SWITCHED


class Exchange:
    """One request, its connection real."""

    def __init__(self, method, query, headers, stop, connection=None):
        self.method = method
        self.path = '/'
        self.query = query
        self.headers = email.message.Message()
        for name, value in headers.items():
            self.headers[name] = value
        self.user = context.User('anne')
        self.stop = stop
        self.sent = None
        self.flow = None
        self._connection = connection

    def send(self, status, body=b'', content_type=context.TEXT,
             headers=None):
        self.sent = status, body, content_type

    def hijack(self):
        return self._connection

    def gone(self):
        return False

    def fileno(self):
        return self.stop.fileno()

    def flowed(self, *flow):
        self.flow = flow


class StreamingTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.Timeout(60, gentle=True))
        self.host = self.useFixture(streams_fixture.Host())
        self.made = self.useFixture(connections.Connections())
        self.pods = mock.create_autospec(context.Pods, instance=True)
        self.pods.find.side_effect = self.find
        self.pods.host_of.return_value = 'host-1'
        self.stop = relay.Wakeup()
        self.addCleanup(self.stop.close)
        self.guard = mock.Mock(spec=[])
        self.services = context.Services(
            conf=None, node='n1', node_address='10.0.0.1', pods=self.pods,
            bus=self.host, on_hosts=True, guard=self.guard, gatherer=None)
        self.pool = concurrent.futures.ThreadPoolExecutor(4)
        self.addCleanup(self.pool.shutdown)

    @staticmethod
    def find(namespace, name, uid=''):
        metadata = POD['metadata']
        found = (namespace, name) == (metadata['namespace'],
                                      metadata['name'])
        return POD if found and uid in ('', metadata['uid']) else None

    def exchange(self, query, headers=SPDY, method='POST', connection=None):
        return Exchange(method, query, headers, self.stop, connection)

    def begin(self, handler, parts, query, headers=SPDY, method='POST'):
        """Return the client, the exchange and the end of the handler."""
        client, server = self.made.make(connections.STREAM)
        exchange = self.exchange(query, headers, method, server)
        return client, exchange, self.pool.submit(
            handler, self.services, exchange, parts)

    def refused(self, handler, parts, query, headers=SPDY, method='POST'):
        exchange = self.exchange(query, headers, method)
        refused = self.assertRaises(exceptions.Refused, handler, self.services,
                                    exchange, parts)
        return refused.status, refused.words

    def last_call(self):
        return self.host.runtime.calls[-1]


class UpgradedTestCase(StreamingTestCase):

    def test_bytes_pass_both_ways_and_the_end_as_well(self):
        client, exchange, done = self.begin(
            streaming.exec, PARTS, {'command': ['cat', '', '-u'],
                                    'input': ['1'], 'output': ['1']})
        data = os.urandom(4 * 1024 ** 2)
        found = connections.talk(client, data, ends=False,
                                 most=len(SWITCHED) + len(data))
        self.assertEqual(SWITCHED, found[:len(SWITCHED)])
        self.assertTrue(found.endswith(data))
        connections.send(client, b'')
        self.assertEqual(b'', connections.talk(client, ends=False))
        done.result(20)
        self.assertEqual((len(found), len(data), 'closed'), exchange.flow)
        name, request = self.last_call()
        self.assertEqual(('Exec', ['cat', '', '-u'], True, True, False),
                         (name, list(request.cmd), request.stdin,
                          request.stdout, request.tty))

    def test_the_runtime_gets_the_upgrade_and_not_the_user(self):
        client, _exchange, done = self.begin(
            streaming.port_forward, PARTS[:2], {'port': ['80,443', '22']},
            WEBSOCKET, 'GET')
        connections.talk(client, ends=False, most=len(SWITCHED))
        head, = self.host.echo.heads
        lines = head.split('\r\n')
        self.assertEqual('GET /portforward/token HTTP/1.1', lines[0])
        self.assertEqual(
            ['Connection: upgrade', 'Upgrade: websocket',
             'Sec-WebSocket-Key: abc', 'Sec-WebSocket-Version: 13',
             'Content-Length: 0'], lines[2:])
        self.assertEqual([80, 443, 22], list(self.last_call()[1].port))
        client.close()
        done.result(20)

    def test_a_token_among_subprotocols_stays_here(self):
        token = 'base64url.bearer.authorization.k8s.io.c2VjcmV0'
        for given, passed in (
                (f'v5.channel.k8s.io,{token}, v4.channel.k8s.io',
                 ['Sec-WebSocket-Protocol: v5.channel.k8s.io, '
                  'v4.channel.k8s.io']),
                (token, [])):
            with self.subTest(given=given):
                client, _exchange, done = self.begin(
                    streaming.port_forward, PARTS[:2], {'port': ['80']},
                    WEBSOCKET | {'Sec-WebSocket-Protocol': given}, 'GET')
                connections.talk(client, ends=False, most=len(SWITCHED))
                lines = self.host.echo.heads[-1].split('\r\n')
                self.assertEqual(passed, [
                    line for line in lines if 'Protocol' in line])
                client.close()
                done.result(20)

    def test_a_terminal_has_one_output(self):
        client, _exchange, done = self.begin(
            streaming.attach, PARTS, {'output': ['1'], 'error': ['1'],
                                      'tty': ['1']})
        connections.talk(client, ends=False, most=len(SWITCHED))
        name, request = self.last_call()
        self.assertEqual(('Attach', True, False, True),
                         (name, request.stdout, request.stderr, request.tty))
        client.close()
        done.result(20)

    def test_a_client_that_is_killed_leaves_nothing(self):
        def descriptors():
            return len(os.listdir('/proc/self/fd'))

        self._killed()
        before = descriptors()
        for _ in range(30):
            self._killed()
        wait.wait_for(lambda: descriptors() <= before,
                      'what there was before', seen=descriptors)

    def _killed(self):
        client, exchange, done = self.begin(
            streaming.exec, PARTS, {'command': ['cat'], 'input': ['1']})
        connections.talk(client, ends=False, most=len(SWITCHED))
        client.close()
        done.result(20)
        self.assertEqual('broken', exchange.flow[2])

    def test_a_stop_ends_it(self):
        client, exchange, done = self.begin(
            streaming.exec, PARTS, {'command': ['cat'], 'input': ['1']})
        connections.talk(client, ends=False, most=len(SWITCHED))
        exchange.stop.set()
        done.result(20)
        self.assertEqual('stopped', exchange.flow[2])

    def test_a_host_that_dies_ends_it(self):
        client, _exchange, done = self.begin(
            streaming.exec, PARTS, {'command': ['cat'], 'input': ['1']})
        connections.talk(client, ends=False, most=len(SWITCHED))
        self.host.stop()
        done.result(20)
        self.assertRaises(OSError, connections.talk, client, ends=False)


class RefusedTestCase(StreamingTestCase):
    STREAMS = {'output': ['1']}
    COMMAND = STREAMS | {'command': ['id']}

    def test_a_pod_that_is_not_there(self):
        for handler, parts in ((streaming.exec, ('default', 'x', 'main')),
                               (streaming.attach, ('other', 'web', 'main')),
                               (streaming.exec, ('default', 'web', 'uid-2',
                                                 'main')),
                               (streaming.run, ('default', 'x', 'main')),
                               (streaming.port_forward, ('default', 'x'))):
            self.assertEqual((404, 'pod does not exist'),
                             self.refused(handler, parts, self.COMMAND))

    def test_another_pod_of_that_name(self):
        self.assertEqual((404, 'pod not found'), self.refused(
            streaming.port_forward, ('default', 'web', 'uid-2'), {}))

    def test_a_container_that_is_not_there(self):
        for container in ('x', 'absent'):
            self.assertEqual(
                (500, f'container not found ("{container}")'), self.refused(
                    streaming.exec, ('default', 'web', 'uid-1', container),
                    self.COMMAND))

    def test_no_stream_is_asked_for(self):
        for query in ({}, {'output': ['true']}, {'input': ['0', '1']},
                      {'error': ['1'], 'tty': ['1']}):
            self.assertEqual(
                (400, 'you must specify at least 1 of stdin, stdout, stderr'),
                self.refused(streaming.attach, PARTS, query))

    def test_no_command_is_named(self):
        self.assertEqual(400, self.refused(streaming.exec, PARTS,
                                           self.STREAMS)[0])

    def test_no_upgrade_is_asked_for(self):
        for headers in ({}, {'Upgrade': 'SPDY/3.1'},
                        {'Connection': 'Upgrade'}):
            self.assertEqual((400, 'Upgrade request required'), self.refused(
                streaming.exec, PARTS, self.COMMAND, headers))

    def test_ports_of_a_websocket_must_be_some(self):
        for query, words in (
                ({}, 'query parameter "port" is required'),
                ({'port': ['']}, 'query parameter "port" cannot be empty'),
                ({'port': ['0']}, 'port "0" must be > 0'),
                ({'port': ['80,x']}, 'unable to parse "x" as a port'),
                ({'port': ['65536']}, 'unable to parse "65536" as a port'),
                ({'port': ['\u0661']},
                 'unable to parse "\u0661" as a port')):
            self.assertEqual((400, words), self.refused(
                streaming.port_forward, PARTS[:2], query, WEBSOCKET, 'GET'))

    def test_a_pod_without_a_host(self):
        self.pods.host_of.return_value = None
        self.assertEqual((500, 'container not found ("main")'), self.refused(
            streaming.exec, PARTS, self.COMMAND))
        self.assertEqual((500, 'pod not found ("web_default")'), self.refused(
            streaming.port_forward, PARTS[:2], {}))

    def test_a_node_that_another_agent_may_hold(self):
        self.guard.side_effect = exceptions.NotHolder('kubernetes', 'x')
        self.assertRaises(
            exceptions.NotHolder, streaming.exec, self.services,
            self.exchange(self.COMMAND), PARTS)
        self.pods.host_of.assert_not_called()

    def test_a_runtime_without_hosts(self):
        self.services = context.Services(
            conf=None, node='n1', node_address='', pods=self.pods, bus=None,
            on_hosts=False, guard=self.guard, gatherer=None)
        for handler in (streaming.exec, streaming.attach, streaming.run):
            self.assertEqual((501, context.NO_HOSTS), self.refused(
                handler, PARTS, self.COMMAND))
        self.assertEqual(501, self.refused(streaming.port_forward, PARTS[:2],
                                           {})[0])


class RunTestCase(StreamingTestCase):

    def run_(self, *answer):
        self.asked = []

        def answered(_container, command, _seconds):
            self.asked.append(command)
            return answer

        self.host.runtime.execs = answered
        exchange = self.exchange({'cmd': ['echo a b']}, {})
        streaming.run(self.services, exchange, PARTS)
        return exchange.sent

    def test_its_output_is_the_answer(self):
        self.assertEqual((200, b'outerr', context.JSON),
                         self.run_(b'out', b'err', 0))
        self.assertEqual([['echo', 'a', 'b']], self.asked)

    def test_a_command_that_fails_is_an_error(self):
        refused = self.assertRaises(exceptions.Refused, self.run_, b'', b'no',
                                    3)
        self.assertEqual((500, "command 'echo a b' exited with 3: no"),
                         (refused.status, refused.words))

    def test_a_host_that_breaks_off_is_502(self):
        def stop(*_asked):
            self.host.streams.stop()
            wait.wait_for(self.host.streams._listener._stop.is_set, 'a stop')
            return b'x', b'', 0

        self.host.runtime.execs = stop
        refused = self.assertRaises(
            exceptions.Refused, streaming.run, self.services,
            self.exchange({'cmd': ['id']}, {}), PARTS)
        self.assertEqual(502, refused.status)
