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
"""What streams into pods cost: through the agent, and from the runtime.

The node's API is called as the API server calls it, the runtime's streaming
server where it is: on its host. Both speak WebSocket with the same client,
and with the same container. In each round both do the same in turn.
"""

import argparse
from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import statistics
import time
import typing
import urllib.parse

from benchmarks import common
from devcloud import api
from devcloud import containerd
from zun_vk.compute import model
from zun_vk.compute.cri import client as cri
from zun_vk.tests.devcloud import base
from zun_vk.tests.devcloud import hosted
from zun_vk.tests.devcloud import streamed
from zun_vk.tests.fixtures import channels

PORT = 9000
_SHARE = 0.7
_MORE_MS = 50.0
_ECHOES = 200
_EXECS = 10
# Bytes: the port, which goes before the data of a connection.
_NO_DATA = 2
Open = Callable[[], channels.Channels]


class Way(typing.Protocol):
    """A way into the pod."""

    def exec(self, *command: str) -> channels.Channels:
        """Open a command."""

    def forward(self) -> channels.Channels:
        """Open a connection to PORT."""


class Agent:
    """The node's API, as the API server."""

    def __init__(self, target: channels.Target, namespace: str):
        self._target = target
        self._namespace = namespace

    def exec(self, *command: str) -> channels.Channels:
        return self._open('exec', 'main', command=command, input=1, output=1,
                          error=1)

    def forward(self) -> channels.Channels:
        return self._open('portForward', port=PORT)

    def first_log_byte(self) -> float:
        """Return the seconds until a log begins."""
        sent = channels.request(self._target, 'GET', channels.path(
            'containerLogs', self._namespace, 'box', 'main'))
        begun = time.monotonic()
        with channels.connect(self._target) as sock:
            sock.sendall(sent)
            said = b''
            while b'hello' not in said:
                piece = sock.recv(4096)
                if not piece:
                    raise RuntimeError(f'the log is {said!r}')
                said += piece
        return time.monotonic() - begun

    def _open(self, kind, *parts, **query) -> channels.Channels:
        return channels.open_channels(self._target, channels.path(
            kind, self._namespace, 'box', *parts, **query))


class Direct:
    """The runtime of the pod's host.

    :param container: its ID in the runtime
    :param sandbox: its ID there
    """

    def __init__(self, runtime: cri.Runtime, container: str, sandbox: str):
        self._runtime = runtime
        self._container = container
        self._sandbox = sandbox

    def exec(self, *command: str) -> channels.Channels:
        return _opened(self._runtime.exec_url(
            self._container, command, stdin=True, stdout=True, stderr=True,
            tty=False))

    def forward(self) -> channels.Channels:
        return _opened(self._runtime.port_forward_url(self._sandbox, [PORT]))


def _opened(url: str) -> channels.Channels:
    parts = urllib.parse.urlsplit(url)
    return channels.open_channels(channels.Target(
        parts.hostname or '', parts.port or 80), parts.path)


class Rounds:
    """Measures both ways in turn.

    :param size: bytes that flow in one look at the throughput
    """

    def __init__(self, ways: dict[str, Way], size: int):
        self._ways = ways
        self._size = size
        self._looks: dict[str, Callable[[Way], float]] = {
            'execs_per_second': self._execs,
            'echoes_per_second': self._echoes,
            'exec_first_byte_ms': lambda way: 1000 * _first_byte(
                lambda: way.exec('echo', 'hello'), channels.STDOUT),
            'forward_first_byte_ms': lambda way: 1000 * _first_byte(
                way.forward, 0),
            'exec_stdout_mib_per_second': self._stdout,
            'exec_stdin_mib_per_second': self._stdin,
            'forward_mib_per_second': self._forward}

    def all(self, rounds: int) -> dict[str, dict[str, float]]:
        """Return the medians, by way and by what was measured."""
        found: dict[str, dict[str, list[float]]] = {
            way: {look: [] for look in self._looks} for way in self._ways}
        for number in range(rounds):
            for look, measure in self._looks.items():
                for name, way in self._ways.items():
                    found[name][look].append(measure(way))
            common.say(f'round {number + 1} of {rounds}: ' + '; '.join(
                f'{look} ' + ' '.join(f'{found[name][look][-1]:.1f}'
                                      for name in self._ways)
                for look in self._looks))
        return {way: {look: round(statistics.median(values), 2)
                      for look, values in looks.items()}
                for way, looks in found.items()}

    def _execs(self, way: Way) -> float:
        begun = time.monotonic()
        for _ in range(_EXECS):
            with way.exec('true') as opened:
                opened.all()
        return _EXECS / (time.monotonic() - begun)

    def _echoes(self, way: Way) -> float:
        with way.exec('cat') as opened:
            begun = time.monotonic()
            for _ in range(_ECHOES):
                opened.send(channels.STDIN, b'x\n')
                opened.until(b'x\n')
            return _ECHOES / (time.monotonic() - begun)

    def _stdout(self, way: Way) -> float:
        with way.exec('head', '-c', str(self._size), '/dev/zero') as opened:
            return self._downloaded(opened, channels.STDOUT, self._size)

    def _forward(self, way: Way) -> float:
        with way.forward() as opened:
            return self._downloaded(opened, 0, self._size + _NO_DATA)

    def _stdin(self, way: Way) -> float:
        block = bytes(32 * 1024)
        # It cannot be told that this was all.
        command = f'head -c {self._size} | wc -c'
        with way.exec('sh', '-c', command) as opened:
            begun = time.monotonic()
            for _ in range(self._size // len(block)):
                opened.send(channels.STDIN, block)
            opened.until(str(self._size).encode())
            return self._rate(begun)

    def _downloaded(self, opened: channels.Channels, channel: int,
                    size: int) -> float:
        begun, count = time.monotonic(), 0
        while count < size:
            found = opened.receive()
            if found is None:
                raise RuntimeError(f'only {count} of {size} bytes came')
            if found[0] == channel:
                count += len(found[1])
        return self._rate(begun)

    def _rate(self, begun: float) -> float:
        return self._size / streamed.MIB / (time.monotonic() - begun)


def _first_byte(open_stream: Open, channel: int) -> float:
    begun = time.monotonic()
    with open_stream() as opened:
        while found := opened.receive():
            # What comes before is empty, or says which port it is.
            if found[0] == channel and len(found[1]) > _NO_DATA:
                return time.monotonic() - begun
    raise RuntimeError('the stream ended without a byte')


def result(measured: dict[str, dict[str, float]], log_ms: float) -> dict:
    """Return ratios and differences, and which goals are met.

    :param log_ms: until the first byte of a log; on its host that is read
        in no time
    """
    ours, theirs = measured['agent'], measured['runtime']
    share = {look: common.ratio(ours[look], theirs[look])
             for look in ours if look.endswith('per_second')}
    more = {look: round(ours[look] - theirs[look], 2)
            for look in ours if look.endswith('_ms')}
    more['log_first_byte_ms'] = round(log_ms, 2)
    slowest = min(share[look] or 0.0 for look in share if '_mib_' in look)
    latest = max(more.values())
    return {**measured, 'share': share, 'more': more, 'goals': {
        'throughput': {'measured': slowest, 'bound': _SHARE,
                       'met': slowest >= _SHARE},
        'first_byte_ms': {'measured': latest, 'bound': _MORE_MS,
                          'met': latest <= _MORE_MS}}}


@contextlib.contextmanager
def _ways(devcloud: api.Devcloud, shared: streamed.Shared
          ) -> Iterator[tuple[Agent, Direct]]:
    """Give both ways into the pod."""
    pod = shared.pods['box']
    uid = {model.LABEL_UID: pod['metadata']['uid']}
    container = hosted.status_of(pod)['containerID'].partition('://')[2]
    agent = Agent(streamed.node_api(
        shared.api, shared.node_name,
        streamed.certified(devcloud, 'kubelet-client')), shared.place)
    host = base.running_cloud().host_of(
        base.running_cloud().capsules(pod['metadata']['uid'])[0])
    with contextlib.closing(cri.Runtime(
            containerd.endpoint(devcloud.paths, host))) as runtime:
        sandbox, = (each.id for each in runtime.sandboxes(uid))
        yield agent, Direct(runtime, container, sandbox)


def run(rounds: int, mib: int) -> dict:
    """Return the result."""
    size = mib * streamed.MIB
    pods = {'box': {'containers': [
        hosted.shell(f'echo hello{streamed.STAY}'),
        hosted.shell(f'exec nc -ll -p {PORT} -e head -c {size} /dev/zero',
                     'server')]}}
    devcloud = api.Devcloud()
    with streamed.Shared(pods) as shared, \
            _ways(devcloud, shared) as (agent, direct):
        logs = statistics.median(
            agent.first_log_byte() for _ in range(5 * rounds))
        return result(Rounds({'agent': agent, 'runtime': direct}, size).all(
            rounds), 1000 * logs)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog='benchmarks/streams', description=__doc__)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--mib', type=int, default=200,
                        help='what flows in one look at the throughput')
    given = parser.parse_args()
    common.report({'benchmark': 'streams', 'rounds': given.rounds,
                   'mib': given.mib, **run(given.rounds, given.mib)})


if __name__ == '__main__':
    main()
