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
"""Which path is whose."""

from oslotest import base

from zun_vk.kubelet import audit
from zun_vk.kubelet import routes


class TestFind(base.BaseTestCase):

    def found(self, path):
        found = routes.find(path)
        return found and (found[0].root, found[1])

    def test_paths_with_names(self):
        for path, root, *parts in (
                ('/containerLogs/ns/pod/c', '/containerLogs', 'ns', 'pod',
                 'c'),
                ('/exec/ns/pod/c', '/exec', 'ns', 'pod', 'c'),
                ('/exec/ns/pod/uid/c', '/exec', 'ns', 'pod', 'uid', 'c'),
                ('/attach/ns/pod/c', '/attach', 'ns', 'pod', 'c'),
                ('/run/ns/pod/uid/c', '/run', 'ns', 'pod', 'uid', 'c'),
                ('/portForward/ns/pod', '/portForward', 'ns', 'pod'),
                ('/portForward/ns/pod/uid', '/portForward', 'ns', 'pod',
                 'uid')):
            self.assertEqual((root, tuple(parts)), self.found(path), path)

    def test_paths_without_names(self):
        for path in ('/healthz', '/pods', '/runningpods', '/configz',
                     '/stats/summary', '/metrics', '/metrics/resource',
                     '/metrics/cadvisor', '/metrics/probes'):
            self.assertEqual((path, ()), self.found(path))
            self.assertEqual((path, ()), self.found(path + '/'))

    def test_anything_else_is_nobodys(self):
        for path in ('', '/', '//', '/unknown', '/exec', '/exec/', '/exec/ns',
                     '/exec/ns/pod', '/exec/ns/pod/uid/c/more',
                     '/exec//pod/c', '/exec/ns/../c', '/exec/ns/pod/.',
                     '//exec/ns/pod/c', '/./exec/ns/pod/c', '/Exec/ns/pod/c',
                     '/exec/ns/pod/c//', '/pods/x', '/metrics/other',
                     '/stats', '/stats/../exec/ns/pod/c', '/healthz/../pods',
                     '/containerLogs/ns/pod', 'exec/ns/pod/c', '/logs/x',
                     '/debug/pprof', '/checkpoint/ns/pod/c'):
            self.assertIsNone(routes.find(path), path)

    def test_the_log_and_the_metrics_know_every_route(self):
        for route in routes.ROUTES:
            self.assertNotEqual('other', audit.route_of(route.root))

    def test_what_reaches_into_a_pod_takes_get_and_post_as_the_kubelet(self):
        methods = {route.root: set(route.methods) for route in routes.ROUTES}

        for root in ('/exec', '/attach', '/portForward'):
            self.assertEqual({'GET', 'POST'}, methods[root])
        self.assertEqual({'POST'}, methods['/run'])
