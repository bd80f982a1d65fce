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
"""Calls over the socket of a container runtime, and what their errors mean.

In: messages of cri_pb2. Out: messages, or errors of zun_vk.exceptions. The
calls are those of the .proto, so nothing here names one.
"""

from collections.abc import Callable
from collections.abc import Iterator
import re
import time
import typing

from google.protobuf import message_factory
import grpc

from zun_vk import exceptions
from zun_vk import remote
from zun_vk.compute.cri import cri_pb2

# Kubernetes: the kubelet takes 16 MiB; a list of every container has to fit.
_MESSAGE_BYTES = 32 * 1024 ** 2
_METADATA_BYTES = 1024 ** 2
_WORDS_BYTES = 4096
_OPTIONS = (
    ('grpc.max_receive_message_length', _MESSAGE_BYTES),
    ('grpc.max_send_message_length', _MESSAGE_BYTES),
    # The words of an error are metadata: of one that has more than 16 KiB
    # nothing would be left.
    ('grpc.max_metadata_size', _METADATA_BYTES),
    ('grpc.absolute_max_metadata_size', _METADATA_BYTES),
    # A runtime that was restarted is found again within two seconds.
    ('grpc.initial_reconnect_backoff_ms', 100),
    ('grpc.max_reconnect_backoff_ms', 2000),
    # This is in truth how long connecting may take, on a busy host too.
    ('grpc.min_reconnect_backoff_ms', 10000),
    # Go's servers refuse the path of a socket as the name of a host.
    ('grpc.default_authority', 'localhost'),
    ('grpc.enable_http_proxy', 0),
)
_AWAY = frozenset((grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED,
                   grpc.StatusCode.DEADLINE_EXCEEDED))
# containerd 1.6 says so while it starts, with the status UNKNOWN.
_STARTING = 'server is not initialized yet'
# A registry's address may carry a signature or a password.
_QUERY = re.compile(r'(\w+://[^\s"\'?]+)\?[^\s"\']*')
_USERINFO = re.compile(r'(\w+://)[^\s"\'/@]*@')


class Channel:
    """The connection to one runtime; any thread may call at any time.

    :param endpoint: ``unix:///run/containerd/containerd.sock``
    """

    def __init__(self, endpoint: str):
        self._channel = grpc.insecure_channel(endpoint, options=_OPTIONS)
        self._calls = dict(_calls(self._channel))

    def call(self, name: str, request: typing.Any, seconds: float
             ) -> typing.Any:
        """Make a call and return the answer.

        :param name: ``RunPodSandbox``
        :param seconds: to wait for the answer at most
        :raises RuntimeUnavailable: no answer
        :raises RuntimeNotFound: what it is about is not there
        :raises RuntimeRefused: the runtime says no
        """
        with remote.measured('cri', name):
            try:
                return self._calls[name](request, timeout=seconds)
            except grpc.RpcError as error:
                raise meaning(name, error) from None
            except ValueError:
                # The channel was closed by another thread.
                raise _closed(name) from None

    def stream(self, name: str, request: typing.Any) -> 'Stream':
        """Make a call that is answered with one message after another.

        :raises RuntimeUnavailable: the channel is closed
        """
        try:
            return Stream(name, self._calls[name](request))
        except ValueError:
            raise _closed(name) from None

    def close(self) -> None:
        """End every call and the connection."""
        self._channel.close()


class Stream:
    """Messages as they come; any thread may cancel it."""

    def __init__(self, name: str, call: typing.Any):
        self.began = time.monotonic()
        self._name = name
        self._call = call
        self._cancelled = False

    def __iter__(self) -> Iterator[typing.Any]:
        """Yield messages until the stream ends or is cancelled.

        :raises RemoteError: as Channel.call does
        """
        try:
            yield from self._call
        except grpc.RpcError as error:
            if not self._cancelled:
                raise meaning(self._name, error) from None

    def cancel(self) -> None:
        """End the stream; the iterator ends too, without an error."""
        self._cancelled = True
        self._call.cancel()


def _calls(channel: grpc.Channel) -> Iterator[tuple[str, Callable]]:
    for service in cri_pb2.DESCRIPTOR.services_by_name.values():
        for method in service.methods:
            make = (channel.unary_stream if method.server_streaming
                    else channel.unary_unary)
            answer = message_factory.GetMessageClass(method.output_type)
            yield method.name, make(
                f'/{service.full_name}/{method.name}',
                request_serializer=_serialized,
                response_deserializer=answer.FromString)


def _serialized(request: typing.Any) -> bytes:
    return request.SerializeToString()


def _closed(name: str) -> exceptions.RuntimeUnavailable:
    return exceptions.RuntimeUnavailable(f'{name}: the connection is closed')


def meaning(name: str, error: grpc.RpcError) -> exceptions.RemoteError:
    """Return the error that a failed call means.

    :param name: of the call
    """
    code, words = error.code(), clean(error.details() or '')
    message = f'{name}: {words or code.name}'
    if code in _AWAY or _STARTING in words:
        return exceptions.RuntimeUnavailable(
            message, code is grpc.StatusCode.DEADLINE_EXCEEDED)
    if code is grpc.StatusCode.NOT_FOUND:
        return exceptions.RuntimeNotFound(message)
    return exceptions.RuntimeRefused(message, code.name)


def clean(words: str) -> str:
    """Return a runtime's words fit for a pod's event: bounded, no secrets."""
    words = _USERINFO.sub(r'\1', _QUERY.sub(r'\1', words))
    bounded = words.encode(errors='replace')[:_WORDS_BYTES]
    return bounded.decode(errors='ignore')
