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

import fixtures
from oslotest import base

from zun_vk import exceptions
from zun_vk import health
from zun_vk.kube import client as kube_client
from zun_vk.kube import lease
from zun_vk.kube import presence
from zun_vk.tests.fixtures import wait


class Clock:
    """Seconds that pass when a test says so."""

    now = 1000.0

    def __call__(self):
        return self.now


class Leases:
    """An API server that keeps Leases, with its rules on versions."""

    def __init__(self):
        self.stored = {}
        self.version = 0
        self.client = mock.create_autospec(
            kube_client.KubeClient, instance=True)
        self.client.get_lease.side_effect = self._get
        self.client.create_lease.side_effect = self._create
        self.client.patch_lease.side_effect = self._patch
        self.client.list_leases.side_effect = self._list

    def put(self, name, **spec):
        return self._store({'metadata': {'name': name}, 'spec': spec})

    def _get(self, namespace, name):
        if name not in self.stored:
            raise exceptions.NotFound('kubernetes', 'no', 404)
        return copy.deepcopy(self.stored[name])

    def _create(self, namespace, body):
        if body['metadata']['name'] in self.stored:
            raise exceptions.Conflict('kubernetes', 'exists', 409)
        return self._store(body)

    def _patch(self, namespace, name, body):
        found = self._get(namespace, name)
        version = body.get('metadata', {}).get('resourceVersion')
        if version not in (None, found['metadata']['resourceVersion']):
            raise exceptions.Conflict('kubernetes', 'changed', 409)
        return self._store({
            part: {key: value for key, value in
                   (found[part] | body.get(part, {})).items()
                   if value is not None}
            for part in ('metadata', 'spec')})

    def _list(self, namespace, label_selector):
        key, value = label_selector.split('=')
        return [copy.deepcopy(one) for one in self.stored.values()
                if one['metadata'].get('labels', {}).get(key) == value]

    def _store(self, body):
        self.version += 1
        stored = copy.deepcopy(body)
        stored['metadata']['resourceVersion'] = str(self.version)
        self.stored[body['metadata']['name']] = stored
        return copy.deepcopy(stored)


class LeaseBase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.clock = Clock()
        self.leases = Leases()
        self.health = health.Health()

    def lease(self, holder):
        """Return a node's lease for an agent, with a fence of its own."""
        fence = lease.Fence('n1', self.clock)
        made = lease.NodeLease(self.leases.client, 'n1', holder, fence,
                               self.health, self.clock)
        made.fence = fence
        return made

    @property
    def holder(self):
        return self.leases.stored['n1']['spec'].get('holderIdentity')


class FenceTestCase(LeaseBase):

    def test_it_is_closed_until_it_is_opened(self):
        fence = lease.Fence('n1', self.clock)
        error = self.assertRaises(exceptions.NotHolder, fence.check)
        self.assertIn('n1', error.message)
        fence.open_until(self.clock.now + 1)
        fence.check()

    def test_it_closes_by_itself(self):
        fence = lease.Fence('n1', self.clock)
        fence.open_until(self.clock.now + 1)
        self.clock.now += 1
        self.assertRaises(exceptions.NotHolder, fence.check)

    def test_its_clock_goes_on(self):
        self.assertLess(0, lease.boottime())

    def test_what_it_stops_was_not_sent(self):
        # The pod controller may then try again at once.
        self.assertTrue(issubclass(exceptions.NotHolder, exceptions.NotSent))

    def test_others_can_take_only_after_it_has_closed(self):
        self.assertLess(lease.HOLD + lease.TIMEOUT, lease.DURATION)


class TakeTestCase(LeaseBase):

    def test_a_node_without_a_lease_gets_one(self):
        one = self.lease('a')
        self.assertIsNone(one.look())
        self.assertTrue(one.take())
        spec = self.leases.stored['n1']['spec']
        self.assertEqual(('a', lease.DURATION), (
            spec['holderIdentity'], spec['leaseDurationSeconds']))
        self.assertRegex(
            spec['renewTime'], r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$')
        one.fence.check()

    def test_a_lease_that_is_renewed_is_not_free(self):
        self.leases.put('n1', holderIdentity='b', leaseDurationSeconds=15)
        one = self.lease('a')
        for _ in range(5):
            self.assertEqual('b', one.look())
            self.clock.now += 14
            self.leases.put('n1', holderIdentity='b', leaseDurationSeconds=15)

    def test_a_lease_is_free_when_it_did_not_change_for_its_duration(self):
        self.leases.put('n1', holderIdentity='b', leaseDurationSeconds=15,
                        leaseTransitions=3)
        one = self.lease('a')
        self.assertEqual('b', one.look())
        self.clock.now += 15
        self.assertEqual('b', one.look())
        self.clock.now += 0.1
        self.assertIsNone(one.look())
        self.assertTrue(one.take())
        self.assertEqual(
            4, self.leases.stored['n1']['spec']['leaseTransitions'])

    def test_the_times_that_others_wrote_do_not_count(self):
        self.leases.put('n1', holderIdentity='b', leaseDurationSeconds=15,
                        renewTime='1999-01-01T00:00:00.000000Z')
        self.assertEqual('b', self.lease('a').look())

    def test_an_absurd_duration_is_cut(self):
        self.leases.put('n1', holderIdentity='b', leaseDurationSeconds=10**9)
        one = self.lease('a')
        one.look()
        self.clock.now += 121
        self.assertIsNone(one.look())

    def test_a_predecessors_lease_is_ours_at_once(self):
        self.leases.put('n1', holderIdentity='a', leaseDurationSeconds=15)
        one = self.lease('a')
        self.assertIsNone(one.look())
        self.assertTrue(one.take())

    def test_of_two_that_take_one_wins(self):
        self.leases.put('n1')
        one, other = self.lease('a'), self.lease('b')
        self.assertEqual((None, None), (one.look(), other.look()))
        self.assertTrue(one.take())
        self.assertFalse(other.take())
        one.fence.check()
        self.assertRaises(exceptions.NotHolder, other.fence.check)

    def test_of_two_that_create_one_wins(self):
        one, other = self.lease('a'), self.lease('b')
        self.assertEqual((None, None), (one.look(), other.look()))
        self.assertTrue(one.take())
        self.assertFalse(other.take())

    def test_labels_of_others_stay(self):
        self.leases.put('n1')
        self.leases.stored['n1']['metadata']['labels'] = {'a': 'b'}
        one = self.lease('a')
        one.look()
        one.take()
        self.assertEqual({'a': 'b'},
                         self.leases.stored['n1']['metadata']['labels'])

    def test_a_released_lease_is_free_at_once(self):
        one, other = self.lease('a'), self.lease('b')
        one.look()
        one.take()
        self.assertEqual('a', other.look())
        one.release()
        self.assertRaises(exceptions.NotHolder, one.fence.check)
        self.assertIsNone(other.look())
        self.assertTrue(other.take())

    def test_a_lease_that_another_took_is_not_released(self):
        one, other = self.lease('a'), self.lease('b')
        one.look()
        one.take()
        other.look()
        self.clock.now += 16
        other.look()
        other.take()
        one.release()
        self.assertEqual('b', self.holder)

    def test_the_time_of_the_request_counts_not_that_of_the_answer(self):
        one = self.lease('a')
        one.look()
        create = self.leases.client.create_lease.side_effect

        def slow(namespace, body):
            self.clock.now += lease.HOLD + 1
            return create(namespace, body)

        self.leases.client.create_lease.side_effect = slow
        self.assertTrue(one.take())
        self.assertRaises(exceptions.NotHolder, one.fence.check)


class RenewTestCase(LeaseBase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(lease, 'INTERVAL', 0.005))
        self.useFixture(fixtures.MockPatchObject(
            lease.backoff.Backoff, 'next', lambda self: 0.005))
        self.one = self.lease('a')
        self.one.look()
        self.one.take()
        self.stop = threading.Event()
        self.resumed = []
        self.ended = []

    def _start(self):
        def run():
            self.ended.append(self.one.run(
                self.stop, lambda: self.resumed.append(True)))

        thread = threading.Thread(target=run)
        thread.start()
        self.addCleanup(self._end, thread)

    def _end(self, thread):
        self.stop.set()
        thread.join(10)
        self.assertFalse(thread.is_alive())

    def _until(self, condition, what='the lease'):
        wait.wait_for(condition, what, timeout=10, interval=0.002)

    def _until_renewed(self, times=2):
        target = self.leases.version + times
        self._until(lambda: self.leases.version >= target)

    def test_one_renewal_is_one_request(self):
        gets = self.leases.client.get_lease.call_count
        self._start()
        self._until_renewed(5)
        self.assertEqual(gets, self.leases.client.get_lease.call_count)

    def test_the_fence_stays_open(self):
        self._start()
        self.clock.now += lease.HOLD - 1
        self._until_renewed()
        self.clock.now += lease.HOLD - 1
        self.one.fence.check()
        self.assertEqual([], self.resumed)

    def test_it_goes_with_its_node(self):
        self.one.node_uid = 'node-uid'
        self._start()
        self._until_renewed()
        self.assertEqual(
            [{'apiVersion': 'v1', 'kind': 'Node', 'name': 'n1',
              'uid': 'node-uid'}],
            self.leases.stored['n1']['metadata']['ownerReferences'])

    def test_a_lease_someone_touched_is_still_ours(self):
        self._start()
        self._until_renewed()
        self.leases.put('n1', holderIdentity='a')
        self._until_renewed()
        self.assertEqual([], self.ended)

    def test_a_lease_someone_deleted_is_made_again(self):
        self._start()
        self._until_renewed()
        del self.leases.stored['n1']
        self._until(lambda: 'n1' in self.leases.stored)
        self.assertEqual('a', self.holder)

    def test_a_lease_someone_took_is_lost(self):
        self._start()
        self.leases.put('n1', holderIdentity='b')
        self._until(lambda: self.ended)
        self.assertEqual([False], self.ended)
        self.assertRaises(exceptions.NotHolder, self.one.fence.check)
        self.assertEqual('b', self.holder)
        self.assertEqual([], self.health.problems())

    def test_a_lease_that_was_taken_and_released_is_lost(self):
        # Somebody may have acted in between.
        self.leases.put('n1')
        self._start()
        self._until(lambda: self.ended)
        self.assertEqual([False], self.ended)

    def test_after_an_outage_it_goes_on_where_nobody_took_it(self):
        away = exceptions.Unreachable('kubernetes', 'refused')
        patch = self.leases.client.patch_lease.side_effect
        self.leases.client.patch_lease.side_effect = away
        self._start()
        self._until(self.health.problems)
        self.clock.now += 100
        self.assertRaises(exceptions.NotHolder, self.one.fence.check)
        self.leases.client.patch_lease.side_effect = patch
        self._until(lambda: self.resumed)
        self.one.fence.check()
        self.assertEqual([], self.health.problems())

    def test_an_agent_that_was_frozen_finds_that_it_lost_the_lease(self):
        self.clock.now += 60
        self.assertRaises(exceptions.NotHolder, self.one.fence.check)
        self.leases.put('n1', holderIdentity='b')
        self._start()
        self._until(lambda: self.ended)
        self.assertRaises(exceptions.NotHolder, self.one.fence.check)

    def test_answers_that_are_no_lease_are_not_believed(self):
        client = self.leases.client
        get, patch = (client.get_lease.side_effect,
                      client.patch_lease.side_effect)
        for garbage in ({}, {'metadata': None}, {'metadata': {}},
                        {'metadata': {'name': 'n1', 'resourceVersion': '9'},
                         'spec': []}):
            client.patch_lease.side_effect = [garbage]
            self.assertRaises(exceptions.Unavailable, self.one._renew)
            client.get_lease.side_effect = [garbage]
            self.assertRaises(exceptions.Unavailable, self.lease('b').look)
            client.get_lease.side_effect = get
            client.patch_lease.side_effect = patch
            self.one._renew()

    def test_it_waits_as_it_is_asked_to_but_no_longer_than_in_health(self):
        waits = []
        self.useFixture(fixtures.MockPatchObject(lease, 'INTERVAL', 4.0))
        patch = self.leases.client.patch_lease.side_effect
        self.leases.client.patch_lease.side_effect = [
            exceptions.Throttled('kubernetes', 'slow down', 2),
            exceptions.Unavailable('kubernetes', 'busy', 503, 300),
            exceptions.Unavailable('kubernetes', 'busy', 503),
            patch('', 'n1', {})]

        def waited(seconds):
            waits.append(seconds)
            if len(waits) == 4:
                self.stop.set()

        with mock.patch.object(self.stop, 'wait', autospec=True,
                               side_effect=waited):
            self.one.run(self.stop, lambda: None)
        self.assertEqual([2, 4.0, 0.005, 4.0], waits)

    def test_stop_ends_it_while_it_waits(self):
        with mock.patch.object(lease, 'INTERVAL', 600):
            self._start()
            self._until(lambda: self.leases.version > 1)
            self.stop.set()
            self._until(lambda: self.ended)
        self.assertEqual([True], self.ended)


class PresenceTestCase(LeaseBase):

    def setUp(self):
        super().setUp()
        self.a, self.b = (presence.Presence(
            self.leases.client, 'zun-vk', 'cloud', name, self.clock)
            for name in ('a', 'b'))

    def test_an_agent_knows_that_it_lives(self):
        self.assertEqual({'a'}, self.a.alive())

    def test_another_lives_once_it_was_seen_to_renew(self):
        self.b.renew()
        self.assertEqual({'a'}, self.a.alive())
        self.clock.now += lease.INTERVAL
        self.b.renew()
        self.assertEqual({'a', 'b'}, self.a.alive())

    def test_another_that_renews_no_more_is_dead(self):
        self.test_another_lives_once_it_was_seen_to_renew()
        self.clock.now += lease.DURATION + 1
        self.assertEqual({'a'}, self.a.alive())

    def test_another_that_withdraws_is_gone_at_once(self):
        self.test_another_lives_once_it_was_seen_to_renew()
        self.b.withdraw()
        self.assertEqual({'a'}, self.a.alive())

    def test_agents_of_other_clouds_are_not_seen(self):
        other = presence.Presence(self.leases.client, 'zun-vk', 'x', 'c',
                                  self.clock)
        for _ in range(3):
            other.renew()
            self.clock.now += lease.INTERVAL
            self.assertEqual({'a'}, self.a.alive())

    def test_it_is_written_once_an_interval(self):
        for _ in range(10):
            self.a.renew()
        self.assertEqual(1, self.leases.version)

    def test_one_that_never_showed_itself_has_nothing_to_withdraw(self):
        self.a.withdraw()
        self.assertEqual({}, self.leases.stored)

    def test_a_list_with_something_else_in_it_is_not_believed(self):
        for garbage in (None, {}, {'metadata': {'name': 'x'}}):
            self.leases.client.list_leases.side_effect = [[garbage]]
            self.assertRaises(exceptions.Unavailable, self.a.alive)

    def test_names_of_any_length_fit(self):
        long = presence.Presence(self.leases.client, 'zun-vk', 'g' * 253,
                                 'h' * 300, self.clock)
        long.renew()
        made, = self.leases.stored.values()
        self.assertLessEqual(len(made['metadata']['name']), 63)
