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
"""The message bus between the agent, the hosts and zun-compute.

Everything of zun_vk that travels on it is named here: topics, the version,
and who serves what. The bus is Zun's own, and so is the trust in it: whoever
may send on it can run containers through Zun as well.

Calls answer at once or say that they will take longer; nothing waits on the
bus for a container. Casts may be lost: whatever they tell is told again.
"""

import typing

from oslo_config import cfg
import oslo_messaging as messaging
from oslo_messaging._metrics import client as metrics

from zun_vk import exceptions

#: Served by whoever holds a node; the server is the node's name.
AGENT = 'zun-vk-agent'
#: Served by zun-vk-compute; the server is the host's name.
COMPUTE = 'zun-vk-compute'
#: Served by the capsule driver within zun-compute; likewise the host.
DRIVER = 'zun-vk-driver'
VERSION = '1.0'
# Not the bus's default: Zun's own and the agent's would differ.
_EXCHANGE = 'zun-vk'
SERVICE = 'bus'
CALL_TIMEOUT = 10.0
# Attempts to reach the bus again before a message is given up: else whoever
# sends one would wait for ever.
_RETRIES = 2
_METRICS = 'oslo_messaging_metrics'


def is_named(conf: cfg.ConfigOpts) -> bool:
    """Tell whether anybody said where the bus is; needs a Bus of ``conf``.

    oslo.messaging's default is not empty: it is a broker on this machine,
    with a guest's password.
    """
    location = conf.get_location('transport_url')
    return location is not None and location.location not in (
        cfg.Locations.opt_default, cfg.Locations.set_default)


class Peer:
    """Calls methods of one server of a topic.

    :param client: of the topic
    :param server: its name
    """

    def __init__(self, client: messaging.RPCClient, server: str):
        self._client = client
        self._server = server

    def call(self, method: str, timeout: float = CALL_TIMEOUT,
             **arguments: typing.Any) -> dict:
        """Return what the server answers.

        :param timeout: seconds
        :raises Unreachable: no answer, or the bus is down
        :raises Unavailable: it failed, or answered what is no answer
        """
        try:
            reply = self._prepared(timeout).call({}, method, **arguments)
        except messaging.RemoteError as error:
            # Its words stay in its own log: they may quote what we sent.
            raise exceptions.Unavailable(
                SERVICE, f'{self._server}: {method} failed there with '
                f'{error.exc_type}') from None
        except messaging.MessagingServerError as error:
            raise exceptions.Unavailable(
                SERVICE, f'{self._server}: {method} failed there with '
                f'{type(error).__name__}') from None
        except Exception as error:
            raise self._unreachable(method, error) from None
        if not isinstance(reply, dict):
            raise exceptions.Unavailable(
                SERVICE, f'{self._server}: {method} answered no object')
        return reply

    def cast(self, method: str, **arguments: typing.Any) -> None:
        """Tell the server something that it need not answer.

        :raises Unreachable: the bus is down
        """
        try:
            self._prepared(None).cast({}, method, **arguments)
        except Exception as error:
            raise self._unreachable(method, error) from None

    def _unreachable(self, method: str,
                     error: Exception) -> exceptions.Unreachable:
        # Any error: drivers let those of their libraries through.
        return exceptions.Unreachable(
            SERVICE, f'{self._server}: {method}: {type(error).__name__}')

    def _prepared(self, timeout: float | None) -> typing.Any:
        return self._client.prepare(server=self._server, timeout=timeout)


class Bus:
    """The connection of one process.

    :param conf: ``transport_url`` and oslo.messaging's own options
    :raises ConfigError: the URL makes no sense
    """

    def __init__(self, conf: cfg.ConfigOpts):
        # oslo.messaging puts these on the global configuration only, and
        # reads them from ours with every message.
        conf.register_opts(metrics.oslo_messaging_metrics, group=_METRICS)
        try:
            self._transport = messaging.get_rpc_transport(conf)
        except (messaging.DriverLoadFailure, messaging.InvalidTransportURL,
                ValueError) as error:
            # Not the error's words: they show the password, and where it has
            # a slash a part of it is taken for the port.
            raise exceptions.ConfigError(
                '[DEFAULT] transport_url', 'it names no message bus '
                f'({type(error).__name__})') from None
        self._clients: dict[str, messaging.RPCClient] = {}

    def peer(self, topic: str, server: str) -> Peer:
        """Return a way to call one server of a topic."""
        if topic not in self._clients:
            self._clients[topic] = messaging.get_rpc_client(
                self._transport, messaging.Target(
                    exchange=_EXCHANGE, topic=topic, version=VERSION),
                retry=_RETRIES)
        return Peer(self._clients[topic], server)

    def server(self, topic: str, server: str,
               endpoint: object) -> messaging.MessageHandlingServer:
        """Return a server, not started, whose methods are ``endpoint``'s.

        :param endpoint: takes each call as ``method(context, **arguments)``;
            methods whose names begin with an underscore are not served
        """
        return messaging.get_rpc_server(
            self._transport, messaging.Target(
                exchange=_EXCHANGE, topic=topic, server=server),
            [endpoint], executor='threading',
            access_policy=messaging.DefaultRPCAccessPolicy)

    @staticmethod
    def start(server: messaging.MessageHandlingServer) -> None:
        """Start a server.

        :raises Unreachable: the bus is down; it takes some seconds to know
        """
        try:
            server.start()
        except Exception as error:
            raise exceptions.Unreachable(
                SERVICE, f'cannot serve: {type(error).__name__}') from None

    def close(self) -> None:
        """Give the connections back."""
        self._transport.cleanup()
