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

from benchmarks import streams

_RATES = ('execs_per_second', 'echoes_per_second',
          'exec_stdout_mib_per_second', 'exec_stdin_mib_per_second',
          'forward_mib_per_second')
_FIRST = ('exec_first_byte_ms', 'forward_first_byte_ms')


def measured(rate, first, **other):
    return {**dict.fromkeys(_RATES, rate), **dict.fromkeys(_FIRST, first),
            **other}


class ResultTestCase(base.BaseTestCase):

    def test_the_slowest_throughput_and_the_latest_byte_count(self):
        found = streams.result(
            {'agent': measured(80.0, 30.0, forward_mib_per_second=75.0,
                               execs_per_second=10.0),
             'runtime': measured(100.0, 10.0)}, 15.5)
        self.assertEqual({'measured': 0.75, 'bound': 0.7, 'met': True},
                         found['goals']['throughput'])
        self.assertEqual({'measured': 20.0, 'bound': 50.0, 'met': True},
                         found['goals']['first_byte_ms'])
        self.assertEqual(0.1, found['share']['execs_per_second'])

    def test_what_is_missed_is_told(self):
        found = streams.result(
            {'agent': measured(100.0, 10.0, exec_stdin_mib_per_second=69.0),
             'runtime': measured(100.0, 10.0)}, 51.0)
        self.assertEqual([False, False], [
            goal['met'] for goal in found['goals'].values()])
