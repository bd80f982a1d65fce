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
from oslotest import base

from benchmarks import profiler


class SummaryTestCase(base.BaseTestCase):

    def test_the_functions_that_ran_most_come_first(self):
        self.assertEqual([
            '  self   with callees',
            ' 75.0%  75.0%  load (json/decoder.py)',
            ' 25.0%  75.0%  work (agent.py)',
            '  0.0%  25.0%  idle (agent.py)',
        ], profiler.summary('work (agent.py);load (json/decoder.py) 4\n'
                            'load (json/decoder.py) 2\n'
                            'idle (agent.py);work (agent.py) 2\n'))

    def test_a_function_that_calls_itself_counts_once(self):
        self.assertIn(' 50.0% 100.0%  walk (tree.py)', profiler.summary(
            'walk (tree.py) 1\nwalk (tree.py);walk (tree.py);leaf (t.py) 1'))

    def test_an_empty_profile_is_no_error(self):
        self.assertEqual(1, len(profiler.summary('')))
