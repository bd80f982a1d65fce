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
"""What opens a stream between an agent and a host, and what is answered.

The answer says where the host listens, how its certificate is known, and
which token opens this one stream. A token is as good as the right to run the
command: no repr shows it, and it stands in no log.
"""

import dataclasses
import ipaddress
import re
import typing

from zun_vk.rpc import fields

EXEC, ATTACH, PORT_FORWARD = 'exec', 'attach', 'portForward'
LOGS, RUN = 'logs', 'run'
KINDS = (EXEC, ATTACH, PORT_FORWARD, LOGS, RUN)
#: Before the token, in the first line of a connection; the host's answer.
GREETING = b'zun-vk-stream/1 '
ACCEPTED = b'OK\n'
MAX_GREETING = 256
STDOUT, STDERR = 'stdout', 'stderr'

_MAX_NAME = 256
_MAX_COMMAND = 4096
_MAX_PORTS = 1024
_MAX_WORDS = 8192
_STATUSES = (400, 404, 500, 501, 503)
_UID = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]{0,127}')
_TOKEN = re.compile(r'[A-Za-z0-9_-]{43,128}')
_FINGERPRINT = re.compile(r'[0-9a-f]{64}')


@dataclasses.dataclass(frozen=True)
class LogOptions:
    """Which part of a container's log is wanted.

    :param attempt: restart count of the container
    :param tail: lines from the end; None: from the beginning
    :param since: seconds since the epoch; None: from the beginning
    :param limit: bytes; None: all
    :param streams: ``stdout`` or ``stderr``; '': both
    """

    attempt: int = 0
    follow: bool = False
    timestamps: bool = False
    tail: int | None = None
    since: float | None = None
    limit: int | None = None
    streams: str = ''

    def to_wire(self) -> dict[str, typing.Any]:
        """Return it as JSON types."""
        return dict(vars(self))


@dataclasses.dataclass(frozen=True)
class StreamRequest:
    """A stream that an agent wants, for somebody who may have it.

    :param kind: one of ``KINDS``
    :param uid: of the pod
    :param container: its name; '' for a port-forward
    :param container_id: '': the newest one of that name
    :param command: of ``exec`` and ``run``
    :param ports: of a port-forward by WebSocket
    :param logs: of ``logs`` only
    :param seconds: that the command of ``run`` may take; 0: no bound
    """

    kind: str
    uid: str
    container: str = ''
    container_id: str = ''
    command: tuple[str, ...] = dataclasses.field(default=(), repr=False)
    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    tty: bool = False
    ports: tuple[int, ...] = ()
    logs: LogOptions | None = None
    seconds: float = 0

    def to_wire(self) -> dict[str, typing.Any]:
        """Return it as JSON types."""
        return dict(vars(self), command=list(self.command),
                    ports=list(self.ports),
                    logs=None if self.logs is None else self.logs.to_wire())


@dataclasses.dataclass(frozen=True)
class Opened:
    """A host waits for a connection.

    :param address: IP address of the host
    :param fingerprint: SHA-256 of its certificate (DER), in hexadecimal
    :param token: opens the stream, once
    :param seconds: that the token holds
    """

    address: str
    port: int
    fingerprint: str
    token: str = dataclasses.field(repr=False)
    seconds: float = 30

    def to_wire(self) -> dict[str, typing.Any]:
        """Return it as JSON types."""
        return dict(vars(self))


@dataclasses.dataclass(frozen=True)
class Declined:
    """The host has no such stream.

    :param words: why, for whoever asked
    :param status: of HTTP, that the kubelet would answer
    """

    words: str
    status: int = 500

    def to_wire(self) -> dict[str, typing.Any]:
        """Return it as JSON types."""
        return {'refused': self.words[:_MAX_WORDS], 'status': self.status}


def from_wire(message: object) -> StreamRequest:
    """Return the request that ``message`` is.

    :raises Malformed: it is none
    """
    wire = fields.whole(message)
    request = StreamRequest(
        kind=fields.text(wire, 'kind', _MAX_NAME),
        uid=fields.text(wire, 'uid', _MAX_NAME),
        container=fields.text(wire, 'container', _MAX_NAME),
        container_id=fields.text(wire, 'container_id', _MAX_NAME),
        stdin=fields.flag(wire, 'stdin'), stdout=fields.flag(wire, 'stdout'),
        stderr=fields.flag(wire, 'stderr'), tty=fields.flag(wire, 'tty'),
        command=_command(wire), ports=_ports(wire), logs=_logs(wire),
        seconds=fields.number(wire, 'seconds'))
    _check(request)
    return request


def _check(request: StreamRequest) -> None:
    if request.kind not in KINDS:
        raise fields.Malformed('kind is none')
    if not _UID.fullmatch(request.uid):
        raise fields.Malformed('uid is no identity')
    if not request.container and request.kind != PORT_FORWARD:
        raise fields.Malformed('container is missing')
    if (request.kind in (EXEC, RUN)) != bool(request.command):
        raise fields.Malformed('command is missing, or has no meaning')
    if (request.kind == LOGS) != (request.logs is not None):
        raise fields.Malformed('logs is missing, or has no meaning')
    if request.kind in (EXEC, ATTACH) and not (
            request.stdin or request.stdout or request.stderr):
        raise fields.Malformed('none of stdin, stdout, stderr is wanted')


def _command(wire: dict) -> tuple[str, ...]:
    command = fields.texts(wire, 'command', _MAX_COMMAND)
    if sum(map(len, command)) > fields.MAX_TEXT:
        raise fields.Malformed(f'command is longer than {fields.MAX_TEXT}')
    return command


def _ports(wire: dict) -> tuple[int, ...]:
    ports = fields.items(wire, 'ports', _MAX_PORTS)
    if not all(_is_port(port) for port in ports):
        raise fields.Malformed('ports has items that are no ports')
    return tuple(ports)


def _is_port(port: object) -> bool:
    return type(port) is int and 0 < port < 65536


def _logs(wire: dict) -> LogOptions | None:
    if wire.get('logs') is None:
        return None
    found = fields.mapping(wire, 'logs')
    options = LogOptions(
        attempt=fields.integer(found, 'attempt'),
        follow=fields.flag(found, 'follow'),
        timestamps=fields.flag(found, 'timestamps'),
        tail=_optional(found, 'tail', fields.integer),
        since=_optional(found, 'since', fields.number),
        limit=_optional(found, 'limit', fields.integer),
        streams=fields.text(found, 'streams', _MAX_NAME))
    if options.streams not in ('', STDOUT, STDERR):
        raise fields.Malformed('streams is neither stdout nor stderr')
    return options


def _optional(wire: dict, name: str, read: typing.Callable) -> typing.Any:
    return None if wire.get(name) is None else read(wire, name)


def reply_from_wire(message: object) -> Opened | Declined:
    """Return the answer that ``message`` is.

    :raises Malformed: it is none
    """
    wire = fields.whole(message)
    if wire.get('refused') is not None:
        return _declined(wire)
    opened = Opened(
        address=fields.text(wire, 'address', _MAX_NAME),
        port=fields.integer(wire, 'port'),
        fingerprint=fields.text(wire, 'fingerprint', _MAX_NAME),
        token=fields.text(wire, 'token', _MAX_NAME),
        seconds=fields.number(wire, 'seconds'))
    if not _is_address(opened.address) or not _is_port(opened.port):
        raise fields.Malformed('address or port is none')
    if not _FINGERPRINT.fullmatch(opened.fingerprint):
        raise fields.Malformed('fingerprint is none')
    if not is_token(opened.token):
        raise fields.Malformed('token is none')
    return opened


def is_token(text: str) -> bool:
    """Tell whether ``text`` has the form of a token."""
    return bool(_TOKEN.fullmatch(text))


def _declined(wire: dict) -> Declined:
    status = fields.integer(wire, 'status')
    if status not in _STATUSES:
        raise fields.Malformed('status is none')
    return Declined(fields.text(wire, 'refused', _MAX_WORDS), status)


def _is_address(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True
