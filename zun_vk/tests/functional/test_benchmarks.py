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
"""The benchmarks in short: what they print, and what a pod costs in calls.

Nothing here is a limit on time: a busy machine is no failure.
"""

import json
import subprocess
import sys

from oslotest import base

from zun_vk.tests.fixtures import kubernetes

_PODS = 20


class BenchmarksTestCase(base.BaseTestCase):

    def _run(self, name, *arguments):
        """Return what a benchmark prints, read as its one JSON line."""
        done = subprocess.run(
            [sys.executable, '-m', f'benchmarks.{name}', *arguments],
            cwd=kubernetes.CHECKOUT, capture_output=True, text=True,
            timeout=300)
        self.assertEqual(0, done.returncode, done.stderr)
        line, = done.stdout.splitlines()
        return json.loads(line)

    def test_throughput_tells_what_a_pod_costs(self):
        result = self._run('throughput', '--pods', str(_PODS), '--no-kwok')
        run, = result['zun_vk']
        self.assertEqual(_PODS, run['pods'])
        for name in ('ready', 'gone'):
            self.assertLess(0, run[name]['pods_per_second'])
            self.assertLessEqual(run[name]['p50'], run[name]['p99'])
        self.assertEqual({'start', 'peak', 'after'},
                         run['memory_mib'].keys())
        self.assertLess(0, run['cpu_ms_per_pod']['node'])
        self.assertEqual(1, run['zun_calls_per_pod']['POST /v1/capsules'])
        self.assertEqual(
            1, run['zun_calls_per_pod']['DELETE /v1/capsules/{ident}'])
        self.assertLessEqual(run['kubernetes_writes_per_pod']['sum'], 3)

    def test_idle_tells_what_happens_at_rest(self):
        result = self._run('idle', '--pods', '10', '--seconds', '4',
                           '--settle', '0')
        self.assertEqual((1, 10), (result['few']['pods'],
                                   result['many']['pods']))
        for run in (result['few'], result['many']):
            self.assertLess(0, run['memory_mib'])
            self.assertIn('node', run['cpu_percent'])
            self.assertIn('patch lease', run['kubernetes_calls'])
            self.assertIn('PATCH leases', run['kubernetes_writes'])
            self.assertNotIn('POST pods', run['kubernetes_writes'])
            self.assertNotIn('POST /v1/capsules', run['zun'])
        self.assertLess(0, result['budgets']['memory_mib']['measured'])
