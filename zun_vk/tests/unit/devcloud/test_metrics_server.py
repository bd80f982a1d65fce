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
import re
import threading
from unittest import mock

from devcloud import commands
from devcloud import control_plane
from devcloud import metrics_server
from devcloud import pki
from devcloud import servers
from devcloud import settings
from devcloud import web
from zun_vk.tests.unit.devcloud import base


class MetricsServerTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.where.make()
        self.there = set()
        self.calls = []
        self.answers = True
        self.peer = mock.create_autospec(web.Peer, instance=True)
        self.peer.call.side_effect = self._call
        self.peer.must.side_effect = self._call
        self.patch(control_plane, 'api',
                   mock.create_autospec(control_plane.api,
                                        return_value=self.peer))
        self.keys = mock.create_autospec(pki.Pki, instance=True)
        self.keys.kubeconfig.side_effect = lambda name: self.tmp / name
        self.keys.crt.side_effect = lambda name: str(self.tmp / name)
        (self.tmp / 'ca').write_text('the authority')
        self.supervisor = servers.Supervisor(self.where, threading.Event())
        self.patch(self.supervisor, 'start', mock.create_autospec(
            self.supervisor.start))
        self.go = self.tmp / 'go'
        self.server = metrics_server.MetricsServer(
            self.where, self.keys, commands.Commands(), self.supervisor,
            {'PATH': str(self.go)})

    def _call(self, method, path, body=None, headers=None, timeout=30):
        if not self.answers:
            raise ConnectionRefusedError
        self.calls.append((method, path))
        if method == 'POST':
            self.there.add(f'{path}/{body["metadata"]["name"]}')
        known = path in self.there
        if method == 'DELETE':
            self.there.discard(path)
        return web.Reply(200 if known else 404, {}, b'{}')

    def have_go(self, does):
        self.program(self.go, 'go', 'case $1 in version) '
                     'echo "go version go1.99.0 linux/amd64";; '
                     f'*) {does};; esac')

    def test_it_is_built_once(self):
        # go build -v … -o FILE PACKAGE
        self.have_go('while [ "$1" != -o ]; do shift; done; '
                     'echo built >> "$2"')
        self.assertEqual(self.server.program, self.server.ensure())
        self.have_go('exit 1')
        self.server.ensure()
        self.assertEqual('built\n', self.server.program.read_text())

    def test_go_mod_pins_the_version(self):
        text = (metrics_server.MODULE / 'go.mod').read_text()
        found = re.search(r'sigs\.k8s\.io/metrics-server v(\S+)', text)
        self.assertEqual(metrics_server.VERSION, found[1])

    def test_it_is_registered_once_and_forgotten_when_it_ends(self):
        self.server.program.parent.mkdir(parents=True)
        self.server.program.touch()
        self.server.start()
        self.server.start()
        posts = [path for method, path in self.calls if method == 'POST']
        self.assertEqual(len(metrics_server.objects('')), len(posts))
        self.assertIn(metrics_server._REGISTERED, self.there)
        self.assertTrue(self.server.stop())
        self.assertNotIn(metrics_server._REGISTERED, self.there)

    def test_one_that_ended_by_itself_is_forgotten_when_the_cloud_comes_up(
            self):
        self.there.add(metrics_server._REGISTERED)
        self.server.forget_if_down()
        self.assertEqual(set(), self.there)

    def test_it_ends_though_no_api_server_answers(self):
        self.answers = False
        self.assertTrue(self.server.stop())

    def test_the_api_server_reaches_it_and_checks_who_it_is(self):
        service, api = (body for _, body in
                        metrics_server.objects('Y2E=')[-2:])
        self.assertEqual(service['metadata']['name'],
                         api['spec']['service']['name'])
        self.assertEqual(settings.PORTS[metrics_server.NAME],
                         api['spec']['service']['port'])
        self.assertEqual('Y2E=', api['spec']['caBundle'])
        self.assertNotIn('insecureSkipTLSVerify', api['spec'])
        name = 'metrics-server.kube-system.svc'
        self.assertTrue(any(f'DNS:{name}' in each.names
                            for each in pki.IDENTITIES))
