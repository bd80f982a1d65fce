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
"""What a server is here, and how one is started, watched and stopped."""

from collections.abc import Callable
from collections.abc import Container
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
from dataclasses import dataclass
from dataclasses import field
import os
from pathlib import Path
import socket
import threading
import time

from devcloud import errors
from devcloud import paths
from devcloud import processes
from devcloud import settings
from devcloud import web

# '' when the server is well, else what is wrong in a few words
Health = Callable[[], str]
# What a server tells systemd
READY = b'READY=1'


@dataclass(frozen=True)
class Server:
    """One long-running program of the cloud.

    :param after: servers and steps that must be done before it starts
    :param seconds: how long it may take until it is healthy
    :param stop_seconds: how long it may take to end after SIGTERM
    :param outlived: what it started goes on when it ends, as containers do
    :param notifies: it tells systemd when it has started, so health need
        not be asked then
    :param umask: -1 for ours, which keeps other users out of everything
    """

    name: str
    command: tuple[str, ...]
    health: Health
    after: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[str, ...] = ()
    seconds: float = 90
    stop_seconds: float = 8
    outlived: bool = False
    notifies: bool = False
    umask: int = -1


def http_health(peer: web.Peer | Callable[[], web.Peer], path: str,
                statuses: Container[int] = (200, 300)) -> Health:
    """Well when a GET answers with one of these statuses.

    :param peer: or a function that makes it at the time of the check (its
        certificates may not exist yet)
    """
    def check() -> str:
        try:
            reply = (peer() if callable(peer) else peer).call(
                'GET', path, timeout=5)
        except web.UNREACHABLE as error:
            return f'no answer ({type(error).__name__})'
        return '' if reply.status in statuses else f'HTTP {reply.status}'
    return check


def port_health(port: int, greeting: bytes = b'') -> Health:
    """Well when the port takes a connection (and answers a greeting)."""
    def check() -> str:
        try:
            with socket.create_connection((settings.HOST, port), 3) as peer:
                if greeting:
                    peer.sendall(greeting)
                    return '' if peer.recv(1) else 'no greeting'
        except OSError as error:
            return f'no answer ({type(error).__name__})'
        return ''
    return check


def port_taken(port: int) -> bool:
    """Whether another program listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.HOST, port))
        except OSError:
            return True
    return False


def base_environment() -> dict[str, str]:
    """This process's environment without what could lead servers astray."""
    strange = ('OS_', 'PYTHON', 'RABBITMQ_', 'ETCD_', 'GUNICORN_', 'KUBE',
               'DOCKER_', 'NOTIFY_', 'http_', 'https_', 'HTTP_', 'HTTPS_',
               'all_proxy', 'ALL_PROXY', 'ERL_')
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(strange)}
    # Where cron and the like leave the sbin folders out, dockerd is missing
    kept['PATH'] = f'{kept.get("PATH", "")}:/usr/sbin:/usr/bin:/sbin:/bin'
    return kept


class Supervisor:
    """Starts and stops servers of one cloud.

    :param abort: set when waiting has become pointless
    """

    def __init__(self, where: paths.Paths, abort: threading.Event):
        self.where = where
        self.abort = abort
        self.processes = processes.Processes(where.run, str(where.state))

    def start(self, server: Server) -> None:
        """Have the server run and healthy; one that hangs is restarted.

        :raises errors.LoggedFailure: it died or did not become healthy
        """
        if self.processes.pid(server.name) is not None:
            if self._healthy_within(server, 20):
                return
            self.stop(server)
        for name in server.ports:
            port = settings.PORTS[name]
            if port_taken(port):
                raise errors.DevcloudError(
                    f'{server.name}: port {port} of {settings.HOST} is taken '
                    'by a program that the devcloud did not start')
        log = self.where.log(server.name)
        with self._notified(server) as (env, ready):
            self.processes.start(
                server.name, server.command, log,
                {**base_environment(), **server.env, **env},
                self.where.state, umask=server.umask)
            if not self._healthy_within(server, server.seconds, ready):
                raise self._failure(server, log)

    @contextlib.contextmanager
    def _notified(self, server: Server
                  ) -> Iterator[tuple[dict[str, str], Health]]:
        """What makes a server tell us that it is ready, and whether it did.

        It must not reach the systemd of the machine either way.
        """
        if not server.notifies:
            yield {}, server.health
            return
        path = self.where.run / f'{server.name}-notify.sock'
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
            ours.bind(str(path))
            ours.setblocking(False)
            heard = []

            def ready() -> str:
                with contextlib.suppress(BlockingIOError):
                    heard.extend(ours.recv(4096).split(b'\n'))
                return '' if READY in heard else 'not ready yet'

            try:
                yield {'NOTIFY_SOCKET': str(path)}, ready
            finally:
                path.unlink(missing_ok=True)

    def _healthy_within(self, server: Server, seconds: float,
                        health: Health | None = None) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.processes.pid(server.name) is None:
                return False
            if not (health or server.health)():
                return True
            if self.abort.wait(0.15):
                raise errors.Aborted(f'{server.name}: interrupted')
        return False

    def _failure(self, server: Server, log: Path) -> errors.LoggedFailure:
        if self.processes.pid(server.name) is None:
            return errors.LoggedFailure(f'{server.name} ended', log)
        return errors.LoggedFailure(
            f'{server.name} is not well after {server.seconds:.0f} s: '
            f'{server.health()}', log)

    def stop(self, server: Server) -> bool:
        """End a server; True if it ended in time by itself."""
        return self.processes.stop(server.name, server.stop_seconds,
                                   outlived=server.outlived)
