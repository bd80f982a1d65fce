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
"""Streams that the container runtime serves: how they are had.

The runtime is asked while an agent waits for its token, so that what it
refuses comes as the answer; the address that it gives stays on this host.
That must be a loopback address: nothing is ever passed to another place,
whatever a runtime says.
"""

from collections.abc import Callable
from collections.abc import Iterable
import ipaddress
import re
import socket
import time
import typing
import urllib.parse

from oslo_log import log as logging

from zun_vk import exceptions
from zun_vk import relay
from zun_vk import tls
from zun_vk.compute import model
from zun_vk.compute.cri import client as cri
from zun_vk.compute.cri import seen
from zun_vk.compute.streams import sink as sink_module
from zun_vk.rpc import streams

LOG = logging.getLogger(__name__)

#: Seconds that each call to the runtime may take while an agent waits.
CALL_SECONDS = 4.0
_HEAD_SECONDS = 10.0
_CONNECT_SECONDS = 5.0
_HEAD_BYTES = 32 * 1024
# Kubernetes: what the kubelet's runtime sets for a command that it runs.
_RUN_SECONDS = 120.0
_RUN_BYTES = 16 * 1024 ** 2
_REQUEST = re.compile(rb'(GET|POST) / HTTP/1\.1')
_HEADER = re.compile(rb'[!#$%&\'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*')

#: Serves one connection after its greeting, until it ends.
Serve: typing.TypeAlias = Callable[[tls.Stream, relay.Stop], None]


class Target(typing.NamedTuple):
    """Where a stream of the runtime is served, on this host."""

    address: str
    port: int
    path: str


class RuntimeStreams:
    """Makes streams out of what the runtime serves.

    :param runtime: that answers within ``CALL_SECONDS``
    :param is_known: tells whether a pod is on this host, by its UID
    """

    def __init__(self, runtime: cri.Runtime,
                 is_known: Callable[[str], bool]):
        self._runtime = runtime
        self._is_known = is_known

    def prepare(self, request: streams.StreamRequest) -> Serve:
        """Return what serves an exec, an attach or a port-forward.

        :raises Refused: there is no such stream
        """
        self._check(request)
        with _Refusing():
            target = parsed(self._url(request))

        def serve(stream: tls.Stream, stop: relay.Stop) -> None:
            pass_on(stream, target, stop)

        return serve

    def run(self, request: streams.StreamRequest) -> sink_module.Writer:
        """Return what runs a command and writes what it said.

        First a line with the HTTP status, then the output, or why there is
        none.

        :raises Refused: there is no such container
        """
        self._check(request)
        with _Refusing():
            container = self._container(request)
        seconds = min(request.seconds or _RUN_SECONDS, _RUN_SECONDS)

        def write(sink: sink_module.Sink) -> None:
            status, said = self._said(container, request.command, seconds)
            sink.write(b'%d\n' % status + said)

        return write

    def _check(self, request: streams.StreamRequest) -> None:
        if not self._is_known(request.uid):
            raise exceptions.Refused(404, 'pod does not exist')

    def _url(self, request: streams.StreamRequest) -> str:
        if request.kind == streams.PORT_FORWARD:
            return self._runtime.port_forward_url(
                self._sandbox(request), request.ports)
        container = self._container(request)
        chosen = {'stdin': request.stdin, 'stdout': request.stdout,
                  'stderr': request.stderr, 'tty': request.tty}
        if request.kind == streams.EXEC:
            return self._runtime.exec_url(container, request.command,
                                          **chosen)
        return self._runtime.attach_url(container, **chosen)

    def _container(self, request: streams.StreamRequest) -> str:
        found = _newest(
            container for container in map(
                seen.container, self._runtime.containers(_labels(request)))
            if container.state is model.ContainerState.RUNNING
            and container.name == request.container
            and request.container_id in ('', container.id))
        if found is None:
            # Kubernetes: the kubelet's words, and no 404.
            raise exceptions.Refused(
                500, f'container not found ("{request.container}")')
        return found

    def _sandbox(self, request: streams.StreamRequest) -> str:
        found = _newest(
            sandbox for sandbox in map(
                seen.sandbox, self._runtime.sandboxes(_labels(request)))
            if sandbox.ready)
        if found is None:
            raise exceptions.Refused(
                500, f'pod not found ("{request.uid}")')
        return found

    def _said(self, container: str, command: tuple[str, ...],
              seconds: float) -> tuple[int, bytes]:
        try:
            output = self._runtime.exec_sync(container, command, seconds)
        except exceptions.RemoteError as error:
            return 500, error.message.encode()
        said = (output.stdout + output.stderr)[:_RUN_BYTES]
        if output.exit_code:
            words = (f"command '{' '.join(command)}' exited with "
                     f'{output.exit_code}: ').encode(errors='replace')
            return 500, words + output.stderr[:_RUN_BYTES]
        return 200, said


class _Refusing:
    """Makes a refusal of an error of the runtime."""

    def __enter__(self) -> None:
        return

    def __exit__(self, _kind: type[BaseException] | None,
                 error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, exceptions.RuntimeNotFound):
            status = 404
        elif isinstance(error, exceptions.RuntimeUnavailable):
            status = 503
        elif isinstance(error, exceptions.RemoteError):
            status = 500
        else:
            return
        raise exceptions.Refused(status, error.message) from None


def _labels(request: streams.StreamRequest) -> dict[str, str]:
    return {**seen.OURS, model.LABEL_UID: request.uid}


def _newest(found: Iterable[typing.Any]) -> str | None:
    return max(((each.attempt, each.created_at, each.id) for each in found),
               default=(0, 0, None))[2]


def parsed(url: str) -> Target:
    """Return the target that a runtime's URL is.

    :raises Refused: it leads off this host, or makes no sense
    """
    try:
        parts = urllib.parse.urlsplit(url)
        port, host = parts.port or 80, parts.hostname or ''
        address = ipaddress.ip_address(
            '127.0.0.1' if host == 'localhost' else host)
    except ValueError:
        raise exceptions.Refused(
            500, 'the container runtime gave no address of a stream'
        ) from None
    if parts.scheme != 'http' or not address.is_loopback:
        # Its path is as good as a token.
        LOG.error('The container runtime serves streams at %s://%s; only '
                  'http and a loopback address are used', parts.scheme, host)
        raise exceptions.Refused(
            500, 'the container runtime serves streams elsewhere than on '
            'the loopback address of its host')
    path = urllib.parse.urlunsplit(('', '', parts.path, parts.query, ''))
    if not re.fullmatch(r'/[!-~]*', path):
        raise exceptions.Refused(
            500, 'the container runtime gave no address of a stream')
    return Target(str(address), port, path)


def rewritten(head: bytes, target: Target) -> bytes:
    """Return the head of a request, as the runtime has to get it.

    :param head: without the empty line that ends it
    :raises ValueError: it is not what an agent sends
    """
    first, *headers = head.split(b'\r\n')
    found = _REQUEST.fullmatch(first)
    if not found or not all(map(_HEADER.fullmatch, headers)):
        raise ValueError('not the head of an upgrade')
    host = f'[{target.address}]' if ':' in target.address else target.address
    return b'\r\n'.join([
        b'%s %s HTTP/1.1' % (found[1], target.path.encode()),
        f'Host: {host}:{target.port}'.encode(),
        *(each for each in headers
          if not each.lower().startswith(b'host:')), b'', b''])


def pass_on(stream: tls.Stream, target: Target, stop: relay.Stop) -> None:
    """Connect an agent with the runtime, until either ends.

    :raises OSError: one of them is broken before anything was passed on
    """
    head, more = _head(stream, time.monotonic() + _HEAD_SECONDS)
    request = rewritten(head, target)
    with socket.create_connection(
            (target.address, target.port), _CONNECT_SECONDS) as runtime:
        tls.tune(runtime)
        runtime.sendall(request + more)
        outcome = relay.relay(stream, runtime, stop=stop)
    LOG.debug('A stream ended: %s', outcome)


def _head(stream: tls.Stream, deadline: float) -> tuple[bytes, bytes]:
    """Read the head of a request; return it, and what came after it.

    :raises ValueError: it is none
    :raises OSError: it did not come
    """
    read = b''
    while b'\r\n\r\n' not in read:
        some = stream.receive(4096, deadline)
        if not some or len(read) > _HEAD_BYTES:
            raise ValueError('not the head of a request')
        read += some
    head, _end, more = read.partition(b'\r\n\r\n')
    return head, more
