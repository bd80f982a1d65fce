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
import http.server
import threading

import fixtures
from oslotest import base

from zun_vk import exceptions
from zun_vk.compute import hooks
from zun_vk.compute import netns
from zun_vk.tests.unit.compute.probes import test_http_get as web

HOOK = hooks.Hook('u-1', 'ns', 'pod', {
    'name': 'web', 'ports': [{'name': 'admin', 'containerPort': 8080}]},
    'id', '127.0.0.1')


class HooksTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.ran = []
        self.answer = (b'', b'', 0)
        # No namespace of its own here: that is tried with netns itself.
        self.useFixture(fixtures.MockPatchObject(
            netns, 'socket_in', self._connect))
        self.ports = {}

    def _connect(self, pid, address, port, timeout):
        self.assertEqual(42, pid)
        return web._connect(address, self.ports.get(port, port), timeout)

    def _exec(self, *args):
        self.ran.append(args)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def _run(self, handler, seconds=5, stop=None, pid=42):
        return hooks.run(handler, HOOK, seconds, self._exec,
                         lambda uid: pid, stop)

    def test_a_command_runs_within_its_time(self):
        self.assertEqual(hooks.Outcome(True), self._run(
            {'exec': {'command': ['a', 'b']}}, 7))
        self.assertEqual([('id', ['a', 'b'], 7)], self.ran)

    def test_a_command_that_fails_is_told_as_the_kubelet_does(self):
        self.answer = (b'out', b'err', 3)
        self.assertEqual(hooks.Outcome(False, (
            'Exec lifecycle hook ([a b]) for Container "web" in Pod '
            '"pod_ns(u-1)" failed - error: command \'a b\' exited with 3, '
            'message: "outerr"')), self._run({'exec': {
                'command': ['a', 'b']}}))

    def test_a_command_that_cannot_run_or_end_is_told(self):
        for error, words in (
                (exceptions.CommandTimedOut('x'), 'command timed out after'),
                (exceptions.RuntimeRefused('gone'), 'cri: gone')):
            self.answer = error
            found = self._run({'exec': {'command': ['a']}})
            self.assertFalse(found.ok)
            self.assertIn(words, found.message)

    def test_any_answer_of_a_server_will_do(self):
        server = self.useFixture(web._Server())
        self.ports[8080] = self.ports[80] = server.port
        server.answers['/x'] = 500, {}, b''
        for port in ('admin', None, server.port):
            self.assertEqual(hooks.Outcome(True), self._run(
                {'httpGet': {'port': port, 'path': '/x', 'httpHeaders': [
                    {'name': 'A', 'value': 'b'}]}}))
        self.assertEqual(3, len(server.asked))
        headers = server.asked[0][1]
        self.assertEqual(('kube-lifecycle/1.36', 'b'),
                         (headers['User-Agent'], headers['A']))

    def test_a_server_without_tls_is_asked_without_credentials(self):
        server = self.useFixture(web._Server())
        self.assertEqual(hooks.Outcome(True), self._run({'httpGet': {
            'port': server.port, 'scheme': 'HTTPS', 'httpHeaders': [
                {'name': 'Authorization', 'value': 'secret'},
                {'name': 'A', 'value': 'b'}]}}))
        # TLS itself is garbage to it: only the second try was a request.
        (_, headers), = server.asked
        self.assertIsNone(headers['Authorization'])
        self.assertEqual('b', headers['A'])

    def test_nobody_there_is_a_failure(self):
        found = self._run({'httpGet': {'port': 1, 'path': '/x'}})
        self.assertEqual(hooks.Outcome(False, (
            'HTTP lifecycle hook (/x) for Container "web" in Pod '
            '"pod_ns(u-1)" failed - error: Get "http://127.0.0.1:1/x": dial '
            'tcp 127.0.0.1:1: connect: connection refused')), found)

    def test_bad_ports_and_lost_networks_are_failures(self):
        self.assertIn("no port 'none'", self._run(
            {'httpGet': {'port': 'none'}}).message)
        self.assertIn('no network', self._run(
            {'httpGet': {'port': 80}}, pid=0).message)

    def test_a_server_that_does_not_answer_is_not_waited_for(self):
        gate = threading.Event()

        class Slow(http.server.BaseHTTPRequestHandler):
            def do_GET(self):  # noqa: N802
                gate.wait(10)

        server = self.useFixture(web._Server(Slow))
        self.addCleanup(gate.set)
        found = self._run({'httpGet': {'port': server.port}}, 0.1)
        self.assertIn('deadline exceeded', found.message)

    def test_sleep_ends_when_it_is_told_to_or_has_to(self):
        stop = threading.Event()
        stop.set()
        self.assertTrue(self._run({'sleep': {'seconds': 60}}, 90, stop).ok)
        self.assertTrue(self._run({'sleep': {'seconds': 60}}, 0.01).ok)
        self.assertTrue(self._run({'sleep': {'seconds': 0}}).ok)

    def test_what_is_no_handler_fails(self):
        for handler in ({}, {'tcpSocket': {'port': 1}}):
            self.assertFalse(self._run(handler).ok)
