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
from http import server
import json
import socket
import threading

import fixtures
from oslotest import base

from zun_vk import exceptions
from zun_vk.kube import client
from zun_vk.kube import podsource
from zun_vk.kube import reflector
from zun_vk.tests.fixtures import wait
from zun_vk.tests.fixtures.openstack import http
from zun_vk.tests.unit.kube import api


def _pod(uid, version='1'):
    return {'metadata': {'uid': uid, 'resourceVersion': version}}


def _page(*uids, token=None, version='7'):
    metadata = {'resourceVersion': version}
    if token:
        metadata['continue'] = token
    return http.Response(200, {'metadata': metadata, 'items': [
        _pod(uid) for uid in uids]})


class ListTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        fixture = self.useFixture(api.ApiFixture(threading.RLock()))
        self.api = fixture.api
        self.source = podsource.PodSource(fixture.client(), 'zun-vk')

    def _listed(self, version='3'):
        listed = self.source.list(version)
        return (listed['metadata']['resourceVersion'],
                [item['metadata']['uid'] for item in listed['items']])

    def test_only_the_nodes_pods_are_asked_for(self):
        self.api.answers.append(_page('a', 'b'))
        self.assertEqual(('7', ['a', 'b']), self._listed())
        query = self.api.seen[0].query
        self.assertEqual(('spec.nodeName=zun-vk', '3'),
                         (query['fieldSelector'], query['resourceVersion']))

    def test_pages_are_joined(self):
        self.api.answers += [_page('a', token='t1'), _page('b', token='t2'),
                             _page('c')]
        self.assertEqual(('7', ['a', 'b', 'c']), self._listed(''))
        self.assertEqual([None, 't1', 't2'], [
            request.query.get('continue') for request in self.api.seen])
        for request in self.api.seen[1:]:
            self.assertNotIn('resourceVersion', request.query)
            self.assertEqual('spec.nodeName=zun-vk',
                             request.query['fieldSelector'])

    def test_who_wrote_which_field_is_left_out(self):
        page = _page('a')
        page.body['items'][0]['metadata']['managedFields'] = [{}]
        self.api.answers.append(page)
        self.assertEqual([_pod('a')], self.source.list('0')['items'])

    def test_pods_share_the_words_they_have_in_common(self):
        for uid in 'ab':
            page = _page(uid)
            page.body['items'][0]['spec'] = {
                'containers': [{'name': 'main', 'tty': True, 'ports': None}]}
            self.api.answers.append(page)
        one, other = (self.source.list('0')['items'][0]['spec']
                      for _ in range(2))
        self.assertEqual(one, other)
        first, second = one['containers'][0], other['containers'][0]
        self.assertIs(first['name'], second['name'])
        for key, same in zip(first, second, strict=True):
            self.assertIs(key, same)

    def test_a_version_or_page_that_is_gone_is_expired(self):
        self.api.answers.append(http.Response(410, {'message': 'old'}))
        self.assertRaises(exceptions.Expired, self.source.list, '3')
        self.api.answers += [_page('a', token='t1'),
                             http.Response(410, {'message': 'old'})]
        self.assertRaises(exceptions.Expired, self.source.list, '')

    def test_answers_that_make_no_sense_are_remote_errors(self):
        for body in ({}, {'items': None}, {'items': []},
                     {'items': [], 'metadata': None},
                     {'items': 5, 'metadata': {}}):
            self.api.answers.append(http.Response(200, body))
            self.assertRaises(exceptions.RemoteError, self.source.list, '7')


class _WatchHandler(server.BaseHTTPRequestHandler):
    """Streams what the test put into server.chunks, then waits."""

    protocol_version = 'HTTP/1.1'

    def do_GET(self):
        self.server.paths.append(self.path)
        status, chunks, ends = self.server.script.pop(0)
        self.send_response(status)
        self.send_header('Transfer-Encoding', 'chunked')
        self.send_header('Connection', 'close')
        self.end_headers()
        for chunk in chunks:
            self._chunk(chunk)
        if ends == 'wait':
            self.server.release.wait(20)
        if ends == 'end':
            self._chunk(b'')
        self.close_connection = True

    def _chunk(self, data):
        self.wfile.write(b'%x\r\n%s\r\n' % (len(data), data))
        self.wfile.flush()

    def log_message(self, *_args):
        """Nothing on the terminal."""


class WatchTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.server = server.ThreadingHTTPServer(
            ('127.0.0.1', 0), _WatchHandler)
        self.server.daemon_threads = True
        self.server.script = []
        self.server.paths = []
        self.server.release = threading.Event()
        thread = threading.Thread(target=self.server.serve_forever,
                                  kwargs={'poll_interval': 0.01})
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.addCleanup(self.server.release.set)
        fixture = self.useFixture(api.ApiFixture(threading.RLock()))
        fixture.api.stop()
        self.source = podsource.PodSource(fixture_client(
            fixture, self.server.server_port), 'zun-vk')

    def _watch(self, *chunks, ends='end', status=200):
        self.server.script.append((status, chunks, ends))
        return self.source.watch('7', 300)

    def test_a_watch_asks_for_what_follows_with_bookmarks(self):
        self.assertEqual([], list(self._watch()))
        # the client writes booleans as True (36) or true (37)
        path = self.server.paths[0].lower()
        for part in ('watch=true', 'resourceversion=7',
                     'allowwatchbookmarks=true', 'timeoutseconds=300',
                     'fieldselector=spec.nodename%3dzun-vk'):
            self.assertIn(part, path)

    def test_events_come_one_by_one_however_they_are_cut(self):
        events = [{'type': 'ADDED', 'object': _pod(uid)} for uid in 'abc']
        data = b''.join(json.dumps(event).encode() + b'\n'
                        for event in events)
        cuts = [data[index:index + 7] for index in range(0, len(data), 7)]
        self.assertEqual(events, list(self._watch(*cuts)))
        self.assertEqual(events, list(self._watch(data)))
        self.assertEqual(events, list(self._watch(data.rstrip())))

    def test_an_event_comes_before_the_next_one_is_there(self):
        watch = self._watch(b'{"type": "BOOKMARK", "object": {}}\n',
                            ends='wait')
        self.addCleanup(watch.close)
        self.assertEqual('BOOKMARK', next(iter(watch))['type'])

    def test_lines_that_are_no_event_do_not_end_it(self):
        events = list(self._watch(
            b'nonsense\n', b'[]\n', b'5\n', b'\n', b'\xff\xfe\n',
            b'{"type": "BOOKMARK"}\n'))
        self.assertEqual({'type': 'BOOKMARK'}, events[-1])
        self.assertTrue(all(isinstance(event, dict) for event in events))

    def test_a_version_that_is_gone_is_expired(self):
        error = self.assertRaises(
            exceptions.Expired, self._watch, b'{"message": "old"}',
            status=410)
        self.assertEqual('old', error.message)

    def test_a_connection_that_breaks_is_unreachable(self):
        watch = self._watch(b'{"type": "BOOKMARK"}\n', ends='break')
        self.assertRaises(exceptions.Unreachable, list, watch)

    def test_a_watch_that_is_silent_for_too_long_ends(self):
        self.useFixture(fixtures.MockPatchObject(client, 'SILENCE', 0.2))
        watch = self._watch(b'{"type": "BOOKMARK"}\n', ends='wait')
        self.assertEqual(['BOOKMARK'], [event['type'] for event in watch])

    def test_a_peer_that_no_longer_answers_is_noticed(self):
        watch = self._watch(ends='wait')
        self.addCleanup(watch.close)
        connection = watch._response._fp.fp.raw._sock
        for level, option, value in (
                (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
                (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
                (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 25_000)):
            self.assertEqual(value, connection.getsockopt(level, option))

    def test_a_silent_watch_is_followed_by_another_without_a_list(self):
        self.useFixture(fixtures.MockPatchObject(client, 'SILENCE', 1.2))
        self.server.script.append((200, [json.dumps(
            {'metadata': {'resourceVersion': '7'}, 'items': []}).encode()],
            'end'))
        self.server.script += [(200, [], 'wait'), (200, [], 'wait')]
        mirror = reflector.Reflector(
            self.source, name='pods', on_change=lambda old, new: None,
            on_delete=lambda last: None)
        stop = threading.Event()
        thread = threading.Thread(target=mirror.run, args=(stop,))
        thread.start()
        wait.wait_for(lambda: len(self.server.paths) == 3, 'another watch',
                      timeout=10, interval=0.01)
        stop.set()
        thread.join(5)
        self.assertIsNone(mirror.last_error)
        for path in self.server.paths[1:]:
            self.assertIn('watch=true', path.lower())

    def test_closing_wakes_who_waits_for_events(self):
        watch = self._watch(ends='wait')
        ended = threading.Event()

        def follow():
            list(watch)
            ended.set()

        thread = threading.Thread(target=follow)
        thread.start()
        wait.wait_for(lambda: self.server.paths, 'the watch', timeout=5,
                      interval=0.005)
        watch.close()
        watch.close()
        self.assertTrue(ended.wait(5))
        thread.join(5)
        watch.close()

    def test_closing_a_watch_nobody_reads_is_no_error(self):
        watch = self._watch(ends='wait')
        watch.close()
        self.assertEqual([], list(watch))

    def test_a_reflector_on_it_stops_at_once(self):
        self.server.script.append((200, [json.dumps(
            {'metadata': {'resourceVersion': '7'},
             'items': [_pod('a')]}).encode()], 'end'))
        self.server.script.append((200, [], 'wait'))
        mirror = reflector.Reflector(
            self.source, name='pods', on_change=lambda old, new: None,
            on_delete=lambda last: None)
        stop = threading.Event()
        thread = threading.Thread(target=mirror.run, args=(stop,))
        thread.start()
        wait.wait_for(lambda: len(self.server.paths) == 2, 'the watch',
                      timeout=5, interval=0.005)
        stop.set()
        thread.join(5)
        self.assertFalse(thread.is_alive())
        self.assertEqual({'a'}, set(mirror.snapshot()))


def fixture_client(fixture, port):
    """Return a client of the server on another port."""
    return client.KubeClient(fixture.conf(api.kubeconfig(
        server=f'http://127.0.0.1:{port}')))
