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
"""Tells the agents and zun-compute what became of pods.

States: of each pod the newest, to its node's agent and to the capsule driver
beside us. Whoever cannot be reached is told later; a message that is lost is
made up for by the next report, which whoever holds a node asks for.

Events: those that repeat are counted, as clients of Kubernetes do, and a
storm of them costs the oldest, never memory.
"""

import collections
from collections.abc import Callable
from collections.abc import Iterable
import dataclasses
import threading
import time

from oslo_log import log as logging

from zun_vk import backoff
from zun_vk import exceptions
from zun_vk.rpc import bus as bus_module
from zun_vk.rpc import states

LOG = logging.getLogger(__name__)

_AT_ONCE = 100
_MAX_EVENTS = 2000
# Seconds over which events that repeat are counted together.
_EVENT_INTERVAL = 1.0
_BEAT = 10.0


class Publisher:
    """Sends what is told to it, from threads of its own.

    :param bus: the message bus
    :param host: name of this host
    :param wall: seconds since the epoch
    """

    def __init__(self, bus: bus_module.Bus, host: str,
                 wall: Callable[[], float] = time.time):
        self._bus = bus
        self._host = host
        self._wall = wall
        # The one lock: it guards all below.
        self._changed = threading.Condition()
        # By (topic, server), then by UID: what was not sent yet.
        self._waiting: dict[tuple[str, str], dict[str, states.PodState]] = {}
        self._events: collections.OrderedDict[
            tuple, tuple[str, states.PodEvent]] = collections.OrderedDict()

    def state(self, state: states.PodState) -> None:
        """Tell a pod's newest state, soon."""
        with self._changed:
            for target in self._targets(state):
                self._waiting.setdefault(target, {})[state.uid] = state
            self._changed.notify_all()

    def record(self, state: states.PodState) -> None:
        """Have zun-compute write a state again, which it may have lost."""
        with self._changed:
            self._waiting.setdefault(
                (bus_module.DRIVER, self._host), {}).setdefault(
                    state.uid, state)
            self._changed.notify_all()

    def event(self, node: str, event: states.PodEvent) -> None:
        """Tell of something that happened to a pod.

        :param node: whose pod it is; '': a user of Zun's, who sees none
        """
        if not node:
            LOG.info('Capsule %s: %s: %s', event.uid, event.reason,
                     event.message)
            return
        key = (event.uid, event.container, event.reason, event.message)
        with self._changed:
            before = self._events.pop(key, None)
            count = event.count + (before[1].count if before else 0)
            self._events[key] = node, dataclasses.replace(
                event, at=event.at or self._wall(), count=count)
            if len(self._events) > _MAX_EVENTS:
                self._events.popitem(last=False)

    def report(self, node: str, all_states: Iterable[states.PodState],
               full: bool) -> None:
        """Tell a node's agent what there is, now.

        :param full: it is all that there is
        :raises Unreachable: the bus is down
        """
        wires = [state.to_wire() for state in all_states]
        self._bus.peer(bus_module.AGENT, node).cast(
            'pod_states', host=self._host, states=wires, full=full)

    def run_states(self, stop: threading.Event) -> None:
        """Send states until ``stop`` is set; call ``wake`` after it."""
        pause = backoff.Backoff(0.5, 10.0)
        while not stop.is_set():
            with self._changed:
                if not self._waiting:
                    self._changed.wait(60)
                batch = [(target, list(waiting.values())[:_AT_ONCE])
                         for target, waiting in self._waiting.items()]
            if any(state.ended for _, some in batch for state in some):
                # An agent gives back the capsule of a pod that has ended,
                # and believes nothing that comes about it then.
                self._send_events()
            failed = [target for target, some in batch
                      if not self._send(target, some)]
            if failed:
                stop.wait(pause.next())
            else:
                pause.reset()

    def run_events(self, stop: threading.Event) -> None:
        """Send events until ``stop`` is set."""
        while not stop.wait(_EVENT_INTERVAL):
            self._send_events()

    def run_beats(self, nodes: Callable[[], set[str]],
                  stop: threading.Event) -> None:
        """Show the nodes' agents that this host lives, until ``stop``.

        Kubernetes: the kubelet's Lease, every 10 s. An agent that hears
        nothing of a host has to ask for all that it has.

        :param nodes: returns the nodes that have pods here
        """
        while not stop.wait(_BEAT):
            for node in nodes():
                try:
                    self._bus.peer(bus_module.AGENT, node).cast(
                        'pod_states', host=self._host, states=[],
                        full=False)
                except exceptions.RemoteError as error:
                    LOG.debug('Node %s is not told that we live: %s', node,
                              error)

    def wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _send(self, target: tuple[str, str],
              some: list[states.PodState]) -> bool:
        topic, server = target
        wires = [state.to_wire() for state in some]
        peer = self._bus.peer(topic, server)
        try:
            if topic == bus_module.AGENT:
                peer.cast('pod_states', host=self._host, states=wires,
                          full=False)
            else:
                peer.cast('capsule_states', states=wires)
        except exceptions.RemoteError as error:
            LOG.warning('%d states wait for %s: %s', len(some), server,
                        error)
            return False
        with self._changed:
            waiting = self._waiting[target]
            for state in some:
                if waiting.get(state.uid) is state:
                    del waiting[state.uid]
            if not waiting:
                del self._waiting[target]
        return True

    def _send_events(self) -> None:
        with self._changed:
            taken, self._events = self._events, collections.OrderedDict()
        by_node: dict[str, list[dict]] = {}
        for node, event in taken.values():
            by_node.setdefault(node, []).append(event.to_wire())
        for node, wires in by_node.items():
            try:
                self._bus.peer(bus_module.AGENT, node).cast(
                    'pod_events', host=self._host, events=wires)
            except exceptions.RemoteError as error:
                # Kubernetes: events are best effort.
                LOG.warning('%d events for %s are lost: %s', len(wires),
                            node, error)

    def _targets(self, state: states.PodState) -> list[tuple[str, str]]:
        found = [(bus_module.DRIVER, self._host)]
        if state.node:
            found.append((bus_module.AGENT, state.node))
        return found
