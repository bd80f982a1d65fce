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
"""The logs of containers, from their hosts: ``/containerLogs``.

Which log is meant is decided here, from the pod's status; what it shows, on
the host. From there it is passed on as it comes, and where it breaks off the
answer breaks off as well: an answer that ends is whole.
"""

import contextlib
import dataclasses
import time
import typing

from zun_vk import exceptions
from zun_vk import tls
from zun_vk.kubelet import context
from zun_vk.kubelet import hoststream
from zun_vk.kubelet import logoptions
from zun_vk.rpc import streams

# Seconds until the client knows that its host does not answer.
_SECONDS = 9.0
# For each of the hosts that only may have it.
_SECONDS_EACH = 3.0


def logs(services: context.Services, exchange: context.Exchange,
         parts: tuple[str, ...]) -> None:
    """Answer with the log of a container.

    :param parts: namespace, pod, container
    :raises Refused: there is no such log
    """
    namespace, name, container = parts
    services.need_hosts()
    wish = logoptions.parse(exchange.query, time.time())
    pod = services.pods.find(namespace, name)
    if pod is None:
        raise exceptions.Refused(404, f'pod "{name}" does not exist')
    choice = logoptions.choose(pod, container, wish.previous)
    request = streams.StreamRequest(
        streams.LOGS, pod['metadata']['uid'], container,
        choice.container_id,
        logs=dataclasses.replace(wish.options, attempt=choice.attempt))
    stream = _open(services, request)
    try:
        with exchange.chunks() as write:
            _pass_on(stream, exchange, write)
    finally:
        stream.close()


def _open(services: context.Services, request: streams.StreamRequest
          ) -> tls.Stream:
    """Open a log on the host that has it.

    A pod that ended has no capsule any more, and after a restart of the
    agent nobody knows its host: those that there are are asked for it.
    """
    bus, deadline = services.need_hosts(), time.monotonic() + _SECONDS
    known = services.pods.host_of(request.uid)
    refused = exceptions.Refused(
        404, f'the log of container "{request.container}" is on no host of '
        'this node')
    for host in _candidates(known, services.pods.all_hosts()):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        try:
            return hoststream.open_stream(
                bus, host, request,
                left if host == known else min(left, _SECONDS_EACH))
        except exceptions.Refused as error:
            if host == known and error.status != 404:
                raise
            if error.status != 404 or host == known:
                refused = error
    raise refused


def _candidates(known: str | None, others: set[str]) -> list[str]:
    first = [known] if known else []
    return first + sorted(others - {known})


def _pass_on(stream: tls.Stream, exchange: context.Exchange,
             write: typing.Callable[[bytes], None]) -> None:
    """Pass on what the host says, until it says that this is all.

    :raises OSError: it broke off, or the client is gone or too slow
    """
    sent, why = 0, 'broken'
    try:
        for piece in hoststream.pieces(stream, exchange):
            write(piece)
            sent += len(piece)
        why = 'closed'
        # So that the host can tell this from a connection that broke.
        with contextlib.suppress(OSError):
            stream.end()
    finally:
        exchange.flowed(sent, 0, why)
