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
"""/metrics: the agent's own metrics, and a few of the kubelet's names.

The agent may hold several nodes: of what is told by node, only this one's is
shown. The kubelet's names are those that dashboards join on, and only such
as can be told truly.
"""

import collections
from collections.abc import Iterable
from collections.abc import Iterator
import copy

import prometheus_client
from prometheus_client import core

from zun_vk.kubelet import context
from zun_vk.kubelet.stats import exposition

_NODE = 'node'
_ENDED = ('Succeeded', 'Failed')
_STATES = {'running': 'running', 'terminated': 'exited'}


def metrics(services: context.Services, exchange: context.Exchange,
            parts: tuple[str, ...]) -> None:
    """Answer /metrics."""
    exposition.send(exchange, [
        *of_node(prometheus_client.REGISTRY.collect(), services.node),
        *kubelets(services.node, services.pods.all())])


def of_node(families: Iterable[core.Metric], node: str
            ) -> Iterator[core.Metric]:
    """Give metrics without the series of other nodes."""
    for family in families:
        made = copy.copy(family)
        made.samples = [sample for sample in family.samples
                        if sample.labels.get(_NODE, node) == node]
        yield made


def kubelets(node: str, pods: Iterable[dict]) -> Iterator[core.Metric]:
    """Give what a kubelet tells of its pods.

    :param pods: all of the node
    """
    phases: collections.Counter[str] = collections.Counter()
    containers: collections.Counter[str] = collections.Counter()
    for pod in pods:
        status = pod.get('status') or {}
        phases[status.get('phase') or 'Pending'] += 1
        containers.update(_states(status))
    name = exposition.gauge('kubelet_node_name', 'The name of the node',
                            [_NODE])
    name.add({_NODE: node}, 1)
    running = exposition.gauge('kubelet_running_pods', 'Pods that run')
    running.add({}, phases['Running'])
    active = exposition.gauge(
        'kubelet_active_pods', 'Pods that have not ended', ['static'])
    active.add({'static': ''}, sum(
        number for phase, number in phases.items() if phase not in _ENDED))
    by_state = exposition.gauge(
        'kubelet_running_containers', 'Containers, by their state',
        ['container_state'])
    for state in _STATES.values():
        by_state.add({'container_state': state}, containers[state])
    for family in (name, running, active, by_state):
        yield family.metric


def _states(status: dict) -> Iterator[str]:
    """Give the state of each container that there is."""
    for kind in ('containerStatuses', 'initContainerStatuses'):
        for each in status.get(kind) or ():
            for state in each.get('state') or ():
                if state in _STATES:
                    yield _STATES[state]
