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
"""What hosts may ask and tell the agent that holds a node.

Served on the bus under the node's name, so that whoever holds the node gets
its messages. Whoever can send on the bus can call this: nothing is answered
to, or believed of, a host about a capsule that Zun does not say is on it,
and what is no message is counted and dropped. Behind a closed fence nothing
is answered at all: another agent may hold the node by now.
"""

import threading
import time
import typing

from oslo_log import log as logging
import oslo_messaging as messaging

from zun_vk import backoff
from zun_vk import exceptions
from zun_vk import health as health_module
from zun_vk import metrics
from zun_vk.kube import events as events_module
from zun_vk.kube import reflector as reflector_module
from zun_vk.pods import capsule as capsule_module
from zun_vk.pods import payload as payload_module
from zun_vk.pods import status as pod_status
from zun_vk.pods.runtimes import base
from zun_vk.rpc import bus as bus_module
from zun_vk.rpc import fields
from zun_vk.rpc import states

LOG = logging.getLogger(__name__)

SERVICE = 'hosts'
_CHECK = 'serve hosts of node'
_MOST = 10000
_MAX_NAME = 255
# Seconds for which pods share what was read for one of them.
_SHARED_FOR = 5.0


class Hears(typing.Protocol):
    """Who takes what hosts tell."""

    def heard(self, host: str) -> None:
        """A host of this node said something."""

    def told(self, state: states.PodState, host: str) -> None:
        """The host of a capsule told its state."""

    def has_only(self, host: str, capsules: set[str]) -> None:
        """A host told all that it has."""

    def newest(self, capsule: str) -> int:
        """Return the generation of the newest state that was told; or 0."""


class HostLink:
    """The endpoint: its public methods are called over the bus.

    :param node: its name
    :param guard: raises NotHolder while another may act for the node
    :param maker: of the pods' payloads
    """

    def __init__(self, node: str, guard: typing.Callable[[], None],
                 pods: reflector_module.Reflector,
                 runtime: base.CapsuleRuntime,
                 maker: payload_module.PayloadMaker,
                 hears: Hears, recorder: events_module.EventRecorder):
        self._node = node
        self._guard = guard
        self._pods = pods
        self._runtime = runtime
        self._maker = maker
        self._hears = hears
        self._recorder = recorder

    @messaging.expected_exceptions(exceptions.RemoteError)
    def get_pod(self, context: object, **arguments: typing.Any) -> dict:
        """Answer with a resolved pod, to the host of its capsule only."""
        return self._answered('get_pod', self._get_pod, arguments)

    @messaging.expected_exceptions(exceptions.RemoteError)
    def wanted(self, context: object, **arguments: typing.Any) -> dict:
        """Answer which of these pods still exist."""
        return self._answered('wanted', self._wanted, arguments)

    def pod_states(self, context: object, **arguments: typing.Any) -> None:
        """Take what a host tells of pods."""
        self._taken('pod_states', self._pod_states, arguments)

    def pod_events(self, context: object, **arguments: typing.Any) -> None:
        """Take what happened to pods on a host."""
        self._taken('pod_events', self._pod_events, arguments)

    def _get_pod(self, arguments: dict) -> dict:
        uid, capsule, host = (
            fields.text(arguments, name, _MAX_NAME)
            for name in ('uid', 'capsule', 'host'))
        known = fields.text(arguments, 'known', _MAX_NAME)
        addresses = fields.texts(arguments, 'addresses', 64)
        if not (uid and capsule and host):
            raise fields.Malformed('uid, capsule or host is missing')
        self._hears.heard(host)
        found = self._runtime.located(capsule)
        if found is None or found.host != host or found.uid != uid:
            LOG.warning('Host %s asks for pod %s as capsule %s: refused',
                        host, uid, capsule)
            return {'refused': 'this is no capsule of that host'}
        pod = self._pods.get(uid)
        if pod is None or pod_status.is_terminal(pod):
            return {'refused': 'there is no such pod' if pod is None
                    else 'the pod has ended'}
        try:
            made = self._maker.make(pod, addresses,
                                    time.monotonic() - _SHARED_FOR, known)
        except exceptions.UnsupportedPod as error:
            return {'refused': str(error)}
        # Again: making it took time.
        self._guard()
        reply: dict[str, typing.Any] = (
            {'unchanged': True} if made is None
            else {'payload': made.to_wire()})
        # Whatever the host's clock was and has become.
        return reply | {'generation': self._hears.newest(capsule)}

    def _wanted(self, arguments: dict) -> dict:
        self._hears.heard(fields.text(arguments, 'host', _MAX_NAME))
        return {'uids': [uid for uid in fields.texts(arguments, 'uids', _MOST)
                         if self._pods.get(uid) is not None]}

    def _check(self) -> None:
        """Let nothing pass that cannot be answered truly.

        :raises NotHolder: another may hold the node
        :raises Unavailable: what is needed was not read yet
        """
        self._guard()
        if not self._pods.synced.is_set() or (
                self._runtime.listed_at() == float('-inf')):
            raise exceptions.Unavailable(SERVICE, 'not ready yet')

    def _answered(self, method: str, answer: typing.Callable[[dict], dict],
                  arguments: dict) -> dict:
        """Return an answer.

        :raises RemoteError: there is none now, the host asks again
        """
        try:
            self._check()
            return answer(arguments)
        except fields.Malformed as error:
            return {'refused': _dropped(method, error)}
        except exceptions.RemoteError as error:
            LOG.debug('%s is not answered: %s', method, error)
            raise
        except Exception:  # the top of a thread
            metrics.CRASHES.labels('hostlink').inc()
            LOG.exception('%s could not be answered', method)
            raise exceptions.Unavailable(
                SERVICE, f'{method} failed') from None

    def _taken(self, method: str, take: typing.Callable[[dict], None],
               arguments: dict) -> None:
        """Take what was cast; nobody waits for an error."""
        try:
            self._check()
            take(arguments)
        except fields.Malformed as error:
            _dropped(method, error)
        except exceptions.RemoteError as error:
            # Told again, if only when all hosts are asked next.
            LOG.debug('%s from a host was not taken: %s', method, error)
        except Exception:  # the top of a thread
            metrics.CRASHES.labels('hostlink').inc()
            LOG.exception('%s from a host could not be taken', method)

    def _pod_states(self, arguments: dict) -> None:
        host = _host(arguments)
        wires = fields.items(arguments, 'states', _MOST)
        self._hears.heard(host)
        present, came = set(), time.monotonic()
        for wire in wires:
            try:
                state = states.from_wire(wire)
            except fields.Malformed as error:
                _dropped('pod_states', error)
                continue
            present.add(state.capsule)
            if self._is_believed(state, host, came):
                self._hears.told(state, host)
        if fields.flag(arguments, 'full'):
            self._hears.has_only(host, present)

    def _is_believed(self, state: states.PodState, host: str,
                     came: float) -> bool:
        pod = self._pods.get(state.uid)
        if state.node != self._node or pod is None or (
                pod_status.is_terminal(pod)
                and not self._runtime.of_pod(state.uid)):
            # Of no use any more: nobody need ask Zun.
            return False
        found = self._runtime.located(state.capsule, came)
        if found is None or found.uid != state.uid or found.host != host:
            LOG.debug('Host %s tells of capsule %s, which is not there',
                      host, state.capsule)
            return False
        return True

    def _pod_events(self, arguments: dict) -> None:
        host, came = _host(arguments), time.monotonic()
        for wire in fields.items(arguments, 'events', states.MAX_EVENTS):
            try:
                event = states.event_from_wire(wire)
            except fields.Malformed as error:
                _dropped('pod_events', error)
                continue
            pod = self._pods.get(event.uid)
            if pod is not None and any(
                    capsule.host == host
                    for capsule in self._located(event.uid, came)):
                self._recorder.container(
                    pod, event.container, event.kind, event.reason,
                    event.message, event.count)

    def _located(self, uid: str, came: float
                 ) -> typing.Iterator[capsule_module.Capsule]:
        for capsule in self._runtime.of_pod(uid):
            found = self._runtime.located(capsule.uuid, came)
            if found is not None:
                yield found


def serve(bus: bus_module.Bus, node: str, link: HostLink,
          health: health_module.Health, stop: threading.Event) -> None:
    """Serve a node's endpoint until ``stop`` is set."""
    pause = backoff.Backoff(0.5, 5.0)
    server = bus.server(bus_module.AGENT, node, link)
    while not health.attempt(f'{_CHECK} {node}', bus.start, server):
        if stop.wait(pause.next()):
            return
        server = bus.server(bus_module.AGENT, node, link)
    try:
        stop.wait()
    finally:
        server.stop()
        server.wait()


def _host(arguments: dict) -> str:
    """Return who tells; '' would be the host of capsules that have none."""
    host = fields.text(arguments, 'host', _MAX_NAME)
    if not host:
        raise fields.Malformed('host is missing')
    return host


def _dropped(method: str, error: fields.Malformed) -> str:
    """Count a message that is none; return why, without its values."""
    metrics.HOST_MESSAGES_DROPPED.labels(method).inc()
    LOG.warning('%s: a message of a host is dropped: %s', method, error)
    return str(error)
