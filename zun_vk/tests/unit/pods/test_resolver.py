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

import types
from unittest import mock

from oslotest import base

from zun_vk import exceptions
from zun_vk.kube import objects
from zun_vk.pods import environment
from zun_vk.pods import resolver
from zun_vk.tests.unit.pods import strategies

_MASTER = objects.Service('kubernetes', '10.96.0.1', (
    objects.Port('https', 443, 'TCP'),))


def _service(name, address):
    return objects.Service(name, address, (objects.Port('', 80, 'TCP'),))


class ResolverTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.objects = mock.create_autospec(
            objects.ObjectCache, instance=True)
        self.objects.master_service.return_value = _MASTER
        self.objects.services.return_value = ()
        self.resolver = self._make()

    def _make(self, host=None, port=443):
        conf = types.SimpleNamespace(pods=types.SimpleNamespace(
            kubernetes_service_host=host, kubernetes_service_port=port))
        return resolver.Resolver(conf, self.objects, 'zun-vk', '192.0.2.1')

    def _resolve(self, *env, namespace='shop', **spec):
        pod = strategies.pod(strategies.container(env=list(env)),
                             namespace=namespace, **spec)
        return self.resolver.resolve(pod, 5.0).variables['main']

    def test_only_what_is_named_is_read_as_of_the_time_given(self):
        self.objects.secret.return_value = {'k': b'v'}
        made = self._resolve({'name': 'A', 'valueFrom': {
            'secretKeyRef': {'name': 's', 'key': 'k'}}})
        self.assertEqual('v', made['A'])
        self.objects.secret.assert_called_once_with('shop', 's', 5.0)
        self.objects.services.assert_called_once_with('shop', 5.0)
        self.objects.config_map.assert_not_called()
        self.objects.allocatable.assert_not_called()

    def test_the_nodes_room_is_read_for_a_missing_limit(self):
        self.objects.allocatable.return_value = {'cpu': '7'}
        made = self._resolve({'name': 'A', 'valueFrom': {
            'resourceFieldRef': {'resource': 'limits.cpu'}}})
        self.assertEqual('7', made['A'])
        self.objects.allocatable.assert_called_once_with('zun-vk')

    def test_the_api_server_is_always_there_and_services_if_wanted(self):
        self.objects.services.return_value = (_service('web', '10.96.0.9'),)
        made = self._resolve()
        self.assertEqual('10.96.0.1', made['KUBERNETES_SERVICE_HOST'])
        self.assertEqual('10.96.0.9', made['WEB_SERVICE_HOST'])
        made = self._resolve(enableServiceLinks=False)
        self.assertEqual('10.96.0.1', made['KUBERNETES_SERVICE_HOST'])
        self.assertNotIn('WEB_SERVICE_HOST', made)

    def test_a_namespaces_own_kubernetes_goes_before_the_api_server(self):
        self.objects.services.return_value = (
            _service('kubernetes', '10.96.0.66'),)
        self.assertEqual('10.96.0.66',
                         self._resolve()['KUBERNETES_SERVICE_HOST'])

    def test_another_address_of_the_api_server_replaces_the_clusters(self):
        self.resolver = self._make('192.0.2.9', 6443)
        self.objects.services.return_value = (_MASTER,)
        made = self._resolve(namespace='default')
        self.assertEqual('tcp://192.0.2.9:6443', made['KUBERNETES_PORT'])
        self.assertNotIn('KUBERNETES_PORT_443_TCP', made)
        self.objects.master_service.assert_not_called()

    def test_a_cluster_without_that_service_has_no_such_variables(self):
        self.objects.master_service.return_value = None
        self.assertEqual({}, self._resolve())

    def test_a_right_that_is_missing_is_told_and_may_come(self):
        self.objects.services.side_effect = exceptions.AccessDenied(
            'kubernetes', 'services is forbidden', 403)
        error = self.assertRaises(exceptions.NotYetResolvable, self._resolve)
        self.assertEqual((environment.FAILED, 'services is forbidden'),
                         (error.reason, error.message))

    def test_an_outage_is_no_fault_of_the_pods(self):
        for failure in (
                exceptions.AccessDenied('kubernetes', 'Unauthorized', 401),
                exceptions.Unreachable('kubernetes', 'refused'),
                exceptions.Throttled('kubernetes', 'later')):
            self.objects.services.side_effect = failure
            self.assertRaises(type(failure), self._resolve)
