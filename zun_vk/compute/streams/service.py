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
"""Streams into this host's pods: opened over the bus, served over TLS.

Whoever may call the bus asks for a stream and gets a token; with it an agent
connects. What kinds of streams there are is registered here.
"""

from collections.abc import Callable
import ipaddress
import threading

from oslo_config import cfg
from oslo_log import log as logging
from oslo_utils import netutils

from zun_vk import exceptions
from zun_vk import relay
from zun_vk import threads
from zun_vk import tls
from zun_vk.compute.cri import client as cri
from zun_vk.compute.streams import certificate as certificate_module
from zun_vk.compute.streams import listener as listener_module
from zun_vk.compute.streams import runtime as runtime_module
from zun_vk.compute.streams import sink as sink_module
from zun_vk.compute.streams import tickets as tickets_module
from zun_vk.rpc import fields
from zun_vk.rpc import streams

LOG = logging.getLogger(__name__)

_STOP_PATIENCE = 5.0
# Of the 64 threads that the bus has by default, and the seconds that another
# one may wait for its turn.
_AT_ONCE = 48
_TURN_SECONDS = 1.0


class Streams:
    """All streams of this host.

    :param options: section ``compute``
    :param is_known: tells whether a pod is on this host, by its UID
    """

    def __init__(self, options: cfg.ConfigOpts,
                 is_known: Callable[[str], bool]):
        # Of its own: whoever waits for a token does not wait for long.
        self._runtime = cri.Runtime(options.runtime_endpoint,
                                    runtime_module.CALL_SECONDS)
        made = runtime_module.RuntimeStreams(self._runtime, is_known)
        self._kinds: dict[str, Callable[[streams.StreamRequest],
                                        runtime_module.Serve]] = {
            streams.EXEC: made.prepare, streams.ATTACH: made.prepare,
            streams.PORT_FORWARD: made.prepare}
        self.register(streams.RUN, made.run)
        self._address = options.stream_address or _own_address()
        self._certificate = certificate_module.Certificate(
            options.stream_cert_file, options.stream_key_file,
            options.run_root)
        self._tickets: tickets_module.Tickets[runtime_module.Serve] = (
            tickets_module.Tickets())
        # A runtime that hangs must not take all threads of the bus.
        self._turns = threading.BoundedSemaphore(_AT_ONCE)
        self._listener = listener_module.Listener(
            self._address, options.stream_port, self._certificate,
            self._tickets)

    def register(self, kind: str, prepare: sink_module.Prepare) -> None:
        """Have a kind of streams made; before any is asked for."""

        def made(request: streams.StreamRequest) -> runtime_module.Serve:
            return _writing(prepare(request))

        self._kinds[kind] = made

    def open(self) -> None:
        """Take the port and the certificate; ``run_root`` is there.

        :raises ConfigError: one of them cannot be had
        """
        if not _is_of_one_host(self._address):
            raise exceptions.ConfigError(
                '[compute] stream_address',
                f'{self._address} is no IP address of this host')
        self._certificate.open()
        try:
            self._listener.open()
        except OSError as error:
            raise exceptions.ConfigError(
                '[compute] stream_address, stream_port',
                f'{self._address}: {error.strerror}') from error

    def start(self, spawn: threads.Threads) -> None:
        """Accept connections from now on."""
        spawn.spawn('streams', self._listener.run)

    def stop(self) -> None:
        """End all streams; does not wait."""
        self._listener.stop()

    def close(self) -> None:
        """Wait for all streams to have ended, after ``stop``."""
        if not self._listener.close(_STOP_PATIENCE):
            LOG.warning('Streams are cut off')
        self._runtime.close()

    def opened(self, message: object) -> streams.Opened | streams.Declined:
        """Answer one request of an agent."""
        if not self._turns.acquire(timeout=_TURN_SECONDS):
            return streams.Declined(
                'too many streams are being opened on the host', 503)
        try:
            request = streams.from_wire(message)
            return self._opened(request)
        except fields.Malformed as error:
            return streams.Declined(str(error), 400)
        except exceptions.Refused as error:
            return streams.Declined(error.words, error.status)
        finally:
            self._turns.release()

    def _opened(self, request: streams.StreamRequest) -> streams.Opened:
        prepare = self._kinds.get(request.kind)
        if prepare is None:
            raise exceptions.Refused(
                501, f'this host has no streams of kind {request.kind}')
        token = self._tickets.issue(prepare(request))
        # Who asked is known to the agent, which tells that; commands may
        # hold secrets.
        LOG.info('Opening %s into container %s of pod %s', request.kind,
                 request.container or '-', request.uid)
        return streams.Opened(
            self._address, self._listener.port,
            self._certificate.current().fingerprint, token,
            tickets_module.SECONDS)


def _own_address() -> str:
    address = netutils.get_my_ipv4()
    if ipaddress.ip_address(address).is_loopback:
        LOG.warning('This host has no default route: agents on other '
                    'machines reach its pods only once [compute] '
                    'stream_address says where')
    return address


def _is_of_one_host(address: str) -> bool:
    """Tell whether agents can connect to what they are told."""
    try:
        return not ipaddress.ip_address(address).is_unspecified
    except ValueError:
        return False


def _writing(write: sink_module.Writer) -> runtime_module.Serve:
    """Return what has a stream written, and completed or broken off."""

    def serve(stream: tls.Stream, stop: relay.Stop) -> None:
        sink = sink_module.TlsSink(stream, stop)
        try:
            write(sink)
            sink.finish()
        except exceptions.ReaderGone:
            return

    return serve
