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
"""The CNI plugin: what it asks of zun-vk-compute and tells the runtime."""

import json
import os
import socketserver
import subprocess
import sys
import threading

import fixtures
from oslotest import base

from zun_vk.compute import cni


class CniTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.asked = asked = []
        self.answer = {'output': '{"ips": []}', 'code': 0}

        class Handler(socketserver.StreamRequestHandler):
            def handle(handler):
                asked.append(json.loads(handler.rfile.read()))
                said = self.answer
                handler.wfile.write(said if isinstance(said, bytes)
                                    else json.dumps(said).encode())
        self.path = os.path.join(
            self.useFixture(fixtures.TempDir()).path, 'cni.sock')
        server = socketserver.ThreadingUnixStreamServer(self.path, Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,),
                                  name='service')
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)

    def run_plugin(self, command, text=None):
        return cni.run({
            'CNI_COMMAND': command, 'CNI_IFNAME': 'eth0', 'HOME': '/root',
            'CNI_ARGS': 'K8S_POD_NAME=a-b', 'CNI_NETNS': '/run/netns/1',
            'CNI_CONTAINERID': 'c1'},
            json.dumps({'cniVersion': '0.3.1', 'name': 'zun',
                        'type': 'zun-vk-cni', 'socket': self.path})
            if text is None else text)

    def failed(self, command, text=None):
        answer, code = self.run_plugin(command, text)
        self.assertEqual(1, code)
        return json.loads(answer)

    def test_the_service_is_told_what_cni_said_and_nothing_else(self):
        self.run_plugin('ADD')
        self.assertEqual([{
            'CNI_COMMAND': 'ADD', 'CNI_IFNAME': 'eth0',
            'CNI_ARGS': 'K8S_POD_NAME=a-b', 'CNI_NETNS': '/run/netns/1',
            'CNI_CONTAINERID': 'c1'}], self.asked)

    def test_the_runtime_is_told_what_the_service_says(self):
        self.assertEqual(('{"ips": []}', 0), self.run_plugin('ADD'))
        self.answer = {'output': 'no', 'code': 1}
        self.assertEqual(('no', 1), self.run_plugin('DEL'))

    def test_a_service_that_is_away_is_an_error_to_try_again(self):
        answer = self.failed('ADD', '{"socket": "/nonexistent/cni.sock"}')
        self.assertEqual(cni.TRY_AGAIN, answer['code'])
        self.assertIn('/nonexistent/cni.sock', answer['msg'])

    def test_an_answer_that_is_none_is_an_error_to_try_again(self):
        for answer in (b'', b'{', b'[]', b'{"output": 1}',
                       b'{"output": "", "code": "x"}'):
            self.answer = answer
            self.assertEqual(cni.TRY_AGAIN, self.failed('ADD')['code'])

    def test_a_configuration_that_is_none_is_an_error(self):
        for text, kind in (('', cni.UNDECODABLE),
                           ('{', cni.UNDECODABLE),
                           ('[]', cni.INVALID_CONFIGURATION),
                           ('x' * (cni.MOST + 1),
                            cni.INVALID_CONFIGURATION)):
            self.assertEqual(kind, self.failed('ADD', text)['code'])
        self.assertEqual([], self.asked)

    def test_an_unknown_command_is_an_error(self):
        for command in ('', 'CHECK', 'add'):
            self.assertEqual(cni.INVALID_ENVIRONMENT,
                             self.failed(command)['code'])
        self.assertEqual([], self.asked)

    def test_it_says_which_version_it_speaks(self):
        answer, code = self.run_plugin('VERSION', '')
        self.assertEqual((0, ['0.3.1']),
                         (code, json.loads(answer)['supportedVersions']))

    def test_it_starts_without_what_is_slow_to_import(self):
        words = subprocess.run(
            [sys.executable, '-c', 'import sys; import zun_vk.cmd.cni; '
             'print(*sys.modules)'], capture_output=True, text=True,
            check=True).stdout.split()
        slow = [name for name in words if name.split('.')[0] in (
            'oslo_config', 'eventlet', 'requests', 'grpc', 'asyncio',
            'http', 'os_vif', 'pyroute2')]
        self.assertEqual([], slow)
