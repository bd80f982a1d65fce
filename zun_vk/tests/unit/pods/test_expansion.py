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
            self.assertEqual(expected, expansion.expand(text, variables),
                             text)

    @hypothesis.given(st.text('$()Ax ', max_size=30))
    def test_it_agrees_with_reading_character_by_character(self, text):
        variables = {'A': '<a>', 'x': '$(A)'}
        self.assertEqual(_slowly(text, variables),
                         expansion.expand(text, variables))

    @hypothesis.given(st.text(max_size=50))
    def test_text_without_a_dollar_sign_stays_as_it_is(self, text):
        text = text.replace('$', '')
        self.assertEqual(text, expansion.expand(text, {'A': 'a'}))


class EnvironmentTestCase(base.BaseTestCase):

    def test_a_variable_sees_those_before_it_only(self):
        self.assertEqual(
            {'A': '$(B)', 'B': '1', 'C': '$(B)1'},
            expansion.environment([
                {'name': 'A', 'value': '$(B)'}, {'name': 'B', 'value': '1'},
                {'name': 'C', 'value': '$(A)$(B)'}]))

    def test_of_two_with_one_name_the_last_wins(self):
        self.assertEqual({'A': '12'}, expansion.environment(
            [{'name': 'A', 'value': '1'}, {'name': 'A', 'value': '$(A)2'}]))

    def test_a_variable_without_a_value_is_empty(self):
        self.assertEqual({'A': ''}, expansion.environment([{'name': 'A'}]))


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
