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
"""Everything fails at random for some minutes; in the end all is as it was.

The seed is in the failure message and may be given back as $CHAOS_SEED: the
same faults then come in the same order, though not at the same moments.
"""

import os
import random
import threading
import time

from zun_vk.tests.fixtures.wait import wait_for
from zun_vk.tests.functional import test_faults_kubernetes as short

MOST = 60       # pods at a time


class TestChaos(short.BehindRelay):

    SECONDS = 240

    def setUp(self):
        super().setUp()
        self.cloud.add_host('big', 1000, 1 << 20)
        self.place = self.namespace()
        self.pods = []
        self.gone = []
        self.number = 0
        seed = os.environ.get('CHAOS_SEED') or str(random.randrange(1 << 32))
        self.addOnException(
            lambda _info: print(f'CHAOS_SEED={seed}'))
        self.chance = random.Random(seed)

    # what happens

    def some_come(self):
        for _ in range(min(5, MOST - len(self.pods))):
            self.number += 1
            self.pods.append(self.run_pod(name=f'web-{self.number}',
                                          namespace=self.place))

    def some_go(self):
        for _ in range(min(3, len(self.pods))):
            pod = self.pods.pop(self.chance.randrange(len(self.pods)))
            self.delete(pod, self.chance.choice((None, None, 0)))
            self.gone.append(pod)

    def agent_dies(self):
        self.agent.kill()
        self.agent.start()

    def agent_stops(self):
        self.agent.stop()
        self.agent.start()

    def watch_is_lost(self):
        self.relay.lose_packets()

    def network_is_cut(self):
        self.relay.cut()

    def tokens_are_revoked(self):
        self.cloud.keystone.revoke_all()

    def zun_fails(self):
        self.cloud.zun.fail_next(
            self.chance.choice(('GET', 'POST', 'DELETE')), times=3,
            **self.chance.choice((
                {'status': 500}, {'status': 503}, {'drop': True},
                {'truncate': True}, {'drop': True, 'after': True},
                {'status': 429, 'headers': {'Retry-After': '1'}})))

    def keystone_fails(self):
        self.cloud.keystone.fail_next(status=500, times=2)

    def test_all_comes_right_in_the_end(self):
        faults = (self.agent_dies, self.agent_stops, self.watch_is_lost,
                  self.network_is_cut, self.tokens_are_revoked,
                  self.zun_fails, self.zun_fails, self.keystone_fails)
        pace = threading.Event()    # never set
        end = time.monotonic() + self.SECONDS
        while time.monotonic() < end:
            self.chance.choice((self.some_come, self.some_go))()
            pace.wait(self.chance.uniform(0.2, 2))
            self.chance.choice(faults)()
            pace.wait(self.chance.uniform(0.5, 4))
        self.check_end()

    def check_end(self):
        self.cloud.zun.forgive()
        self.cloud.keystone.forgive()
        if not self.agent.alive:
            self.agent.start()
        self.wait_node_ready(120)
        for pod in self.pods:
            self.wait_ready(pod, 240)
        for pod in self.gone:
            self.wait_pod(pod, lambda seen: seen is None, 'gone', 120)
        wanted = sorted(pod['metadata']['uid'] for pod in self.pods)
        wait_for(lambda: self.capsule_uids() == wanted,
                 'one capsule for each pod and none beside', 120)

    def capsule_uids(self):
        return sorted(capsule.labels['zun.openstack.org/uid']
                      for capsule in self.cloud.capsules())
