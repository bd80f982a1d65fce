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
import hypothesis
from hypothesis import strategies as st
from oslotest import base

from zun_vk.pods import expansion


class ExpandTestCase(base.BaseTestCase):

    def test_references_are_expanded_as_kubernetes_does(self):
        variables = {'A': 'a', 'B': '$(A)', 'EMPTY': '', 'x.y-z': 'odd'}
        for text, expected in (
                ('', ''), ('plain', 'plain'), ('$(A)', 'a'),
                ('x$(A)y$(A)z', 'xayaz'), ('$(B)', '$(A)'),
                ('$(EMPTY)', ''), ('$(x.y-z)', 'odd'),
                ('$(MISSING)', '$(MISSING)'), ('$()', '$()'),
                ('$$', '$'), ('$$(A)', '$(A)'), ('$$$(A)', '$a'),
                ('$$$$(A)', '$$(A)'), ('$', '$'), ('$A', '$A'),
                ('$(A', '$(A'), ('$(A $(A)', '$(A $(A)'), ('$( A )', '$( A )'),
                ('${A}', '${A}'), ('$(A)$', 'a$'), ('100$', '100$')):
            self.assertEqual(expected, expansion.expand(text, variables, 99),
                             text)

    @hypothesis.given(st.text('$()Ax ', max_size=30))
    def test_it_agrees_with_reading_character_by_character(self, text):
        variables = {'A': '<a>', 'x': '$(A)'}
        self.assertEqual(_slowly(text, variables),
                         expansion.expand(text, variables, 99))

    @hypothesis.given(st.text(max_size=50))
    def test_text_without_a_dollar_sign_stays_as_it_is(self, text):
        text = text.replace('$', '')
        self.assertEqual(text, expansion.expand(text, {'A': 'a'}, 99))

    def test_what_would_be_too_long_is_not_made(self):
        self.assertEqual('a' * 99, expansion.expand(
            '$(A)' * 99, {'A': 'a'}, 99))
        for text, value in (('$(A)' * 100, 'a'), ('$(A)', 'a' * 100),
                            ('$(A)' * 2 ** 18, 'a' * 2 ** 20)):
            self.assertRaises(expansion.TooLong, expansion.expand, text,
                              {'A': value}, 99)

    def test_the_names_a_text_refers_to(self):
        self.assertEqual({'A', 'b.c'}, expansion.references(
            '$(A) $$(NOT) $(b.c)$(A) $D $(E'))


def _slowly(text, variables):
    result, index = '', 0
    while index < len(text):
        rest = text[index:]
        close = rest.find(')')
        if rest.startswith('$$'):
            result, index = result + '$', index + 2
        elif rest.startswith('$(') and close > 0:
            reference = rest[:close + 1]
            result += variables.get(reference[2:-1], reference)
            index += len(reference)
        else:
            result, index = result + rest[0], index + 1
    return result
