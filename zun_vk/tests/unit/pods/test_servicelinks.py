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

from oslotest import base

from zun_vk.kube import objects
from zun_vk.pods import servicelinks

_WEB = objects.Service('web-app', '10.96.0.7', (
    objects.Port('http', 80, 'TCP'), objects.Port('dns-udp', 53, 'UDP')))
_MASTER = objects.Service('kubernetes', '10.96.0.1', (
    objects.Port('https', 443, 'TCP'),))


class VariablesTestCase(base.BaseTestCase):

    def test_every_variable_of_a_service(self):
        self.assertEqual({
            'WEB_APP_SERVICE_HOST': '10.96.0.7',
            'WEB_APP_SERVICE_PORT': '80',
            'WEB_APP_SERVICE_PORT_HTTP': '80',
            'WEB_APP_SERVICE_PORT_DNS_UDP': '53',
            'WEB_APP_PORT': 'tcp://10.96.0.7:80',
            'WEB_APP_PORT_80_TCP': 'tcp://10.96.0.7:80',
            'WEB_APP_PORT_80_TCP_PROTO': 'tcp',
            'WEB_APP_PORT_80_TCP_PORT': '80',
            'WEB_APP_PORT_80_TCP_ADDR': '10.96.0.7',
            'WEB_APP_PORT_53_UDP': 'udp://10.96.0.7:53',
            'WEB_APP_PORT_53_UDP_PROTO': 'udp',
            'WEB_APP_PORT_53_UDP_PORT': '53',
            'WEB_APP_PORT_53_UDP_ADDR': '10.96.0.7',
        }, servicelinks.variables([_WEB]))

    def test_an_ipv6_address_stands_in_brackets_before_a_port(self):
        service = objects.Service('a', 'fd00::7', (
            objects.Port('', 80, 'TCP'),))
        made = servicelinks.variables([service])
        self.assertEqual('fd00::7', made['A_SERVICE_HOST'])
        self.assertEqual('fd00::7', made['A_PORT_80_TCP_ADDR'])
        self.assertEqual('tcp://[fd00::7]:80', made['A_PORT'])
        self.assertNotIn('A_SERVICE_PORT_', made)

    def test_the_order_of_services_makes_no_difference(self):
        self.assertEqual(
            list(servicelinks.variables([_WEB, _MASTER]).items()),
            list(servicelinks.variables([_MASTER, _WEB]).items()))

    def test_a_service_without_ports_has_no_variables(self):
        self.assertEqual({}, servicelinks.variables(
            [objects.Service('a', '10.0.0.1', ())]))


class MasterTestCase(base.BaseTestCase):

    def test_it_stays_as_it_is(self):
        self.assertIs(_MASTER, servicelinks.master(_MASTER, None, 443))
        self.assertIsNone(servicelinks.master(None, None, 443))

    def test_another_address_is_in_every_variable(self):
        made = servicelinks.variables([
            servicelinks.master(None, 'api.example.org', 6443)])
        self.assertEqual({
            'KUBERNETES_SERVICE_HOST': 'api.example.org',
            'KUBERNETES_SERVICE_PORT': '6443',
            'KUBERNETES_SERVICE_PORT_HTTPS': '6443',
            'KUBERNETES_PORT': 'tcp://api.example.org:6443',
            'KUBERNETES_PORT_6443_TCP': 'tcp://api.example.org:6443',
            'KUBERNETES_PORT_6443_TCP_PROTO': 'tcp',
            'KUBERNETES_PORT_6443_TCP_PORT': '6443',
            'KUBERNETES_PORT_6443_TCP_ADDR': 'api.example.org'}, made)
