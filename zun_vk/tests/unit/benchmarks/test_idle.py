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
import collections

from oslotest import base

from benchmarks import idle


def _run(pods, memory, zun, cpu=1.0, **writes):
    return {'pods': pods, 'memory_mib': memory, 'cpu_percent': {'node': cpu},
            'zun': zun, 'kubernetes_writes': {
                key.replace('_', ' '): count
                for key, count in writes.items()}}


class BudgetsTestCase(base.BaseTestCase):

    def _met(self, few, many):
        return {name: budget['met']
                for name, budget in idle.budgets(few, many).items()}

    def test_an_agent_at_rest_meets_them_all(self):
        met = self._met(
            _run(100, 60.0, {'GET /v1/capsules': 12}, PATCH_leases=60),
            _run(1000, 70.0, {'GET /v1/capsules': 13}, PATCH_leases=60))
        self.assertEqual({True}, set(met.values()))
        self.assertEqual(5, len(met))

    def test_each_is_missed_by_itself(self):
        few = _run(100, 60.0, {'GET /v1/capsules': 12})
        for name, many in {
                'kubernetes_writes_beside_lease': _run(
                    1000, 70.0, {'GET /v1/capsules': 12},
                    PATCH_leases=60, POST_events=1),
                'cpu_percent': _run(
                    1000, 70.0, {'GET /v1/capsules': 12}, cpu=2.5),
                'zun_calls_ratio_many_to_few': _run(
                    1000, 70.0, {'GET /v1/capsules': 12,
                                 'GET /v1/capsules/{ident}': 10}),
                'memory_mib': _run(
                    10_000, 101.0, {'GET /v1/capsules': 12}),
                'memory_kib_per_pod': _run(
                    1000, 90.0, {'GET /v1/capsules': 12})}.items():
            met = self._met(few, many)
            self.assertEqual([name], [
                key for key, value in met.items() if not value])

    def test_where_the_few_ask_for_nothing_there_is_no_ratio(self):
        met = self._met(_run(1, 60.0, {}),
                        _run(10, 60.0, {'GET /v1/capsules': 1}))
        self.assertIsNone(met['zun_calls_ratio_many_to_few'])


class RequestsTestCase(base.BaseTestCase):

    def test_only_what_nodes_write_is_a_write(self):
        counts = idle.requests({
            'served': collections.Counter({
                'PATCH nodes/status': 1, 'PATCH leases': 6, 'POST events': 2,
                'PUT leases': 1, 'GET nodes': 3, 'POST tokenreviews': 1}),
            'calls': collections.Counter({
                'kubernetes: patch lease': 6, 'zun: list capsules': 1}),
            **dict.fromkeys(('zun', 'placement', 'keystone'),
                            collections.Counter())})
        self.assertEqual(
            {'PATCH nodes/status': 1, 'PATCH leases': 6, 'POST events': 2},
            counts['kubernetes_writes'])
        self.assertEqual({'patch lease': 6}, counts['kubernetes_calls'])
