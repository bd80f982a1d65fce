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
"""All that a run is charged for, read at once.

Counters that only grow: what was used is the difference of two readings.
"""

import collections

from benchmarks import accounting
from benchmarks import children
from benchmarks import setting
from zun_vk.tests.fixtures import kubernetes

Reading = dict[str, collections.Counter]


class Meter:
    """Reads processor times, and requests where they came in.

    :param cloud: the fake OpenStack, None where the node needs none
    :param others: more processes whose processor time is read
    """

    def __init__(self, kube: kubernetes.Kubernetes, node: setting.Node,
                 cloud: children.Child | None,
                 **others: accounting.Usage):
        self._kube = kube
        self._node = node
        self._cloud = cloud
        self._usages = {
            'node': node.usage,
            'api_server': accounting.Usage(kube.server_pid),
            'etcd': accounting.Usage(kube.etcd.pid), **others}
        if cloud:
            self._usages['cloud'] = cloud.usage

    def read(self) -> Reading:
        """Return the counters.

        ``cpu`` in seconds by process; ``served`` by the API server;
        ``keystone``, ``placement`` and ``zun`` as the cloud counts them;
        ``calls`` as the agent does, watches left out.
        """
        reading = {
            'cpu': collections.Counter({
                name: usage.cpu() for name, usage in self._usages.items()}),
            'served': accounting.served(self._kube.metrics())}
        if self._cloud:
            counts = self._cloud.ask('counts')
            reading |= {name: collections.Counter(counts[name])
                        for name in ('keystone', 'placement', 'zun')}
        if self._node.metrics:
            reading['calls'] = accounting.called(
                accounting.fetched(self._node.metrics))
        return reading


def used(before: Reading, after: Reading) -> Reading:
    """Return what was used between two readings, without what was not."""
    return {kind: after[kind] - before[kind] for kind in after}
