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
"""What the devcloud tests share: the running cloud and its agent.

Everything is real. The cloud is up already; the agent is started anew once,
so that it is the code of the checkout that is tested. Each test works in
namespaces of its own and waits until these are gone.

Not oslotest's base class: that gives each test another HOME, and what the
tests start and stop belongs to the user's cloud.
"""

import functools
import os
import pathlib
from typing import Any
import uuid

import testtools

from devcloud import api
from devcloud import paths
from devcloud import settings
from zun_vk import quantity
from zun_vk.tests.devcloud import cloud as cloud_module
from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures import podcase
from zun_vk.tests.fixtures import pods
from zun_vk.tests.fixtures.podcase import Object
from zun_vk.tests.fixtures.wait import wait_for

# How the names of namespaces begin that tests make.
PREFIX = 'test-'
# Where agents show that they are alive.
AGENTS = 'zun-vk'
# Set where others test at the same time: the agent that runs is tested, and
# what others left is left.
KEEP_AGENT = 'ZUN_VK_TESTS_KEEP_AGENT'
# A shell that ends when told to: PID 1 ignores a SIGTERM it does not trap.
OBEDIENT = ['sh', '-c', 'trap exit TERM; while :; do sleep 1; done']


def container(name: str = 'main', **fields: Any) -> Object:
    """Return a container that runs until it is told to end."""
    return pods.container(name, **{'args': OBEDIENT, **fields})


@functools.cache
def running_cloud() -> cloud_module.Cloud:
    """Return the cloud, with the checkout's agent running in it."""
    cloud = cloud_module.Cloud()
    if os.environ.get(KEEP_AGENT):
        return cloud
    cloud.devcloud.stop_agent()
    cloud.devcloud.start_agent()
    remove_leftovers(kube.KubeAPI(cloud.devcloud.kubeconfig))
    return cloud


def remove_leftovers(api: kube.KubeAPI) -> None:
    """Delete the namespaces of a run that was interrupted."""
    for found in kube.call(api.core.list_namespace)['items']:
        if found['metadata']['name'].startswith(PREFIX):
            api.delete_namespace(found['metadata']['name'])


class DevcloudTestCase(podcase.PodCase, testtools.TestCase):
    """A test on real servers."""

    TIMEOUT = 60.0

    def setUp(self):
        super().setUp()
        self.addOnException(self._show_log)
        self.cloud = running_cloud()
        self.devcloud = self.cloud.devcloud
        self.api = kube.KubeAPI(self.devcloud.kubeconfig)
        self.node_name = api.NODE
        self.options: list[pathlib.Path] = []
        self.addCleanup(self.ensure_agent)
        self.wait_node_ready()

    def ensure_agent(self) -> None:
        """Start the agent where a failed test left it dead."""
        if self.devcloud.pid(api.AGENT) is None:
            self.devcloud.start_agent()

    # the agent

    def configure_agent(self, **sections: dict[str, object]) -> None:
        """Have the agent run with these options until the test ends.

        :param sections: options by section, over the generated ones
        """
        path = self.devcloud.paths.run / f'{self.id()}.conf'
        paths.write_private(path, settings.ini(sections))
        self.addCleanup(path.unlink)
        self.addCleanup(self.devcloud.stop_agent)
        self.options = [path]
        self.restart_agent()

    def restart_agent(self) -> None:
        """End the agent and start it with the options it had."""
        self.devcloud.stop_agent()
        self.devcloud.start_agent(self.options)

    def forget_agents(self) -> None:
        """Delete the Leases by which agents that ended were alive."""
        leases = self.api.coordination
        for lease in kube.call(leases.list_namespaced_lease, AGENTS)['items']:
            if not lease['spec'].get('holderIdentity'):
                kube.call_or_none(leases.delete_namespaced_lease,
                                  lease['metadata']['name'], AGENTS)

    # pods

    def namespace(self, name: str = '') -> str:
        """Return a new namespace, which goes with all in it."""
        name = name or f'{PREFIX}{uuid.uuid4().hex[:8]}'
        self.api.create_namespace(name)
        self.addCleanup(self._remove_namespace, name)
        wait_for(lambda: self.api.service_account(name),
                 f'service account in {name}')
        return name

    def run_pod(self, *containers: Object, **fields: Any) -> Object:
        """As PodCase's, with a container that ends when told to."""
        return super().run_pod(*(containers or [container()]), **fields)

    def capsule(self, pod: Object) -> Object | None:
        """The pod's capsule; fails where it has two."""
        found = self.cloud.capsules(pod['metadata']['uid'])
        self.assertLessEqual(len(found), 1, 'a pod with two capsules')
        return found[0] if found else None

    def wait_no_capsules(self) -> None:
        """Wait until nothing of earlier tests is in the cloud any more.

        A capsule that goes holds its claim a little longer than its pod.
        """
        wait_for(lambda: not self.cloud.every_capsule(),
                 'no capsule of an earlier test', 60)

    # capacity

    def allocatable(self) -> tuple[int, int]:
        """What the node offers: milli-CPU and MiB."""
        return amounts(self.api.node(self.node_name))

    def wait_allocatable(self, cpu: int, timeout: float = 15) -> None:
        """Wait until the node offers this many milli-CPU."""
        self.wait_node(lambda node: amounts(node)[0] == cpu,
                       f'with {cpu} milli-CPU', timeout)

    def requested(self) -> tuple[int, int]:
        """What the pods on the node request: milli-CPU and MiB."""
        wanted = [requests(pod) for pod in self.api.pods_on(self.node_name)]
        return (sum(cpu for cpu, _memory in wanted),
                sum(memory for _cpu, memory in wanted))

    def expected(self) -> tuple[int, int]:
        """What the node offers at rest: what is free, and its pods'."""
        free = self.cloud.free()
        cpu, memory = self.requested()
        return free['VCPU'] * 1000 + cpu, free['MEMORY_MB'] + memory

    def wait_expected(self, timeout: float = 30) -> None:
        """Wait until the node offers what Placement has."""
        wait_for(lambda: self.allocatable() == self.expected(),
                 'the node to offer what Placement has', timeout,
                 seen=lambda: (self.allocatable(), self.expected()))

    def _remove_namespace(self, name):
        self.api.delete_namespace(name)
        wait_for(lambda: self.api.namespace(name) is None,
                 f'namespace {name} gone', 90,
                 seen=lambda: [self.about(pod)
                               for pod in self.api.pods(name)])

    def _show_log(self, _info):
        lines = self.devcloud.log(api.AGENT).read_text().splitlines()
        print(f'--- the agent of {self.id()}', *lines[-40:], sep='\n')


def requests(pod: Object) -> tuple[int, int]:
    """Return what a pod requests: milli-CPU and MiB."""
    wanted = [one.get('resources', {}).get('requests', {})
              for one in pod['spec']['containers']]
    return (sum(quantity.parse_cpu(one.get('cpu', '0')) for one in wanted),
            sum(quantity.parse_bytes(one.get('memory', '0'))
                for one in wanted) // 2 ** 20)


def amounts(node: Object) -> tuple[int, int]:
    """Return a node's allocatable milli-CPU and MiB."""
    offered = node['status']['allocatable']
    return (quantity.parse_cpu(offered['cpu']),
            quantity.parse_bytes(offered['memory']) // 2 ** 20)
