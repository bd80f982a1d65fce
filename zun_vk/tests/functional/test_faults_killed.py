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
"""SIGKILL between every two writes that a pod's life needs.

For each such point an agent of its own, with a pod of its own, dies there;
then another is started on its node. All agents run at the same time: what
is awaited is the same for all. A death after a write, or at a read, is for
Kubernetes and Zun one before the next write; the long form in the soak layer
has those too.
"""

from zun_vk.tests.fixtures import agent as agent_module
from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures import kubernetes
from zun_vk.tests.fixtures import openstack
from zun_vk.tests.fixtures import pods
from zun_vk.tests.fixtures.wait import wait_for
from zun_vk.tests.functional import base

# What is written for one pod; the node's requests are not of interest.
WRITES = ('(POST|PATCH|DELETE) '
          '.*(/pods/|/namespaces/test-.*/events|/capsules)')
GOING = 'DELETE .*/capsules/'


class Life:
    """An agent that is to die at one point, and its pod."""

    def __init__(self, agent, match, at, when, since=''):
        self.agent = agent
        self.point = f'{when} request {at}'
        self.fault = {'kill': {'match': match, 'at': at, 'when': when,
                               'since': since}}
        self.pod = {}


class KillTestCase(base.FunctionalTestCase):

    POINTS = 0      # requests at which agents die; the last never comes
    WHEN: tuple[str, ...] = ('before',)
    MATCH = WRITES

    def setUp(self):
        super().setUp()
        self.kube = kubernetes.shared()
        self.cloud = self.useFixture(openstack.FakeCloud())
        self.cloud.add_host('big', 100, 1 << 20)
        self.place = self.namespace()
        self.early = []     # pods that went before their capsules

    def lives(self, since='', faulty=True):
        """Start the agents and wait until they are ready.

        :param faulty: they may die already
        """
        lives = [Life(self.new_agent(), self.MATCH, at, when, since)
                 for at in range(1, self.POINTS + 1)
                 for when in self.WHEN]
        for life in lives:
            life.agent.start(life.fault if faulty else None)
        for life in lives:
            life.agent.wait_ready(60)
        return lives

    def new_agent(self):
        return self.useFixture(agent_module.Agent(
            self.kube, self.cloud, base.new_name()))

    def bind(self, lives, **spec):
        """Give each agent a pod."""
        for number, life in enumerate(lives):
            life.pod = self.submit(pods.pod(
                f'pod-{number}', node=life.agent.node, **spec), self.place)

    def restart(self, lives, done):
        """Start dead agents anew once each has died or done its work."""
        for life in lives:
            wait_for(lambda life=life: not life.agent.alive or done(life),
                     f'the end of {life.point}', 60,
                     seen=lambda life=life: self.about(life.pod))
        dead = [life for life in lives if not life.agent.alive]
        for life in dead:
            life.agent.start()
        return dead

    def check_points(self, lives, dead):
        """No point was left out: the last of all was never reached."""
        self.assertIn(lives[0], dead)
        self.assertNotIn(lives[-1], dead, 'more points than were tried')

    def is_ready(self, life):
        return kube.is_ready(self.now(life.pod))

    def is_gone(self, life):
        gone = self.now(life.pod) is None
        if gone and self.cloud.capsule_of(life.pod):
            self.early.append(life.point)
        return gone


class TestKilledWhileCreating(KillTestCase):

    POINTS = 5

    def test_each_pod_runs_as_one_capsule_that_was_made_once(self):
        lives = self.lives()
        self.bind(lives)

        dead = self.restart(lives, self.is_ready)

        self.check_points(lives, dead)
        for life in lives:
            # half a minute for what the dead agent may have asked of Zun
            self.wait_ready(life.pod, 90)
            self.assertIsNotNone(self.capsule(life.pod), life.point)
        self.assertEqual(len(lives), self.cloud.zun.created)


class TestKilledWhileDeleting(KillTestCase):

    POINTS = 4

    def test_each_capsule_goes_and_no_pod_before_its_own(self):
        lives = self.lives(since=GOING)
        self.bind(lives)
        for life in lives:
            self.wait_ready(life.pod, 60)
        for life in lives:
            self.delete(life.pod)

        dead = self.restart(lives, self.is_gone)

        self.check_points(lives, dead)
        for life in lives:
            wait_for(lambda life=life: self.is_gone(life),
                     f'pod gone, {life.point}', 90,
                     seen=lambda life=life: self.about(life.pod))
        self.assertEqual([], self.early)
        self.assertEqual([], self.cloud.capsules())
        self.assertEqual(len(lives), self.cloud.zun.created)


class EndTestCase(KillTestCase):
    """Agents that find, when they start, that their pod has to end."""

    def sleepers(self, **spec):
        """Return agents that were stopped while their pods ran."""
        lives = self.lives(faulty=False)
        self.bind(lives, **spec)
        for life in lives:
            self.wait_ready(life.pod, 60)
        for life in lives:
            life.agent.stop()
        return lives

    def check_end(self, lives, phase):
        """Wake the agents: each pod ends so, and leaves nothing in Zun."""
        for life in lives:
            life.agent.start(life.fault)

        def done(life):
            return (self.now(life.pod)['status']['phase'] == phase
                    and not self.capsule(life.pod))

        dead = self.restart(lives, done)
        self.check_points(lives, dead)
        for life in lives:
            wait_for(lambda life=life: done(life),
                     f'{phase}, {life.point}', 90,
                     seen=lambda life=life: self.about(life.pod))
        self.assertEqual({}, self.cloud.placement.allocations)
        self.assertEqual(len(lives), self.cloud.zun.created)


class TestKilledWhileEnding(EndTestCase):

    POINTS = 3

    def test_an_end_is_written_before_its_capsule_goes(self):
        lives = self.sleepers(restartPolicy='Never')
        for life in lives:
            self.cloud.finish(self.capsule(life.pod))

        self.check_end(lives, 'Succeeded')


class TestKilledAtDeadline(EndTestCase):

    POINTS = 4

    def test_a_pod_that_ran_too_long_fails_for_that(self):
        lives = self.sleepers()
        for life in lives:
            self.api.patch_pod(self.place, life.pod['metadata']['name'],
                               {'spec': {'activeDeadlineSeconds': 1}})

        self.check_end(lives, 'Failed')

        self.assertEqual({'DeadlineExceeded'}, {
            self.now(life.pod)['status']['reason'] for life in lives})


class Once(dict):
    """Gives each of its values away once."""

    def __getitem__(self, key):
        return self.pop(key)


class TestKilledWhileDiscarding(KillTestCase):
    """A capsule fails on its host, and Zun forgets what it holds."""

    POINTS = 3
    MATCH = 'DELETE .*(/allocations/|/capsules/)'

    def test_a_failed_capsule_leaves_nothing_and_another_runs(self):
        lives = self.lives()
        self.cloud.zun.bad_images = Once({
            self.image(life): 'no such image' for life in lives})
        for number, life in enumerate(lives):
            life.pod = self.submit(pods.pod(
                f'pod-{number}', pods.container(image=self.image(life)),
                node=life.agent.node), self.place)

        dead = self.restart(lives, self.is_ready)

        self.check_points(lives, dead)
        for life in lives:
            self.wait_ready(life.pod, 90)
        self.assertEqual(
            {self.capsule(life.pod).uuid for life in lives},
            set(self.cloud.placement.allocations))
        self.assertEqual(2 * len(lives), self.cloud.zun.created)

    @staticmethod
    def image(life):
        return f'{life.agent.node}:1'
