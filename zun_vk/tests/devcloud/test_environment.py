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

import urllib.error
import urllib.request

from zun_vk.tests.devcloud import base
from zun_vk.tests.fixtures.wait import wait_for

SERVE = ('mkdir /tmp/www; env > /tmp/www/index.html; '
         'trap exit TERM; httpd -f -p 8080 -h /tmp/www & wait')


class TestEnvironment(base.DevcloudTestCase):

    def test_a_containers_variables_are_those_a_kubelet_would_make(self):
        namespace = self.namespace()
        self.api.create_secret(namespace, 'db', password='s3cr3t $(X)')
        self.api.create_config_map(namespace, 'app', {'mode': 'fast'})
        service = self.api.create_service(namespace, 'shop-db', 5432)

        pod = self.running_pod(base.container(
            args=['sh', '-c', SERVE],
            env=[{'name': 'PASSWORD', 'valueFrom': {'secretKeyRef': {
                'name': 'db', 'key': 'password'}}},
                 {'name': 'NODE', 'valueFrom': {'fieldRef': {
                     'fieldPath': 'spec.nodeName'}}},
                 {'name': 'BOTH', 'value': '$(P_mode) $(NODE) $$(NODE)'}],
            envFrom=[{'prefix': 'P_', 'configMapRef': {'name': 'app'}}]),
            namespace=namespace)

        seen = self.variables(pod)
        self.assertEqual(
            ('s3cr3t $(X)', self.node_name, 'fast',
             f'fast {self.node_name} $(NODE)',
             service['spec']['clusterIP']),
            tuple(seen[name] for name in (
                'PASSWORD', 'NODE', 'P_mode', 'BOTH',
                'SHOP_DB_SERVICE_HOST')))
        self.assertIn('KUBERNETES_SERVICE_HOST', seen)

    def variables(self, pod):
        """Return what env printed in the pod."""
        url = f'http://{pod["status"]["podIP"]}:8080/'

        def ask():
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:
                    return answer.read().decode()
            except urllib.error.URLError:
                return None
        text = wait_for(ask, f'answer from {url}', 30)
        return dict(line.split('=', 1) for line in text.splitlines()
                    if '=' in line)
