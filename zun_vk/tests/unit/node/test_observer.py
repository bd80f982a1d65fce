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

from oslotest import base

from zun_vk import exceptions
from zun_vk.cloud import placement
from zun_vk.cloud import zun
from zun_vk.node import observer


def _service(host, **fields):
    return {'host': host, 'binary': 'zun-compute', 'state': 'up',
            'disabled': False, **fields}


class UsableHostsTestCase(base.BaseTestCase):

    def test_hosts_that_are_up_and_enabled_are_usable(self):
        self.assertEqual(('a', 'b'), observer.usable_hosts([
            _service('b'), _service('a'), _service('c', disabled=True),
            _service('d', state='down'),
            _service('e', binary='zun-api')]))

    def test_without_services_there_is_none(self):
        self.assertEqual((), observer.usable_hosts([]))


class ArchitectureTestCase(base.BaseTestCase):

    def _of(self, *architectures):
        names = [f'h{index}' for index, _ in enumerate(architectures)]
        return observer.architecture(
            [{'hostname': name, 'architecture': each}
             for name, each in zip(names, architectures, strict=True)]
            + [{'hostname': 'gone', 'architecture': 's390x'}], tuple(names))

    def test_it_is_kubernetes_word(self):
        self.assertEqual('amd64', self._of('x86_64', 'x86_64'))
        self.assertEqual('arm64', self._of('aarch64'))
        self.assertEqual('ppc64le', self._of('ppc64le'))

    def test_a_mixed_or_unknown_one_is_left_out(self):
        for architectures in (('x86_64', 'aarch64'), (None,), (), ('',)):
            self.assertEqual('', self._of(*architectures), architectures)


class CloudObserverTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.zun = mock.create_autospec(zun.ZunClient, instance=True)
        self.zun.list_services.return_value = [_service('a'), _service('b')]
        self.zun.list_hosts.return_value = [
            {'hostname': name, 'architecture': 'x86_64'} for name in 'abc']
        self.placement = mock.create_autospec(
            placement.PlacementClient, instance=True)
        self.placement.find_provider.side_effect = 'rp-{}'.format
        self.placement.inventories.return_value = {'VCPU': {'total': 8}}
        self.placement.usages.return_value = {'VCPU': 1}
        self.observer = observer.CloudObserver(self.zun, self.placement)

    def test_every_usable_hosts_provider_is_read(self):
        seen = self.observer.observe()
        self.assertEqual(('a', 'b'), seen.hosts)
        self.assertEqual([7000, 7000], [
            each.free().milli_cpu for each in seen.providers])
        self.assertEqual('amd64', seen.architecture)

    def test_hosts_that_take_no_more_pods_still_answer(self):
        # They have the logs of pods that ended there.
        self.zun.list_services.return_value += [
            _service('c', disabled=True), _service('d', state='down')]
        seen = self.observer.observe()
        self.assertEqual((('a', 'b'), ('a', 'b', 'c')),
                         (seen.hosts, seen.up))

    def test_providers_and_architectures_are_looked_up_once(self):
        for _ in range(3):
            self.observer.observe()
        self.assertEqual(2, self.placement.find_provider.call_count)
        self.assertEqual(1, self.zun.list_hosts.call_count)
        self.assertEqual(6, self.placement.usages.call_count)

    def test_a_new_host_is_taken_up(self):
        self.observer.observe()
        self.zun.list_services.return_value.append(_service('c'))
        self.assertEqual(('a', 'b', 'c'), self.observer.observe().hosts)
        self.assertEqual(2, self.zun.list_hosts.call_count)

    def test_a_host_without_a_provider_has_nothing_to_give(self):
        self.placement.find_provider.side_effect = (
            lambda name: None if name == 'a' else 'rp-b')
        seen = self.observer.observe()
        self.assertEqual((('a', 'b'), 1),
                         (seen.hosts, len(seen.providers)))

    def test_a_provider_that_was_made_anew_is_found_again(self):
        self.observer.observe()
        self.placement.inventories.side_effect = exceptions.NotFound(
            'placement', 'gone', 404)
        self.assertEqual((), self.observer.observe().providers)
        self.placement.inventories.side_effect = None
        self.placement.find_provider.side_effect = 'new-{}'.format
        self.assertEqual(2, len(self.observer.observe().providers))
        self.placement.inventories.assert_called_with('new-b')

    def test_a_failing_service_is_the_callers_to_know(self):
        for method in (self.placement.usages, self.placement.inventories,
                       self.placement.find_provider,
                       self.zun.list_hosts, self.zun.list_services):
            method.side_effect = exceptions.Unreachable('x', 'refused')
            fresh = observer.CloudObserver(self.zun, self.placement)
            self.assertRaises(exceptions.Unreachable, fresh.observe)

    def test_without_hosts_it_is_empty(self):
        self.zun.list_services.return_value = []
        self.assertEqual(observer.Observation((), (), ''),
                         self.observer.observe())
