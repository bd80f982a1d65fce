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
"""exec, attach, port-forward and run: what the kubelet's API has of them.

Flows in: a request whose user may make it. Flows out: the connection itself,
passed on to the host of the pod, byte for byte; the container runtime there
speaks SPDY or WebSocket with the client. What is wrong is said before, in
the kubelet's words and with its status.
"""

from collections.abc import Iterator
import contextlib
import time

from zun_vk import exceptions
from zun_vk import relay
from zun_vk import tls
from zun_vk.kubelet import context
from zun_vk.kubelet import hoststream
from zun_vk.kubelet import websocket
from zun_vk.rpc import streams

_HEAD_SECONDS = 10.0
# A little longer than a host lets a command run.
_RUN_SECONDS = 150.0
_RUN_BYTES = 16 * 1024 ** 2 + 4096
_PASSED = ('upgrade', 'connection', 'x-stream-protocol-version')
_WEBSOCKET = 'sec-websocket-'


def exec(services: context.Services, exchange: context.Exchange,
         parts: tuple[str, ...]) -> None:
    """Run a command in a container, its streams on this connection."""
    command = tuple(exchange.query.get('command', ()))
    _remote_command(services, exchange, parts, streams.EXEC, command)


def attach(services: context.Services, exchange: context.Exchange,
           parts: tuple[str, ...]) -> None:
    """Connect with the first process of a container."""
    _remote_command(services, exchange, parts, streams.ATTACH)


def port_forward(services: context.Services, exchange: context.Exchange,
                 parts: tuple[str, ...]) -> None:
    """Connect with ports of a pod."""
    services.need_hosts()
    ports = _ports(exchange)
    pod = _pod(services, parts[0], parts[1], '')
    if len(parts) > 2 and pod['metadata']['uid'] != parts[2]:
        raise exceptions.Refused(404, 'pod not found')
    missing = (f'pod not found ("{pod["metadata"]["name"]}_'
               f'{pod["metadata"]["namespace"]}")')
    _upgraded(services, exchange, streams.StreamRequest(
        streams.PORT_FORWARD, pod['metadata']['uid'], ports=ports), missing)


def run(services: context.Services, exchange: context.Exchange,
        parts: tuple[str, ...]) -> None:
    """Run a command in a container and answer what it said."""
    services.need_hosts()
    # Kubernetes: not as exec has it.
    command = tuple((exchange.query.get('cmd') or [''])[0].split(' '))
    uid, container, missing = _container(services, parts)
    request = streams.StreamRequest(
        streams.RUN, uid, container, command=command)
    stream = _opened(services, request, missing)
    try:
        status, said = _ran(stream, exchange)
    except OSError as error:
        raise exceptions.Refused(
            502, f'the host of the pod broke off: {error}') from None
    finally:
        stream.close()
    if status != 200:
        raise exceptions.Refused(status, said.decode(errors='replace'))
    exchange.send(200, said, context.JSON)


def _remote_command(services: context.Services, exchange: context.Exchange,
                    parts: tuple[str, ...], kind: str,
                    command: tuple[str, ...] = ()) -> None:
    services.need_hosts()
    stdin, stdout, stderr, tty = (
        _flag(exchange, name) for name in ('input', 'output', 'error',
                                           'tty'))
    # Kubernetes: a terminal has one output.
    stderr = stderr and not tty
    if not (stdin or stdout or stderr):
        raise exceptions.Refused(
            400, 'you must specify at least 1 of stdin, stdout, stderr')
    uid, container, missing = _container(services, parts)
    if kind == streams.EXEC and not command:
        raise exceptions.Refused(400, 'you must specify the command to run')
    _upgraded(services, exchange, streams.StreamRequest(
        kind, uid, container, command=command, stdin=stdin, stdout=stdout,
        stderr=stderr, tty=tty), missing)


def _upgraded(services: context.Services, exchange: context.Exchange,
              request: streams.StreamRequest, missing: str) -> None:
    """Pass the connection on, until it ends.

    :param missing: said where the pod has no host yet
    """
    if not websocket.is_upgrade(exchange.headers):
        raise exceptions.Refused(400, 'Upgrade request required')
    stream = _opened(services, request, missing)
    try:
        try:
            stream.send_all(b''.join(_head(exchange)),
                            time.monotonic() + _HEAD_SECONDS)
        except OSError:
            raise exceptions.Refused(
                502, 'the host of the pod broke off') from None
        client = exchange.hijack()
        outcome = relay.relay(client, stream, stop=exchange.stop)
        exchange.flowed(outcome.received, outcome.sent, outcome.why)
        if outcome.why != relay.CLOSED:
            # Before the server does, which would say that this is the end.
            client.close()
    finally:
        stream.close()


def _opened(services: context.Services, request: streams.StreamRequest,
            missing: str) -> tls.Stream:
    # Once more: it takes a time to find out whether the user may.
    services.guard()
    host = services.pods.host_of(request.uid)
    if host is None:
        raise exceptions.Refused(500, missing)
    return hoststream.open_stream(services.need_hosts(), host, request)


def _pod(services: context.Services, namespace: str, name: str,
         uid: str) -> dict:
    pod = services.pods.find(namespace, name, uid)
    if pod is None:
        raise exceptions.Refused(404, 'pod does not exist')
    return pod


def _container(services: context.Services, parts: tuple[str, ...]
               ) -> tuple[str, str, str]:
    """Return the UID of a pod, its container, and what to say without it.

    :param parts: namespace, pod, container; the UID may be before the last
    """
    namespace, name, *uid, container = parts
    pod = _pod(services, namespace, name, uid[0] if uid else '')
    missing = f'container not found ("{container}")'
    spec = pod.get('spec') or {}
    if not any(each.get('name') == container
               for kind in ('containers', 'initContainers',
                            'ephemeralContainers')
               for each in spec.get(kind) or ()):
        raise exceptions.Refused(500, missing)
    return pod['metadata']['uid'], container, missing


def _flag(exchange: context.Exchange, name: str) -> bool:
    return list(exchange.query.get(name, ()))[:1] == ['1']


def _ports(exchange: context.Exchange) -> tuple[int, ...]:
    """Return the ports that a WebSocket names; SPDY names its own later."""
    if not websocket.is_websocket(exchange.headers):
        return ()
    values = exchange.query.get('port', ())
    if not values:
        raise exceptions.Refused(400, 'query parameter "port" is required')
    return tuple(_port(each) for value in values for each in _split(value))


def _split(value: str) -> list[str]:
    if not value:
        raise exceptions.Refused(400, 'query parameter "port" cannot be empty')
    return value.split(',')


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6
            and int(text) < 65536):
        raise exceptions.Refused(
            400, f'unable to parse "{text[:32]}" as a port')
    if int(text) < 1:
        raise exceptions.Refused(400, f'port "{text}" must be > 0')
    return int(text)


def _head(exchange: context.Exchange) -> Iterator[bytes]:
    """Yield the head that a runtime gets: what the upgrade needs of it.

    Who the client is stays here.
    """
    method = 'POST' if exchange.method == 'POST' else 'GET'
    yield f'{method} / HTTP/1.1\r\n'.encode()
    for name, value in exchange.headers.items():
        lower = name.lower()
        if lower == websocket.PROTOCOLS:
            value = websocket.without_token(value)
        if value and (lower in _PASSED or lower.startswith(_WEBSOCKET)):
            yield f'{name}: {value}\r\n'.encode('latin-1', 'replace')
    yield b'Content-Length: 0\r\n\r\n'


def _ran(stream: tls.Stream, exchange: context.Exchange
         ) -> tuple[int, bytes]:
    """Return the status and the words that the host of a command gives."""
    said = bytearray()
    for piece in hoststream.pieces(stream, exchange, _RUN_SECONDS):
        said += piece
        if len(said) > _RUN_BYTES:
            raise OSError('the command said too much')
    # So that the host can tell this from a connection that broke.
    with contextlib.suppress(OSError):
        stream.end()
    status, end, words = bytes(said).partition(b'\n')
    if not end or status not in (b'200', b'500'):
        raise OSError('its answer makes no sense')
    return int(status), words
