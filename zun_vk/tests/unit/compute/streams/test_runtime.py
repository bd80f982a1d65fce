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
import contextlib

import hypothesis
from hypothesis import strategies
from oslotest import base

from zun_vk import exceptions
from zun_vk.compute.streams import runtime

TARGET = runtime.Target('127.0.0.1', 4000, '/exec/abc?x=1')
HEAD = (b'POST / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n'
        b'Content-Length: 0')


class ParsedTestCase(base.BaseTestCase):

    def test_a_loopback_address_is_taken(self):
        for url, address in (
                ('http://127.0.0.1:4000/exec/abc?x=1', '127.0.0.1'),
                ('http://localhost:4000/exec/abc?x=1', '127.0.0.1'),
                ('http://[::1]:4000/exec/abc?x=1', '::1')):
            self.assertEqual(TARGET._replace(address=address),
                             runtime.parsed(url))

    def test_nothing_else_is(self):
        for url in ('http://10.0.0.1:4000/exec/abc', 'http:///exec/abc',
                    'http://0.0.0.0:4000/x', 'http://[::]:4000/x',
                    'http://169.254.169.254/latest', 'file:///etc/passwd',
                    'http://localhost.example.com/x', 'http://2130706433/x',
                    'http://127.0.0.1@10.0.0.1/x', 'http://127.0.0.1:x/x',
                    'https://127.0.0.1:4000/x', 'http://127.0.0.1:4000',
                    'http://127.0.0.1:4000/a b', ''):
            with self.subTest(url=url):
                refused = self.assertRaises(exceptions.Refused,
                                            runtime.parsed, url)
                self.assertEqual(500, refused.status)

    @hypothesis.given(strategies.text())
    def test_nothing_crashes_it(self, url):
        with contextlib.suppress(exceptions.Refused):
            runtime.parsed(url)

    def test_a_refusal_shows_no_path(self):
        refused = self.assertRaises(exceptions.Refused, runtime.parsed,
                                    'http://10.0.0.1:4000/exec/secret')
        self.assertNotIn('secret', refused.words)


class RewrittenTestCase(base.BaseTestCase):

    def test_path_and_host_are_the_runtime_s(self):
        self.assertEqual(
            b'POST /exec/abc?x=1 HTTP/1.1\r\nHost: 127.0.0.1:4000\r\n'
            b'Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n'
            b'Content-Length: 0\r\n\r\n',
            runtime.rewritten(HEAD + b'\r\nhost: evil', TARGET))

    def test_what_is_no_head_is_refused(self):
        for head in (b'', b'GET /x HTTP/1.1', b'PUT / HTTP/1.1',
                     b'GET / HTTP/1.0', HEAD + b'\r\nno colon',
                     HEAD + b'\r\nA: b\nC: d', HEAD + b'\r\n folded: x',
                     b'GET / HTTP/1.1\nHost: x', HEAD + b'\r\nA : b'):
            with self.subTest(head=head):
                self.assertRaises(ValueError, runtime.rewritten, head,
                                  TARGET)

    @hypothesis.given(strategies.binary())
    def test_no_head_asks_for_another_path(self, more):
        try:
            made = runtime.rewritten(HEAD + b'\r\n' + more, TARGET)
        except ValueError:
            return
        lines = made.split(b'\r\n')
        self.assertEqual(b'POST /exec/abc?x=1 HTTP/1.1', lines[0])
        self.assertEqual([b'', b''], lines[-2:])
        self.assertNotIn(b'', lines[:-2])
        self.assertNotIn(b'\n', b''.join(lines))
