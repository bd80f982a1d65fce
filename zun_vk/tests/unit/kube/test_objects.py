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

import base64
import threading
from unittest import mock

from oslotest import base

from zun_vk import exceptions
from zun_vk.kube import client
from zun_vk.kube import objects

_NEVER = float('-inf')
_GONE = exceptions.NotFound('kubernetes', 'not found', 404)


def _secret(**data):
    return {'data': {key: base64.b64encode(value).decode()
                     for key, value in data.items()}}


class _Clock:
    now = 1000.0

    def __call__(self):
        return self.now


class ObjectCacheTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.clock = _Clock()
        self.client = mock.create_autospec(client.KubeClient, instance=True)
        self.cache = objects.ObjectCache(self.client, self.clock)
        self.client.get_secret.return_value = _secret(k=b'v')
        self.client.get_config_map.return_value = {'data': {'k': 'v'}}

    def _secret(self, name='s', namespace='ns', not_before=_NEVER):
        return self.cache.secret(namespace, name, not_before)

    def _gets(self):
        return self.client.get_secret.call_count


class ReadTestCase(ObjectCacheTestCase):

    def test_what_a_container_may_see_of_each_kind(self):
        self.assertEqual({'k': b'v'}, self._secret())
        self.assertEqual({'k': 'v'}, self.cache.config_map('ns', 'c', 0))
        self.client.get_node.return_value = {
            'status': {'allocatable': {'cpu': '4'}}}
        self.assertEqual({'cpu': '4'}, self.cache.allocatable('n'))

    def test_what_is_in_a_configmap_and_is_no_text(self):
        self.client.get_config_map.return_value = {
            'data': {'k': 'v'},
            'binaryData': {'b': base64.b64encode(b'\xff').decode()}}
        whole = self.cache.whole_config_map('ns', 'c', 0)
        self.assertEqual(({'k': 'v'}, {'b': b'\xff'}),
                         (whole.data, whole.binary))
        self.assertEqual({'k': 'v'}, self.cache.config_map('ns', 'c', 0))
        self.client.get_config_map.assert_called_once_with('ns', 'c')
        self.assertNotIn('v', repr(whole).replace('vk', ''))

    def test_what_type_a_secret_is_of(self):
        self.client.get_secret.return_value = {
            'type': 'Opaque', **_secret(k=b's3cr3t')}
        whole = self.cache.whole_secret('ns', 's', 0)
        self.assertEqual(('Opaque', {'k': b's3cr3t'}),
                         (whole.kind, whole.data))
        self.assertNotIn('s3cr3t', repr(whole))
        self.client.get_secret.side_effect = _GONE
        self.assertIsNone(self.cache.whole_secret('ns', 't', 0))

    def test_the_handler_of_a_runtime_class(self):
        self.client.get_runtime_class.return_value = {'handler': 'kata'}
        self.assertEqual('kata', self.cache.runtime_handler('x', 0))
        self.client.get_runtime_class.side_effect = _GONE
        self.assertIsNone(self.cache.runtime_handler('y', 0))
        self.client.get_runtime_class.side_effect = None
        self.client.get_runtime_class.return_value = {}
        self.assertRaises(exceptions.Unavailable,
                          self.cache.runtime_handler, 'z', 0)

    def test_objects_without_data_are_empty(self):
        self.client.get_secret.return_value = {'metadata': {}}
        self.client.get_config_map.return_value = {'data': None}
        self.client.get_node.return_value = {}
        self.assertEqual({}, self._secret())
        self.assertEqual({}, self.cache.config_map('ns', 'c', 0))
        self.assertEqual({}, self.cache.allocatable('n'))

    def test_services_with_an_address_of_their_own(self):
        def service(name, address, *ports):
            return {'metadata': {'name': name},
                    'spec': {'clusterIP': address, 'ports': list(ports)}}

        self.client.list_services.return_value = {'items': [
            service('a', '10.0.0.1', {'port': 80},
                    {'name': 'x', 'port': 53, 'protocol': 'UDP'}),
            service('headless', 'None'), service('none-yet', ''),
            {'metadata': {'name': 'external'},
             'spec': {'type': 'ExternalName'}}]}
        self.assertEqual(
            (objects.Service('a', '10.0.0.1', (
                objects.Port('', 80, 'TCP'), objects.Port('x', 53, 'UDP'))),),
            self.cache.services('ns', 0))
        self.client.get_service.return_value = service(
            'kubernetes', '10.0.0.2', {'port': 443, 'name': 'https'})
        self.assertEqual('10.0.0.2', self.cache.master_service().address)
        self.client.get_service.assert_called_once_with(
            'default', 'kubernetes')

    def test_what_is_not_there_is_none(self):
        for call in (self.client.get_secret, self.client.get_config_map,
                     self.client.get_service, self.client.get_node):
            call.side_effect = _GONE
        self.assertIsNone(self._secret())
        self.assertIsNone(self.cache.config_map('ns', 'c', 0))
        self.assertIsNone(self.cache.master_service())
        self.assertEqual({}, self.cache.allocatable('n'))

    def test_an_answer_that_makes_no_sense_is_an_outage_without_values(self):
        for answer in ({'data': {'k': 'not base64, top secret'}},
                       {'data': ['top secret']}, {'data': {'k': 5}}):
            self.client.get_secret.return_value = answer
            error = self.assertRaises(exceptions.Unavailable, self._secret)
            self.assertNotIn('top', str(error))
            self.assertIsNone(error.__cause__)
            self.assertTrue(error.__suppress_context__)
        self.client.list_services.return_value = {'items': [{'spec': {
            'clusterIP': '10.0.0.1'}}]}
        self.assertRaises(exceptions.Unavailable,
                          self.cache.services, 'ns', 0)


class FreshnessTestCase(ObjectCacheTestCase):

    def test_an_answer_serves_for_some_seconds(self):
        for _ in range(5):
            self._secret()
        self.assertEqual(1, self._gets())
        self.clock.now += 9
        self._secret()
        self.assertEqual(1, self._gets())
        self.clock.now += 2
        self._secret()
        self.assertEqual(2, self._gets())

    def test_who_must_see_a_later_time_gets_a_new_answer(self):
        self._secret()
        self._secret(not_before=self.clock.now)
        self.assertEqual(1, self._gets())
        self.clock.now += 1
        self.client.get_secret.return_value = _secret(k=b'new')
        self.assertEqual({'k': b'new'},
                         self._secret(not_before=self.clock.now))
        self.assertEqual(2, self._gets())

    def test_an_answer_is_as_old_as_its_question(self):
        asked_at = self.clock.now

        def slow(*_):
            self.clock.now += 3
            return _secret(k=b'v')
        self.client.get_secret.side_effect = slow
        self._secret()
        self._secret(not_before=asked_at + 1)
        self.assertEqual(2, self._gets())

    def test_absence_is_believed_for_a_second(self):
        self.client.get_secret.side_effect = _GONE
        self.assertIsNone(self._secret())
        self.assertIsNone(self._secret())
        self.assertEqual(1, self._gets())
        self.clock.now += 1
        self.client.get_secret.side_effect = None
        self.assertEqual({'k': b'v'}, self._secret())

    def test_a_failure_is_not_kept_and_no_old_answer_stands_in(self):
        self._secret()
        self.clock.now += 11
        self.client.get_secret.side_effect = exceptions.Unreachable(
            'kubernetes', 'refused')
        for _ in range(2):
            self.assertRaises(exceptions.Unreachable, self._secret)
        self.client.get_secret.side_effect = None
        self.assertEqual({'k': b'v'}, self._secret())

    def test_nobody_asks_while_the_api_server_wants_a_pause(self):
        self.client.get_secret.side_effect = exceptions.Throttled(
            'kubernetes', 'too many requests', 3)
        for name in ('s', 't', 's'):
            error = self.assertRaises(exceptions.Throttled, self._secret,
                                      name)
        self.assertEqual((1, 3), (self._gets(), error.retry_after))
        self.assertRaises(exceptions.Throttled, self.cache.config_map,
                          'ns', 'c', 0)
        self.client.get_secret.side_effect = None
        self.clock.now += 2
        self.assertEqual(1, self.assertRaises(
            exceptions.Throttled, self._secret, 'u').retry_after)
        self.clock.now += 1
        self.assertEqual({'k': b'v'}, self._secret())

    def test_a_pause_does_not_keep_what_is_known_from_anybody(self):
        self._secret()
        self.client.get_config_map.side_effect = exceptions.Throttled(
            'kubernetes', 'too many requests')
        self.assertRaises(exceptions.Throttled, self.cache.config_map,
                          'ns', 'c', 0)
        self.assertEqual({'k': b'v'}, self._secret())
        self.assertRaises(exceptions.Throttled, self._secret, 't')
        self.clock.now += 1
        self.assertEqual({'k': b'v'}, self._secret('t'))

    def test_another_namespace_is_another_object(self):
        self._secret(namespace='a')
        self.client.get_secret.side_effect = exceptions.AccessDenied(
            'kubernetes', 'forbidden', 403)
        self.assertRaises(exceptions.AccessDenied, self._secret,
                          namespace='b')
        self.client.get_secret.assert_called_with('b', 's')

    def test_another_kind_of_that_name_is_another_object(self):
        self.assertEqual({'k': b'v'}, self._secret('x'))
        self.assertEqual({'k': 'v'}, self.cache.config_map('ns', 'x', 0))


class BoundsTestCase(ObjectCacheTestCase):

    def test_it_holds_no_more_than_it_may(self):
        self.client.get_secret.return_value = _secret(k=b'x' * 2 ** 20)
        for number in range(20):
            self._secret(f's{number}')
        self.assertLessEqual(self.cache._size, 8 * 2 ** 20)
        self.assertEqual(self.cache._size, sum(
            entry.size for entry in self.cache._entries.values()))
        self._secret('s19')
        self.assertEqual(20, self._gets())
        self._secret('s0')
        self.assertEqual(21, self._gets())

    def test_one_that_is_too_big_is_given_and_not_kept(self):
        self.client.get_secret.return_value = _secret(k=b'x' * 9 * 2 ** 20)
        self.assertEqual(9 * 2 ** 20, len(self._secret()['k']))
        self.assertEqual((0, {}), (self.cache._size, self.cache._entries))

    def test_small_ones_are_bounded_by_number(self):
        for number in range(1200):
            self._secret(f's{number}')
        self.assertLessEqual(len(self.cache._entries), 1024)

    def test_what_nobody_asks_for_any_more_is_dropped(self):
        for number in range(50):
            self._secret(f's{number}')
        self.clock.now += 11
        self._secret('another')
        self.assertEqual(1, len(self.cache._entries))

    def test_no_repr_has_a_value(self):
        self.client.get_secret.return_value = _secret(k=b's3cr3t')
        self._secret()
        entry, = self.cache._entries.values()
        self.assertNotIn('s3cr3t', repr(self.cache) + repr(entry))


class ManyWorkersTestCase(ObjectCacheTestCase):

    def setUp(self):
        super().setUp()
        self.entered = threading.Event()
        self.go_on = threading.Event()
        self.addCleanup(self.go_on.set)

    def _together(self, outcome):
        """Return what eight workers get that ask at the same time."""
        def slow(*_):
            self.entered.set()
            self.go_on.wait(30)
            self.clock.now += 1
            return outcome()
        self.client.get_secret.side_effect = slow
        results = []

        def ask():
            try:
                results.append(self._secret())
            except exceptions.RemoteError as error:
                results.append(error)
        workers = [threading.Thread(target=ask, daemon=True)
                   for _ in range(8)]
        for worker in workers:
            worker.start()
        self.assertTrue(self.entered.wait(30))
        entry, = self.cache._entries.values()
        return workers, results

    def _end(self, workers):
        self.go_on.set()
        for worker in workers:
            worker.join(30)

    def test_they_ask_once(self):
        workers, results = self._together(lambda: _secret(k=b'v'))
        self._end(workers)
        self.assertEqual([{'k': b'v'}] * 8, results)
        self.assertEqual(1, self._gets())

    def test_other_objects_do_not_wait_for_a_slow_one(self):
        workers, _ = self._together(lambda: _secret(k=b'v'))
        self.assertEqual({'k': 'v'}, self.cache.config_map('ns', 'c', 0))
        self._end(workers)
