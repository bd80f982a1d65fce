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
"""What is a request, and what is none."""

import itertools
import string
import urllib.parse

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from zun_vk.kubelet import requests

_GOOD = (b'GET /exec/ns/pod/c?command=sh&command=-c&tty= HTTP/1.1\r\n'
         b'Host: node:10250\r\nX-Two: a\r\nx-two: b\r\n\r\n')


def receiver(data):
    """Return a way to receive it, and what is left of it."""
    rest = bytearray(data)

    def receive(size):
        piece = bytes(rest[:size])
        del rest[:size]
        return piece

    return receive, rest


class TestReadHead(base.BaseTestCase):

    def refusal(self, data):
        receive, _ = receiver(data)
        return self.assertRaises(requests.Malformed, requests.read_head,
                                 receive).status

    def test_nothing_behind_a_head_is_taken(self):
        receive, rest = receiver(_GOOD + b'stream')

        self.assertEqual(_GOOD, requests.read_head(receive))

        self.assertEqual(b'stream', rest)

    def test_a_connection_that_ends_before_a_request_is_no_error(self):
        self.assertEqual(b'', requests.read_head(receiver(b'')[0]))

    def test_one_that_ends_within_a_request_is_an_error(self):
        self.assertEqual(400, self.refusal(_GOOD[:-1]))

    def test_a_bare_line_feed_is_refused_at_once(self):
        self.assertEqual(400, self.refusal(b'GET / HTTP/1.1\nHost: x\n\n'))
        self.assertEqual(400, self.refusal(b'\n' + _GOOD))
        self.assertEqual(400, self.refusal(b'GET / HTTP/1.1\r\n\n'))

    def test_a_line_without_end_is_refused(self):
        self.assertEqual(414, self.refusal(
            b'GET /' + b'x' * requests.MAX_LINE))

    def test_fields_without_end_are_refused(self):
        self.assertEqual(431, self.refusal(
            b'GET / HTTP/1.1\r\na: ' + b'x' * requests.MAX_FIELDS_SIZE))

    def test_a_line_may_hold_a_long_command(self):
        line = b'GET /exec?command=' + b'x' * 900_000 + b' HTTP/1.1\r\n'
        head = line + b'Host: x\r\n\r\n'

        self.assertEqual(head, requests.read_head(receiver(head)[0]))

    @given(st.text('abc/?=&', max_size=30), st.text('xyz: ', max_size=30),
           st.binary(max_size=20), st.integers(1, 12))
    def test_nothing_behind_any_good_head_is_taken(self, line, value, after,
                                                   size):
        head = f'GET /{line} HTTP/1.1\r\nHost:{value}\r\n\r\n'.encode()
        receive, rest = receiver(head + after)

        self.assertEqual(head, requests.read_head(
            lambda most: receive(min(most, size))))

        self.assertEqual(after, rest)

    @given(st.lists(st.sampled_from(
        [b'\r', b'\n', b'\r\n', b'GET / HTTP/1.1', b'Host:', b'x'])),
        st.lists(st.integers(1, 12), min_size=1, max_size=5))
    def test_whatever_comes_it_ends(self, pieces, sizes):
        data = b''.join(pieces)
        receive, rest = receiver(data)
        turns = itertools.cycle(sizes)

        def some(size):
            return receive(min(size, next(turns)))

        try:
            head = requests.read_head(some)
        except requests.Malformed:
            return
        self.assertEqual(data, head + rest)


class TestParse(base.BaseTestCase):

    def refusal(self, head):
        return self.assertRaises(requests.Malformed, requests.parse,
                                 head).status

    def fields(self, *fields):
        return self.refusal('\r\n'.join(
            ['GET / HTTP/1.1', 'Host: x', *fields, '', '']).encode('latin-1'))

    def line(self, line):
        return self.refusal(line.encode('latin-1') + b'\r\nHost: x\r\n\r\n')

    def test_a_request(self):
        request = requests.parse(_GOOD)

        self.assertEqual('GET', request.method)
        self.assertEqual('/exec/ns/pod/c', request.path)
        self.assertEqual({'command': ['sh', '-c'], 'tty': ['']},
                         request.query)
        self.assertEqual(['a', 'b'], request.headers.get_all('X-TWO'))
        self.assertFalse(request.last)

    def test_names_and_words_are_decoded_once(self):
        request = requests.parse(
            b'GET /a%20b/%2525?command=%26%2B+%E2%82%AC HTTP/1.1\r\n'
            b'Host: x\r\n\r\n')

        self.assertEqual('/a b/%25', request.path)
        self.assertEqual(['&+ \u20ac'], request.query['command'])

    def test_a_client_may_want_the_connection_closed(self):
        self.assertTrue(requests.parse(
            b'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, Close\r\n'
            b'\r\n').last)

    def test_a_length_of_nothing_is_none(self):
        requests.parse(b'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n'
                       b'\r\n')

    def test_a_body_is_refused(self):
        self.assertEqual(413, self.fields('Content-Length: 1'))

    def test_what_two_readers_may_understand_in_two_ways_is_refused(self):
        for fields in (
                ['Transfer-Encoding: chunked'],
                ['Transfer-Encoding: identity'],
                ['transfer-encoding:\tchunked', 'Content-Length: 0'],
                ['Transfer-Encoding : chunked'],
                [' Transfer-Encoding: chunked'],
                ['X: a', '\tTransfer-Encoding: chunked'],
                ['Content-Length: 0', 'Content-Length: 0'],
                ['Content-Length: 0, 5'],
                ['Content-Length: +0'],
                ['Content-Length: -1'],
                ['Content-Length: 0x0'],
                ['Content-Length:'],
                ['Content-Length: \xb2'],
                ['Host: y'],
                ['Authorization: Bearer a', 'authorization: Bearer b'],
                ['X: a\x00b'],
                ['X: a\rTransfer-Encoding: chunked'],
                ['X\x00: a'],
                ['no colon'],
                [': no name']):
            self.assertEqual(400, self.fields(*fields), fields)

    def test_without_a_host_it_is_refused(self):
        self.assertEqual(400, self.refusal(b'GET / HTTP/1.1\r\n\r\n'))

    def test_malformed_lines_are_refused(self):
        for line in ('GET  / HTTP/1.1', 'GET / HTTP/1.1 ', ' GET / HTTP/1.1',
                     'GET\t/\tHTTP/1.1', 'get / HTTP/1.1', 'GET /',
                     'GET http://x/ HTTP/1.1', 'CONNECT x:1 HTTP/1.1',
                     'OPTIONS * HTTP/1.1', 'GET /\xe4 HTTP/1.1',
                     'GET /\x00 HTTP/1.1', 'GET /%zz HTTP/1.1',
                     'GET /%ff HTTP/1.1', 'GET /%00 HTTP/1.1',
                     'GET /a%2fb HTTP/1.1', 'GET /a%2Fb HTTP/1.1',
                     'GET /a%0d%0ab HTTP/1.1', 'GET /a#b HTTP/1.1',
                     'GET /?a=%zz HTTP/1.1', 'GET /?a=%ff HTTP/1.1',
                     'GET /?a;b HTTP/1.1', '', 'GET / HTTP/11'):
            self.assertEqual(400, self.line(line), line)

    def test_other_versions_are_refused(self):
        for version in ('0.9', '1.0', '2.0'):
            self.assertEqual(505, self.line(f'GET / HTTP/{version}'))

    def test_too_many_fields_are_refused(self):
        self.assertEqual(431, self.fields(
            *['a: b'] * requests.MAX_FIELDS))

    def test_too_many_words_are_refused(self):
        self.assertEqual(400, self.line(
            'GET /?' + 'a&' * 5000 + ' HTTP/1.1'))

    def test_nothing_is_expected(self):
        self.assertEqual(417, self.fields('Expect: 100-continue'))

    @given(st.binary(max_size=300))
    def test_anything_is_a_request_or_refused(self, data):
        try:
            request = requests.parse(data)
        except requests.Malformed:
            return
        self.assertTrue(request.path.startswith('/'))

    @given(st.lists(st.text(max_size=20), max_size=5),
           st.text(string.ascii_letters + '-', min_size=1, max_size=10))
    def test_a_command_comes_through_as_it_was(self, words, name):
        query = urllib.parse.urlencode([('command', word) for word in words])
        request = requests.parse(
            f'POST /exec/{name}?{query} HTTP/1.1\r\nHost: x\r\n\r\n'.encode())

        self.assertEqual(words, request.query.get('command', []))
