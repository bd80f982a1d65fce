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
"""The CNI plugin: what it asks of zun-cni-daemon and tells the runtime."""

import http.server
import json
import subprocess
import sys
import threading

from oslotest import base

from zun_vk.compute import cni


def boxed(**fields):
    """An object as oslo.versionedobjects writes it."""
    return {'versioned_object.name': 'X', 'versioned_object.data': fields}


def several(*items):
    return boxed(objects=list(items))


def subnet(cidr, address, **more):
    return boxed(cidr=cidr, ips=several(boxed(address=address)),
                 routes=more.pop('routes', several()), **more)


VIF = boxed(address='fa:16:3e:00:00:01', network=boxed(subnets=several(
    subnet('10.77.0.0/24', '10.77.0.9', gateway='10.77.0.1', dns=['9.9.9.9'],
           routes=several(boxed(cidr='10.0.0.0/8', gateway='10.77.0.2'))),
    subnet('fd00::/64', 'fd00::9', dns=[]))))


class Daemon(http.server.BaseHTTPRequestHandler):
    """A daemon that answers what the test says."""

    status, answer, asked = 202, b'', []

    def do_POST(self):
        length = int(self.headers['Content-Length'])
        self.asked.append((self.path, json.loads(self.rfile.read(length))))
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, *_args):
        pass


class CniTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()

        class Handler(Daemon):
            asked = []
        self.daemon = Handler
        server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,),
                                  name='daemon')
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.config = {'cniVersion': '0.3.1', 'name': 'zun',
                       'type': 'zun-vk-cni',
                       'daemon': f'127.0.0.1:{server.server_port}'}

    def run_plugin(self, command, text=None):
        answer, code = cni.run({
            'CNI_COMMAND': command, 'CNI_IFNAME': 'eth0', 'HOME': '/root',
            'CNI_ARGS': 'K8S_POD_NAME=a-b', 'CNI_NETNS': '/run/netns/1',
            'CNI_CONTAINERID': 'c1'},
            json.dumps(self.config) if text is None else text)
        return answer and json.loads(answer), code

    def add(self, vif=VIF):
        self.daemon.answer = json.dumps(vif).encode()
        return self.run_plugin('ADD')

    def test_the_daemon_is_told_what_cni_said_and_nothing_else(self):
        self.add()
        (path, asked), = self.daemon.asked
        self.assertEqual('/addNetwork', path)
        self.assertEqual({
            'CNI_COMMAND': 'ADD', 'CNI_IFNAME': 'eth0',
            'CNI_ARGS': 'K8S_POD_NAME=a-b', 'CNI_NETNS': '/run/netns/1',
            'CNI_CONTAINERID': 'c1', 'config_zun': self.config}, asked)

    def test_the_runtime_is_told_every_address(self):
        answer, code = self.add()
        self.assertEqual(0, code)
        self.assertEqual([
            {'version': '4', 'address': '10.77.0.9/24', 'interface': 0,
             'gateway': '10.77.0.1'},
            {'version': '6', 'address': 'fd00::9/64', 'interface': 0}],
            answer['ips'])
        self.assertEqual([{'dst': '10.0.0.0/8', 'gw': '10.77.0.2'}],
                         answer['routes'])
        self.assertEqual({'nameservers': ['9.9.9.9']}, answer['dns'])
        self.assertEqual([{'name': 'eth0', 'mac': 'fa:16:3e:00:00:01',
                           'sandbox': '/run/netns/1'}],
                         answer['interfaces'])

    def test_a_removal_answers_nothing(self):
        self.daemon.status = 204
        self.assertEqual(('', 0), self.run_plugin('DEL'))
        self.assertEqual('/delNetwork', self.daemon.asked[0][0])

    def test_a_daemon_that_cannot_is_an_error_with_its_status(self):
        self.daemon.status = 504
        for command in ('ADD', 'DEL'):
            answer, code = self.run_plugin(command)
            self.assertEqual((1, cni.REFUSED), (code, answer['code']))
            self.assertIn('504', answer['msg'])

    def test_a_daemon_that_is_away_is_an_error_to_try_again(self):
        self.config['daemon'] = '127.0.0.1:1'
        answer, code = self.run_plugin('ADD')
        self.assertEqual((1, cni.TRY_AGAIN), (code, answer['code']))
        self.assertIn('127.0.0.1:1', answer['msg'])

    def test_what_is_no_vif_is_an_error(self):
        for answer in ([], {}, None, 'x', boxed(), boxed(network=1),
                       {'versioned_object.data': 3},
                       boxed(address='a', network=boxed(subnets=several(1)))):
            said, code = self.add(answer)
            self.assertEqual((1, cni.UNDECODABLE), (code, said['code']))

    def test_a_configuration_that_is_none_is_an_error(self):
        for text, kind in (('', cni.UNDECODABLE),
                           ('{', cni.UNDECODABLE),
                           ('[]', cni.INVALID_CONFIGURATION),
                           ('x' * (cni.MOST + 1),
                            cni.INVALID_CONFIGURATION)):
            answer, code = self.run_plugin('ADD', text)
            self.assertEqual((1, kind), (code, answer['code']))

    def test_an_unknown_command_is_an_error(self):
        for command in ('', 'CHECK', 'add'):
            answer, code = self.run_plugin(command)
            self.assertEqual((1, cni.INVALID_ENVIRONMENT),
                             (code, answer['code']))
        self.assertEqual([], self.daemon.asked)

    def test_it_says_which_version_it_speaks(self):
        answer, code = self.run_plugin('VERSION', '')
        self.assertEqual((0, ['0.3.1']),
                         (code, answer['supportedVersions']))

    def test_it_starts_without_what_is_slow_to_import(self):
        words = subprocess.run(
            [sys.executable, '-c', 'import sys; import zun_vk.cmd.cni; '
             'print(*sys.modules)'], capture_output=True, text=True,
            check=True).stdout.split()
        slow = [name for name in words if name.split('.')[0] in (
            'oslo_config', 'eventlet', 'requests', 'grpc', 'asyncio')]
        self.assertEqual([], slow)
