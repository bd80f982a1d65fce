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

import hypothesis
from hypothesis import strategies
from oslotest import base

from zun_vk.compute.streams import logformat
from zun_vk.rpc import streams

_STAMP = b'2026-01-02T03:04:05.678901234Z'


class FormatTestCase(base.BaseTestCase):

    def test_a_line_has_four_parts(self):
        self.assertEqual(
            (_STAMP, b'stderr', False, b'a b  c\r'),
            logformat.parse(_STAMP + b' stderr P:x a b  c\r'))

    def test_anything_else_is_no_line(self):
        for raw in (b'', b'x', _STAMP + b' stdin F x', _STAMP + b' stdout F',
                    _STAMP + b' stdout X x', b'yesterday stdout F x'):
            self.assertIsNone(logformat.parse(raw), raw)

    @hypothesis.given(strategies.binary(max_size=300))
    def test_any_bytes_are_a_line_or_not(self, raw):
        printer = logformat.Printer(streams.LogOptions(timestamps=True,
                                                       since=1.0))
        logformat.parse(raw)
        printer.feed(raw + b'\n' + raw)
        printer.finish()

    @hypothesis.given(strategies.binary(max_size=60))
    def test_what_was_said_comes_out_as_it_is(self, said):
        said = said.replace(b'\n', b'')
        printer = logformat.Printer(streams.LogOptions())
        self.assertEqual(said + b'\n', printer.feed(
            _STAMP + b' stdout F ' + said + b'\n'))

    def test_times_are_shown_with_nine_digits(self):
        for time, shown in (
                (_STAMP, _STAMP),
                (b'2026-01-02T03:04:05.5Z', b'2026-01-02T03:04:05.500000000Z'),
                (b'2026-01-02T03:04:05Z', b'2026-01-02T03:04:05.000000000Z'),
                (b'2026-01-02T03:04:05.25+02:00',
                 b'2026-01-02T03:04:05.250000000+02:00'),
                (b'no time', b'no time')):
            self.assertEqual(shown, logformat.fixed(time))

    def test_times_of_other_zones_are_compared_rightly(self):
        self.assertEqual(b'2026-01-02T01:04:05.250000000Z', logformat.in_utc(
            b'2026-01-02T03:04:05.25+02:00'))
        self.assertEqual(b'0001-01-01T00:00:00.000000000+02:00',
                         logformat.in_utc(b'0001-01-01T00:00:00+02:00'))

    def test_a_time_that_never_comes_shows_nothing(self):
        self.assertGreater(logformat.earliest(1e300), _STAMP)

    @hypothesis.given(
        strategies.datetimes(min_value=datetime.datetime(1970, 1, 2),
                             max_value=datetime.datetime(2200, 1, 1)),
        strategies.integers(-12, 12), strategies.integers(-1000, 1000))
    def test_since_means_the_same_in_each_zone(self, at, zone, seconds):
        at = at.replace(microsecond=0, tzinfo=datetime.UTC)
        local = at.astimezone(datetime.timezone(datetime.timedelta(
            hours=zone)))
        time = logformat.in_utc(local.isoformat().encode())
        self.assertEqual(
            seconds <= 0,
            time >= logformat.earliest(max(0, at.timestamp() + seconds)))

    def test_a_line_of_which_nothing_is_wanted_does_not_begin_one(self):
        printer = logformat.Printer(streams.LogOptions(
            timestamps=True, streams='stdout'))
        shown = printer.feed(_STAMP + b' stdout P a\n' + _STAMP
                             + b' stderr F x\n' + _STAMP + b' stdout F b\n')
        self.assertEqual(_STAMP + b' ab\n', shown)
