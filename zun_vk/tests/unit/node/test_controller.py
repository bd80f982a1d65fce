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
import dataclasses
import threading
from unittest import mock

import fixtures
from oslotest import base

from zun_vk import exceptions
from zun_vk import health
from zun_vk.kube import client as kube_client
from zun_vk.kube import events
from zun_vk.node import capacity
from zun_vk.node import controller
from zun_vk.node import observer
from zun_vk.node import zones
from zun_vk.tests.fixtures import wait
from zun_vk.tests.unit.node import test_registration


class _Clock:
    now = 1000.0

    def monotonic(self):
        return self.now


def _observation(*cpus, used=0):
    """Return what is seen of hosts with so many CPUs."""
    providers = tuple(
        capacity.Provider({'VCPU': {'total': each}}, {'VCPU': used},
                          f'provider-{index}')
        for index, each in enumerate(cpus))
    return observer.Observation(
        tuple(f'h{index}' for index, _ in enumerate(cpus)), providers,
        'amd64')


class ControllerTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.clock = _Clock()
        self.useFixture(_patched(controller, 'time', self.clock))
        self.node = None
        self.patches = []
        self.client = mock.create_autospec(
            kube_client.KubeClient, instance=True)
        self.client.server_version.return_value = 'v1.36.3'
        self.client.get_node.side_effect = self._get
        self.client.create_node.side_effect = self._create
        self.client.patch_node.side_effect = self._patch
        self.client.patch_node_status.side_effect = self._patch_status
        self.observer = mock.create_autospec(
            observer.CloudObserver, instance=True)
        self.observer.observe.return_value = _observation(8)
        self.health = health.Health(clock=self.clock.monotonic)
        self.recorder = mock.create_autospec(
            events.EventRecorder, instance=True)
        self.claimed = {}
        self.grew = []
        self.kubelet_port = 10250
        self.controller = controller.NodeController(
            test_registration.make_conf(capacity_interval=10),
            zones.VirtualNode('zun-vk'), self.client,
            self.observer, self.health, self.recorder,
            lambda: dict(self.claimed), lambda: self.grew.append(True),
            lambda: self.kubelet_port)

    # An API server that keeps one node.

    def _get(self, name):
        if self.node is None:
            raise exceptions.NotFound('kubernetes', 'no', 404)
        return copy.deepcopy(self.node)

    def _create(self, node):
        self.node = copy.deepcopy(node)
        self.node['metadata'].update(uid='node-uid', resourceVersion='1')
        return self._get('zun-vk')

    def _patch(self, name, patch):
        for section in ('metadata', 'spec'):
            self.node[section].update(patch.get(section, {}))
        return self._get(name)

    def _patch_status(self, name, patch):
        self.patches.append(patch['status'])
        status = self.node.setdefault('status', {})
        for field, value in copy.deepcopy(patch['status']).items():
            if field == 'conditions':
                ours = {each['type'] for each in value}
                value = value + [each for each in status.get(field, [])
                                 if each['type'] not in ours]
            status[field] = value
        return self._get(name)

    def _round(self, seconds=10):
        """One turn of run()."""
        self.controller.look()
        self.clock.now += seconds

    def _ready(self):
        ready = next(each for each in self.node['status']['conditions']
                     if each['type'] == 'Ready')
        return ready['status'], ready['reason']


class RoundTestCase(ControllerTestCase):

    def test_the_node_is_made_with_what_the_cloud_has(self):
        self._round()
        self.assertEqual(('True', 'CloudReady'), self._ready())
        status = self.node['status']
        self.assertEqual(('8', '8', '110'), (
            status['allocatable']['cpu'], status['capacity']['cpu'],
            status['allocatable']['pods']))
        self.assertEqual('amd64', status['nodeInfo']['architecture'])
        self.assertEqual('v1.36.3',
                         status['nodeInfo']['kubeletVersion'][:7])

    def test_nothing_is_written_while_nothing_changes(self):
        for _ in range(20):
            self._round()
        self.assertEqual(1, len(self.patches))
        self.assertEqual(1, self.client.create_node.call_count)
        self.client.patch_node.assert_not_called()

    def test_it_is_written_every_five_minutes_all_the_same(self):
        self._round(300)
        self._round()
        self.assertEqual(2, len(self.patches))

    def test_allocatable_follows_placement_and_our_claims(self):
        self._round()
        self.observer.observe.return_value = _observation(8, used=3)
        self._round()
        self.assertEqual('5', self.node['status']['allocatable']['cpu'])
        self.claimed = {'uid': (500, 64 * 2 ** 20)}
        self._round()
        self.assertEqual('5500m', self.node['status']['allocatable']['cpu'])
        self.assertEqual('8', self.node['status']['capacity']['cpu'])

    def test_a_claim_that_came_or_went_meanwhile_is_not_counted(self):
        self._round()

        def observe_while_claims_change():
            self.claimed = {'stays': (1000, 0), 'new': (4000, 0)}
            return _observation(8, used=4)

        self.claimed = {'stays': (1000, 0), 'gone': (2000, 0)}
        self.observer.observe.side_effect = observe_while_claims_change
        self._round()
        self.assertEqual('5', self.node['status']['allocatable']['cpu'])

    def test_pods_fit_by_the_number_of_hosts(self):
        self.observer.observe.return_value = _observation(8, 8, 8)
        self._round()
        self.assertEqual('330', self.node['status']['allocatable']['pods'])

    def test_a_failing_cloud_turns_the_node_not_ready_with_its_reason(self):
        self._round()
        for service, reason in (('zun', 'ZunUnavailable'),
                                ('placement', 'PlacementUnavailable'),
                                ('keystone', 'KeystoneUnavailable')):
            self.observer.observe.side_effect = exceptions.Unreachable(
                service, 'refused')
            self._round()
            self._round()
            self.assertEqual(('False', reason), self._ready())
            self.assertEqual('8', self.node['status']['allocatable']['cpu'])
            self.observer.observe.side_effect = None
            self._round()
            self.assertEqual(('True', 'CloudReady'), self._ready())

    def test_a_single_failure_does_not(self):
        self._round()
        self.observer.observe.side_effect = exceptions.Unreachable(
            'zun', 'reset')
        self._round(seconds=2)
        self.assertEqual(('True', 'CloudReady'), self._ready())

    def test_it_is_written_when_the_api_server_asked_for_it(self):
        for error in (exceptions.Throttled('kubernetes', 'slow down', 60),
                      exceptions.Unavailable('kubernetes', 'no', 503, 60)):
            calls = self.client.get_node.call_count
            self.client.get_node.side_effect = error
            self._round(59)
            self.client.get_node.side_effect = self._get
            looks = self.observer.observe.call_count
            self._round(1)
            self.assertEqual(calls + 1, self.client.get_node.call_count)
            self.assertEqual(looks + 1, self.observer.observe.call_count)
            self._round()
            self.assertEqual(('True', 'CloudReady'), self._ready())

    def test_without_hosts_the_node_is_not_ready_after_a_while(self):
        self._round()
        self.observer.observe.return_value = _observation()
        self._round(4)
        self._round(1)
        self.assertEqual(('True', 'CloudReady'), self._ready())
        self._round()
        self.assertEqual(('False', 'NoZunHost'), self._ready())
        self.assertEqual('0', self.node['status']['allocatable']['cpu'])
        self.observer.observe.return_value = _observation(8)
        self._round()
        self.assertEqual(('True', 'CloudReady'), self._ready())

    def test_hosts_missing_from_one_look_are_not_missed(self):
        self._round()
        for _ in range(5):
            self.observer.observe.return_value = _observation()
            self._round(3)
            self.observer.observe.return_value = _observation(8)
            self._round(3)
        self.assertEqual(1, len(self.patches))

    def test_a_failing_cloud_says_nothing_of_its_hosts(self):
        self._round()
        self.observer.observe.return_value = _observation()
        self._round(2)
        self.observer.observe.side_effect = exceptions.Unreachable(
            'zun', 'reset')
        self._round(4)
        self._round(1)
        self.assertEqual(('True', 'CloudReady'), self._ready())

    def test_an_agent_that_starts_keeps_what_it_cannot_tell_yet(self):
        self._round()
        self.node['status']['conditions'][0].update(
            status='False', reason='NoZunHost')
        self.observer.observe.return_value = _observation()
        self._round(4)
        self.assertEqual(('False', 'NoZunHost'), self._ready())

    def test_a_cloud_that_never_answered_gets_a_node_that_says_so(self):
        self.observer.observe.side_effect = exceptions.Unreachable(
            'keystone', 'refused')
        self._round()
        self.assertNotIn('status', self.node)
        self._round()
        self.assertEqual(('False', 'KeystoneUnavailable'), self._ready())

    def test_turning_ready_or_not_is_an_event(self):
        self._round()
        self._round()
        self.observer.observe.return_value = _observation()
        self._round()
        self._round()
        self.assertEqual(['NodeReady', 'NodeNotReady'], [
            call.args[2] for call in self.recorder.node.call_args_list])

    def test_what_others_put_on_the_node_is_kept(self):
        self._round()
        self.node['spec'].update(
            unschedulable=True, taints=[
                {'key': 'theirs', 'effect': 'NoExecute'},
                *self.node['spec']['taints']])
        self.node['metadata']['labels']['team'] = 'x'
        theirs = {'type': 'Theirs', 'status': 'True'}
        self.node['status']['conditions'].append(theirs)
        before = copy.deepcopy(self.node)
        self.observer.observe.return_value = _observation(4)
        self._round()
        self.assertEqual(before['spec'], self.node['spec'])
        self.assertEqual(before['metadata'], self.node['metadata'])
        self.assertIn(theirs, self.node['status']['conditions'])

    def test_a_node_that_is_there_is_adopted(self):
        self.node = {'metadata': {'name': 'zun-vk', 'uid': 'old',
                                  'resourceVersion': '5', 'labels': {}},
                     'spec': {}}
        self._round()
        self.client.create_node.assert_not_called()
        self.assertEqual('virtual-kubelet',
                         self.node['metadata']['labels']['type'])
        self.assertEqual(('True', 'CloudReady'), self._ready())

    def test_a_node_that_someone_deleted_is_made_again(self):
        self._round()
        self.node = None
        self._round()
        self._round()
        self.assertEqual(('True', 'CloudReady'), self._ready())

    def test_hosts_that_take_no_more_pods_are_still_named(self):
        self.assertEqual((), self.controller.hosts())
        self.observer.observe.return_value = dataclasses.replace(
            _observation(8), up=('h0', 'disabled'))
        self._round()
        self.assertEqual(('h0', 'disabled'), self.controller.hosts())

    def test_the_node_of_a_lost_zone_is_cordoned_and_back_again(self):
        self._round()
        self.observer.observe.return_value = dataclasses.replace(
            _observation(), zone_exists=False)
        self._round(4)
        self._round(1)
        self.assertNotIn('unschedulable', self.node['spec'])
        self._round()
        self.assertTrue(self.node['spec']['unschedulable'])
        self.assertEqual(('False', 'NoZunHost'), self._ready())
        self.observer.observe.return_value = _observation(8)
        self._round()
        self.assertFalse(self.node['spec']['unschedulable'])
        reasons = [call.args[2] for call in
                   self.recorder.node.call_args_list]
        self.assertLessEqual({'NodeNotSchedulable', 'NodeSchedulable'},
                             set(reasons))

    def test_the_node_of_a_lost_zone_stays_deleted(self):
        self._round()
        self.observer.observe.return_value = dataclasses.replace(
            _observation(), zone_exists=False)
        self._round()
        self.node = None
        self._round()
        self.assertIsNone(self.node)
        self.assertEqual([], self.health.problems())

    def test_more_room_is_told_to_the_pods(self):
        self._round()
        self.grew.clear()
        self._round()
        self.assertEqual([], self.grew)
        for seen in (_observation(16), _observation(16, 8)):
            self.observer.observe.return_value = seen
            self._round()
        self.assertEqual(2, len(self.grew))
        self.observer.observe.return_value = _observation(16, 8, used=1)
        self._round()
        self.assertEqual(2, len(self.grew))

    def test_room_on_one_host_is_told_though_another_lost_more(self):
        self.observer.observe.return_value = _observation(8, 16)
        self._round()
        self.grew.clear()
        self.observer.observe.return_value = _observation(12, 11)
        self._round()
        self.assertEqual(1, len(self.grew))
        self.observer.observe.return_value = _observation(12, 10)
        self._round()
        self.assertEqual(1, len(self.grew))

    def test_another_host_in_the_place_of_one_is_told(self):
        self._round()
        self.grew.clear()
        seen = _observation(8)
        self.observer.observe.return_value = dataclasses.replace(
            seen, providers=(dataclasses.replace(
                seen.providers[0], uuid='another'),))
        self._round()
        self.assertEqual(1, len(self.grew))

    def test_the_api_server_adding_fields_is_no_change(self):
        self._round()
        self.node['status'].update(images=[])
        self.node['status']['nodeInfo']['swap'] = {}
        for each in self.node['status']['conditions']:
            each.setdefault('message', '')
        self._round()
        self.assertEqual(1, len(self.patches))

    def test_the_port_of_another_agent_is_written_over(self):
        self._round()
        endpoint = self.node['status']['daemonEndpoints']['kubeletEndpoint']
        self.assertEqual(10250, endpoint['Port'])
        endpoint['Port'] = 10251

        self._round()

        self.assertEqual(10250, self.patches[-1]['daemonEndpoints'][
            'kubeletEndpoint']['Port'])
        self.assertEqual(2, len(self.patches))

    def test_amounts_in_the_words_of_the_api_server_are_no_change(self):
        self.observer.observe.return_value = _observation(1_000_000)
        self.claimed = {'uid': (0, 5_000_000)}
        self._round()
        status = self.node['status']
        self.assertEqual(('1000000', '5000000'), (
            status['allocatable']['cpu'], status['allocatable']['memory']))
        for kind in ('allocatable', 'capacity'):
            status[kind].update(cpu='1M', memory='5M')
        self._round()
        self.assertEqual(1, len(self.patches))

    def test_what_others_put_into_its_status_is_no_change(self):
        self._round()
        status = self.node['status']
        for kind in ('allocatable', 'capacity'):
            status[kind]['example.com/dongle'] = '4'
        status['addresses'].append(
            {'type': 'ExternalIP', 'address': '192.0.2.1'})
        self._round()
        self.assertEqual(1, len(self.patches))

    def test_what_others_changed_of_ours_is_written_again(self):
        self._round()
        wanted = copy.deepcopy(self.node['status'])
        for spoil in (lambda status: status['allocatable'].update(cpu='9'),
                      lambda status: status['capacity'].pop('pods'),
                      lambda status: status['addresses'].pop(0)):
            spoil(self.node['status'])
            self._round()
            self.assertEqual(wanted['allocatable'],
                             self.node['status']['allocatable'])
        self.assertEqual(4, len(self.patches))


class RunTestCase(ControllerTestCase):

    def setUp(self):
        super().setUp()
        self.stop = threading.Event()
        self.registered = []
        self.useFixture(_patched(controller, '_HURRY', 0.005))
        self.controller._conf.set_override(
            'capacity_interval', 1, group='node')

    def _start(self):
        thread = threading.Thread(
            target=self.controller.run,
            args=(self.stop, self.registered.append))
        thread.start()
        self.addCleanup(self._end, thread)

    def _end(self, thread):
        self.stop.set()
        thread.join(10)
        self.assertFalse(thread.is_alive())

    def test_it_tells_once_that_the_node_is_there(self):
        self._start()
        wait.wait_for(lambda: self.registered, 'the node', timeout=10)
        self.assertEqual('node-uid', self.registered[0]['metadata']['uid'])

    def test_a_doubt_is_looked_into_without_delay(self):
        self.controller._conf.set_override(
            'capacity_interval', 300, group='node')
        self.observer.observe.side_effect = (
            lambda: setattr(self.clock, 'now', self.clock.now + 1)
            or _observation())
        self._start()
        wait.wait_for(lambda: self.patches, 'a verdict', timeout=10)
        self.assertEqual(('False', 'NoZunHost'), self._ready())

    def test_an_api_server_that_was_away_is_tried_until_it_is_back(self):
        self.client.server_version.side_effect = exceptions.Unreachable(
            'kubernetes', 'refused')
        self._start()
        wait.wait_for(self.health.problems, 'a problem', timeout=10)
        self.assertEqual([], self.registered)
        self.client.server_version.side_effect = None
        wait.wait_for(lambda: self.registered, 'the node', timeout=10)


def _patched(module, name, value):
    return fixtures.MockPatchObject(module, name, value)
