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
"""What the agent adds to Zun's own time for one pod, on the devcloud.

One pod at a time, bound to the node, from its creation to Ready. Zun's share
is from the moment the agent asks it for the capsule until its records say
Running; the rest is the agent's, the API server's part in it included. In
turn with the pods, the same capsule is asked of Zun with no pod: were Zun
slower when the agent looks at it, that would show.
"""

import argparse
import contextlib
import datetime
import json
import pathlib
import re
import statistics
import tempfile
import time
import typing
import uuid

import urllib3

from benchmarks import accounting
from benchmarks import common
from benchmarks import records as records_module
from benchmarks import setting
from devcloud import api
from zun_vk.pods import environment
from zun_vk.pods import identity
from zun_vk.pods import translate
from zun_vk.tests.devcloud import base
from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures import pods
from zun_vk.tests.fixtures.wait import wait_for

_BOUND = 0.05
_CALL = {'service': 'zun', 'call': 'create capsule'}
_MADE = re.compile(r'^(\S+ \S+) \d+ INFO \S+ \[[^]]*\] Pod (\S+): capsule ',
                   re.MULTILINE)


class Spans(typing.NamedTuple):
    """Where the time of one pod went, seconds."""

    before: float   # the agent and the API server, until Zun is asked
    zun: float
    after: float    # from Running in Zun to Ready in the API server

    @property
    def agent(self) -> float:
        return self.before + self.after

    @property
    def pod(self) -> float:
        return self.agent + self.zun


def spans(asked: float, made: float, answering: float, running: float,
          ready: float) -> Spans:
    """Return the spans of one pod, from times in seconds since 1970.

    :param asked: the pod was asked of the API server
    :param made: the agent had Zun's answer to its request for a capsule
    :param answering: seconds that Zun took for that answer
    :param running: the capsule was Running in Zun
    :param ready: the pod was Ready
    """
    sent = made - answering
    return Spans(sent - asked, running - sent, ready - running)


def made_at(log: str, pod: str) -> float:
    """Return when the agent had the capsule of a pod, by its log.

    :param pod: ``<namespace>/<name>``
    :returns: seconds since 1970
    :raises RuntimeError: the log does not say
    """
    for at, whose in _MADE.findall(log):
        if whose == pod:
            return datetime.datetime.fromisoformat(at).timestamp()
    raise RuntimeError(f'the log of the agent has no capsule of {pod}')


def answering(metrics: str) -> tuple[int, float]:
    """Return how often an agent asked for a capsule, and the seconds."""
    count, seconds = (
        sum(value for labels, value in accounting.samples(
            metrics, f'zun_vk_api_call_seconds_{what}') if labels == _CALL)
        for what in ('count', 'sum'))
    return int(count), seconds


class Rounds:
    """Makes pods, and capsules without one, in a namespace of a devcloud.

    :param metrics: URL of the agent's
    :param deadline: seconds for each step
    """

    def __init__(self, devcloud: api.Devcloud,
                 records: records_module.Records, namespace: str,
                 metrics: str, deadline: float):
        self._api = kube.KubeAPI(devcloud.kubeconfig)
        self._openstack = devcloud.openstack('demo')
        self._log = devcloud.log(api.AGENT)
        self._records = records
        self._namespace = namespace
        self._metrics = metrics
        self._deadline = deadline

    def pod(self) -> Spans:
        """Bring a pod to Ready, delete it, and tell where its time went."""
        body = self._body()
        name = body['metadata']['name']
        calls, seconds = answering(accounting.fetched(self._metrics))
        with self._watch() as watch:
            asked = time.time()
            pod = self._api.create_pod(self._namespace, body)
            ready = ready_at(watch, name)
        capsule = identity.capsule_name(pod)
        running = self._records.wait(capsule, 'Running', self._deadline)
        calls_now, seconds_now = answering(accounting.fetched(self._metrics))
        if calls_now - calls != 1:
            raise RuntimeError(f'{calls_now - calls} requests for the '
                               f'capsule of {name}')
        self._api.delete_pod(self._namespace, name)
        self._records.wait_gone(capsule, self._deadline)
        made = made_at(self._log.read_text(), f'{self._namespace}/{name}')
        return spans(asked, made, seconds_now - seconds, running, ready)

    def capsule(self) -> float:
        """Bring the same capsule to Running without the agent; return s."""
        body = self._body()
        body['metadata'] |= {'namespace': self._namespace,
                             'uid': str(uuid.uuid4())}
        # Of no cluster that has an agent: nobody takes it for his own.
        owner = identity.Owner('benchmark', 'none')
        template = translate.translate(
            body, owner, environment.Environment()).template
        name = template['metadata']['name']
        zun = self._openstack.zun
        asked = time.time()
        made = zun.must('POST', '/capsules/', {'template': template}).json()
        running = self._records.wait(name, 'Running', self._deadline)
        zun.must('DELETE', f'/capsules/{made["uuid"]}')
        self._records.wait_gone(name, self._deadline)
        return running - asked

    def _body(self) -> dict:
        return pods.pod(f'p-{uuid.uuid4().hex[:8]}', base.container(),
                        node=api.NODE, automountServiceAccountToken=False,
                        enableServiceLinks=False)

    @contextlib.contextmanager
    def _watch(self) -> typing.Iterator[urllib3.BaseHTTPResponse]:
        watch = self._api.core.list_namespaced_pod(
            self._namespace, watch=True, _preload_content=False,
            _request_timeout=(10, self._deadline))
        try:
            yield watch
        finally:
            watch.close()


def ready_at(watch: urllib3.BaseHTTPResponse, name: str) -> float:
    """Return when a watch showed a pod Ready, seconds since 1970.

    :raises RuntimeError: it failed, or the watch ended before
    """
    rest = b''
    for chunk in watch.stream(1 << 16):
        at = time.time()
        *lines, rest = (rest + chunk).split(b'\n')
        for line in lines:
            seen = json.loads(line)['object']
            if seen['metadata']['name'] != name:
                continue
            if kube.is_ready(seen):
                return at
            if seen['status'].get('phase') == 'Failed':
                raise RuntimeError(f'pod {name}: {seen["status"]}')
    raise RuntimeError(f'pod {name} was not seen Ready')


def result(measured: list[Spans], alone: list[float]) -> dict:
    """Return medians and what the agent adds.

    :param alone: seconds of capsules without a pod
    """
    seconds = {name: _figures([getattr(one, name) for one in measured])
               for name in ('pod', 'zun', 'agent', 'before', 'after')}
    seconds['zun_without_agent'] = _figures(alone)
    share = round(statistics.median(
        one.agent / one.zun for one in measured), 4)
    return {'seconds': seconds,
            'agent_to_zun': share,
            'pod_to_zun_without_agent': common.ratio(
                seconds['pod']['median'],
                seconds['zun_without_agent']['median']),
            'budget': {'measured': share, 'bound': _BOUND,
                       'met': share <= _BOUND}}


def _figures(values: list[float]) -> dict[str, float]:
    return {'median': round(statistics.median(values), 3),
            'min': round(min(values), 3), 'max': round(max(values), 3)}


def run(rounds: int, deadline: float) -> dict:
    """Return the result; an agent that runs is started anew for it."""
    devcloud = api.Devcloud()
    kubernetes = kube.KubeAPI(devcloud.kubeconfig)
    namespace = f'overhead-{uuid.uuid4().hex[:8]}'
    port = setting.free_port()
    with contextlib.ExitStack() as stack:
        extra = pathlib.Path(stack.enter_context(
            tempfile.TemporaryDirectory())) / 'metrics.conf'
        extra.write_text(f'[metrics]\nport = {port}\n')
        if devcloud.pid(api.AGENT):
            stack.callback(devcloud.start_agent)
        devcloud.stop_agent()
        stack.callback(devcloud.stop_agent)
        devcloud.start_agent([extra])
        kubernetes.create_namespace(namespace)
        stack.callback(kubernetes.delete_namespace, namespace)
        wait_for(lambda: kubernetes.service_account(namespace),
                 'a service account', deadline)
        wait_for(lambda: not devcloud.node_problem(), 'a Ready node',
                 deadline)
        records = stack.enter_context(records_module.Records(
            devcloud.paths.run / 'mariadb.sock'))
        both = Rounds(devcloud, records, namespace,
                      f'http://127.0.0.1:{port}/metrics', deadline)
        return result(*_in_turn(both, rounds))


def _in_turn(both: Rounds, rounds: int) -> tuple[list[Spans], list[float]]:
    both.pod()      # the first brings connections and tokens
    measured, alone = [], []
    for number in range(rounds):
        measured.append(both.pod())
        alone.append(both.capsule())
        common.say(
            f'round {number + 1} of {rounds}: pod {measured[-1].pod:.2f} s, '
            f'of it Zun {measured[-1].zun:.2f} s; '
            f'Zun without the agent {alone[-1]:.2f} s')
    return measured, alone


def main() -> None:
    parser = argparse.ArgumentParser(
        prog='benchmarks/overhead', description=__doc__)
    parser.add_argument('--rounds', type=int, default=20)
    parser.add_argument('--deadline', type=float, default=120,
                        help='seconds for each step')
    given = parser.parse_args()
    common.report({'benchmark': 'overhead', 'rounds': given.rounds,
                   **run(given.rounds, given.deadline)})


if __name__ == '__main__':
    main()
