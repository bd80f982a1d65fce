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
import threading
from unittest import mock

import fixtures
from oslotest import base as oslotest_base
from requests import adapters

from zun_vk import exceptions
from zun_vk.cloud import sessions
from zun_vk.cloud import throttle
from zun_vk.cloud import zun
from zun_vk.tests.fixtures import wait
from zun_vk.tests.unit.cloud import base
from zun_vk.tests.unit.pods import strategies


class ZunClientTestCase(base.CloudTestCase):

    def setUp(self):
        super().setUp()
        self.throttles = throttle.Throttles('zun', 1000)
        self.zun = zun.ZunClient(
            self.access(project_id=self.cloud.project), self.throttles)

    def _template(self, **pod):
        return strategies.translation(strategies.pod(**pod)).template

    def listed(self):
        return self.zun.list_capsules(dict)

    def test_a_capsule_lives_and_goes(self):
        made = self.zun.create_capsule(self._template())
        self.assertEqual(made['uuid'],
                         self.zun.get_capsule(made['uuid'])['uuid'])
        self.assertEqual([made['uuid']], [
            capsule['uuid'] for capsule in self.listed()])
        self.zun.delete_capsule(made['uuid'])

    def test_who_waits_for_the_newest_waits_for_seconds_only(self):
        sent = []
        send = adapters.HTTPAdapter.send

        def noting(adapter, request, **options):
            sent.append((request.path_url, options['timeout']))
            return send(adapter, request, **options)
        self.listed()
        with mock.patch.object(adapters.HTTPAdapter, 'send', autospec=True,
                               side_effect=noting):
            self.zun.newest_capsules()
            self.listed()
        (newest, short), (every, longer) = sent
        self.assertIn('sort_dir=desc', newest)
        self.assertNotIn('sort_dir=desc', every)
        self.assertEqual((zun._SOON, 5), (short, longer))

    def test_labels_and_annotations_come_back(self):
        made = self.zun.create_capsule(self._template())
        self.assertTrue(strategies.OWNER.owns(made['labels']))
        self.assertEqual('["main"]',
                         made['annotations']['zun.openstack.org/containers'])

    def test_all_capsules_are_listed_however_small_zuns_pages_are(self):
        names = [f'pod-{number}' for number in range(7)]
        for name in names:
            self.zun.create_capsule(self._template(name=name))
        for limit in (1000, 7, 3, 1):
            self.cloud.zun.max_limit = limit
            self.assertEqual(
                names, [capsule['labels']['zun.openstack.org/pod']
                        for capsule in self.listed()], limit)

    def test_of_each_capsule_is_kept_what_is_made_of_it(self):
        self.cloud.zun.max_limit = 2
        for name in ('pod-1', 'pod-2', 'pod-3'):
            self.zun.create_capsule(self._template(name=name))

        def read(raw):
            name = raw['labels']['zun.openstack.org/pod']
            return None if name == 'pod-2' else name
        self.assertEqual(['pod-1', 'pod-3'], self.zun.list_capsules(read))

    def test_a_page_whose_last_capsules_are_gone_is_followed(self):
        made = [self.zun.create_capsule(self._template(name=f'pod-{n}'))
                ['uuid'] for n in range(5)]
        self.cloud.zun.max_limit = 3
        read, gone = zun._page, made[1:3]

        def lose_after_the_first(client, marker):
            page = read(client, marker)
            for uuid in gone:
                self.cloud.lose(self.cloud.zun.capsules[uuid])
            gone.clear()
            return page

        with mock.patch.object(zun, '_page', lose_after_the_first):
            listed = self.listed()
        self.assertEqual([made[0], *made[3:]],
                         [each['uuid'] for each in listed])

    def test_a_list_without_any_marker_left_is_given_up(self):
        self.zun.create_capsule(self._template())
        self.cloud.zun.max_limit = 1
        read = zun._page

        def lose_all_after_the_first(client, marker):
            page = read(client, marker)
            self.cloud.zun.capsules.clear()
            return page

        with mock.patch.object(zun, '_page', lose_all_after_the_first):
            self.assertRaises(exceptions.Unavailable,
                              self.listed)

    def test_a_project_without_capsules_has_none(self):
        self.assertEqual([], self.listed())

    def test_capsules_of_other_projects_are_not_listed(self):
        self.cloud.add_capsule(project=self.cloud.service_project)
        self.assertEqual([], self.listed())

    def test_services_are_listed_with_the_admins_credentials(self):
        services = zun.ZunClient(
            self.access(), self.throttles).list_services()
        self.assertEqual([('host-0', 'zun-compute', 'up', False)], [
            (one['host'], one['binary'], one['state'], one['disabled'])
            for one in services])

    def test_services_are_denied_to_a_member(self):
        self.assertRaises(exceptions.AccessDenied, self.zun.list_services)

    def test_a_capsule_that_is_not_there_is_not_found(self):
        nowhere = '00000000-0000-4000-8000-000000000000'
        for call in (self.zun.get_capsule, self.zun.delete_capsule):
            error = self.assertRaises(exceptions.NotFound, call, nowhere)
            self.assertEqual(('zun', 404), (error.service, error.status))

    def test_only_zuns_own_404_says_that_a_capsule_is_gone(self):
        for body in (None, 'no such page', {'message': 'no route'}):
            self.cloud.zun.fail_next(status=404, body=body)
            error = self.assertRaises(exceptions.RemoteError,
                                      self.zun.get_capsule, 'x')
            self.assertNotIsInstance(error, exceptions.NotFound)

    def test_a_template_zun_refuses_is_rejected_in_its_words(self):
        template = self._template()
        template['spec']['containers'][0]['resources'] = {
            'requests': {'cpu': 64}}
        error = self.assertRaises(exceptions.Rejected,
                                  self.zun.create_capsule, template)
        self.assertIn('64', error.message)

    def test_each_status_has_its_class(self):
        for status, expected in (
                (400, exceptions.Rejected), (401, exceptions.AccessDenied),
                (403, exceptions.AccessDenied), (404, exceptions.NotFound),
                (409, exceptions.Conflict), (413, exceptions.Rejected),
                (429, exceptions.Throttled), (500, exceptions.Unavailable),
                (503, exceptions.Unavailable)):
            self.cloud.zun.fail_next(
                'POST', status=status, times=2,
                body={'errors': [{'title': 'words', 'detail': 'words'}]})
            error = self.assertRaises(expected, self.zun.create_capsule,
                                      self._template())
            self.cloud.zun.forgive()
            self.assertEqual('zun', error.service)
            self.assertIn('words', error.message)

    def test_a_guard_that_raises_keeps_anything_from_being_changed(self):
        made = self.zun.create_capsule(self._template())
        guard = mock.Mock(side_effect=exceptions.NotHolder('x', 'not held'))
        fenced = zun.ZunClient(self.access(project_id=self.cloud.project),
                               self.throttles, guard)

        self.assertRaises(exceptions.NotHolder, fenced.create_capsule,
                          self._template(name='another'))
        self.assertRaises(exceptions.NotHolder, fenced.delete_capsule,
                          made['uuid'])

        self.assertEqual((1, 0), (
            self.cloud.zun.count('POST', '/v1/capsules'),
            self.cloud.zun.count('DELETE', '/v1/capsules/{ident}')))
        self.assertEqual([made['uuid']], [
            capsule['uuid'] for capsule in fenced.list_capsules(dict)])
        self.assertEqual(2, guard.call_count)

    def test_a_lost_answer_is_unreachable_and_the_capsule_is_made(self):
        self.cloud.zun.fail_next('POST', drop=True, after=True)
        self.assertRaises(exceptions.Unreachable, self.zun.create_capsule,
                          self._template())
        self.assertEqual(1, self.cloud.zun.created)

    def test_a_zun_that_is_away_is_unreachable(self):
        self.listed()
        self.cloud.zun.stop()
        error = self.assertRaises(exceptions.Unreachable,
                                  self.listed)
        self.assertEqual('zun', error.service)

    def test_a_keystone_that_is_away_is_told_from_zun(self):
        self.cloud.keystone.stop()
        error = self.assertRaises(exceptions.Unreachable,
                                  self.listed)
        self.assertEqual('keystone', error.service)

    def test_answers_that_make_no_sense_are_unavailable(self):
        for body in (None, [], 'text', 5, {}, {'capsules': None},
                     {'capsules': 5}, {'capsules': [5]},
                     {'capsules': [{}], 'next': 'more'}):
            self.cloud.zun.fail_next('GET', status=200, body=body)
            self.assertRaises(exceptions.Unavailable,
                              self.listed)
        for body in (None, [], 'text', 5):
            self.cloud.zun.fail_next('GET', status=200, body=body)
            self.assertRaises(exceptions.Unavailable, self.zun.get_capsule,
                              'x')
            self.cloud.zun.fail_next('POST', status=202, body=body)
            self.assertRaises(exceptions.Unavailable,
                              self.zun.create_capsule, self._template())

    def test_a_token_that_expired_is_renewed(self):
        self.listed()
        self.cloud.zun.fail_next('GET', status=401)
        self.assertEqual([], self.listed())

    def refuse(self, status, header, **fault):
        headers = {} if header is None else {'Retry-After': header}
        return self.cloud.zun.fail_next(
            status=status, headers=headers,
            body={'errors': [{'title': 'words', 'detail': 'words'}]}, **fault)

    def test_what_zun_asks_for_is_read(self):
        for status, header, kind, seconds in (
                (429, '7', exceptions.Throttled, 7),
                (429, 'soon', exceptions.Throttled, 0),
                (503, '7', exceptions.Unavailable, 7),
                (503, '86400', exceptions.Unavailable, 300),
                (503, None, exceptions.Unavailable, 0)):
            self.zun._throttles = throttle.Throttles('zun', 1000)
            self.refuse(status, header)
            error = self.assertRaises(kind, self.listed)
            self.assertEqual((seconds, 'words', status), (
                error.retry_after, error.message, error.status))

    def test_a_pause_is_kept_by_every_client_and_nothing_is_sent(self):
        another = zun.ZunClient(self.access(), self.throttles)
        self.refuse(429, '60', times=100)
        self.assertRaises(exceptions.Throttled, self.listed)
        sent = self.cloud.zun.count('GET', '/v1/capsules')
        for call in (self.listed, another.list_services,
                     lambda: another.create_capsule(self._template())):
            error = self.assertRaises(exceptions.Throttled, call)
            self.assertTrue(50 < error.retry_after < 75, error.retry_after)
        self.assertEqual(sent, self.cloud.zun.count('GET', '/v1/capsules'))
        self.assertEqual(0, self.cloud.zun.created)


class SharedZunClientTestCase(oslotest_base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.now = 1000.0
        self.list = self.useFixture(fixtures.MockPatchObject(
            zun.ZunClient, 'list_services', autospec=True)).mock
        self.list.side_effect = lambda client: [
            {'host': f'h{self.list.call_count}'}]
        self.zun = zun.SharedZunClient(
            mock.create_autospec(sessions.ServiceAccess, instance=True),
            throttle.Throttles('zun', 1000), lambda: self.now)

    def _hosts(self):
        return [service['host'] for service in self.zun.list_services()]

    def test_who_asks_within_a_second_shares_a_list(self):
        self.assertEqual(['h1'], self._hosts())
        self.now += 0.9
        self.assertEqual(['h1'], self._hosts())

    def test_an_older_list_is_not_shared(self):
        self.assertEqual(['h1'], self._hosts())
        self.now += 1.1
        self.assertEqual(['h2'], self._hosts())

    def test_a_list_is_as_old_as_its_request(self):
        def slow(client):
            self.now += 5
            return [{'host': f'h{self.list.call_count}'}]

        self.list.side_effect = slow
        self.assertEqual(['h1'], self._hosts())
        self.assertEqual(['h2'], self._hosts())

    def test_a_failure_is_not_kept(self):
        self.list.side_effect = [
            exceptions.Unavailable('zun', 'busy', 503), [{'host': 'h'}]]
        self.assertRaises(exceptions.Unavailable, self._hosts)
        self.assertEqual(['h'], self._hosts())

    def _together(self, answer):
        """Ask from several threads while Zun thinks; return what came."""
        thinking, go, found = threading.Event(), threading.Event(), []

        def think(client):
            thinking.set()
            go.wait(10)
            return answer()

        def ask():
            try:
                found.append(self._hosts())
            except exceptions.RemoteError as error:
                found.append(error.status)

        self.list.side_effect = think
        threads = [threading.Thread(target=ask) for _ in range(4)]
        threads[0].start()
        self.assertTrue(thinking.wait(10))
        waiting = self.useFixture(fixtures.MockPatchObject(
            zun.futures.Future, 'result', autospec=True,
            side_effect=zun.futures.Future.result)).mock
        for thread in threads[1:]:
            thread.start()
        wait.wait_for(lambda: waiting.call_count == 3, 'them to wait',
                      timeout=10, interval=0.002)
        go.set()
        for thread in threads:
            thread.join(10)
        return found

    def test_who_asks_while_zun_thinks_waits_for_the_same_answer(self):
        self.assertEqual([['h']] * 4,
                         self._together(lambda: [{'host': 'h'}]))
        self.assertEqual(1, self.list.call_count)

    def test_who_waited_for_a_failure_has_it_too(self):
        def fail():
            raise exceptions.Unavailable('zun', 'busy', 503)

        self.assertEqual([503] * 4, self._together(fail))
        self.list.side_effect = lambda client: [{'host': 'h'}]
        self.assertEqual(['h'], self._hosts())
