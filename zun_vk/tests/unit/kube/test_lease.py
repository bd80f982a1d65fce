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
import copy
import threading
from unittest import mock

from oslotest import base

from zun_vk import exceptions
from zun_vk import health
from zun_vk.kube import client as kube_client
from zun_vk.kube import lease
from zun_vk.tests.fixtures import wait


class LeaseHeartbeatTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        for name, value in (('INTERVAL', 0.01),):
            patch = mock.patch.object(lease, name, value)
            patch.start()
            self.addCleanup(patch.stop)
        patch = mock.patch.object(lease.backoff.Backoff, 'next',
                                  autospec=True, return_value=0.005)
        patch.start()
        self.addCleanup(patch.stop)
        self.stored = None
        self.version = 0
        self.client = mock.create_autospec(
            kube_client.KubeClient, instance=True)
        self.client.get_lease.side_effect = self._get
        self.client.create_lease.side_effect = self._create
        self.client.patch_lease.side_effect = self._patch
        self.health = health.Health()
        self.stop = threading.Event()
        self.heartbeat = lease.LeaseHeartbeat(
            self.client, 'zun-vk', 'agent-1', self.health)

    def _get(self, namespace, name):
        if self.stored is None:
            raise exceptions.NotFound('kubernetes', 'no', 404)
        return copy.deepcopy(self.stored)

    def _create(self, namespace, body):
        if self.stored is not None:
            raise exceptions.Conflict('kubernetes', 'exists', 409)
        return self._store(body)

    def _patch(self, namespace, name, body):
        if self.stored is None:
            raise exceptions.NotFound('kubernetes', 'no', 404)
        if (body['metadata']['resourceVersion']
                != self.stored['metadata']['resourceVersion']):
            raise exceptions.Conflict('kubernetes', 'changed', 409)
        return self._store({part: self.stored[part] | body[part]
                            for part in ('metadata', 'spec')})

    def _store(self, body):
        self.version += 1
        self.stored = copy.deepcopy(body)
        self.stored['metadata']['resourceVersion'] = str(self.version)
        return copy.deepcopy(self.stored)

    def _start(self):
        thread = threading.Thread(target=self.heartbeat.run,
                                  args=('node-uid', self.stop))
        thread.start()
        self.addCleanup(self._end, thread)

    def _end(self, thread):
        self.stop.set()
        thread.join(10)
        self.assertFalse(thread.is_alive())

    def _until(self, condition, what='the heartbeat'):
        wait.wait_for(condition, what, timeout=10, interval=0.002)

    def _until_renewed(self, times=2):
        target = self.version + times
        self._until(lambda: self.version >= target)

    def test_a_node_gets_its_lease(self):
        self._start()
        self._until_renewed()
        metadata, spec = self.stored['metadata'], self.stored['spec']
        self.assertEqual('zun-vk', metadata['name'])
        self.assertEqual(('agent-1', 40), (
            spec['holderIdentity'], spec['leaseDurationSeconds']))
        self.assertRegex(
            spec['renewTime'],
            r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$')
        self.assertEqual(
            [{'apiVersion': 'v1', 'kind': 'Node', 'name': 'zun-vk',
              'uid': 'node-uid'}], metadata['ownerReferences'])
        self.client.create_lease.assert_called_once_with(
            'kube-node-lease', mock.ANY)

    def test_a_lease_left_by_a_predecessor_is_taken_over(self):
        self._store({'metadata': {'name': 'zun-vk', 'labels': {'a': 'b'}},
                     'spec': {'holderIdentity': 'old',
                              'leaseTransitions': 3}})
        self._start()
        self._until_renewed()
        self.assertEqual('agent-1', self.stored['spec']['holderIdentity'])
        self.assertEqual(3, self.stored['spec']['leaseTransitions'])
        self.assertEqual({'a': 'b'}, self.stored['metadata']['labels'])
        self.client.create_lease.assert_not_called()

    def test_one_renewal_is_one_request(self):
        self._start()
        self._until_renewed(5)
        self.assertEqual(1, self.client.get_lease.call_count)

    def test_a_lease_someone_changed_is_read_again(self):
        self._start()
        self._until_renewed()
        self.stored['metadata']['resourceVersion'] = '999'
        self._until_renewed()
        self.assertEqual([], self.health.problems())

    def test_a_lease_someone_deleted_is_made_again(self):
        self._start()
        self._until_renewed()
        self.stored = None
        self._until(lambda: self.stored is not None)

    def test_an_api_server_that_was_away_is_tried_until_it_is_back(self):
        away = exceptions.Unreachable('kubernetes', 'refused')
        self.client.get_lease.side_effect = away
        self._start()
        self._until(self.health.problems)
        self.client.get_lease.side_effect = self._get
        self._until_renewed()
        self._until(lambda: not self.health.problems())

    def test_stop_ends_it_while_it_waits(self):
        with mock.patch.object(lease, 'INTERVAL', 600):
            self._start()
            self._until(lambda: self.version)
            self.stop.set()
