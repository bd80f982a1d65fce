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
"""Requests and limits in the kernel: feature 9, and fork bombs."""

import configparser

from devcloud import worker
from zun_vk.tests.devcloud import hosted
from zun_vk.tests.fixtures import pods

# Asks for more and more, until it is not given any.
GREEDY = 'exec tail /dev/zero'
# Stops at the first process that cannot be had, and says which.
BOMB = 'exec 2>&1; i=0; while :; do sleep 100 & i=$((i+1)); echo $i; done'
# Either version of cgroups.
KERNEL = {
    'memory': 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes || '
              'cat /sys/fs/cgroup/memory.max',
    'quota': 'cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us || '
             'cut -d" " -f1 /sys/fs/cgroup/cpu.max',
    'shares': 'cat /sys/fs/cgroup/cpu/cpu.shares || '
              'cat /sys/fs/cgroup/cpu.weight',
    'oom': 'cat /proc/self/oom_score_adj'}
GUARANTEED = {'memory': str(48 * 2 ** 20), 'quota': '50000'}
# cpu.shares, and the weight that runtimes make of it.
SHARES = {'512', '20'}


class TestLimits(hosted.HostedCase):

    def test_limits_hold_and_requests_count(self):
        namespace = self.namespace()
        quiet = {name: f'({command}) 2>/dev/null'
                 for name, command in KERNEL.items()}
        limited = self.run_pod(
            hosted.telling(quiet, resources=pods.requests('500m', '48Mi')),
            name='limited', namespace=namespace)
        greedy = self.run_pod(
            hosted.shell(GREEDY, resources=pods.requests('500m', '32Mi')),
            hosted.shell('sleep 4; echo alive', 'other',
                         resources=pods.requests('100m', '32Mi')),
            name='greedy', namespace=namespace)

        done = self.succeeded(limited)
        told = self.told(limited)
        self.assertEqual(GUARANTEED, {name: told[name]
                                      for name in GUARANTEED})
        self.assertIn(told['shares'], SHARES)
        self.assertEqual('Guaranteed', done['status']['qosClass'])
        # Below that of the service where that may not be.
        self.assertLess(int(told['oom']), 2)

        failed = self.finished(greedy)
        self.assertEqual('Failed', failed['status']['phase'])
        self.assertEqual(('OOMKilled', 137), self.why(failed))
        self.assertEqual('alive\n', self.output(greedy, 'other'))
        self.assertEqual(0, hosted.ended(failed, 'other')['exitCode'])

    @staticmethod
    def why(pod):
        state = hosted.ended(pod)
        return state['reason'], state['exitCode']


class TestProcesses(hosted.HostedCase):

    def test_a_fork_bomb_ends_at_the_pods_limit(self):
        limit = self.limit()
        if not limit:
            self.skipTest('[compute] pids_limit is 0')
        namespace = self.namespace()
        bomb = self.run_pod(hosted.shell(BOMB), name='bomb',
                            namespace=namespace)
        other = self.run_pod(hosted.shell('sleep 2; (echo alive)'),
                             name='other', namespace=namespace)

        failed = self.finished(bomb)

        self.assertEqual('Failed', failed['status']['phase'])
        *numbers, words = self.output(bomb).splitlines()
        self.assertIn("can't fork", words)
        self.assertLess(int(numbers[-1]), limit)
        self.assertGreater(int(numbers[-1]), limit // 2)
        self.succeeded(other)
        self.assertEqual('alive\n', self.output(other))
        self.delete(bomb, 0)
        self.wait_nothing_left(bomb)

    def limit(self):
        """Return the processes that a pod may have, 0 for any number."""
        options = configparser.ConfigParser(interpolation=None)
        options.read(worker.path(self.devcloud.paths, host)
                     for host in self.devcloud.hosts())
        return options.getint('compute', 'pids_limit', fallback=0)
