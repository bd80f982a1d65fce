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
"""Streams from the hosts, as the kubelet's API needs them.

A stream is asked for over the bus, and had over TLS from the host itself:
nothing is sent before the host has shown the certificate that the bus named,
and then its token comes first. Whatever fails becomes an answer in time.
"""

from collections.abc import Callable
from collections.abc import Iterator
from concurrent import futures
import functools
import select
import socket
import ssl
import threading
import time
import typing

from zun_vk import exceptions
from zun_vk import tls
from zun_vk.rpc import bus as bus_module
from zun_vk.rpc import fields
from zun_vk.rpc import streams

#: For all of it: the answer over the bus, the connection, the token.
OPEN_SECONDS = 10.0
# Of these, for the answer over the bus; a host needs some for its runtime.
_BUS_SHARE = 0.85
_PIECE = 128 * 1024
# Calls over the bus under way, of all nodes: each has a thread.
_CALLS = threading.BoundedSemaphore(512)


def open_stream(bus: bus_module.Bus, host: str,
                request: streams.StreamRequest,
                timeout: float = OPEN_SECONDS) -> tls.Stream:
    """Return a stream that a host has for us; the caller closes it.

    :param timeout: seconds
    :raises Refused: as the host does, or 502 and 504 where it cannot be
        reached
    """
    deadline = time.monotonic() + timeout
    opened = _opened(bus, host, request, timeout * _BUS_SHARE)
    try:
        connection = socket.create_connection(
            (opened.address, opened.port),
            max(0.1, deadline - time.monotonic()))
        return _accepted(connection, opened, deadline)
    except TimeoutError:
        raise exceptions.Refused(
            504, f'host {host} of the pod did not take the stream in time'
        ) from None
    except OSError as error:
        words = error.strerror or str(error) or type(error).__name__
        raise exceptions.Refused(
            502, f'host {host} of the pod cannot be connected to for the '
            f'stream: {words}') from None


def _opened(bus: bus_module.Bus, host: str, request: streams.StreamRequest,
            seconds: float) -> streams.Opened:
    peer = bus.peer(bus_module.COMPUTE, host)
    try:
        reply = streams.reply_from_wire(_in_time(lambda: peer.call(
            'open_stream', seconds, request=request.to_wire()), seconds))
    except (exceptions.Unreachable, TimeoutError):
        raise exceptions.Refused(
            504, f'host {host} of the pod does not answer') from None
    except (exceptions.RemoteError, fields.Malformed):
        raise exceptions.Refused(
            502, f'host {host} of the pod cannot open the stream') from None
    if isinstance(reply, streams.Declined):
        raise exceptions.Refused(reply.status, reply.words)
    return reply


def _in_time(call: Callable[[], dict], seconds: float) -> dict:
    """Return what a call over the bus returns, or raise what it raises.

    In a thread of its own: while the bus is down, oslo.messaging may wait for
    it whatever the time-out (its queue for replies).

    :raises TimeoutError: it takes longer
    :raises Refused: too many take longer
    """
    turns = _CALLS
    if not turns.acquire(blocking=False):
        raise exceptions.Refused(503, 'too many streams are being opened')
    answer: futures.Future[dict] = futures.Future()

    def ask() -> None:
        try:
            answer.set_result(call())
        except Exception as error:  # the top of a thread
            answer.set_exception(error)
        finally:
            turns.release()

    try:
        threading.Thread(target=ask, daemon=True, name='open-stream').start()
    except RuntimeError:
        turns.release()
        raise
    return answer.result(seconds)


def _accepted(connection: socket.socket, opened: streams.Opened,
              deadline: float) -> tls.Stream:
    try:
        tls.tune(connection)
        stream = tls.Stream(connection, _context(), server=False)
        stream.handshake(deadline)
        if stream.fingerprint() != opened.fingerprint:
            raise tls.Broken('its certificate is not the one that it named')
        stream.send_all(
            streams.GREETING + opened.token.encode() + b'\n', deadline)
        _take_answer(stream, deadline)
    except BaseException:
        connection.close()
        raise
    return stream


def _take_answer(stream: tls.Stream, deadline: float) -> None:
    # No byte more than that: what follows is the stream's.
    wanted = streams.ACCEPTED
    read = b''
    while len(read) < len(wanted):
        some = stream.receive(len(wanted) - len(read), deadline)
        if not some:
            break
        read += some
    if read != wanted:
        raise tls.Broken('it does not take the token')


@functools.cache
def _context() -> ssl.SSLContext:
    """Return a context that believes any certificate; it is compared."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


class Interrupted(OSError):
    """Nobody is left to read a stream, or the server stops."""


def pieces(stream: tls.Stream, exchange: typing.Any,
           seconds: float | None = None) -> Iterator[bytes]:
    """Yield what a host sends, until it says that this is all.

    :param exchange: whose client may go, and whose server may stop
    :param seconds: that it may take; None: as long as it likes
    :raises OSError: the stream is broken, or nobody is left to read it
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    buffer = memoryview(bytearray(_PIECE))
    poll = select.poll()
    poll.register(stream, select.POLLIN)
    poll.register(exchange.stop, select.POLLIN)
    poll.register(exchange.fileno(), select.POLLRDHUP)
    while (count := stream.recv_into(buffer)) != 0:
        if count:
            yield bytes(buffer[:count])
            continue
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise TimeoutError('the host took too long')
        poll.poll(None if left is None else left * 1000)
        if exchange.stop.is_set() or exchange.gone():
            raise Interrupted('nobody reads the stream any more')
