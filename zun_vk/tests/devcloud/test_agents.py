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
"""Two agents on one node: they are killed under load, and nothing shows it."""

import threading

from zun_vk.tests.devcloud import agents
from zun_vk.tests.devcloud import base
from zun_vk.tests.devcloud import streamed
from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures import pods
from zun_vk.tests.fixtures.wait import wait_for

# A lease lasts 15 s, and who waits for it looks once a second; one that is
# let go of is free at once. The rest is for a machine that has a lot to do.
TAKE_OVER = 30.0
HANDED_OVER = 12.0


class Load:
    """Makes pods and deletes them, and looks at Zun, until it is stopped.

    :param create: makes the pod of this name
    :param delete: deletes a pod
    :param look: called after each of these
    """

    MOST = 5    # pods at a time
    PACE = 0.7  # seconds between two steps

    def __init__(self, create, delete, look):
        self._create, self._delete, self._look = create, delete, look
        self._told = threading.Event()
        self._thread = threading.Thread(target=self._run, name='load',
                                        daemon=True)
        # Owned by the thread; for others after stop() only.
        self.live = []
        self.uids = []
        self._error: Exception | None = None

    def start(self):
        self._thread.start()

    def end(self):
        """Make sure that it no longer runs."""
        self._told.set()
        self._thread.join()

    def stop(self):
        """End it.

        :raises Exception: what went wrong in it
        """
        self.end()
        if self._error:
            raise self._error

    def _run(self):
        try:
            while not self._told.wait(self.PACE):
                self._step()
        except Exception as error:  # the top of a thread
            self._error = error

    def _step(self):
        if len(self.live) < self.MOST:
            made = self._create(f'load-{len(self.uids)}')
            self.live.append(made)
            self.uids.append(made['metadata']['uid'])
        else:
            self._delete(self.live.pop(0))
        self._look()


class TestLoad(base.DevcloudTestCase):

    STEADY = 3  # pods that stay

    def setUp(self):
        super().setUp()
        self.wait_no_capsules()
        self.before = self.held()
        self.capsules = {}      # by UID of a pod, the UUIDs of its capsules
        self.addCleanup(self.forget_agents)
        self.devcloud.stop_agent()
        self.agents = [self.useFixture(agents.Agent(self.devcloud))
                       for _ in range(2)]
        self.addOnException(lambda _info: self.show_agents())
        for agent in self.agents:
            agent.start()
        self.addCleanup(self.wait_no_capsules)
        self.place = self.namespace()
        # So that the namespace can go, whatever has failed.
        self.addCleanup(self.revive)
        self.load = Load(self.create, self.delete, self.look)

    def test_agents_killed_under_load_double_and_lose_nothing(self):
        steady = self.start_steady()
        was = [self.seen_of(pod) for pod in steady]
        self.addCleanup(self.load.end)
        self.load.start()

        self.replace(agents.Agent.kill, TAKE_OVER)
        frozen = self.replace(agents.Agent.freeze, TAKE_OVER)
        wait_for(lambda: 'is held by another agent now' in frozen.text(),
                 'the frozen agent to find that it lost the lease',
                 seen=frozen.tail)
        self.replace(agents.Agent.stop, HANDED_OVER)

        self.load.stop()
        alive = [*steady, *self.load.live]
        for pod in alive:
            # What a dead agent may have asked for is waited for 30 s.
            self.wait_ready(pod, 120)
        self.assertEqual(was, [self.seen_of(pod) for pod in steady])
        self.check_nothing_doubled(alive)
        for pod in alive:
            self.delete(pod)
        self.check_nothing_left()

    # what happens

    def start_steady(self):
        made = [self.create(f'steady-{number}')
                for number in range(self.STEADY)]
        return [self.wait_ready(pod) for pod in made]

    def create(self, name):
        return self.api.create_pod(self.place, pods.pod(
            name, base.container(resources={'requests': {'cpu': '100m'}}),
            node=self.node_name))

    def replace(self, end, timeout):
        """End the agent that holds the node; have it back as the second.

        :param end: what to do to the agent
        :param timeout: seconds until the other holds the node
        :returns: the agent that held it
        """
        holder = wait_for(self.holder, 'an agent that holds the node')
        other, = (agent for agent in self.agents if agent is not holder)
        end(holder)
        wait_for(lambda: self.holder() is other,
                 f'a take-over after {end.__name__}', timeout,
                 seen=other.tail)
        known = {pod['metadata']['uid'] for pod in self.api.pods(self.place)}
        wait_for(lambda: self.ready_uids() - known,
                 f'a new pod Ready after {end.__name__}', 60,
                 seen=other.tail)
        # By the API of the agent that has the node now, on another port.
        kubectl = streamed.Kubectl(self.devcloud, self.place)
        wait_for(lambda: kubectl('exec', 'steady-0', '--', 'true'
                                 ).code == 0,
                 f'a command after {end.__name__}', 30, seen=other.tail)
        holder.revive()
        return holder

    def holder(self):
        lease = self.api.lease(self.node_name)
        name = lease and lease['spec'].get('holderIdentity')
        return next((agent for agent in self.agents
                     if agent.identity == name), None)

    def ready_uids(self):
        return {pod['metadata']['uid'] for pod in self.api.pods(self.place)
                if kube.is_ready(pod)}

    def look(self):
        """Take note of all capsules there are."""
        for capsule, uid in self.cloud.uids().items():
            # A capsule is without labels for a moment after it was made.
            if uid:
                self.capsules.setdefault(uid, set()).add(capsule)

    def revive(self):
        for agent in self.agents:
            agent.revive()

    def show_agents(self):
        for agent in self.agents:
            print(f'--- {agent.identity}', agent.tail(), sep='\n')

    # what must hold

    def seen_of(self, pod):
        """What may not change of a pod that runs."""
        return self.capsule(pod), self.now(pod)['status']

    def held(self):
        """What there is in the cloud: claims, ports, containers."""
        return {
            'claims': self.cloud.claims(*self.cloud.hosts()),
            'ports': self.cloud.every_port(),
            'containers': self.cloud.every_container()}

    def check_nothing_doubled(self, alive):
        """One capsule a pod: in Zun at all times, on hosts in the end."""
        self.look()
        self.assertEqual({}, {uid: found
                              for uid, found in self.capsules.items()
                              if len(found) > 1})
        wait_for(lambda: len(self.api.pods(self.place)) == len(alive),
                 'the deleted pods gone', 90)
        capsules = self.cloud.every_capsule()
        self.assertEqual(
            sorted(pod['metadata']['uid'] for pod in alive),
            sorted(self.cloud.uids().values()))
        pods = {pod['metadata']['uid']: pod for pod in alive}
        uids = self.cloud.uids()
        wanted = self.before['containers'].union(*(
            self.cloud.containers_of(capsule, pods[uids[capsule['uuid']]])
            for capsule in capsules))
        self.assertEqual(wanted, self.cloud.every_container())

    def check_nothing_left(self):
        wait_for(lambda: not self.api.pods(self.place), 'no pods', 90,
                 seen=lambda: [self.about(pod)
                               for pod in self.api.pods(self.place)])
        wait_for(lambda: self.held() == self.before,
                 'nothing left of any pod', 60,
                 seen=lambda: (self.before, self.held()))
        self.assertEqual([], self.cloud.every_capsule())
