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
"""What a handler of the kubelet's API is given, and what it may raise.

Flows in: one request that was authenticated and authorised, and the parts of
the node that answers it. Flows out: the answer, by ``Exchange``, or the
socket itself where the connection is upgraded. A handler never sees a
request that its user may not make.
"""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import dataclasses
import email.message
import typing

from oslo_config import cfg

from zun_vk import exceptions
from zun_vk import relay
from zun_vk import tls
from zun_vk.kubelet.stats import figures
from zun_vk.rpc import bus as bus_module

TEXT = 'text/plain; charset=utf-8'
JSON = 'application/json'


@dataclasses.dataclass(frozen=True)
class User:
    """Who asks, as Kubernetes knows them.

    :param extra: what else the authenticator said, for the authoriser
    """

    name: str
    uid: str = ''
    groups: tuple[str, ...] = ()
    extra: Mapping[str, Sequence[str]] = dataclasses.field(
        default_factory=dict, hash=False)


class Pods(typing.Protocol):
    """The pods of the node, as raw objects that must not be changed."""

    def find(self, namespace: str, name: str, uid: str = '') -> dict | None:
        """Return a pod with the newest status known, None: there is none.

        :param uid: the one it must be; '': any
        """

    def all(self) -> list[dict]:
        """Return all pods of the node, with their newest status known."""

    def host_of(self, uid: str) -> str | None:
        """Return the host of a pod, or the one that it had.

        None: it has none, or it is not known.

        :raises Refused: the capsules were not listed yet
        """

    def hosts(self) -> set[str]:
        """Return the hosts of all capsules of the node.

        :raises Refused: the capsules were not listed yet
        """

    def all_hosts(self) -> set[str]:
        """Return all hosts that a pod of the node may have had."""


class Exchange(typing.Protocol):
    """One request that its user may make, and its answer.

    For one thread. One of ``send``, ``chunks`` and ``hijack`` is called,
    once; a handler that calls none has answered 200 with nothing.
    """

    #: 'GET' or another, in capitals
    method: str
    #: decoded, without the query
    path: str
    #: values of each name, in their order; blank ones are kept
    query: dict[str, list[str]]
    headers: email.message.Message
    user: User
    #: address and port of the client
    peer: str
    #: set when the server stops
    stop: relay.Wakeup

    def send(self, status: int, body: bytes = b'', content_type: str = TEXT,
             headers: Mapping[str, str] | None = None) -> None:
        """Answer, whole.

        :raises OSError: the client is gone or too slow
        """

    def chunks(self, content_type: str = TEXT
               ) -> contextlib.AbstractContextManager[
                   Callable[[bytes], None]]:
        """Answer 200 in pieces: gives a function that sends some bytes.

        Left in peace the answer ends; left by an exception the connection is
        broken off, so that the client knows that something is missing. The
        function raises OSError where the client is gone or too slow.
        """

    def hijack(self) -> tls.Stream:
        """Return the connection: nothing was answered yet.

        The server closes it once the handler has returned, and cuts it off
        some seconds after its own stop.
        """

    def gone(self) -> bool:
        """Tell whether the client has closed the connection."""

    def fileno(self) -> int:
        """Return the connection's descriptor, to wait for POLLRDHUP on.

        For ``select.poll``, beside ``stop``: not to be read from.
        """

    def flowed(self, sent: int, received: int, why: str) -> None:
        """Say for the log how a stream went, before the handler returns.

        :param sent: bytes to the client
        :param received: bytes from the client
        :param why: a word or two of our own for how it ended
        """


class Gatherer(typing.Protocol):
    """Asks the hosts of one node what its pods use."""

    def of(self, services: 'Services', kind: str) -> figures.Gathered:
        """Return it, gathered now or shared with who just asked.

        :param kind: of ``rpc.stats.KINDS``
        :raises Refused: the node has no hosts that can tell
        :raises NotHolder: another agent may hold it
        """


@dataclasses.dataclass(frozen=True)
class Services:
    """The parts of one node that handlers use.

    :param node: its name
    :param node_address: hostIP of its pods
    :param bus: to the hosts; None without them
    :param on_hosts: pods run in our own service on the hosts; without it
        whatever needs a host is refused with ``need_hosts``
    :param guard: raises NotHolder once another agent may hold the node
    :param gatherer: of what the pods use; it ends with the node
    """

    conf: cfg.ConfigOpts
    node: str
    node_address: str
    pods: Pods
    bus: bus_module.Bus | None
    on_hosts: bool
    guard: Callable[[], None]
    gatherer: Gatherer

    def need_hosts(self) -> bus_module.Bus:
        """Return the bus; raise Refused where the runtime has no hosts."""
        if not self.on_hosts or self.bus is None:
            raise exceptions.Refused(501, NO_HOSTS)
        return self.bus

    def gathered(self, kind: str) -> figures.Gathered:
        """Return what the pods of the node use; see ``Gatherer``."""
        return self.gatherer.of(self, kind)


NO_HOSTS = (
    'the capsule runtime of this node cannot reach into its containers: it '
    'takes [pods] capsule_runtime = compute and zun-vk-compute on the hosts')

#: The last argument: the parts of the path after its root, decoded.
Handler = Callable[[Services, Exchange, tuple[str, ...]], None]
