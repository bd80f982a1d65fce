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
"""What the tests of streams into pods share: kubectl, and pods for a class.

kubectl is the real one. Beside it there is the node's API itself, called as
the API server calls it, and as others would who are not.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import fcntl
import os
import pathlib
import pty
import select
import ssl
import struct
import subprocess
import termios
import time
import typing
import uuid

import fixtures

from devcloud import api as devcloud_api
from devcloud import settings
from zun_vk.tests.devcloud import base
from zun_vk.tests.devcloud import hosted
from zun_vk.tests.fixtures import channels
from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures import podcase
from zun_vk.tests.fixtures.podcase import Object
from zun_vk.tests.fixtures.wait import wait_for

# kubectl upgrades to WebSockets by itself, which the API server makes SPDY
# of; with these it asks for SPDY, which is passed on as it is.
WAYS = {'websocket': {},
        'spdy': {'KUBECTL_REMOTE_COMMAND_WEBSOCKETS': 'false',
                 'KUBECTL_PORT_FORWARD_WEBSOCKETS': 'false'}}
SECONDS = 60
# A shell that ends when told to, after a script.
STAY = '\ntrap exit TERM; while :; do sleep 0.2; done'
MIB = 2 ** 20


class Said(typing.NamedTuple):
    """What kubectl left."""

    code: int
    out: bytes
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.decode().splitlines()


class Kubectl:
    """kubectl, as the admin, in one namespace.

    :param env: added to its environment
    """

    def __init__(self, devcloud: devcloud_api.Devcloud, namespace: str,
                 env: Mapping[str, str] = {}):
        self._devcloud = devcloud
        self._namespace = namespace
        self._env = dict(env)

    def by(self, way: str) -> 'Kubectl':
        """Return one that connects in one of WAYS."""
        return Kubectl(self._devcloud, self._namespace, WAYS[way])

    def __call__(self, *words: str, feed: bytes | typing.IO = b'',
                 timeout: float = SECONDS) -> Said:
        """Run it to its end.

        :param feed: its standard input, or a file that is
        """
        given = ({'input': feed} if isinstance(feed, bytes)
                 else {'stdin': feed})
        done = subprocess.run(
            self._command(words), capture_output=True, timeout=timeout,
            env=self._environment(), **given)
        return Said(done.returncode, done.stdout,
                    done.stderr.decode(errors='replace'))

    def must(self, *words: str, **options: typing.Any) -> Said:
        """As a call; it has to succeed."""
        said = self(*words, **options)
        if said.code:
            raise AssertionError(f'kubectl {" ".join(words)}: code '
                                 f'{said.code}: {said.err[-2000:]}')
        return said

    @contextlib.contextmanager
    def running(self, *words: str, **options: typing.Any
                ) -> Iterator[subprocess.Popen]:
        """Give a kubectl that runs, its streams unbuffered pipes."""
        child = subprocess.Popen(
            self._command(words), env=self._environment(), bufsize=0, **{
                'stdin': subprocess.PIPE, 'stdout': subprocess.PIPE,
                'stderr': subprocess.PIPE, **options})
        try:
            yield child
        finally:
            child.kill()
            child.wait()
            for stream in (child.stdin, child.stdout, child.stderr):
                if stream:
                    stream.close()

    @contextlib.contextmanager
    def terminal(self, *words: str) -> Iterator['Terminal']:
        """Give a kubectl that runs on a terminal of its own."""
        ours, theirs = pty.openpty()
        screen = Terminal(ours)
        try:
            screen.resize(24, 80)
            with self.running(
                    *words, stdin=theirs, stdout=theirs, stderr=theirs,
                    start_new_session=True,
                    preexec_fn=_take_terminal) as child:
                screen.child = child
                yield screen
        finally:
            os.close(theirs)
            os.close(ours)

    def _command(self, words):
        return [str(self._devcloud.kubectl), '-n', self._namespace, *words]

    def _environment(self):
        return {**os.environ, **self._devcloud.environment(), **self._env}


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """The other end of a program's terminal."""

    child: subprocess.Popen

    def __init__(self, descriptor: int):
        self._descriptor = descriptor
        self.said = b''

    def resize(self, rows: int, columns: int) -> None:
        """Give it another size; the program is told."""
        fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ,
                    struct.pack('HHHH', rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def shows(self, words: bytes, seconds: float = 0.5) -> bool:
        """Tell whether these words come, from now on or just before."""
        until = time.monotonic() + seconds
        while words not in self.said:
            left = until - time.monotonic()
            if left <= 0 or not select.select(
                    [self._descriptor], [], [], left)[0]:
                return False
            try:
                self.said += os.read(self._descriptor, 4096)
            except OSError:     # the program has ended
                return words in self.said
        self.said = self.said.partition(words)[2]
        return True


def read_until(stream: typing.Any, words: bytes,
               seconds: float = 20) -> bytes:
    """Return what an unbuffered pipe says until it has these words."""
    said, until = b'', time.monotonic() + seconds
    while words not in said:
        left = until - time.monotonic()
        if left <= 0 or not select.select([stream], [], [], left)[0]:
            raise AssertionError(f'not within {seconds:g} s: {words!r}; '
                                 f'said: {said[-500:]!r}')
        piece = stream.read(65536)
        if not piece:
            raise AssertionError(f'it ended without {words!r}: {said!r}')
        said += piece
    return said


class Shared(podcase.PodCase, fixtures.Fixture):
    """Pods that the tests of one class share, in a namespace of theirs.

    :param pods: containers and fields of each, by its name
    """

    TIMEOUT = 60.0

    def __init__(self, pods: Mapping[str, Object]):
        super().__init__()
        self._wanted = pods
        self.pods: dict[str, Object] = {}

    def namespace(self) -> str:
        """Return the one that all are in."""
        return self.place

    def _setUp(self) -> None:
        devcloud = base.running_cloud().devcloud
        self.api = kube.KubeAPI(devcloud.kubeconfig)
        self.node_name = devcloud_api.NODE
        self.wait_node_ready()
        self.place = f'{base.PREFIX}{uuid.uuid4().hex[:8]}'
        self.api.create_namespace(self.place)
        self.addCleanup(self._remove)
        wait_for(lambda: self.api.service_account(self.place),
                 f'service account in {self.place}')
        for name, fields in self._wanted.items():
            fields = {'restartPolicy': 'Never',
                      'terminationGracePeriodSeconds': 1, **fields}
            self.pods[name] = self.run_pod(
                *fields.pop('containers'), name=name, **fields)
        for name, pod in self.pods.items():
            self.pods[name] = self.wait_ready(pod)

    def _remove(self) -> None:
        for pod in self.api.pods(self.place):
            self.api.delete_pod(self.place, pod['metadata']['name'])
        wait_for(lambda: not self.api.pods(self.place),
                 f'no pods in {self.place}', 60)
        self.api.delete_namespace(self.place)


class StreamCase(hosted.HostedCase):
    """A test of streams; what PODS has runs for all of a class."""

    PODS: typing.ClassVar[dict[str, Object]] = {}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.shared = Shared(cls.PODS)
        cls.shared.setUp()
        cls.addClassCleanup(cls.shared.cleanUp)

    def setUp(self):
        super().setUp()
        self.place = self.shared.place
        self.kubectl = Kubectl(self.devcloud, self.place)

    def pod(self, name: str) -> Object:
        """Return a pod of PODS."""
        return self.shared.pods[name]

    # the node's API itself

    def certified(self, name: str) -> ssl.SSLContext:
        """Return who shows one of the devcloud's certificates."""
        return certified(self.devcloud, name)

    def kubelet(self, tls: ssl.SSLContext | None = None) -> channels.Target:
        """Return the node's API.

        :param tls: who asks; the API server if there is none
        """
        return node_api(self.api, self.node_name,
                        tls or self.certified('kubelet-client'))

    def exec_path(self, name: str, *command: str,
                  container: str = 'main', **more: int) -> str:
        """Return the path of a command in a pod of PODS."""
        return channels.path('exec', self.place, name, container, **{
            'command': command, 'input': 1, 'output': 1, 'error': 1, **more})

    def exec_in(self, name: str, *command: str, **more: int
                ) -> channels.Channels:
        """Open a command in a pod of PODS, as the API server."""
        return channels.open_channels(
            self.kubelet(), self.exec_path(name, *command, **more))

    def agent_log(self) -> Callable[[], str]:
        """Return what gives the agent's log from now on."""
        path = self.devcloud.log(devcloud_api.AGENT)
        begun = path.stat().st_size

        def since() -> str:
            with path.open('rb') as log:
                log.seek(begun)
                return log.read().decode(errors='replace')
        return since

    def file_of(self, size: int) -> pathlib.Path:
        """Return a file of noise that goes with the test."""
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path) / 'big'
        with path.open('wb') as file:
            for _ in range(size // MIB):
                file.write(os.urandom(MIB))
        return path


def api_server(tls: ssl.SSLContext) -> channels.Target:
    """Return the API server, asked by whoever ``tls`` shows."""
    return channels.Target(
        settings.HOST, settings.PORTS['kube-apiserver'], tls)


def node_api(api: kube.KubeAPI, node: str, tls: ssl.SSLContext
             ) -> channels.Target:
    """Return a node's API, asked by whoever ``tls`` shows."""
    status = api.node(node)['status']
    address, = (each['address'] for each in status['addresses']
                if each['type'] == 'InternalIP')
    return channels.Target(
        address, status['daemonEndpoints']['kubeletEndpoint']['Port'], tls)


def certified(devcloud: devcloud_api.Devcloud, name: str) -> ssl.SSLContext:
    """Return who shows one of the devcloud's certificates."""
    pki = devcloud.paths.pki
    return context(pki / 'ca.crt', pki / f'{name}.crt', pki / f'{name}.key')


def context(authority: pathlib.Path, certificate: pathlib.Path | None = None,
            key: pathlib.Path | None = None) -> ssl.SSLContext:
    """Return what trusts an authority, and shows a certificate."""
    made = ssl.create_default_context(cafile=str(authority))
    if certificate:
        made.load_cert_chain(certificate, key)
    return made
