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

from typing import Any
import uuid

from oslotest import base

from zun_vk.tests.fixtures import agent as agent_module
from zun_vk.tests.fixtures import kube as kube_module
from zun_vk.tests.fixtures import kubernetes
from zun_vk.tests.fixtures import openstack
from zun_vk.tests.fixtures import pods
from zun_vk.tests.fixtures.openstack.capsule import Capsule
from zun_vk.tests.fixtures.wait import wait_for

Object = dict[str, Any]


class FunctionalTestCase(base.BaseTestCase):
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
    def api(self) -> kube_module.KubeAPI:
        return self.kube.api

    @property
    def node(self) -> Object:
        """The node as it is now; fails where there is none."""
        found = self.api.node(self.agent.node)
        self.assertIsNotNone(found, 'no such node')
        return found

    # pods

    def namespace(self) -> str:
        return self.kube.new_namespace()

    def run_pod(self, *containers: Object, name: str = 'web',
                namespace: str | None = None, **fields: Any) -> Object:
        """Create a pod bound to the node; it goes with the test."""
        body = pods.pod(name, *containers, node=self.agent.node, **fields)
        return self.submit(body, namespace)

    def submit(self, body: Object, namespace: str | None = None) -> Object:
        """Create this pod; it goes with the test."""
        namespace = namespace or self.namespace()
        pod = self.api.create_pod(namespace, body)
        self.addCleanup(self.api.delete_pod, namespace,
                        pod['metadata']['name'], 0)
        return pod

    def running_pod(self, *containers: Object, **fields: Any) -> Object:
        """Create a pod and return it once it is Ready."""
        return self.wait_ready(self.run_pod(*containers, **fields))

    def now(self, pod: Object) -> Object | None:
        """The pod as it is now, None where it or its UID has gone."""
        metadata = pod['metadata']
        found = self.api.pod(metadata['namespace'], metadata['name'])
        same = found and found['metadata']['uid'] == metadata['uid']
        return found if same else None

    def wait_ready(self, pod: Object, timeout: float = 20) -> Object:
        self.wait_pod(pod, kube_module.is_ready, 'Ready', timeout)
        return self.now(pod)

    def wait_phase(self, pod: Object, phase: str,
                   timeout: float = 20) -> Object:
        self.wait_pod(pod, lambda seen: seen['status'].get('phase') == phase,
                      phase, timeout)
        return self.now(pod)

    def wait_pod(self, pod: Object, predicate: Any, what: str,
                 timeout: float = 20) -> None:
        """Wait until predicate holds for the pod."""
        name = pod['metadata']['name']
        wait_for(lambda: predicate(self.now(pod)), f'pod {name} {what}',
                 timeout, seen=lambda: self._state(pod))

    def wait_gone(self, pod: Object, timeout: float = 20) -> None:
        """Wait until neither the pod nor its capsule exists."""
        name = pod['metadata']['name']
        wait_for(lambda: self.now(pod) is None, f'pod {name} gone', timeout,
                 seen=lambda: self._state(pod))
        wait_for(lambda: self.capsule(pod) is None,
                 f'capsule of {name} gone', timeout)

    def delete(self, pod: Object, grace: int | None = None) -> None:
        metadata = pod['metadata']
        self.api.delete_pod(metadata['namespace'], metadata['name'], grace)

    def capsule(self, pod: Object) -> Capsule | None:
        return self.cloud.capsule_of(pod)

    def events(self, pod: Object, reason: str | None = None) -> list[Object]:
        metadata = pod['metadata']
        return self.api.events(metadata['namespace'], metadata['uid'],
                               reason)

    def wait_event(self, pod: Object, reason: str,
                   timeout: float = 20) -> Object:
        """Return the first event of this reason about the pod."""
        found = wait_for(lambda: self.events(pod, reason),
                         f'event {reason}', timeout,
                         seen=lambda: self._state(pod))
        return found[0]

    # the node

    def wait_node(self, predicate: Any, what: str,
                  timeout: float = 20) -> Object:
        """Return the node once predicate holds for it."""
        def ask():
            found = self.api.node(self.agent.node)
            return found if found and predicate(found) else None
        return wait_for(ask, f'node {what}', timeout,
                        seen=lambda: self._conditions())

    def wait_node_ready(self, timeout: float = 20) -> Object:
        return self.wait_node(kube_module.is_ready, 'Ready', timeout)

    def wait_node_not_ready(self, reason: str,
                            timeout: float = 20) -> Object:
        """Wait until the node is NotReady for this reason."""
        def because(node):
            ready = kube_module.condition(node, 'Ready')
            return (ready.get('status') == 'False'
                    and ready.get('reason') == reason)
        return self.wait_node(because, f'NotReady: {reason}', timeout)

    # for failure messages

    def _conditions(self):
        found = self.api.node(self.agent.node) or {}
        return found.get('status', {}).get('conditions')

    def _state(self, pod):
        found = self.now(pod)
        events = [(one['reason'], one['message'])
                  for one in self.events(pod)]
        return {'status': found and found.get('status'), 'events': events}

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
            cls.kube, cls.cloud, _name(), cls.OPTIONS))
        cls.agent.start_ready()


class OwnAgentTestCase(FunctionalTestCase):
    """A cloud and an agent for each test; the test starts the agent."""

    def setUp(self):
        super().setUp()
        self.kube = self.make_kube()
        self.cloud = self.useFixture(openstack.FakeCloud(self.HOSTS))
        self.agent = self.useFixture(agent_module.Agent(
            self.kube, self.cloud, _name(), self.OPTIONS))

    def make_kube(self) -> kubernetes.Kubernetes:
        """The control plane; a class that stops it makes its own."""
        return kubernetes.shared()


def _used(cls, fixture):
    fixture.setUp()
    cls.addClassCleanup(fixture.cleanUp)
    return fixture


def _name():
    return f'vk-{uuid.uuid4().hex[:8]}'
