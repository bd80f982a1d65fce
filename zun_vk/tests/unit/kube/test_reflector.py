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
import threading

import hypothesis
from hypothesis import stateful
from hypothesis import strategies as st
from oslotest import base

from zun_vk import backoff
from zun_vk import exceptions
from zun_vk.kube import reflector
from zun_vk.tests.fixtures import wait


def _pod(uid, version, **more):
    metadata = {'uid': uid, 'resourceVersion': str(version), 'name': uid}
    return {'metadata': metadata, **more}


class _Server:
    """One resource with a history, as an API server keeps it.

    It forgets history on compact(), fails as it is told to with fail_next,
    and counts who asked for what.
    """

    def __init__(self):
        self.changed = threading.Condition()
        self.objects = {}
        self.version = 100
        self.history = []
        self.compacted = 100
        self.fail_next = {'list': [], 'watch': []}
        self.lists = []
        self.watches = []
        self.timeouts = []
        self.streams = []

    def put(self, uid):
        with self.changed:
            kind = 'MODIFIED' if uid in self.objects else 'ADDED'
            self.version += 1
            self.objects[uid] = _pod(uid, self.version)
            self._record({'type': kind, 'object': self.objects[uid]})

    def delete(self, uid):
        with self.changed:
            self.version += 1
            del self.objects[uid]
            self._record({'type': 'DELETED',
                          'object': _pod(uid, self.version, gone=True)})

    def send(self, event):
        """Put any event into the stream, however odd."""
        with self.changed:
            self._record(event)

    def bookmark(self):
        with self.changed:
            self.version += 1
            self._record({'type': 'BOOKMARK', 'object': {'metadata': {
                'resourceVersion': str(self.version)}}})

    def compact(self):
        with self.changed:
            self.version += 1
            self.compacted = self.version
            self.history = []

    def end_watches(self, error=None):
        with self.changed:
            for stream in self.streams:
                stream.error = error
                stream.ended = True
            self.changed.notify_all()

    def _record(self, event):
        self.history.append((self.version, event))
        for stream in self.streams:
            if not stream.ended:
                stream.waiting.append(event)
        self.changed.notify_all()

    # What the reflector calls.

    def list(self, resource_version):
        with self.changed:
            self.lists.append(resource_version)
            self._fail('list')
            if resource_version:
                self._check(resource_version)
            return {'metadata': {'resourceVersion': str(self.version)},
                    'items': list(self.objects.values())}

    def watch(self, resource_version, timeout_seconds):
        with self.changed:
            self.watches.append(resource_version)
            self.timeouts.append(timeout_seconds)
            self._fail('watch')
            self._check(resource_version)
            stream = _Stream(self, [
                event for version, event in self.history
                if version > int(resource_version)])
            self.streams.append(stream)
            return stream

    def _fail(self, what):
        if self.fail_next[what]:
            raise self.fail_next[what].pop(0)

    def _check(self, resource_version):
        if int(resource_version) < self.compacted:
            raise exceptions.Expired('kubernetes', 'too old', 410)


class _Stream:
    """One open watch: what it still has to send, and how it ends."""

    def __init__(self, server, events):
        self.server = server
        self.waiting = collections.deque(events)
        self.ended = False
        self.closed = False
        self.error = None

    def __iter__(self):
        while event := self._next():
            yield event[0]

    def close(self):
        with self.server.changed:
            self.closed = True
            self.server.changed.notify_all()

    def _next(self):
        """Return a tuple of the next event, or None at the end."""
        with self.server.changed:
            self.server.changed.wait_for(
                lambda: self.waiting or self.ended or self.closed)
            if self.closed:
                raise exceptions.Unreachable('kubernetes', 'closed')
            if self.waiting:
                return (self.waiting.popleft(),)
            if self.error:
                raise self.error
            return None


class ReflectorTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.server = _Server()
        self.changes = []
        self.deletes = []
        self.seconds = 0.0
        self.stop = threading.Event()
        self.reflector = reflector.Reflector(
            self.server, name='pods', on_change=self._changed,
            on_delete=self.deletes.append,
            retry=backoff.Backoff(0.001, 0.01), clock=self._clock)

    def _clock(self):
        # Every watch seems to last long, but for tests of short ones.
        self.seconds += 10
        return self.seconds

    def _changed(self, old, new):
        self.changes.append((old and _version(old), _key(new)))

    def _start(self):
        thread = threading.Thread(target=self.reflector.run,
                                  args=(self.stop,), daemon=True)
        thread.start()
        self.addCleanup(self._end, thread)
        return thread

    def _end(self, thread):
        self.stop.set()
        thread.join(10)
        self.assertFalse(thread.is_alive())

    def _start_synced(self):
        thread = self._start()
        self._until(lambda: len(self.server.watches) == 1)
        return thread

    def _until(self, condition):
        wait.wait_for(condition, what='the reflector', timeout=10,
                      interval=0.002)

    def _until_same(self):
        """Wait until the copy equals the server's objects."""
        self._until(
            lambda: self.reflector.snapshot() == self.server.objects)

    # What is reported

    def test_the_first_list_is_reported_and_then_synced(self):
        synced_after = []
        self.reflector._on_synced = (
            lambda: synced_after.append(len(self.changes)))
        self.server.put('a')
        self.server.put('b')
        self._start_synced()
        self.assertEqual([(None, ('a', '101')), (None, ('b', '102'))],
                         self.changes)
        self.assertTrue(self.reflector.synced.is_set())
        self.assertEqual([2], synced_after)
        self.assertEqual([''], self.server.lists)
        self.assertEqual(['102'], self.server.watches)

    def test_synced_is_told_once(self):
        told = []
        self.reflector._on_synced = lambda: told.append(True)
        self._start_synced()
        self.server.end_watches(exceptions.Unreachable('kubernetes', 'x'))
        self._until(lambda: len(self.server.watches) == 2)
        self.assertEqual([True], told)

    def test_changes_and_deletes_are_reported_in_order(self):
        self._start_synced()
        self.server.put('a')
        self.server.put('a')
        self.server.put('b')
        self.server.delete('a')
        self._until(lambda: self.deletes)
        self.assertEqual(
            [(None, ('a', '101')), ('101', ('a', '102')),
             (None, ('b', '103'))], self.changes)
        self.assertEqual([_pod('a', 104, gone=True)], self.deletes)
        self.assertIsNone(self.reflector.get('a'))
        self.assertEqual(_pod('b', 103), self.reflector.get('b'))
        self.assertEqual({'b': _pod('b', 103)}, self.reflector.snapshot())

    def test_the_store_is_up_to_date_when_a_change_is_told(self):
        seen = []
        self.reflector._on_change = (
            lambda old, new: seen.append(self.reflector.get('a') is new))
        self._start_synced()
        self.server.put('a')
        self._until(lambda: seen)
        self.assertEqual([True], seen)

    def test_an_object_delivered_again_unchanged_is_not_reported(self):
        self.server.put('a')
        self._start_synced()
        self.server.version = 102
        self.server.send({'type': 'MODIFIED', 'object': _pod('a', 101)})
        self.server.end_watches(exceptions.Unreachable('kubernetes', 'x'))
        self._until(lambda: len(self.server.lists) == 2)
        self.server.put('b')
        self._until_same()
        self.assertEqual([(None, ('a', '101')), (None, ('b', '103'))],
                         self.changes)

    def test_the_same_name_with_another_uid_is_another_object(self):
        self._start_synced()
        for uid, version in (('u1', 101), ('u2', 102)):
            pod = _pod(uid, version)
            pod['metadata']['name'] = 'same'
            self.server.version = version
            self.server.send({'type': 'ADDED', 'object': pod})
        self._until(lambda: len(self.reflector.snapshot()) == 2)
        self.assertEqual([(None, ('u1', '101')), (None, ('u2', '102'))],
                         self.changes)

    def test_the_deletion_of_an_unknown_object_is_not_reported(self):
        self._start_synced()
        self.server.version = 101
        self.server.send({'type': 'DELETED', 'object': _pod('x', 101)})
        self.server.put('a')
        self._until_same()
        self.assertEqual([], self.deletes)

    # Places

    def test_a_watch_that_ended_is_opened_again_where_it_was(self):
        self._start_synced()
        self.server.put('a')
        self._until_same()
        self.server.end_watches()
        self._until(lambda: len(self.server.watches) == 2)
        self.server.put('b')
        self._until_same()
        self.assertEqual([''], self.server.lists)
        self.assertEqual(['100', '101'], self.server.watches)
        self.assertIsNone(self.reflector.last_error)

    def test_a_bookmark_moves_the_place_and_nothing_else(self):
        self._start_synced()
        self.server.bookmark()
        self.server.bookmark()
        self.server.end_watches()
        self._until(lambda: len(self.server.watches) == 2)
        self.assertEqual(['100', '102'], self.server.watches)
        self.assertEqual([], self.changes)
        self.assertEqual(0, self.reflector.skipped)

    def test_watches_end_after_five_to_ten_minutes_at_random(self):
        self._start_synced()
        for number in range(2, 12):
            self.server.end_watches()
            self._until(lambda n=number: len(self.server.watches) == n)
        self.assertTrue(all(300 <= seconds <= 600
                            for seconds in self.server.timeouts))
        self.assertGreater(len(set(self.server.timeouts)), 1)

    def test_a_broken_watch_lists_at_the_last_place(self):
        self._start_synced()
        self.server.put('a')
        self._until_same()
        self.server.end_watches(exceptions.Unreachable('kubernetes', 'x'))
        self._until(lambda: len(self.server.watches) == 2)
        self.server.put('b')
        self._until_same()
        self.assertEqual(['', '101'], self.server.lists)

    def test_what_went_while_away_is_reported_gone(self):
        self.server.put('a')
        self.server.put('b')
        self._start_synced()
        with self.server.changed:
            self.server.end_watches(
                exceptions.Unreachable('kubernetes', 'x'))
            self.server.delete('a')
            self.server.put('c')
            self.server.history = []
        self._until_same()
        self.assertEqual([_pod('a', 101)], self.deletes)
        self.assertEqual((None, ('c', '104')), self.changes[-1])

    def test_an_expired_watch_lists_the_newest(self):
        self.server.put('a')
        self._start_synced()
        with self.server.changed:
            self.server.end_watches()
            self.server.delete('a')
            self.server.put('b')
            self.server.compact()
        self._until_same()
        self.assertEqual(['', ''], self.server.lists)
        self.assertEqual([_pod('a', 101)], self.deletes)

    def test_an_error_event_410_lists_the_newest(self):
        self._start_synced()
        self.server.version = 101
        self.server.send({'type': 'ERROR', 'object': {
            'kind': 'Status', 'code': 410, 'message': 'too old'}})
        self._until(lambda: len(self.server.watches) == 2)
        self.assertEqual(['', ''], self.server.lists)
        self.assertIsNone(self.reflector.last_error)

    def test_an_expired_list_lists_the_newest(self):
        self._start_synced()
        with self.server.changed:
            self.server.end_watches(
                exceptions.Unreachable('kubernetes', 'x'))
            self.server.put('a')
            self.server.compact()
        self._until_same()
        self.assertEqual(['', '100', ''], self.server.lists)

    def test_a_version_the_server_has_not_reached_lists_the_newest(self):
        """As after etcd was restored from an older backup."""
        self._start_synced()
        self.server.fail_next['list'] = [exceptions.Unavailable(
            'kubernetes', 'Too large resource version', 504)]
        self.server.end_watches(exceptions.Unreachable('kubernetes', 'x'))
        self._until(lambda: len(self.server.watches) == 2)
        self.assertEqual(['', '100', ''], self.server.lists)

    # Trouble

    def test_a_server_that_is_away_is_tried_until_it_is_back(self):
        self.server.put('a')
        self.server.fail_next['list'] = [
            exceptions.Unreachable('kubernetes', 'refused')] * 5
        self._start()
        self._until_same()
        self.assertEqual([''] * 6, self.server.lists)
        self._until(lambda: self.reflector.last_error is None)

    def test_last_error_says_why(self):
        error = exceptions.AccessDenied('kubernetes', 'forbidden', 403)
        self.server.fail_next['list'] = [error] * 10 ** 6
        self._start()
        self._until(lambda: self.reflector.last_error is error)
        self.assertFalse(self.reflector.synced.is_set())

    def test_an_unforeseen_exception_does_not_end_it(self):
        self.server.fail_next['list'] = [ZeroDivisionError('bug')]
        self.server.fail_next['watch'] = [KeyError('bug')]
        self.server.put('a')
        self._start()
        self._until(lambda: len(self.server.watches) == 2)
        self.assertEqual({'a': _pod('a', 101)}, self.reflector.snapshot())

    def test_a_kind_of_failure_is_logged_once_until_recovery(self):
        away = exceptions.Unreachable('kubernetes', 'refused')
        busy = exceptions.Unavailable('kubernetes', 'busy', 503)
        self.server.fail_next['list'] = [away, busy, away, busy, away]
        with self.assertLogs(reflector.LOG, 'INFO') as logs:
            self._start()
            self._until(lambda: len(self.server.watches) == 1)
            self.server.put('a')
            self._until_same()
            self._until(lambda: any('again' in line
                                    for line in logs.output[2:]))
            self.server.fail_next['list'] = [away, away]
            self.server.end_watches(away)
            self._until(lambda: len(self.server.watches) == 2)
        self.assertEqual(4, len(logs.output), logs.output)
        self.assertIn('refused', logs.output[0])
        self.assertIn('busy', logs.output[1])
        self.assertIn('followed again', logs.output[2])
        self.assertIn('refused', logs.output[3])

    def test_watches_that_end_at_once_are_backed_off(self):
        self.reflector._clock = lambda: 0.0
        self._start_synced()
        self.server.end_watches()
        self._until(lambda: self.reflector.last_error is not None
                    or len(self.server.lists) == 2)
        self._until(lambda: len(self.server.lists) == 2)

    def test_a_list_that_is_none_is_an_error_not_a_deletion(self):
        self.server.put('a')
        self._start_synced()
        real, answers = self.server.list, [
            None, {}, [], {'metadata': {}}, {'items': []},
            {'metadata': {'resourceVersion': '7'}, 'items': 'many'}]

        def listed(resource_version):
            return answers.pop() if answers else real(resource_version)

        self.server.list = listed
        self.server.end_watches(exceptions.Unreachable('kubernetes', 'x'))
        self._until(lambda: len(self.server.watches) == 2)
        self.assertEqual([], answers)
        self.assertEqual([], self.deletes)

    def test_events_that_make_no_sense_are_counted_and_skipped(self):
        odd = [None, 1, 'x', [], {}, {'type': None}, {'type': 'ADDED'},
               {'type': ['ADDED'], 'object': _pod('x', 5)},
               {'type': 'ADDED', 'object': None},
               {'type': 'ADDED', 'object': []},
               {'type': 'ADDED', 'object': {}},
               {'type': 'ADDED', 'object': {'metadata': 3}},
               {'type': 'ADDED', 'object': {'metadata': {'uid': 'x'}}},
               {'type': 'ADDED', 'object': {'metadata': {
                   'uid': 7, 'resourceVersion': '1'}}},
               {'type': 'DELETED', 'object': {'metadata': {}}},
               {'type': 'BOOKMARK', 'object': None},
               {'type': 'BOOKMARK', 'object': {'metadata': {}}},
               {'type': 'BOUGHT', 'object': _pod('x', 5)},
               {'object': _pod('x', 5)}]
        self._start_synced()
        self.server.version = 101
        for event in odd:
            self.server.send(event)
        self.server.put('a')
        self._until_same()
        self.assertEqual(len(odd), self.reflector.skipped)
        self.assertEqual([(None, ('a', '102'))], self.changes)
        self.assertEqual(1, len(self.server.watches))

    def test_listed_objects_that_make_no_sense_are_skipped(self):
        self.server.put('a')
        self.server.objects.update(
            {'x': None, 'y': {'metadata': {}}, 'z': {'metadata': []}})
        self._start_synced()
        self.assertEqual({'a'}, self.reflector.snapshot().keys())
        self.assertEqual(3, self.reflector.skipped)

    def test_an_error_event_other_than_410_lists_again(self):
        self._start_synced()
        self.server.version = 101
        for status in ({'code': 500, 'message': 'etcd'}, None, {},
                       {'code': 429}, {'code': 'many'}):
            self.server.send({'type': 'ERROR', 'object': status})
        self.server.put('a')
        self._until_same()
        self.assertNotIn('', self.server.lists[1:])

    def test_an_observer_that_raises_stops_nothing(self):
        def fail(*args):
            raise RuntimeError('observer')

        self.reflector._on_change = fail
        self.reflector._on_delete = fail
        self.reflector._on_synced = fail
        self._start_synced()
        self.server.put('a')
        self.server.put('b')
        self.server.delete('a')
        self._until(lambda: self.reflector.observer_failures == 4)
        self.assertEqual(self.server.objects, self.reflector.snapshot())

    # Stopping

    def test_stop_ends_a_watch_that_waits(self):
        thread = self._start_synced()
        self.stop.set()
        thread.join(2)
        self.assertFalse(thread.is_alive())
        self.assertTrue(all(stream.closed for stream in self.server.streams))
        self.assertIsNone(self.reflector.last_error)

    def test_stop_ends_waiting_for_the_next_attempt(self):
        self.reflector._retry = backoff.Backoff(600, 600)
        self.server.fail_next['list'] = [
            exceptions.Unreachable('kubernetes', 'x')]
        thread = self._start()
        self._until(lambda: self.reflector.last_error)
        self.stop.set()
        thread.join(2)
        self.assertFalse(thread.is_alive())

    def test_stop_while_a_watch_is_opened_does_not_wait_for_it(self):
        real = self.server.watch

        def watch(*args):
            stream = real(*args)
            self.stop.set()
            return stream

        self.server.watch = watch
        thread = self._start()
        thread.join(2)
        self.assertFalse(thread.is_alive())

    def test_a_stop_set_before_the_start_does_nothing(self):
        self.stop.set()
        self._start().join(2)
        self.assertEqual([], self.server.lists)

    def test_every_watch_is_closed(self):
        self._start_synced()
        for number in range(2, 6):
            self.server.end_watches()
            self._until(lambda n=number: len(self.server.watches) == n)
        self.assertTrue(
            all(stream.closed for stream in self.server.streams[:-1]))

    def test_its_threads_end_with_it(self):
        thread = self._start_synced()
        self.stop.set()
        thread.join(2)
        self.assertEqual([], [other.name for other in threading.enumerate()
                              if other.name == 'reflector-pods-closer'])


class _Machine(stateful.RuleBasedStateMachine):
    """Whatever happens to server and watch, the copy follows."""

    UIDS = st.sampled_from('abc')

    def __init__(self):
        super().__init__()
        self.server = _Server()
        self.copy = {}
        self.stop = threading.Event()
        self.reflector = reflector.Reflector(
            self.server, name='pods', on_change=self._changed,
            on_delete=self._deleted, retry=backoff.Backoff(0.0001, 0.001),
            clock=iter(range(0, 10 ** 9, 10)).__next__)
        self.thread = threading.Thread(
            target=self.reflector.run, args=(self.stop,), daemon=True)
        self.thread.start()

    def _changed(self, old, new):
        uid = new['metadata']['uid']
        assert self.copy.get(uid) == old
        self.copy[uid] = new

    def _deleted(self, last):
        del self.copy[last['metadata']['uid']]

    @stateful.rule(uid=UIDS)
    def put(self, uid):
        self.server.put(uid)

    @stateful.precondition(lambda self: self.server.objects)
    @stateful.rule(data=st.data())
    def delete(self, data):
        self.server.delete(
            data.draw(st.sampled_from(sorted(self.server.objects))))

    @stateful.rule()
    def bookmark(self):
        self.server.bookmark()

    @stateful.rule(events=st.lists(st.recursive(
        st.none() | st.text(max_size=3) | st.integers(),
        lambda inner: st.dictionaries(
            st.sampled_from(['object', 'metadata', 'uid']), inner),
        max_leaves=4), max_size=2))
    def nonsense(self, events):
        for event in events:
            with self.server.changed:
                self.server.version += 1
                self.server.send(event)

    @stateful.rule(status=st.sampled_from([0, 410, 500, 504]))
    def break_the_watch(self, status):
        error = exceptions.RemoteError('kubernetes', 'broken', status)
        self.server.end_watches(error if status else None)

    @stateful.rule(what=st.sampled_from(['list', 'watch']),
                   status=st.sampled_from([403, 500, 503, 504]))
    def fail(self, what, status):
        self.server.fail_next[what].append(
            exceptions.RemoteError('kubernetes', 'failed', status))

    @stateful.rule()
    def compact(self):
        with self.server.changed:
            self.server.compact()
            self.server.end_watches()

    def teardown(self):
        try:
            wait.wait_for(
                lambda: self.reflector.snapshot() == self.server.objects,
                what='the copy to follow', timeout=10, interval=0.002)
        finally:
            self.stop.set()
            self.thread.join(10)
        assert not self.thread.is_alive()
        assert self.copy == self.server.objects
        assert self.reflector.observer_failures == 0


class ReflectorModelTestCase(_Machine.TestCase):
    settings = hypothesis.settings(
        max_examples=40, stateful_step_count=25)


def _version(thing):
    return thing['metadata']['resourceVersion']


def _key(thing):
    return thing['metadata']['uid'], _version(thing)
