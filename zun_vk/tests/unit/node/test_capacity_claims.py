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
"""What the scheduler may hand out, while pods and claims come and go.

The real observer, node controller and claims of the pod controller look at
a small world: hosts in Placement, pods that are bound, claim and go, claims
of others. The world moves between any two of their reads.
"""

import dataclasses
import math
from unittest import mock

import hypothesis
from hypothesis import strategies as st
from oslotest import base

from zun_vk import exceptions
from zun_vk import health
from zun_vk import quantity
from zun_vk.cloud import placement
from zun_vk.cloud import zun
from zun_vk.kube import client as kube_client
from zun_vk.kube import events
from zun_vk.node import capacity
from zun_vk.node import controller as node_controller
from zun_vk.node import observer
from zun_vk.node import zones
from zun_vk.pods import controller as pod_controller
from zun_vk.pods import hosted
from zun_vk.pods import lifecycle
from zun_vk.pods import memory
from zun_vk.tests.unit.node import test_registration
from zun_vk.tests.unit.pods import capsules
from zun_vk.tests.unit.pods import strategies

HOSTS = ('h0', 'h1')
CPUS, MIB = 6, 1024
_MIB = 2 ** 20


@dataclasses.dataclass
class Pod:
    """A pod on the node, and what there is of its capsule.

    :param capsule: its status in Zun, '' where there is none
    :param seen: the same as the agent last saw it
    :param host: the host whose provider it has a claim on, '' for none
    """

    uid: str
    milli_cpu: int
    mib: int
    capsule: str = ''
    seen: str = ''
    host: str = ''
    ended: bool = False
    gave_back: bool = False

    @property
    def claim(self):
        """What Zun claims: whole CPUs, and at least one of each."""
        return {'VCPU': max(1, math.ceil(self.milli_cpu / 1000)),
                'MEMORY_MB': max(1, self.mib)}


class World:
    """Placement, Zun and the API server, and what moves in them."""

    def __init__(self):
        self.pods: dict[str, Pod] = {}
        self.used = {host: {'VCPU': 0, 'MEMORY_MB': 0} for host in HOSTS}
        # UIDs of pods that claimed after their host was read.
        self.late: set[str] = set()
        self._others: list[tuple[str, dict[str, int]]] = []
        self._made = 0

    def bound(self):
        """The pods that the scheduler counts."""
        return [pod for pod in self.pods.values() if not pod.ended]

    def read(self, host):
        """Return what Placement has allocated on a host."""
        self.late -= {pod.uid for pod in self.pods.values()
                      if pod.host == host}
        return dict(self.used[host])

    def about_to_claim(self):
        """The pods whose claims are not in what was read, but may come.

        Without those that gave one back: it may have been in it.
        """
        return [pod for pod in self.bound() if pod.uid in self.late
                or not (pod.host or pod.gave_back
                        or pod.seen not in ('', 'Creating'))]

    def move(self, name, number, size):
        """Let one thing happen; nothing where it cannot."""
        getattr(self, name)(number, size)

    # the scheduler

    def bind(self, number, size):
        self._made += 1
        uid = f'pod-{self._made}'
        self.pods[uid] = Pod(uid, *size)

    # Zun

    def accept(self, number, size):
        """Zun answers the POST: the capsule is, its claim comes later."""
        for pod in self._some(number, capsule='', ended=False):
            pod.capsule = pod.seen = 'Creating'

    def place(self, number, size):
        """A host takes the capsule up and claims."""
        for pod in self._some(number, capsule='Creating', host=''):
            self._place(pod, number)

    def start(self, number, size):
        for pod in self._some(number, capsule='Creating'):
            if pod.host:
                pod.capsule = 'Running'

    def run(self, number, size):
        """All of it between two reads of the agent."""
        for pod in self._some(number, capsule='Creating', host=''):
            self._place(pod, number)
            if pod.host:
                pod.capsule = pod.seen = 'Running'

    def vanish(self, number, size):
        """Somebody deletes the capsule of a running pod in Zun."""
        for pod in self._some(number, capsule='Running'):
            self._release(pod)
            pod.capsule = 'Deleting'

    def see(self, number, size):
        """The agent looks at the capsule; one that goes is seen going."""
        for pod in self._some(number):
            if pod.capsule == pod.seen == 'Deleting' and not pod.host:
                pod.capsule = ''
            pod.seen = pod.capsule

    def settle(self):
        """Let all that is under way end, and the agent see it."""
        for number, pod in enumerate(self.pods.values()):
            if pod.capsule == 'Creating':
                if not pod.host:
                    self._place(pod, number)
                pod.capsule = 'Running' if pod.host else 'Error'
            elif pod.capsule == 'Deleting':
                if pod.host:
                    self._release(pod)
                pod.capsule = ''
            pod.seen = pod.capsule

    # the agent

    def delete(self, number, size):
        """It asks Zun to delete, and knows that it has."""
        for pod in self._some(number):
            if pod.seen in ('Running', 'Error'):
                pod.capsule = pod.seen = 'Deleting'

    def give_back(self, number, size):
        for pod in self._some(number, capsule='Deleting'):
            if pod.host:
                self._release(pod)

    # others

    def claim_of_nova(self, number, size):
        claim = {'VCPU': 1 + number % 3, 'MEMORY_MB': 64}
        host = self._claim(number, claim)
        if host:
            self._others.append((host, claim))

    def nova_ends(self, number, size):
        if self._others:
            host, claim = self._others.pop(number % len(self._others))
            self._use(host, claim, -1)

    # only while the agent is not looking: what the scheduler counts of a
    # pod that ends is the API server's to say, not Placement's

    def end(self, number, size):
        for pod in self._some(number, ended=False):
            pod.ended = True

    def remove(self, number, size):
        for pod in self._some(number, seen='', capsule='', host=''):
            del self.pods[pod.uid]

    # what the agent's parts ask for

    def snapshot(self):
        return {pod.uid: strategies.pod(
            strategies.container(resources={'requests': {
                'cpu': f'{pod.milli_cpu}m', 'memory': f'{pod.mib}Mi'}}),
            uid=pod.uid,
            status={'phase': 'Succeeded' if pod.ended else 'Pending'})
            for pod in self.pods.values()}

    def of_pod(self, uid):
        pod = self.pods[uid]
        return [capsules.read(uuid=uid, status=pod.seen)] if pod.seen else []

    def _some(self, number, **fields):
        """The number-th of the pods with such fields, if there is one."""
        found = [pod for pod in self.pods.values()
                 if all(getattr(pod, name) == value
                        for name, value in fields.items())]
        return [found[number % len(found)]] if found else []

    def _place(self, pod, number):
        pod.host = self._claim(number, pod.claim)
        if pod.host:
            self.late.add(pod.uid)
        else:
            pod.capsule = 'Error'

    def _claim(self, number, claim):
        """Claim on the first host with room, from any one on."""
        for offset in range(len(HOSTS)):
            host = HOSTS[(number + offset) % len(HOSTS)]
            used = self.used[host]
            if (used['VCPU'] + claim['VCPU'] <= CPUS
                    and used['MEMORY_MB'] + claim['MEMORY_MB'] <= MIB):
                self._use(host, claim, 1)
                return host
        return ''

    def _release(self, pod):
        self._use(pod.host, pod.claim, -1)
        pod.host = ''
        pod.gave_back = True
        self.late.discard(pod.uid)

    def _use(self, host, claim, sign):
        for kind, amount in claim.items():
            self.used[host][kind] += sign * amount


def _free(used, requests=()):
    """What hosts have free, less the requests of these pods.

    :param used: by host, what Placement has allocated
    """
    return capacity.Amounts(
        1000 * sum(CPUS - each['VCPU'] for each in used.values())
        - sum(pod.milli_cpu for pod in requests),
        _MIB * (sum(MIB - each['MEMORY_MB'] for each in used.values())
                - sum(pod.mib for pod in requests)))


SIZES = st.tuples(st.sampled_from([0, 1, 100, 999, 1000, 1001, 2500]),
                  st.sampled_from([0, 1, 64, 300]))
WHILE_LOOKING = ('bind', 'accept', 'place', 'start', 'run', 'vanish', 'see',
                 'delete', 'give_back', 'claim_of_nova', 'nova_ends')


def _moves(names, most):
    return st.lists(st.tuples(st.sampled_from(names), st.integers(0, 5),
                              SIZES), max_size=most)


# What happens before a look, and between each two reads of it: the claims,
# each host's inventories and usages, the claims again, the Node.
LOOKS = st.lists(st.tuples(
    _moves((*WHILE_LOOKING, 'end', 'remove'), 25),
    st.lists(_moves(WHILE_LOOKING, 4), min_size=6, max_size=6)),
    min_size=1, max_size=4)


class PromiseTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.conf = test_registration.make_conf()
        self.zun = mock.create_autospec(zun.ZunClient, instance=True)
        self.zun.list_services.return_value = [
            {'binary': 'zun-compute', 'host': host, 'state': 'up',
             'disabled': False} for host in HOSTS]
        self.zun.list_hosts.return_value = []
        self.placement = mock.create_autospec(
            placement.PlacementClient, instance=True)
        self.placement.find_provider.side_effect = lambda host: host
        self.placement.inventories.side_effect = self._inventories
        self.placement.usages.side_effect = self._usages
        self.client = mock.create_autospec(
            kube_client.KubeClient, instance=True)
        self.client.server_version.return_value = 'v1.36.3'
        self.client.get_node.side_effect = self._node
        self.client.create_node.side_effect = self._create
        self.client.patch_node_status.side_effect = self._patch
        self.recorder = mock.create_autospec(
            events.EventRecorder, instance=True)

    def _start(self):
        """Make a new world, and an agent that looks at it."""
        self.world = World()
        self.node = None
        self.moves = []
        self.read = {}
        pods = pod_controller.PodController(
            self.client, self.world, None, self.recorder, None, None, '',
            memory.Policy(lifecycle.IGNORE, 300), None, None,
            hosted.NoHosts(''))
        pods.follow(self.world)
        self.claims = pods.claims
        self.controller = node_controller.NodeController(
            self.conf, zones.VirtualNode('zun-vk'), self.client,
            observer.CloudObserver(self.zun, self.placement), health.Health(),
            self.recorder, self._claims, lambda: None)

    # The reads, and what happens after each.

    def _meanwhile(self):
        for move in self.moves.pop(0) if self.moves else ():
            self.world.move(*move)

    def _claims(self):
        found = self.claims()
        self._meanwhile()
        return found

    def _inventories(self, host):
        self._meanwhile()
        return {'VCPU': {'total': CPUS}, 'MEMORY_MB': {'total': MIB}}

    def _usages(self, host):
        self.read[host] = self.world.read(host)
        self._meanwhile()
        return self.read[host]

    def _node(self, name):
        if self.node is None:
            raise exceptions.NotFound('kubernetes', 'no', 404)
        return self.node

    def _create(self, node):
        self.node = {**node, 'metadata': {
            **node['metadata'], 'uid': 'u', 'resourceVersion': '1'}}
        return self.node

    def _patch(self, name, patch):
        self.node = {**self.node, 'status': patch['status']}
        return self.node

    # What is to hold.

    def _look(self, meanwhile=()):
        self.moves, self.read = list(meanwhile), {}
        self.controller.look()

    def _schedulers_free(self):
        """What the scheduler makes of the node and of its pods."""
        offered = self.node['status']['allocatable']
        pods = self.world.bound()
        return capacity.Amounts(
            quantity.parse_cpu(offered['cpu'])
            - sum(pod.milli_cpu for pod in pods),
            quantity.parse_bytes(offered['memory'])
            - sum(pod.mib for pod in pods) * _MIB)

    def _check_at_most(self, bound, free):
        for name in ('milli_cpu', 'memory'):
            self.assertLessEqual(getattr(free, name), getattr(bound, name))

    @hypothesis.given(LOOKS)
    @hypothesis.settings(deadline=None, max_examples=100)
    def test_no_room_is_promised_twice_whatever_moves_meanwhile(self, looks):
        self._start()
        for before, meanwhile in looks:
            for move in before:
                self.world.move(*move)
            self._look(meanwhile)
            free = self._schedulers_free()
            for requests in ((), self.world.about_to_claim()):
                self._check_at_most(_free(self.read, requests), free)

    @hypothesis.given(LOOKS)
    @hypothesis.settings(deadline=None, max_examples=100)
    def test_at_rest_the_scheduler_sees_just_what_placement_has(self, looks):
        self._start()
        for before, meanwhile in looks:
            for move in before:
                self.world.move(*move)
            self._look(meanwhile)
        self.world.settle()
        self._look()
        waiting = [pod for pod in self.world.bound() if not pod.host]
        self.assertEqual(_free(self.world.used, waiting),
                         self._schedulers_free())

    def test_a_tenth_of_a_cpu_costs_the_scheduler_a_whole_one(self):
        self._start()
        for _ in range(3):
            self.world.bind(0, (100, 64))
            self.world.accept(0, None)
        self.world.settle()
        self.world.claim_of_nova(0, None)
        self._look()
        self.assertEqual(1000 * (2 * CPUS - 3 - 1),
                         self._schedulers_free().milli_cpu)
