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
import fractions
import time

import hypothesis
from hypothesis import strategies as st
from oslotest import base

from zun_vk import exceptions
from zun_vk import quantity

_FACTORS = {
    'n': fractions.Fraction(1, 10 ** 9), 'u': fractions.Fraction(1, 10 ** 6),
    'm': fractions.Fraction(1, 1000), '': 1, 'k': 10 ** 3, 'M': 10 ** 6,
    'G': 10 ** 9, 'T': 10 ** 12, 'P': 10 ** 15, 'E': 10 ** 18,
    'Ki': 2 ** 10, 'Mi': 2 ** 20, 'Gi': 2 ** 30, 'Ti': 2 ** 40,
    'Pi': 2 ** 50, 'Ei': 2 ** 60}

_DIGITS = st.text('0123456789', min_size=1, max_size=15)
_NUMBERS = st.one_of(
    _DIGITS, _DIGITS.map('{}.'.format), _DIGITS.map('.{}'.format),
    st.tuples(_DIGITS, _DIGITS).map('.'.join))


def _round(exact):
    """Return the exact fraction rounded away from zero and cut to int64."""
    size = abs(exact)
    whole = min(-(-size.numerator // size.denominator), 2 ** 63 - 1)
    return whole if exact >= 0 else -whole


class ParseTestCase(base.BaseTestCase):

    def test_cpu_is_milli_cpu_rounded_up(self):
        for text, milli in (
                ('0', 0), ('1', 1000), ('100m', 100), ('0.1', 100),
                ('1.5', 1500), ('.5', 500), ('2.', 2000), ('+3', 3000),
                ('1e3', 1000000), ('1E2', 100000), ('15e-1', 1500),
                ('1n', 1), ('1u', 1), ('999999n', 1), ('1000001n', 2),
                ('0.0001', 1), ('-1', -1000), ('-1n', -1), ('1k', 1000000)):
            self.assertEqual(milli, quantity.parse_cpu(text), text)

    def test_bytes_are_rounded_up(self):
        for text, count in (
                ('0', 0), ('1', 1), ('1k', 1000), ('1Ki', 1024),
                ('64Mi', 67108864), ('1.5Gi', 1610612736), ('1G', 10 ** 9),
                ('0.1Ki', 103), ('100m', 1), ('1e3', 1000), ('1E', 10 ** 18),
                ('128974848', 128974848), ('129e6', 129000000),
                ('-1Ki', -1024), ('1Ei', 2 ** 60)):
            self.assertEqual(count, quantity.parse_bytes(text), text)

    def test_what_is_no_quantity_is_refused(self):
        for text in ('', ' ', ' 1', '1 ', '1\n', '1 Ki', '1K', '1_000', 'NaN',
                     'nan', 'inf', '-inf', 'Infinity', '.', '-', '+', '-.',
                     '--1', '+-1', '1..2', '1.2.3', 'm', 'Ki', 'e3', '1e',
                     '1e+', '1e1.5', '1ee3', '1e3m', '1Kii', '1ki', '1mi',
                     '1i', '1Mi3', '0x10', '1,5', '\u0661', '1\u00b5', 'one',
                     '1\x00'):
            self.assertRaises(
                exceptions.InvalidQuantity, quantity.parse_cpu, text)
            self.assertRaises(
                exceptions.InvalidQuantity, quantity.parse_bytes, text)

    def test_what_is_no_text_is_refused(self):
        for thing in (None, 1, 1.5, True, [], {}, b'1'):
            self.assertRaises(
                exceptions.InvalidQuantity, quantity.parse_cpu, thing)

    def test_the_error_names_the_text(self):
        error = self.assertRaises(
            exceptions.InvalidQuantity, quantity.parse_cpu, '1K')
        self.assertIn("'1K'", str(error))

    def test_the_error_is_short_and_on_one_line(self):
        error = self.assertRaises(
            exceptions.InvalidQuantity, quantity.parse_cpu, 'x\n' * 10 ** 6)
        self.assertLess(len(str(error)), 150)
        self.assertNotIn('\n', str(error))

    def test_absurd_quantities_cost_nothing(self):
        started = time.monotonic()
        for text, count in (
                ('1e999999999999999999', quantity.MAX_VALUE),
                ('-1e999999999999999999', -quantity.MAX_VALUE),
                ('1e-999999999999999999', 1),
                ('0e999999999999999999', 0),
                ('9' * 64, quantity.MAX_VALUE),
                ('.' + '0' * 60 + '1', 1),
                ('8Ei', quantity.MAX_VALUE)):
            self.assertEqual(count, quantity.parse_bytes(text), text)
        self.assertRaises(exceptions.InvalidQuantity,
                          quantity.parse_bytes, '9' * 10 ** 7)
        self.assertLess(time.monotonic() - started, 1)

    @hypothesis.given(st.sampled_from(['', '+', '-']), _NUMBERS,
                      st.sampled_from(sorted(_FACTORS)))
    def test_it_agrees_with_exact_fractions(self, sign, number, suffix):
        exact = fractions.Fraction(number) * _FACTORS[suffix]
        exact = -exact if sign == '-' else exact
        text = sign + number + suffix
        self.assertEqual(_round(exact), quantity.parse_bytes(text))
        self.assertEqual(_round(exact * 1000), quantity.parse_cpu(text))

    @hypothesis.given(_NUMBERS, st.sampled_from('eE'),
                      st.integers(-30, 30))
    def test_it_agrees_with_exact_exponents(self, number, letter, exponent):
        exact = (fractions.Fraction(number)
                 * fractions.Fraction(10) ** exponent)
        text = f'{number}{letter}{exponent}'
        self.assertEqual(_round(exact), quantity.parse_bytes(text))
        self.assertEqual(_round(exact * 1000), quantity.parse_cpu(text))

    @hypothesis.given(st.one_of(
        st.text(max_size=80),
        st.text('0123456789+-.eEinumkKMGTPi ', max_size=20)))
    def test_any_text_is_a_number_or_an_invalid_quantity(self, text):
        try:
            count = quantity.parse_bytes(text)
        except exceptions.InvalidQuantity:
            return
        self.assertLessEqual(abs(count), quantity.MAX_VALUE)


class FormatTestCase(base.BaseTestCase):

    def test_cpu_is_written_as_kubernetes_does(self):
        for milli, text in ((0, '0'), (1, '1m'), (1000, '1'), (1500, '1500m'),
                            (2000, '2'), (64000, '64'), (-500, '-500m')):
            self.assertEqual(text, quantity.format_cpu(milli))

    def test_bytes_take_the_largest_suffix_that_divides(self):
        for count, text in (
                (0, '0'), (1, '1'), (1023, '1023'), (1024, '1Ki'),
                (1500, '1500'), (7936 * 2 ** 20, '7936Mi'), (2 ** 33, '8Gi'),
                (2 ** 60, '1Ei'), (3 * 2 ** 9, '1536'), (-2 ** 20, '-1Mi')):
            self.assertEqual(text, quantity.format_bytes(count))

    @hypothesis.given(st.integers(-2 ** 53, 2 ** 53))
    def test_what_is_written_is_read_back(self, number):
        self.assertEqual(
            number, quantity.parse_cpu(quantity.format_cpu(number)))
        self.assertEqual(
            number, quantity.parse_bytes(quantity.format_bytes(number)))
