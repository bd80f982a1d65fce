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
import dataclasses
import logging
import threading
import traceback
from unittest import mock

import fixtures

from zun_vk import exceptions
from zun_vk import health
from zun_vk.cloud import throttle
from zun_vk.pods import environment
from zun_vk.pods.runtimes import base as runtimes_base
from zun_vk.pods.runtimes import compute
from zun_vk.pods.runtimes import following
from zun_vk.pods.runtimes import rest
from zun_vk.tests.fixtures import wait
from zun_vk.tests.unit.cloud import base
from zun_vk.tests.unit.pods import strategies


class RestTestCase(base.CloudTestCase):

    def setUp(self):
        super().setUp()
        self.conf.set_override('default_project', self.cloud.project,
                               group='tenants')
        self.health = health.Health()
        self.changed = []
        self.stop = threading.Event()
        for name, value in (('_LOOK_INTERVALS', (0.02, 0.02)),
                            ('_LIST_INTERVAL', 0.02),
                            ('_LOOKS_A_SECOND', 1000)):
            patch = mock.patch.object(following, name, value)
            patch.start()
            self.addCleanup(patch.stop)
        self.runtime = self._make()

    def _make(self):
        runtime = rest.RestRuntime(
            self.conf, strategies.OWNER, self.health,
            throttle.Throttles('zun', 1000))
        runtime._interval = 0.05
        return runtime

    def _start(self, runtime=None):
        runtime = runtime or self.runtime
        thread = threading.Thread(
            target=runtime.run, args=(self.changed.append, self.stop),
            daemon=True)
        thread.start()
        self.addCleanup(self._end, thread, runtime)
        return runtime

    def _end(self, thread, runtime):
        self.stop.set()
        runtime.look_soon()
        thread.join(10)
        self.assertFalse(thread.is_alive())

    def _create(self, name='web', **pod):
        pod = strategies.pod(name=name, uid=f'uid-of-{name}', **pod)
        return self.runtime.create(pod, self.runtime.translate(
            pod, environment.Environment()))

    def _until(self, condition, what):
        wait.wait_for(condition, what, timeout=10, interval=0.005)

    def _status(self, uid='uid-of-web', runtime=None):
        capsules = (runtime or self.runtime).of_pod(uid)
        return capsules[0].status if capsules else None

    def _row(self, capsule):
        return self.cloud.zun.capsules[capsule.uuid]


class SecrecyTestCase(RestTestCase):

    def _refused(self, words):
        self.cloud.zun.fail_next('POST', 'capsules', status=400, body={
            'errors': [{'status': 400, 'code': '', 'title': words,
                        'detail': words, 'links': [], 'request_id': ''}]})
        pod = strategies.pod()
        translation = self.runtime.translate(pod, environment.Environment(
            {'main': {'PASSWORD': 's3cr3t'}}, frozenset({'PASSWORD'})))
        return self.assertRaises(exceptions.Rejected, self.runtime.create,
                                 pod, translation)

    def test_words_that_repeat_a_secret_go_nowhere(self):
        for words in ("Invalid: {'env': {'PASSWORD': 's3cr3t'}}",
                      "{'env': {'PASSWORD': 's3cr'\n 3t'}}"):
            error = self._refused(words)
            shown = ''.join(traceback.format_exception(error))
            self.assertNotIn('s3cr', shown + error.message)
            self.assertIn('repeat a Secret', error.message)

    def _log_of(self, call, verb, status):
        """Return all that is shown of Zun's words on a capsule."""
        capsule = self._create()
        self._row(capsule).status = 'Running'
        capsule = dataclasses.replace(capsule, status='Running')
        words = "{'env': {'PASSWORD': 's3cr3t'}}"
        self.cloud.zun.fail_next(verb, capsule.uuid, status=status, body={
            'errors': [{'status': status, 'code': '', 'title': words,
                        'detail': words, 'links': [], 'request_id': ''}]})
        log = self.useFixture(fixtures.FakeLogger(
            'zun_vk', level=logging.DEBUG))
        try:
            call(capsule)
        except exceptions.RemoteError as error:
            self.assertEqual(status, error.status)
            return log.output + ''.join(traceback.format_exception(error))
        return log.output

    def test_words_on_a_capsule_that_is_deleted_go_nowhere(self):
        shown = self._log_of(self.runtime.delete, 'DELETE', 409)
        self.assertIn('409', shown)
        self.assertNotIn('s3cr3t', shown)

    def test_words_on_a_capsule_that_is_looked_at_go_nowhere(self):
        shown = self._log_of(
            lambda capsule: self.runtime._look(capsule, self.changed.append),
            'GET', 500)
        self.assertIn('500', shown)
        self.assertNotIn('s3cr3t', shown)

    def test_other_words_are_kept(self):
        self.assertIn('Quota exceeded',
                      self._refused('Quota exceeded').message)


class PaceTestCase(RestTestCase):
    """How often Zun is asked, by how long it takes to answer."""

    def setUp(self):
        super().setUp()
        for name, value in (('_LOOK_INTERVALS', (0.1, 1.0)),
                            ('_LIST_INTERVAL', 0.25),
                            ('_LOOKS_A_SECOND', 10)):
            patch = mock.patch.object(following, name, value)
            patch.start()
            self.addCleanup(patch.stop)

    def _pause(self, changing, took, ended=0.0, due=1000.0, youngest=0.0):
        """Return the pause just after the last list ended."""
        self.runtime._list_took = took
        self.runtime._list_ended = ended
        self.runtime._list_due = due
        with mock.patch.object(following.time, 'monotonic', autospec=True,
                               return_value=ended):
            return self.runtime._pause(changing, youngest)

    def test_nothing_that_changes_waits_for_nothing(self):
        self.assertEqual(0, self._pause(0, 0.4))

    def test_a_look_comes_after_a_tenth_of_the_time_that_zun_works(self):
        for age, pause in ((0.0, 0.1), (0.9, 0.1), (2.0, 0.2), (9.0, 0.9),
                           (60.0, 1.0)):
            self.assertEqual(pause, self._pause(1, 0.001, youngest=age))

    def test_all_together_are_looked_at_ten_times_a_second_at_most(self):
        self.assertEqual([0.2, 0.5], [
            self._pause(number, 8.0, youngest=0.5) for number in (2, 5)])

    def test_lists_keep_zun_busy_a_third_of_the_time_at_most(self):
        for took in (0.2, 0.4, 8.0):
            self.assertEqual(2 * took, self._pause(1000, took))

    def test_lists_of_a_quick_zun_come_no_quicker_than_looks(self):
        self.assertEqual(0.25, self._pause(1000, 0.01))

    def test_looks_at_each_are_preferred_while_they_are_quicker(self):
        self.assertFalse(self._quicker(5, took=0.4))
        self.assertTrue(self._quicker(50, took=0.4))
        self.assertFalse(self._quicker(50, took=8.0))

    def _quicker(self, changing, took):
        self.runtime._list_took = took
        return self.runtime._list_is_quicker(changing)

    def test_a_list_that_is_due_is_not_put_off(self):
        self.assertEqual(1.0, self._pause(1000, 8.0, due=1.0))


class CapsulesTestCase(RestTestCase):

    def test_it_is_found_by_its_name(self):
        self.conf.set_override('capsule_runtime', 'rest', group='pods')
        self.assertIs(rest.RestRuntime, runtimes_base.find(self.conf))

    def test_the_other_one_is_found_where_nothing_is_set(self):
        self.assertIs(compute.ComputeRuntime, runtimes_base.find(self.conf))

    def test_an_unknown_runtime_is_a_configuration_error(self):
        self.conf.set_override('capsule_runtime', 'nothing', group='pods')
        error = self.assertRaises(
            exceptions.ConfigError, runtimes_base.find, self.conf)
        self.assertEqual('[pods] capsule_runtime', error.option)

    def test_a_capsule_is_known_once_it_is_made(self):
        capsule = self._create()
        self.assertEqual([capsule], self.runtime.of_pod('uid-of-web'))
        self.assertEqual({'uid-of-web'}, self.runtime.uids())

    def test_a_capsule_is_followed_until_it_runs(self):
        self._start()
        self._create()
        self._until(lambda: self._status() == 'Running', 'Running')
        self._until(lambda: 'uid-of-web' in self.changed, 'a change')
        self.assertEqual(1, len(self.runtime.of_pod('uid-of-web')[0]
                                .addresses))

    def test_a_restart_finds_every_capsule_and_tells_of_each(self):
        for name in ('a', 'b', 'c'):
            self._create(name)
        again = self._start(self._make())
        self.assertEqual(float('-inf'), self.runtime.listed_at())
        self._until(lambda: again.listed_at() > 0, 'a list')
        uids = {'uid-of-a', 'uid-of-b', 'uid-of-c'}
        self.assertEqual(uids, again.uids())
        self._until(lambda: set(self.changed) == uids, 'changes')

    def test_foreign_capsules_are_not_seen(self):
        self._create()
        labels = strategies.OWNER.labels(strategies.pod(uid='foreign'))
        for label in ('cluster', 'node'):
            self.cloud.add_capsule(
                {**labels, f'zun.openstack.org/{label}': 'other'})
        self.cloud.add_capsule()
        self.cloud.add_capsule(labels, project=self.cloud.service_project)
        self._start()
        self._until(lambda: self.runtime.listed_at() > 0, 'a list')
        self.assertEqual({'uid-of-web'}, self.runtime.uids())

    def test_a_capsule_that_vanishes_is_told(self):
        capsule = self._create()
        self._start()
        self._until(lambda: self._status() == 'Running', 'Running')
        self.changed.clear()
        self.cloud.lose(self._row(capsule))
        self._until(lambda: self.changed == ['uid-of-web'], 'the loss')
        self.assertEqual([], self.runtime.of_pod('uid-of-web'))

    def test_a_list_that_lacks_a_capsule_is_no_proof(self):
        self._create()
        self._start()
        self._until(lambda: self._status() == 'Running', 'Running')
        before = self.runtime.listed_at()
        self.cloud.zun.fail_next('GET', r'/v1/capsules/?$', status=200,
                                 body={'capsules': []}, times=3)
        self._until(lambda: self.runtime.listed_at() > before + 0.2, 'lists')
        self.assertEqual('Running', self._status())

    def test_deleting_takes_a_capsule_away(self):
        capsule = self._create()
        self._start()
        self._until(lambda: self._status() == 'Running', 'Running')
        self.runtime.delete(self.runtime.of_pod('uid-of-web')[0])
        self._until(lambda: not self.runtime.uids(), 'gone')
        self.assertNotIn(capsule.uuid, self.cloud.zun.capsules)

    def test_deleting_what_is_gone_is_no_error(self):
        capsule = self._create()
        self.runtime._store.remove(capsule.uuid, 0)
        self._start()
        self._until(lambda: self._status() == 'Running', 'Running')
        self.cloud.lose(self._row(capsule))
        self.runtime.delete(self.runtime.of_pod('uid-of-web')[0]
                            if self.runtime.of_pod('uid-of-web')
                            else capsule)
        self._until(lambda: not self.runtime.uids(), 'gone')

    def test_a_capsule_being_made_is_not_deleted_yet(self):
        """Zun would forget it and let the host make its containers."""
        self.cloud.zun.start_delay = 600
        capsule = self._create()
        self.runtime.delete(capsule)
        self.assertIn(capsule.uuid, self.cloud.zun.capsules)

    def test_a_zun_that_was_away_is_followed_again(self):
        patch = mock.patch.object(following.backoff.Backoff, 'next',
                                  autospec=True, return_value=0.01)
        patch.start()
        self.addCleanup(patch.stop)
        self._create()
        self._start()
        self._until(lambda: self._status() == 'Running', 'Running')
        self.cloud.zun.stop()
        self._until(self.health.problems, 'a problem')
        self.assertEqual('zun', self.health.problems()[0].service)
        self.assertEqual({'uid-of-web'}, self.runtime.uids())
        self.cloud.zun.start()
        self._until(lambda: not self.health.problems(), 'recovery')

    def test_a_keystone_that_is_away_loses_no_capsule(self):
        self._create()
        self._start()
        self._until(lambda: self._status() == 'Running', 'Running')
        self.cloud.keystone.fail_next('POST', status=404, times=1000)
        self.cloud.zun.fail_next('GET', status=401, times=1000)
        self._until(self.health.problems, 'a problem')
        self.assertEqual({'uid-of-web'}, self.runtime.uids())

    def test_a_front_end_that_answers_404_loses_no_capsule(self):
        self._create()
        self._start()
        self._until(lambda: self._status() == 'Running', 'Running')
        self.cloud.zun.fail_next('GET', r'/v1/capsules/?$', status=200,
                                 body={'capsules': []})
        fault = self.cloud.zun.fail_next(
            'GET', r'/v1/capsules/.+', status=404, body='<html>',
            times=1000)
        self._until(fault.reached.is_set, 'a look')
        lists = self.cloud.zun.count('GET', '/v1/capsules')
        self._until(lambda: self.cloud.zun.count('GET', '/v1/capsules')
                    > lists, 'another list')
        self.assertEqual({'uid-of-web'}, self.runtime.uids())

    def test_one_capsule_zun_cannot_show_hides_no_other(self):
        self.cloud.zun.start_delay = 600
        bad = self._create('a')
        self.cloud.zun.start_delay = 0.05
        self.cloud.zun.fail_next('GET', bad.uuid, status=500,
                                 times=10 ** 6)
        self._start()
        self._create('b')
        self._until(lambda: self._status('uid-of-b') == 'Running', 'b runs')
        before = self.runtime.listed_at()
        self._until(lambda: self.runtime.listed_at() > before, 'a list')
        self.assertEqual([], self.health.problems())

    def test_one_capsule_that_makes_no_sense_hides_no_other(self):
        odd = self._create('odd')
        self._create('b')
        self._row(odd).addresses = 5
        self.cloud.add_capsule(['no', 'labels'])
        again = self._start(self._make())
        self._until(lambda: again.of_pod('uid-of-b'), 'b')
        self._until(lambda: again.listed_at() > 0, 'a list')

    def test_one_list_serves_all_capsules(self):
        for number in range(10):
            self._create(f'pod-{number}')
        self._start()
        self._until(
            lambda: all(self._status(uid) == 'Running'
                        for uid in self.runtime.uids()), 'all Running')
        looks = self.cloud.zun.count('GET', '/v1/capsules/{ident}')
        lists = self.cloud.zun.count('GET', '/v1/capsules')
        self._until(lambda: self.cloud.zun.count('GET', '/v1/capsules')
                    >= lists + 3, 'lists')
        self.assertEqual(
            looks, self.cloud.zun.count('GET', '/v1/capsules/{ident}'))

    def test_many_capsules_are_followed_without_a_look_at_each(self):
        patch = mock.patch.object(following, '_LOOKS_A_SECOND', 1)
        patch.start()
        self.addCleanup(patch.stop)
        self.runtime._interval = 600
        self.cloud.zun.start_delay = 0.3
        uids = set()
        for number in range(12):
            uids.add(self._create(f'pod-{number}').uid)
        self._start()
        self._until(lambda: all(self._status(uid) == 'Running'
                                for uid in uids), 'all Running')
        for uid in uids:
            self.runtime.delete(self.runtime.of_pod(uid)[0])
        self._until(lambda: not self.runtime.uids(), 'all gone')
        self.assertLess(
            self.cloud.zun.count('GET', '/v1/capsules/{ident}'), 12)

    def test_looks_at_each_keep_a_slow_zun_from_no_list(self):
        self.cloud.zun.start_delay = 60
        for number in range(8):
            self._create(f'pod-{number}')
        self.cloud.zun.delay = 0.1
        self.runtime._interval = 0.1

        def count(path):
            return self.cloud.zun.count('GET', f'/v1/capsules{path}')
        self._start()
        self._until(lambda: count('') >= 5, 'lists')
        self.assertLessEqual(count('/{ident}'), 2 * count(''))

    def test_one_capsule_is_looked_at_by_itself(self):
        self.runtime._interval = 600
        self._start()
        self._until(lambda: self.runtime.listed_at() > 0, 'a list')
        self._create()
        self._until(lambda: self._status() == 'Running', 'Running')
        self.assertEqual(1, self.cloud.zun.count('GET', '/v1/capsules'))

    def test_stop_ends_it_while_it_waits(self):
        self.runtime._interval = 600
        thread = threading.Thread(
            target=self.runtime.run, args=(self.changed.append, self.stop))
        thread.start()
        self._until(lambda: self.runtime.listed_at() > 0, 'a list')
        self.stop.set()
        self.runtime.look_soon()
        thread.join(5)
        self.assertFalse(thread.is_alive())
