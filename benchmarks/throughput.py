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
"""How fast pods that are bound to a node become Ready, and go again.

The agent, against a cloud that answers at once, and kwok, which does
nothing but write statuses, take the same load on the same API server one
after the other. Only their ratio says something: both share the processors
with the API server, etcd and the load itself.
"""

import argparse
import contextlib
import pathlib
import statistics
import tempfile
import typing

from benchmarks import children
from benchmarks import common
from benchmarks import meter
from benchmarks import profiler
from benchmarks import setting
from zun_vk.tests.fixtures import kubernetes

_WARM_UP = 20
# What whoever runs a node sends for its pods; the load only makes and
# deletes pods and watches them.
_WRITES = ('POST', 'PUT', 'PATCH', 'DELETE')
_OF_PODS = ('pods', 'pods/status', 'events')


class Run:
    """One load on one node.

    :param number: pods
    """

    def __init__(self, kube: kubernetes.Kubernetes, node: setting.Node,
                 number: int, cloud: children.Child | None,
                 deadline: float):
        self._kube = kube
        self._node = node
        self._number = number
        self._cloud = cloud
        self._deadline = deadline

    def measure(self, log: pathlib.Path) -> dict:
        """Warm up, put the load on, take it off, and tell."""
        namespace = self._kube.new_namespace('load')
        with children.Child(
                'benchmarks.load', str(self._kube.kubeconfig), namespace,
                self._node.name, f'--deadline={self._deadline}',
                log=log) as load:
            for verb in ('create', 'delete'):
                load.ask(f'{verb} warm {_WARM_UP}')
            return self._loaded(load)

    def _loaded(self, load: children.Child) -> dict:
        charged = meter.Meter(self._kube, self._node, self._cloud,
                              load=load.usage)
        usage = self._node.usage
        memory = {'start': usage.memory()}
        usage.forget_peak()
        before = charged.read()
        result: dict[str, typing.Any] = {'pods': self._number}
        for verb, name in (('create', 'ready'), ('delete', 'gone')):
            took = load.ask(f'{verb} pod {self._number}')
            took['pods_per_second'] = round(
                self._number / took['seconds'], 1)
            common.say(f'{self._node.name}: {self._number} pods {name} in '
                       f'{took["seconds"]:.1f} s, '
                       f'{took["pods_per_second"]} pods/s')
            result[name] = took
        after = charged.read()
        memory.update(peak=usage.peak(), after=usage.memory())
        result['memory_mib'] = memory
        result |= self._per_pod(meter.used(before, after))
        return result

    def _per_pod(self, used: meter.Reading) -> dict:
        writes = {key: count for key, count in used['served'].items()
                  if key.split()[0] in _WRITES
                  and key.split()[1] in _OF_PODS}
        # The load's own.
        writes['POST pods'] = writes.get('POST pods', 0) - self._number
        writes['DELETE pods'] = writes.get('DELETE pods', 0) - self._number
        result: dict[str, typing.Any] = {
            'cpu_ms_per_pod': {name: round(seconds * 1000 / self._number, 2)
                               for name, seconds in used['cpu'].items()},
            'kubernetes_writes_per_pod': self._shares(writes)}
        for kind, name in (('zun', 'zun_calls_per_pod'),
                           ('calls', 'calls_by_own_count_per_pod')):
            if kind in used:
                result[name] = self._shares(used[kind])
        return result

    def _shares(self, counts: dict[str, float]) -> dict[str, float]:
        shares = {name: round(count / self._number, 3)
                  for name, count in sorted(counts.items()) if count}
        return {**shares, 'sum': round(sum(counts.values())
                                       / self._number, 3)}


def run(number: int, rounds: int, with_kwok: bool, options: dict,
        deadline: float, profile: pathlib.Path | None = None) -> dict:
    """Return the result: the runs of each, and their ratios.

    :param number: pods
    :param rounds: how often each has its turn
    :param options: of the agent, by section
    :param profile: file for where the agent's time went, in the last round
    """
    runs: dict[str, list[dict]] = {'zun_vk': []}
    if with_kwok:
        setting.kwok_program()
        runs['kwok'] = []
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(
            tempfile.TemporaryDirectory(prefix='benchmark-')))
        common.say('starting etcd and kube-apiserver')
        kube = stack.enter_context(setting.control_plane())
        log = folder / 'children.log'
        for turn in range(rounds):
            with (setting.cloud(log) as cloud,
                  setting.agent(kube, cloud, f'zun-vk-{turn}',
                                options) as node,
                  _profiled(node, profile)):
                runs['zun_vk'].append(
                    Run(kube, node, number, cloud, deadline).measure(log))
            if with_kwok:
                with setting.kwok(kube, f'kwok-{turn}') as node:
                    runs['kwok'].append(
                        Run(kube, node, number, None, deadline).measure(log))
    result: dict[str, typing.Any] = {'benchmark': 'throughput', **runs}
    if with_kwok:
        result['ratio'] = {name: _ratio(runs, name)
                           for name in ('ready', 'gone')}
    return result


def _profiled(node: setting.Node, path: pathlib.Path | None
              ) -> contextlib.AbstractContextManager[None]:
    return (profiler.profile(node.usage.pid, path) if path
            else contextlib.nullcontext())


def _ratio(runs: dict[str, list[dict]], name: str) -> float | None:
    ours, theirs = (statistics.median(
        one[name]['pods_per_second'] for one in runs[who])
        for who in ('zun_vk', 'kwok'))
    return common.ratio(ours, theirs)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog='benchmarks/throughput', description=__doc__)
    parser.add_argument('--pods', type=int, default=1000)
    parser.add_argument('--rounds', type=int, default=1)
    parser.add_argument('--no-kwok', dest='kwok', action='store_false')
    parser.add_argument('--deadline', type=float, default=600,
                        help='seconds for all pods to get there')
    parser.add_argument('--profile', type=pathlib.Path, metavar='FILE',
                        help='write where the time of the agent goes; '
                        'needs root, and slows the agent')
    given = parser.parse_args()
    common.report(run(given.pods, given.rounds, given.kwok, {},
                      given.deadline, given.profile))


if __name__ == '__main__':
    main()
