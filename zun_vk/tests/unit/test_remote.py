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
import datetime
import email.utils
import http

import hypothesis
from hypothesis import strategies as st
from oslotest import base
import prometheus_client

from zun_vk import exceptions
from zun_vk import remote


class FromStatusTestCase(base.BaseTestCase):

    def test_each_status_has_its_class(self):
        for status, expected in (
                (0, exceptions.Unreachable), (400, exceptions.Rejected),
                (401, exceptions.AccessDenied),
                (403, exceptions.AccessDenied), (404, exceptions.NotFound),
                (409, exceptions.Conflict), (410, exceptions.Expired),
                (422, exceptions.Rejected), (429, exceptions.Throttled),
                (500, exceptions.Unavailable),
                (503, exceptions.Unavailable),
                (302, exceptions.Unavailable)):
            error = remote.from_status('zun', status, 'words')
            self.assertIs(expected, type(error), status)
            self.assertEqual(('zun', 'words', status),
                             (error.service, error.message, error.status))

    def test_the_time_to_wait_is_kept(self):
        self.assertEqual(
            7, remote.from_status('zun', 429, 'words', 7).retry_after)

    def test_an_outage_may_say_when_it_ends(self):
        self.assertEqual(
            7, remote.from_status('zun', 503, 'words', 7).retry_after)

    @hypothesis.given(st.integers(0, 999), st.text())
    def test_any_status_is_a_remote_error(self, status, message):
        error = remote.from_status('zun', status, message)
        self.assertIsInstance(error, exceptions.RemoteError)


class SecondsToWaitTestCase(base.BaseTestCase):

    def test_seconds_are_read(self):
        for header, seconds in (('7', 7), (' 0.5 ', 0.5), (3, 3)):
            self.assertEqual(seconds, remote.seconds_to_wait(header))

    def test_a_date_is_read(self):
        date = email.utils.format_datetime(
            datetime.datetime.now(datetime.UTC)
            + datetime.timedelta(seconds=100), usegmt=True)
        self.assertTrue(90 < remote.seconds_to_wait(date) <= 100, date)

    def test_what_makes_no_sense_is_no_wait(self):
        for header in (None, '', 'soon', '-5', 'nan', 'inf',
                       'Fri, 31 Dec 1999 23:59:59 GMT',
                       'Fri, 31 Dec 2999 23:59:59', '٣ apples'):
            self.assertEqual(0, remote.seconds_to_wait(header), header)

    def test_no_wait_is_endless(self):
        for header in ('1e9', 'Fri, 31 Dec 2999 23:59:59 GMT'):
            self.assertEqual(300, remote.seconds_to_wait(header))

    @hypothesis.given(st.one_of(st.text(), st.floats(), st.integers()))
    def test_any_header_is_bounded(self, header):
        self.assertTrue(0 <= remote.seconds_to_wait(header) <= 300)


class MeasuredTestCase(base.BaseTestCase):

    def _count(self, call, code):
        return prometheus_client.REGISTRY.get_sample_value(
            'zun_vk_api_calls_total',
            {'service': 'test', 'call': call, 'code': code}) or 0

    def _measure(self, call, error=None, status=0):
        with remote.measured('test', call) as measured:
            if error:
                raise error
            measured.status = status

    def test_a_call_is_counted_by_its_status(self):
        self._measure('works', status=201)
        self.assertEqual(1, self._count('works', '201'))
        self.assertRaises(
            exceptions.Conflict, self._measure, 'conflicts',
            exceptions.Conflict('test', 'words', 409))
        self.assertEqual(1, self._count('conflicts', '409'))

    def test_a_success_whose_status_nobody_saw_is_a_success(self):
        self._measure('unseen')
        self.assertEqual(1, self._count('unseen', '2xx'))

    def test_an_answer_that_makes_no_sense_is_no_success(self):
        def read():
            with remote.measured('test', 'breaks') as measured:
                measured.status = 200
                raise exceptions.Unavailable('test', 'broken answer')
        self.assertRaises(exceptions.Unavailable, read)
        self.assertEqual(1, self._count('breaks', 'broken'))
        self.assertEqual(0, self._count('breaks', '200'))

    def test_other_errors_pass_and_are_no_success(self):
        self.assertRaises(ZeroDivisionError, self._measure, 'crashes',
                          ZeroDivisionError())
        self.assertEqual(1, self._count('crashes', 'error'))
        self.assertEqual(0, self._count('crashes', '2xx'))

    def test_every_call_is_timed(self):
        self._measure('timed')
        self.assertRaises(exceptions.NotSent, self._measure, 'timed',
                          exceptions.NotSent('test', 'words'))
        self.assertEqual(2, prometheus_client.REGISTRY.get_sample_value(
            'zun_vk_api_call_seconds_count',
            {'service': 'test', 'call': 'timed'}))


class CodeOfTestCase(base.BaseTestCase):

    def test_where_no_answer_came_a_word_tells_why(self):
        for error, word in (
                (exceptions.Unreachable('test', 'words'), 'unreachable'),
                (exceptions.NotSent('test', 'words'), 'not_sent'),
                (exceptions.NotHolder('test', 'words'), 'not_sent'),
                (exceptions.Unavailable('test', 'words'), 'broken'),
                (exceptions.Rejected('test', 'words'), 'error'),
                (KeyboardInterrupt(), 'error')):
            self.assertEqual(word, remote.code_of(error), error)

    def test_the_status_of_an_answer_is_its_code(self):
        for status in (302, 404, 409, 429, 500, 503):
            self.assertEqual(str(status), remote.code_of(
                remote.from_status('test', status, 'words')))

    @hypothesis.given(st.integers())
    def test_no_peer_can_make_up_codes(self, status):
        code = remote.code_of(
            exceptions.Unavailable('test', 'words', status))
        self.assertTrue(code in ('other', 'broken')
                        or http.HTTPStatus(int(code)), code)
