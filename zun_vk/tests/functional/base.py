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
"""What the functional tests share: a control plane, a cloud, an agent.

AgentTestCase runs one agent for a whole class: for tests that do not disturb
each other. OwnAgentTestCase has one per test: for tests that stop it, or
break its cloud.
"""

import uuid

from oslotest import base

from zun_vk.tests.fixtures import agent as agent_module
from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures import kubernetes
from zun_vk.tests.fixtures import openstack
from zun_vk.tests.fixtures import podcase
from zun_vk.tests.fixtures.openstack.capsule import Capsule
from zun_vk.tests.fixtures.podcase import Object
from zun_vk.tests.fixtures.wait import wait_for


class FunctionalTestCase(podcase.PodCase, base.BaseTestCase):
    """Helpers over self.kube, self.cloud and self.agent."""

    HOSTS = 1
    OPTIONS: agent_module.Options = {}

    kube: kubernetes.Kubernetes
    cloud: openstack.FakeCloud
    agent: agent_module.Agent

    def setUp(self):
        super().setUp()
        self.addOnException(self._show_log)

    @property
    def api(self) -> kube.KubeAPI:
        return self.kube.api

    @property
    def node_name(self) -> str:
        return self.agent.node

    @property
    def node(self) -> Object:
        """The node as it is now; fails where there is none."""
        found = self.api.node(self.agent.node)
        self.assertIsNotNone(found, 'no such node')
        return found

    def namespace(self) -> str:
        return self.kube.new_namespace()

    def capsule(self, pod: Object) -> Capsule | None:
        """The pod's capsule; fails where it has two."""
        return self.cloud.capsule_of(pod)

    def wait_gone(self, pod: Object, timeout: float = 20) -> None:
        """Wait until neither the pod nor its capsule exists."""
        self.wait_pod(pod, lambda seen: seen is None, 'gone', timeout)
        wait_for(lambda: self.capsule(pod) is None,
                 f'capsule of {pod["metadata"]["name"]} gone', timeout)

    def _show_log(self, _info):
        agent = getattr(self, 'agent', None)
        if agent is not None and agent.log.exists():
            print(f'--- the agent of {self.id()}\n{agent.tail()}')


class AgentTestCase(FunctionalTestCase):
    """One cloud and one running agent for the class."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.kube = kubernetes.shared()
        cls.cloud = _used(cls, openstack.FakeCloud(cls.HOSTS))
        cls.agent = _used(cls, agent_module.Agent(
            cls.kube, cls.cloud, new_name(), cls.OPTIONS))
        cls.agent.start_ready()


class OwnAgentTestCase(FunctionalTestCase):
    """A cloud and an agent for each test; the test starts the agent."""

    def setUp(self):
        super().setUp()
        self.kube = self.make_kube()
        self.cloud = self.useFixture(openstack.FakeCloud(self.HOSTS))
        self.agent = self.useFixture(agent_module.Agent(
            self.kube, self.cloud, new_name(), self.OPTIONS))

    def make_kube(self) -> kubernetes.Kubernetes:
        """The control plane; a class that stops it makes its own."""
        return kubernetes.shared()


def _used(cls, fixture):
    fixture.setUp()
    cls.addClassCleanup(fixture.cleanUp)
    return fixture


def new_name():
    return f'vk-{uuid.uuid4().hex[:8]}'
