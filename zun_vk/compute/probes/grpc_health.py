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
"""The question of gRPC's health service, asked over a connection of ours.

grpcio makes its connections itself, in threads of its own, which are not in
the pod's network. So it is let connect to a socket of this host, of which
what comes is passed on to a connection that was made within the pod.
"""

import os
import secrets
import selectors
import socket
import struct
import threading

import grpc

from zun_vk.compute.probes import dial
from zun_vk.compute.probes import http_get
from zun_vk.compute.probes import outcome

_METHOD = '/grpc.health.v1.Health/Check'
# ServingStatus of grpc/health/v1/health.proto
_STATUSES = ('UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN')
_SERVING = 1


def probe(connect: dial.Connect, address: str, port: int, service: str,
          timeout: float) -> outcome.Outcome:
    """Ask once; return what a probe makes of it."""
    deadline = dial.Deadline.after(timeout)
    name = dial.joined(address, port)
    try:
        remote = dial.dial(connect, address, port, deadline)
    except dial.DialFailed as error:
        if error.timed_out:
            return outcome.failure(
                f'timeout: failed to connect service "{name}" within '
                f'{_seconds(timeout)}: context deadline exceeded')
        return outcome.failure(
            f'error: failed to connect service at "{name}": {error}')
    # The relay outlasts the question, which shall say itself that it is late.
    with remote, _Relay(remote, dial.Deadline(deadline.at + 5)) as relay:
        return _check(relay.target, name, service, deadline, timeout)


def encode(service: str) -> bytes:
    """Return a HealthCheckRequest."""
    text = service.encode()
    if not text:
        return b''
    length, size = b'', len(text)
    while size > 0x7f:
        length += bytes([size & 0x7f | 0x80])
        size >>= 7
    return b'\x0a' + length + bytes([size]) + text


def decode(message: bytes) -> int:
    """Return the status of a HealthCheckResponse."""
    # Field 1, a varint; anything below 128 is one byte, and absent is 0.
    return message[1] if message[:1] == b'\x08' and len(message) > 1 else 0


def _check(target: str, name: str, service: str, deadline: dial.Deadline,
           timeout: float) -> outcome.Outcome:
    channel = grpc.insecure_channel(target, options=[
        ('grpc.default_authority', name), ('grpc.enable_http_proxy', 0),
        ('grpc.primary_user_agent', http_get.PROBE_AGENT),
        ('grpc.max_receive_message_length', outcome.MAX_OUTPUT),
        ('grpc.use_local_subchannel_pool', 1)])
    try:
        status = channel.unary_unary(_METHOD)(
            encode(service), timeout=deadline.left())
    except (grpc.RpcError, TimeoutError) as error:
        return outcome.failure(_words(error, timeout))
    finally:
        channel.close()
    found = decode(status)
    if found == _SERVING:
        return outcome.success('service healthy')
    known = _STATUSES[found] if found < len(_STATUSES) else str(found)
    return outcome.failure(
        f'service unhealthy (responded with "{known}")')


def _words(error: Exception, timeout: float) -> str:
    if isinstance(error, TimeoutError):
        code = grpc.StatusCode.DEADLINE_EXCEEDED
    else:
        code = error.code()  # type: ignore[attr-defined]
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return ('timeout: health rpc did not complete within '
                f'{_seconds(timeout)}')
    details = str(error.details() or '')  # type: ignore[attr-defined]
    if code == grpc.StatusCode.UNIMPLEMENTED:
        return ('error: this server does not implement the grpc health '
                f'protocol (grpc.health.v1.Health): {details}')
    return (f'error: health rpc probe failed: rpc error: code = {code.name} '
            f'desc = {details}')


def _seconds(timeout: float) -> str:
    return f'{timeout:g}s'


class _Relay:
    """Passes bytes between one connection of this process and another.

    :param remote: socket, connected; closed by the caller
    """

    def __init__(self, remote: socket.socket, deadline: dial.Deadline):
        name = f'zun-vk-probe-{secrets.token_hex(16)}'
        self.target = f'unix-abstract:{name}'
        self._remote = remote
        self._deadline = deadline
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind('\0' + name)
        self._listener.listen(1)
        # Owned by this object, and ended by its exit or the deadline.
        self._thread = threading.Thread(
            target=self._run, name='probe-relay', daemon=True)

    def __enter__(self) -> '_Relay':
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        for used in (self._listener, self._remote):
            try:
                used.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        try:
            self._listener.settimeout(self._deadline.left())
            local, _ = self._listener.accept()
            with local:
                if _is_ours(local):
                    self._pump(local)
        except OSError:
            # The deadline has passed, or either end is closed.
            return

    def _pump(self, local: socket.socket) -> None:
        with selectors.DefaultSelector() as ready:
            for pair in ((local, self._remote), (self._remote, local)):
                ready.register(pair[0], selectors.EVENT_READ, pair)
            while True:
                for key, _ in ready.select(self._deadline.left()):
                    source, target = key.data
                    data = source.recv(16384)
                    if not data:
                        return
                    target.settimeout(self._deadline.left())
                    target.sendall(data)


def _is_ours(local: socket.socket) -> bool:
    """Tell whether this very process is at the other end."""
    raw = local.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED,
                           struct.calcsize('3i'))
    return struct.unpack('3i', raw)[0] == os.getpid()
