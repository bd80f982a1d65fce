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
"""How the benchmarks read metrics."""

from oslotest import base

from benchmarks import accounting

_CALLS = """\
# TYPE zun_vk_api_calls_total counter
zun_vk_api_calls_total{call="get node",code="200",service="kubernetes"} 5.0
zun_vk_api_calls_total{call="get node",code="503",service="kubernetes"} 2.0
zun_vk_api_calls_total{call="list hosts",code="2xx",service="zun"} 1.0
"""


class CalledTestCase(base.BaseTestCase):

    def test_calls_count_whatever_their_code(self):
        self.assertEqual({'kubernetes: get node': 7, 'zun: list hosts': 1},
                         accounting.called(_CALLS))
