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
import collections
import copy
import itertools
import threading
import time
from unittest import mock

import fixtures
from oslotest import base
import prometheus_client

from zun_vk import exceptions
from zun_vk import health
from zun_vk import metrics
from zun_vk.kube import client as kube_client
from zun_vk.pods import status
from zun_vk.pods import writer
from zun_vk.tests.fixtures import wait
from zun_vk.tests.unit.pods import capsules
from zun_vk.tests.unit.pods import strategies

_HOST = '192.0.2.10'
_AT = '2026-01-31T12:00:00Z'


class StatusWriterTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.client = mock.create_autospec(
            kube_client.KubeClient, instance=True)
        self.client.patch_pod_status.side_effect = self._patched
        self.health = health.Health()
        self.written = []
        self.server_version = 100
        self.pods = {}
        self.stop = threading.Event()
        self.writer = writer.StatusWriter(
            self.client, self.health, self.written.append)
        patch = mock.patch.object(writer.backoff.Backoff, 'next',
                                  autospec=True, return_value=0.005)
        patch.start()
        self.addCleanup(patch.stop)

    def _patched(self, namespace, name, patch):
        self.server_version += 1
        pod = copy.deepcopy(self.pods[name])
        pod['metadata']['resourceVersion'] = str(self.server_version)
        pod['status'] = {key: value for key, value
                         in patch['status'].items() if value is not None}
        return pod

    def _start(self):
        thread = threading.Thread(target=self.writer.run, args=(self.stop,))
        thread.start()
        self.addCleanup(self._end, thread)

    def _end(self, thread):
        self.stop.set()
        self.writer.wake()
        thread.join(10)
        self.assertFalse(thread.is_alive())

    def _pod(self, name='web', **fields):
        pod = strategies.pod(name=name, uid=f'uid-of-{name}', **fields)
        self.pods[name] = pod
        return pod

    def _until(self, condition):
        wait.wait_for(condition, 'the writer', timeout=10, interval=0.002)

    def _patches(self):
        return [call.args for call in
                self.client.patch_pod_status.call_args_list]

    def _pending(self, pod):
        return status.pending(pod, _HOST, _AT)

    def _running(self, pod):
        return status.from_capsule(pod, capsules.read(pod), _HOST, _AT)

    def _failed(self, pod):
        return status.failed(pod, _HOST, _AT, 'Lost', 'gone')

    @staticmethod
    def _clock():
        return mock.patch.object(writer.time, 'monotonic', autospec=True,
                                 return_value=1000.0)

    def _timed(self, call):
        """Return how many statuses the call timed, and their seconds."""
        def figures():
            return [prometheus_client.REGISTRY.get_sample_value(
                f'zun_vk_pod_status_latency_seconds_{what}')
                for what in ('count', 'sum')]
        before = figures()
        call()
        return tuple(now - then for now, then
                     in zip(figures(), before, strict=True))

    def _write_one(self):
        """Write what is first, as a thread of the writer does."""
        self.writer._not_before = float('-inf')
        self.writer._try(*self.writer._take(self.stop))

    def test_nothing_that_comes_while_an_end_is_written_follows_it(self):
        pod = self._pod()
        shown = []

        def patched(namespace, name, patch):
            # Another thread still knows the pod as it was.
            self.writer.publish(pod, self._pending(pod))
            shown.append(self._patched(namespace, name, patch))
            return shown[-1]
        self.client.patch_pod_status.side_effect = patched

        self.writer.publish(pod, self._failed(pod))
        self._write_one()
        # The watch has caught up: nothing is kept of what was written, by
        # which an older status could be told to be one.
        self.writer.newest(shown[0])

        self.assertEqual({}, self.writer._wanted)

    def test_a_published_status_is_written_and_told(self):
        pod = self._pod()
        self._start()
        self.writer.publish(pod, self._pending(pod))
        self._until(lambda: self.written == ['uid-of-web'])
        namespace, name, patch = self._patches()[0]
        self.assertEqual(('shop', 'web'), (namespace, name))
        self.assertEqual('Pending', patch['status']['phase'])

    def test_a_status_is_timed_from_when_it_was_known(self):
        pod = self._pod()
        with self._clock() as clock:
            self.writer.publish(pod, self._pending(pod))
            clock.return_value += 0.25
            # Replaces what has waited since then.
            self.writer.publish(pod, self._running(pod))
            clock.return_value += 0.5
            self.assertEqual((1, 0.75), self._timed(self._write_one))

    def test_a_status_that_failed_to_be_written_is_timed_from_its_start(self):
        pod = self._pod()
        with self._clock() as clock:
            self.client.patch_pod_status.side_effect = (
                exceptions.Unreachable('kubernetes', 'refused'))
            self.writer.publish(pod, self._pending(pod))
            clock.return_value += 1
            self.assertEqual((0, 0), self._timed(self._write_one))
            self.client.patch_pod_status.side_effect = self._patched
            self.writer.publish(pod, self._running(pod))
            clock.return_value += 1
            self.assertEqual((1, 2), self._timed(self._write_one))

    def test_a_status_that_comes_during_a_write_is_timed_on_its_own(self):
        pod = self._pod()

        def patched(namespace, name, patch):
            clock.return_value += 2
            self.writer.publish(pod, self._running(pod))
            clock.return_value += 1
            return self._patched(namespace, name, patch)

        with self._clock() as clock:
            self.client.patch_pod_status.side_effect = patched
            self.writer.publish(pod, self._pending(pod))
            self.assertEqual((1, 3), self._timed(self._write_one))
            self.client.patch_pod_status.side_effect = self._patched
            self.assertEqual((1, 1), self._timed(self._write_one))

    def test_as_many_are_timed_as_are_written(self):
        pod = self._pod()

        def goes(namespace, name, patch):
            self.writer.forget('uid-of-web')
            return self._patched(namespace, name, patch)

        self.client.patch_pod_status.side_effect = goes
        with self._clock():
            self.writer.publish(pod, self._pending(pod))
            self.assertEqual((1, 0), self._timed(self._write_one))

    def test_a_patch_names_the_uid_so_no_other_pod_is_changed(self):
        pod = self._pod()
        self._start()
        self.writer.publish(pod, self._pending(pod))
        self._until(lambda: self.written)
        self.assertEqual({'uid': 'uid-of-web'},
                         self._patches()[0][2]['metadata'])

    def test_addresses_replace_those_from_before(self):
        pod = self._pod()
        self._start()
        self.writer.publish(pod, self._running(pod))
        self._until(lambda: self.written)
        self.assertEqual(
            [{'ip': '10.0.0.7'}, {'$patch': 'replace'}],
            self._patches()[0][2]['status']['podIPs'])

    def test_a_status_the_pod_has_is_not_written(self):
        pod = self._pod()
        pod['status'] = self._running(pod)
        self._start()
        self.writer.publish(pod, self._running(pod))
        other = self._pod('other')
        self.writer.publish(other, self._pending(other))
        self._until(lambda: self.written == ['uid-of-other'])
        self.assertEqual(['other'], [args[1] for args in self._patches()])

    def test_the_newest_of_many_is_written(self):
        pod = self._pod()
        self.writer.publish(pod, self._pending(pod))
        self.writer.publish(pod, self._running(pod))
        self._start()
        self._until(lambda: self.written)
        self.assertEqual(['Running'], [
            args[2]['status']['phase'] for args in self._patches()])

    def test_an_end_is_never_followed_by_anything_else(self):
        pod = self._pod()
        pod['status'] = self._failed(pod)
        self.writer.publish(pod, self._running(pod))
        self.writer.publish(pod, self._pending(pod))
        self._start()
        other = self._pod('other')
        self.writer.publish(other, self._pending(other))
        self._until(lambda: self.written)
        self.assertEqual(['other'], [args[1] for args in self._patches()])

    def test_an_end_written_here_is_known_before_the_watch_shows_it(self):
        pod = self._pod()
        self._start()
        self.writer.publish(pod, self._failed(pod))
        self._until(lambda: self.written)
        self.assertEqual('Failed',
                         self.writer.newest(pod)['status']['phase'])
        self.writer.publish(pod, self._running(pod))
        other = self._pod('other')
        self.writer.publish(other, self._pending(other))
        self._until(lambda: len(self.written) == 2)
        self.assertEqual(['web', 'other'],
                         [args[1] for args in self._patches()])

    def test_an_end_waiting_to_be_written_is_not_overtaken(self):
        pod = self._pod()
        self.writer.publish(pod, self._failed(pod))
        self.writer.publish(pod, self._running(pod))
        self._start()
        self._until(lambda: self.written)
        self.assertEqual('Failed', self._patches()[0][2]['status']['phase'])

    def test_the_watch_overtakes_what_was_written(self):
        pod = self._pod()
        self._start()
        self.writer.publish(pod, self._pending(pod))
        self._until(lambda: self.written)
        newer = copy.deepcopy(pod)
        newer['metadata']['resourceVersion'] = '999'
        self.assertIs(newer, self.writer.newest(newer))
        self.assertIs(pod, self.writer.newest(pod))

    def test_a_status_is_tried_until_it_is_written(self):
        pod = self._pod()
        self.client.patch_pod_status.side_effect = [
            exceptions.Unreachable('kubernetes', 'refused'),
            exceptions.Unavailable('kubernetes', 'busy', 503),
            exceptions.AccessDenied('kubernetes', 'no', 403),
            self._patched('shop', 'web', {'status': {}})]
        self._start()
        self.writer.publish(pod, self._pending(pod))
        self._until(lambda: self.written == ['uid-of-web'])
        self.assertEqual([], self.health.problems())

    def _asked_to_wait(self, error, name='web'):
        """Have one write answered with ``error``; then no other is begun."""
        asked = threading.Event()

        def refuse(namespace, name, patch):
            asked.set()
            raise error

        self.client.patch_pod_status.side_effect = refuse
        self._start()
        pod = self._pod(name)
        self.writer.publish(pod, self._pending(pod))
        self._until(asked.is_set)
        self.client.patch_pod_status.side_effect = self._patched
        self._until(lambda: not self.writer._writing)
        return pod

    def test_nothing_is_written_before_the_time_that_was_asked_for(self):
        for error in (exceptions.Throttled('kubernetes', 'slow down', 30),
                      exceptions.Unavailable('kubernetes', 'no', 503, 30)):
            self._asked_to_wait(error)
            asked = self.writer._not_before - time.monotonic()
            self.assertTrue(25 < asked <= 30, asked)
            self.writer._not_before = float('-inf')
            self.writer.wake()
            self._until(lambda: self.written.pop() if self.written else None)

    def test_who_asks_for_more_while_nobody_writes_is_heard(self):
        pod = self._pod()
        self.writer._not_before = time.monotonic() + 10
        self.writer._writing['uid-of-web'] = time.monotonic()
        self.writer._give_back(
            ('uid-of-web', pod, self._pending(pod)),
            exceptions.Throttled('kubernetes', 'slow down', 30))
        self.assertLess(25, self.writer._not_before - time.monotonic())

    def test_a_stop_ends_the_time_that_was_asked_for(self):
        # What _end waits for is far less.
        self._asked_to_wait(
            exceptions.Throttled('kubernetes', 'slow down', 300))

    def test_a_newer_status_replaces_one_that_is_tried_again(self):
        pod = self._pod()
        tried = threading.Event()

        def refuse_pending(namespace, name, patch):
            if patch['status']['phase'] == 'Pending':
                tried.set()
                raise exceptions.Unreachable('kubernetes', 'refused')
            return self._patched(namespace, name, patch)

        self.client.patch_pod_status.side_effect = refuse_pending
        self._start()
        self.writer.publish(pod, self._pending(pod))
        self._until(tried.is_set)
        self.writer.publish(pod, self._running(pod))
        self._until(lambda: self.written)

    def test_one_pod_that_cannot_be_written_holds_up_no_other(self):
        bad, good = self._pod('bad'), self._pod('good')

        def refuse_bad(namespace, name, patch):
            if name == 'bad':
                raise exceptions.AccessDenied('kubernetes', 'webhook', 403)
            return self._patched(namespace, name, patch)

        self.client.patch_pod_status.side_effect = refuse_bad
        self._start()
        self.writer.publish(bad, self._pending(bad))
        self.writer.publish(good, self._pending(good))
        self._until(lambda: 'uid-of-good' in self.written)

    def test_a_pod_that_is_gone_or_another_is_let_go(self):
        for error in (exceptions.NotFound('kubernetes', 'gone', 404),
                      exceptions.Conflict('kubernetes', 'uid', 409),
                      exceptions.Rejected('kubernetes', 'invalid', 422)):
            self.client.patch_pod_status.side_effect = [error]
            pod = self._pod()
            self.writer.publish(pod, self._pending(pod))
            self.stop.clear()
            thread = threading.Thread(target=self.writer.run,
                                      args=(self.stop,))
            thread.start()
            self._until(
                lambda: self.client.patch_pod_status.call_count == 1)
            self.stop.set()
            self.writer.wake()
            thread.join(10)
            self.client.patch_pod_status.reset_mock()
            self.assertEqual([], self.written)
            self.assertEqual({}, dict(self.writer._wanted))

    def test_what_the_pod_has_is_written_again_after_what_is_under_way(self):
        pod = self._pod()
        pod['status'] = self._pending(pod)
        phases = []

        def patched(namespace, name, patch):
            if not phases:
                self.writer.publish(pod, self._pending(pod))
            phases.append(patch['status']['phase'])
            return self._patched(namespace, name, patch)

        self.client.patch_pod_status.side_effect = patched
        self.writer.publish(pod, self._running(pod))
        self._start()
        self._until(lambda: len(self.written) == 2)
        self.assertEqual(['Running', 'Pending'], phases)

    def test_nothing_is_kept_of_a_pod_that_went_while_it_was_written(self):
        for error in (None, exceptions.Unreachable('kubernetes', 'reset')):
            went = threading.Event()

            def go(namespace, name, patch, error=error, went=went):
                self.writer.forget('uid-of-web')
                went.set()
                if error:
                    raise error
                return self._patched(namespace, name, patch)

            pod = self._pod()
            self.client.patch_pod_status.side_effect = go
            self.writer.publish(pod, self._pending(pod))
            taken = self.writer._take(self.stop)
            error = self.health.outcome('write', self.writer._write, *taken)
            self.writer._give_back(taken, error)
            self.assertTrue(went.is_set())
            for kept in (self.writer._wanted, self.writer._written,
                         self.writer._writing, self.writer._waiting_since):
                self.assertFalse(kept)

    def test_a_conflict_over_the_same_pod_is_tried_again(self):
        pod = self._pod()
        self.client.get_pod.return_value = pod
        self.client.patch_pod_status.side_effect = [
            exceptions.Conflict('kubernetes', 'changed', 409),
            self._patched('shop', 'web', {'status': {}})]
        self._start()
        self.writer.publish(pod, self._failed(pod))
        self._until(lambda: self.written == ['uid-of-web'])

    def test_the_first_end_is_the_one_that_stays(self):
        pod = self._pod()
        succeeded = {**self._running(pod), 'phase': 'Succeeded'}
        self.writer.publish(pod, succeeded)
        self.writer.publish(pod, self._failed(pod))
        self._start()
        self._until(lambda: self.written)
        self.writer.publish(pod, self._failed(pod))
        other = self._pod('other')
        self.writer.publish(other, self._pending(other))
        self._until(lambda: len(self.written) == 2)
        self.assertEqual(['Succeeded', 'Pending'], [
            args[2]['status']['phase'] for args in self._patches()])

    def _stumbling_over(self, bad, times=None):
        """Have the writer crash over pod ``bad``: always, or so often."""
        crashes = itertools.count()

        def fail(namespace, name, patch):
            if name == bad and (times is None or next(crashes) < times):
                raise KeyError('bug')
            return self._patched(namespace, name, patch)

        self.client.patch_pod_status.side_effect = fail

    def test_a_bug_costs_no_status(self):
        self._stumbling_over('web', times=3)
        pod = self._pod()
        counted = metrics.CRASHES.labels('status')._value.get()
        log = self.useFixture(fixtures.FakeLogger('zun_vk'))
        self._start()
        self.writer.publish(pod, self._failed(pod))
        self._until(lambda: self.written == ['uid-of-web'])
        self.assertEqual('Failed', self._patches()[-1][2]['status']['phase'])
        self.assertEqual(3, metrics.CRASHES.labels('status')._value.get()
                         - counted)
        self.assertIn("KeyError: 'bug'", log.output)
        self._until(lambda: not self.writer._due)

    def test_a_newer_status_replaces_one_that_hit_a_bug(self):
        self._stumbling_over('web', times=1)
        pod = self._pod()
        for wanted in (self._pending(pod), self._running(pod)):
            self.writer.publish(pod, wanted)
            self.writer._try(*self.writer._take(self.stop))
        self.assertEqual(
            ['Pending', 'Running'],
            [args[2]['status']['phase'] for args in self._patches()])

    def test_a_bug_with_one_pod_holds_up_no_other(self):
        writer.backoff.Backoff.next.return_value = 60.0
        self._stumbling_over('bad')
        bad = self._pod('bad')
        self.writer.publish(bad, self._failed(bad))
        self._start()
        self._until(lambda: self.writer._due)
        for number in range(5):
            good = self._pod(f'good-{number}')
            self.writer.publish(good, self._pending(good))
        self._until(lambda: len(self.written) == 5)
        self.assertEqual(1, [args[1] for args in self._patches()]
                         .count('bad'))
        self.assertIn('uid-of-bad', self.writer._wanted)

    def test_a_pod_whose_status_is_refused_holds_up_no_other(self):
        writer.backoff.Backoff.next.return_value = 60.0
        for error in (exceptions.AccessDenied('kubernetes', 'webhook', 403),
                      exceptions.Conflict('kubernetes', 'changed', 409)):
            bad, good = (self._pod(f'{name}-{error.status}')
                         for name in ('bad', 'good'))
            self.client.get_pod.return_value = bad
            taken = bad['metadata']['uid'], bad, self._failed(bad)
            self.writer._writing[taken[0]] = time.monotonic()
            self.writer._give_back(taken, error)
            self.writer.publish(good, self._pending(good))
            uid, early = self.writer._next(time.monotonic())
            self.assertEqual((good['metadata']['uid'], None), (uid, early))
            self.assertIn(bad['metadata']['uid'], self.writer._wanted)
            self.writer.forget(good['metadata']['uid'])

    def test_who_we_are_in_doubt_is_every_pods_concern(self):
        pod = self._pod()
        self.writer._writing['uid-of-web'] = time.monotonic()
        writer.backoff.Backoff.next.return_value = 60.0
        self.writer._give_back(
            ('uid-of-web', pod, self._pending(pod)),
            exceptions.AccessDenied('kubernetes', 'expired', 401))
        self.assertLess(50, self.writer._not_before - time.monotonic())

    def test_an_api_server_that_does_not_know_a_pod_yet_is_asked_again(self):
        pod = self._pod()
        self.client.get_pod.return_value = pod
        self.client.patch_pod_status.side_effect = [
            exceptions.NotFound('kubernetes', 'just started', 404),
            self._patched('shop', 'web', {'status': {}})]
        self._start()
        self.writer.publish(pod, self._failed(pod))
        self._until(lambda: self.written == ['uid-of-web'])

    def test_nothing_is_kept_of_a_pod_that_went_after_a_bug(self):
        self._stumbling_over('web')
        pod = self._pod()
        self.writer.publish(pod, self._pending(pod))
        self._start()
        self._until(lambda: self.writer._due)
        self._until(lambda: not self.writer._writing)
        self.writer.forget('uid-of-web')
        self._until(lambda: not (self.writer._due or self.writer._pauses
                                 or self.writer._wanted))

    def test_a_pod_forgotten_is_not_written(self):
        pod = self._pod()
        self.writer.publish(pod, self._pending(pod))
        self.writer.forget('uid-of-web')
        other = self._pod('other')
        self.writer.publish(other, self._pending(other))
        self._start()
        self._until(lambda: self.written)
        self.assertEqual(['uid-of-other'], self.written)

    def test_who_runs_or_has_ended_is_written_before_those_who_wait(self):
        for name, status_of in (('new', self._pending),
                                ('newer', self._pending),
                                ('runs', self._running),
                                ('ended', self._failed)):
            pod = self._pod(name)
            self.writer.publish(pod, status_of(pod))
        self._start()
        self._until(lambda: len(self.written) == 4)
        self.assertEqual(
            [f'uid-of-{name}' for name in ('ended', 'runs', 'new', 'newer')],
            self.written)

    def _start_all(self):
        for _ in range(writer.THREADS):
            self._start()

    def test_several_pods_are_written_at_the_same_time(self):
        together = threading.Barrier(writer.THREADS, timeout=10)

        def meet(namespace, name, patch):
            together.wait()
            return self._patched(namespace, name, patch)

        self.client.patch_pod_status.side_effect = meet
        self._start_all()
        for number in range(writer.THREADS):
            pod = self._pod(f'web-{number}')
            self.writer.publish(pod, self._pending(pod))
        self._until(lambda: len(self.written) == writer.THREADS)

    def test_no_pod_is_written_by_two_at_a_time(self):
        under_way, phases = collections.Counter(), []
        may_end = threading.Event()

        def slow(namespace, name, patch):
            under_way[name] += 1
            self.assertEqual(1, under_way[name])
            may_end.wait(10)
            phases.append((name, patch['status']['phase']))
            under_way[name] -= 1
            return self._patched(namespace, name, patch)

        self.client.patch_pod_status.side_effect = slow
        self._start_all()
        pod, other = self._pod(), self._pod('other')
        self.writer.publish(pod, self._pending(pod))
        self._until(lambda: under_way['web'])
        self.writer.publish(pod, self._running(pod))
        self.writer.publish(pod, self._failed(pod))
        self.writer.publish(other, self._pending(other))
        self._until(lambda: under_way['other'])
        may_end.set()
        self._until(lambda: len(self.written) == 3)
        self.assertEqual(['Pending', 'Failed'], [
            phase for name, phase in phases if name == 'web'])

    def test_failures_that_come_together_are_one_reason_to_wait(self):
        together = threading.Barrier(writer.THREADS, timeout=10)

        def fail(namespace, name, patch):
            together.wait()
            self.client.patch_pod_status.side_effect = self._patched
            raise exceptions.Unreachable('kubernetes', 'refused')

        waits = writer.backoff.Backoff.next
        waits.return_value = 0.3
        self.client.patch_pod_status.side_effect = fail
        self._start_all()
        for number in range(writer.THREADS):
            pod = self._pod(f'web-{number}')
            self.writer.publish(pod, self._pending(pod))
        self._until(lambda: len(self.written) == writer.THREADS)
        self.assertEqual(1, waits.call_count)
