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
"""What the agent does, and holds, while nothing happens.

A tenth of the pods are brought to Ready and left alone, then all: what is
asked of the cloud must not grow with them. The API server is a real one,
the cloud answers at once. Each figure stands beside its budget.
"""

import argparse
import collections
import contextlib
import pathlib
import tempfile
import time
import typing

from benchmarks import children
from benchmarks import common
from benchmarks import meter
from benchmarks import setting
from zun_vk.tests.fixtures import kubernetes

_WRITES = ('POST', 'PUT', 'PATCH', 'DELETE')
# What a node may write. The API servers' own Leases are PUT.
_OF_NODES = ('nodes', 'nodes/status', 'pods', 'pods/status', 'events',
             'leases')
_NOT_OURS = 'PUT leases'
_LEASE = 'PATCH leases'


class Rest:
    """One agent and its pods, left alone.

    :param seconds: of a look at it
    :param settle: seconds before, for the last looks at what has changed
    """

    def __init__(self, kube: kubernetes.Kubernetes, node: setting.Node,
                 cloud: children.Child, load: children.Child,
                 seconds: float, settle: float):
        self._meter = meter.Meter(kube, node, cloud, load=load.usage)
        self._usage = node.usage
        self._load = load
        self._seconds = seconds
        self._settle = settle
        self._pods = 0

    def measure(self, pods: int) -> dict[str, typing.Any]:
        """Have so many pods Ready, then look at what happens by itself."""
        took = self._load.ask(f'create of-{pods} {pods - self._pods}')
        self._pods = pods
        common.say(f'{pods} pods Ready; last ones in {took["seconds"]:.1f} s')
        time.sleep(self._settle)
        self._usage.forget_peak()
        before = self._meter.read()
        began = time.monotonic()
        time.sleep(self._seconds)
        used = meter.used(before, self._meter.read())
        seconds = time.monotonic() - began
        return {'pods': pods,
                'cpu_percent': {
                    name: round(100 * used['cpu'][name] / seconds, 2)
                    for name in before['cpu']},
                'memory_mib': self._usage.peak(),
                **requests(used)}


def requests(used: meter.Reading) -> dict[str, dict[str, int]]:
    """Return the requests of each kind, by service.

    To Kubernetes twice: as the agent counts its calls, and the writes that
    the API server was sent, whoever sent them.
    """
    writes = {key: count for key, count in used['served'].items()
              if key.split()[0] in _WRITES and key.split()[1] in _OF_NODES
              and key != _NOT_OURS}
    own = {key.removeprefix('kubernetes: '): count
           for key, count in used['calls'].items()
           if key.startswith('kubernetes: ')}
    return {'kubernetes_calls': own, 'kubernetes_writes': writes,
            **{name: dict(used[name])
               for name in ('zun', 'placement', 'keystone')}}


def budgets(few: dict, many: dict) -> dict[str, dict[str, typing.Any]]:
    """Compare with the budgets of an agent with 1,000 pods."""
    beside = collections.Counter(many['kubernetes_writes'])
    del beside[_LEASE]
    grown = many['memory_mib'] - few['memory_mib']
    calls = [sum(one['zun'].values()) for one in (many, few)]
    return {
        'kubernetes_writes_beside_lease': _budget(beside.total(), 0),
        'cpu_percent': _budget(many['cpu_percent']['node'], 2.0),
        # A look more or less falls into the time by chance.
        'zun_calls_ratio_many_to_few': _budget(common.ratio(*calls), 1.1),
        'memory_mib': _budget(many['memory_mib'], 100),
        'memory_kib_per_pod': _budget(
            round(grown * 1024 / (many['pods'] - few['pods']), 1), 20)}


def _budget(measured: float | None, bound: float) -> dict[str, typing.Any]:
    # None: a ratio to nothing, which tells nothing.
    return {'measured': measured, 'bound': bound,
            'met': None if measured is None else measured <= bound}


def run(pods: int, seconds: float, settle: float,
        deadline: float) -> dict[str, typing.Any]:
    """Return the result: with a tenth of the pods, and with all."""
    few = max(1, pods // 10)
    with contextlib.ExitStack() as stack:
        log = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(
            prefix='benchmark-'))) / 'children.log'
        common.say('starting etcd and kube-apiserver')
        kube = stack.enter_context(setting.control_plane())
        cloud = stack.enter_context(setting.cloud(log))
        node = stack.enter_context(setting.agent(kube, cloud, 'zun-vk', {}))
        load = stack.enter_context(children.Child(
            'benchmarks.load', str(kube.kubeconfig),
            kube.new_namespace('load'), node.name,
            f'--deadline={deadline}', log=log))
        rest = Rest(kube, node, cloud, load, seconds, settle)
        results = {'few': rest.measure(few), 'many': rest.measure(pods)}
    return {'benchmark': 'idle', 'seconds': seconds, **results,
            'budgets': budgets(**results)}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog='benchmarks/idle', description=__doc__)
    parser.add_argument('--pods', type=_at_least_two, default=1000)
    parser.add_argument('--seconds', type=float, default=120)
    parser.add_argument('--settle', type=float, default=20,
                        help='seconds before, for the agent to be done')
    parser.add_argument('--deadline', type=float, default=600,
                        help='seconds for all pods to get Ready')
    given = parser.parse_args()
    common.report(run(given.pods, given.seconds, given.settle,
                      given.deadline))


def _at_least_two(text: str) -> int:
    if int(text) < 2:
        raise ValueError(text)
    return int(text)


if __name__ == '__main__':
    main()
