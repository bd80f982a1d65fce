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
"""The promise to the scheduler holds while others claim and pods come and go.

Placement's claims come from outside (as Nova's do) and from Zun, which makes
them for a pod at a time of its own and in whole VCPUs.
"""

import itertools
import time

from zun_vk.tests.devcloud import base
from zun_vk.tests.devcloud import ledger
from zun_vk.tests.fixtures import pods

# Seconds from the end of one look of the agent to the next, and the part of
# them in which others claim: the end of a look is seen here a little late.
INTERVAL = 1.5
PAUSE = 1.0
# CPU of each container of a pod, '' for a pod that requests nothing.
SIZES = (('100m',), ('100m', '100m'), ('1500m',), ('',), ('1',))
MEMORY = 32
VIRTUAL = {'type': 'virtual-kubelet'}


class TestPromise(base.DevcloudTestCase):

    STEPS = 12
    BURST = 4   # pods that come at once, every so many steps

    def setUp(self):
        super().setUp()
        self.configure_agent(node={'capacity_interval': INTERVAL})
        self.wait_no_capsules()
        self.wait_expected()
        self.hosts = self.cloud.hosts()
        self.total = claimed(map(self.cloud.capacity, self.hosts))
        self.place = self.namespace()
        self.made = {}          # every pod, by UID
        self.live = []
        self.uids = {}          # by the UUID of a capsule, its pod's
        self.others = []        # consumers that are no pods of ours
        self.moves = []         # when others claimed: begin and end
        self.ledger = ledger.Ledger(
            self.api, self.node_name,
            lambda: self.cloud.claims(*self.hosts))
        self.ledger.start()
        self.addCleanup(self.ledger.stop)

    def test_the_scheduler_sees_no_more_than_placement_has(self):
        for number in range(self.STEPS):
            written = len(self.ledger.writes())
            self.others_move(number)
            self.pods_move(number)
            self.ledger.wait_write(written, 15)
        for pod in self.live:
            self.wait_ready(pod)
        self.wait_expected()
        self.check_whole_claims()
        for consumer in self.others:
            self.cloud.release(consumer)
        self.wait_expected()
        self.ledger.stop()
        self.check_writes()

    # what happens

    def others_move(self, number):
        """Claim, or give back: right after a write, so between two looks.

        What is claimed while the agent has asked Placement and has not yet
        written is in no write: no agent could know.
        """
        begin = time.monotonic()
        if number % 3 == 2:
            self.cloud.release(self.others.pop(0))
        else:
            consumer = self.cloud.claim(
                self.hosts[0], {'VCPU': 1 + number % 2, 'MEMORY_MB': 256})
            self.others.append(consumer)
            self.addCleanup(self.cloud.release, consumer)
        self.moves.append((begin, time.monotonic()))

    def pods_move(self, number):
        """Let pods come, or one go.

        So many come at once that Zun seldom has claimed for all of them
        when the agent looks again.
        """
        self.note_capsules()
        if number % self.BURST == 0:
            for index in range(self.BURST):
                self.come(number + index)
        elif len(self.live) > 2:
            self.delete(self.live.pop(0))

    def come(self, number):
        sizes = SIZES[number % len(SIZES)]
        pod = self.submit(pods.pod(f'web-{number}', *(
            base.container(f'c{index}', resources=resources(cpu))
            for index, cpu in enumerate(sizes)), nodeSelector=VIRTUAL),
            self.place)
        self.made[pod['metadata']['uid']] = pod
        self.live.append(pod)

    def note_capsules(self):
        # A capsule is without labels for a moment after it was made.
        self.uids.update({capsule: uid for capsule, uid
                          in self.cloud.uids().items() if uid})

    # what must hold

    def check_whole_claims(self):
        """Zun holds whole VCPUs for what requests less."""
        self.note_capsules()
        claims = self.cloud.claims(*self.hosts)
        held = {self.uids[consumer]: claim['VCPU']
                for consumer, claim in claims.items()
                if consumer in self.uids}
        for pod in self.live:
            cpu, _memory = base.requests(pod)
            self.assertEqual(max(1, -(-cpu // 1000)),
                             held[pod['metadata']['uid']], pod['spec'])

    def check_writes(self):
        writes = self.ledger.writes()
        judged = [pair for pair in itertools.pairwise(writes)
                  if self.was_quiet(*pair)]
        # Else there was no churn, or the machine is too slow to tell.
        self.assertGreater(len(judged), self.STEPS // 3, writes)
        self.assertGreater(sum(self.check_write(*pair) for pair in judged), 0)

    def was_quiet(self, before, write):
        """Whether others claimed only in the pause that began with a write.

        The look that led to the next write began after it.
        """
        return not any(begin < write.claims_at and end > before.at + PAUSE
                       for begin, end in self.moves)

    def check_write(self, before, write):
        """Check one write; return how many pods' claims had come by it.

        A bound pod without a claim holds back what it requests, and Zun then
        claims whole VCPUs: for each pod whose claim came since the write
        before, so perhaps after the agent had asked Placement, the scheduler
        may see what the claim has more than the request. That is under one
        VCPU, a whole one where it requests none. Nothing else is allowed.
        """
        bound = self.ledger.bound(write.version)
        waiting = [pod for pod in bound if self.is_about_to_claim(pod, write)]
        came = [consumer for consumer in write.claims
                if consumer in self.uids and consumer not in before.claims]
        late = minus(claimed(write.claims[one] for one in came),
                     total(self.made[self.uids[one]] for one in came))
        free = minus(self.total, claimed(write.claims.values()))
        seen = minus(write.offered, total(bound))
        most = minus(free, minus(total(waiting), late))
        for index, kind in enumerate(('milli-CPU', 'MiB')):
            self.assertLessEqual(
                seen[index], most[index],
                f'{kind}: the scheduler sees {seen}, Placement has {free}; '
                f'{late} more than requested came since the last write, '
                f'without a claim: {names(waiting)}; bound: {names(bound)}')
        return len(came)

    def is_about_to_claim(self, pod, write):
        """Whether a pod's claim is still to come at this write."""
        metadata = pod['metadata']
        held = {self.uids[consumer] for one in self.ledger.writes()
                if one.version <= write.version for consumer in one.claims
                if consumer in self.uids}
        return (metadata['uid'] not in held
                and 'deletionTimestamp' not in metadata)


def resources(cpu):
    return {'requests': {'cpu': cpu, 'memory': f'{MEMORY}Mi'},
            'limits': {'memory': f'{MEMORY}Mi'}} if cpu else {}


def total(found):
    """What pods request: milli-CPU and MiB."""
    wanted = [base.requests(pod) for pod in found]
    return sum(one[0] for one in wanted), sum(one[1] for one in wanted)


def claimed(claims):
    """What claims hold: milli-CPU and MiB."""
    held = list(claims)
    return (sum(1000 * one.get('VCPU', 0) for one in held),
            sum(one.get('MEMORY_MB', 0) for one in held))


def minus(amounts, others):
    return amounts[0] - others[0], amounts[1] - others[1]


def names(found):
    return [pod['metadata']['name'] for pod in found]
