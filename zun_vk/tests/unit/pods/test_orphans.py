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

from unittest import mock

import fixtures
from oslotest import base

from zun_vk import exceptions
from zun_vk.kube import client as kube_client
from zun_vk.pods import orphans
from zun_vk.pods import removal
from zun_vk.tests.unit.pods import capsules
from zun_vk.tests.unit.pods import strategies


class OrphansTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        client = mock.create_autospec(kube_client.KubeClient, instance=True)
        client.get_pod.side_effect = exceptions.NotFound('k', 'gone', 404)
        self.removal = mock.create_autospec(removal.Removal, instance=True)
        self.now = 0.0
        self.orphans = orphans.Orphans(client, self.removal,
                                       lambda: self.now)
        self.log = self.useFixture(fixtures.FakeLogger(orphans.__name__))

    def _said(self):
        return self.log.output.count('deleting it')

    def test_deletion_is_asked_for_until_it_is_done_and_told_once(self):
        capsule = capsules.read(strategies.pod(name='web', uid='u'))
        for self.now in (0.0, 11.0, 16.0, 21.0):
            self.orphans.reap('u', [capsule])
        self.assertEqual(3, self.removal.remove.call_count)
        self.assertEqual(1, self._said())

    def test_it_is_told_again_of_a_pod_that_came_back_and_went(self):
        capsule = capsules.read(strategies.pod(name='web', uid='u'))
        for self.now in (0.0, 11.0):
            self.orphans.reap('u', [capsule])
        self.orphans.forget('u')
        for self.now in (20.0, 31.0):
            self.orphans.reap('u', [capsule])
        self.assertEqual(2, self._said())

    def test_each_double_is_told_of_once(self):
        pod = strategies.pod(name='web', uid='u')
        first, second, third = (
            capsules.read(pod, uuid=f'c{number}') for number in range(3))
        for _ in range(2):
            self.orphans.drop_doubles([first, second, third])
        self.assertEqual(4, self.removal.remove.call_count)
        self.assertEqual(2, self.log.output.count('is deleted'))
