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
"""Which nodes this agent holds: its share of those there are.

Flows in: the nodes, who holds them, which agents live. Flows out: nodes
taken and given up. One thread decides all of it; whatever an agent believes
about the others, only a Lease lets it act.
"""

import threading
import time
import typing

from oslo_config import cfg
from oslo_log import log as logging

from zun_vk import backoff
from zun_vk import exceptions
from zun_vk import health as health_module
from zun_vk import slot as slot_module
from zun_vk.kube import presence as presence_module
from zun_vk.node import spread
from zun_vk.node import zones

LOG = logging.getLogger(__name__)

_LOOK_INTERVAL = 1.0
# Seconds between two moves of nodes: what others see of one comes first.
_SETTLE = 10.0
# Seconds that calls under way get when a node is given up, and when the
# process ends.
_HANDOVER = 1.0
_STOP_PATIENCE = 8.0
_NAMES_CHECK = 'find the nodes'
_PRESENCE_CHECK = 'see other agents'
_LEASE_CHECK = 'see who holds node'
MakeSlot = typing.Callable[[zones.VirtualNode], slot_module.Slot]


class NodeKeeper:
    """Holds this agent's share of the nodes.

    :param agent: name of this agent
    :param on_ready: called once, when every node is held by somebody and
        ours are registered
    """

    def __init__(self, conf: cfg.ConfigOpts, agent: str,
                 names: zones.NodeNames,
                 presence: presence_module.Presence,
                 health: health_module.Health, make_slot: MakeSlot,
                 on_ready: typing.Callable[[], None]):
        self._conf = conf
        self._agent = agent
        self._names = names
        self._presence = presence
        self._health = health
        self._make_slot = make_slot
        self._on_ready = on_ready
        # Replaced whole by find(), read by run().
        self._found: dict[str, zones.VirtualNode] = {}
        # All below is owned by the thread that calls run().
        self._slots: dict[str, slot_module.Slot] = {}
        self._moved_at = float('-inf')
        self._alive = {agent}
        self._ready = False

    def find(self, stop: threading.Event) -> None:
        """Find the nodes there are, again and again.

        In a thread of its own: a slow Zun must not keep this agent from
        taking a node.
        """
        while not stop.is_set():
            self._health.attempt(_NAMES_CHECK, self._find)
            stop.wait(self._conf.node.capacity_interval if self._found
                      else _LOOK_INTERVAL)

    def run(self, stop: threading.Event) -> None:
        """Hold nodes until ``stop`` is set, then give up all of them."""
        # At the start the first certificate and the first look come soon.
        hurry = backoff.Backoff(0.1, _LOOK_INTERVAL, jitter=0)
        try:
            while not stop.is_set():
                self._round()
                stop.wait(_LOOK_INTERVAL if self._ready else hurry.next())
        finally:
            self._give_up_all()
        # Not after a crash: this runs again then.
        for slot in self._slots.values():
            slot.forget()

    def _round(self) -> None:
        self._keep_slots(self._found)
        self._health.attempt(_PRESENCE_CHECK, self._see_agents)
        # One node that cannot be looked at must not keep us from the others.
        seen = [slot for slot in self._slots.values()
                if self._tried(slot.which, slot.look)]
        self._balance(seen)
        if len(seen) == len(self._slots):
            self._tell_ready()

    def _find(self) -> None:
        self._found = {which.name: which for which in self._names.find()}

    def _keep_slots(self, found: dict[str, zones.VirtualNode]) -> None:
        """Make a slot for every new node; drop those of nodes that went."""
        for name, which in found.items():
            if name not in self._slots:
                self._tried(which, self._add_slot, which)
        for name in self._slots.keys() - found.keys():
            slot = self._slots.pop(name)
            if slot.held:
                self._give_up([slot])
            slot.forget()

    def _add_slot(self, which: zones.VirtualNode) -> None:
        self._slots[which.name] = self._make_slot(which)

    def _see_agents(self) -> None:
        self._presence.renew()
        self._alive = self._presence.alive()

    def _tried(self, which: zones.VirtualNode,
               call: typing.Callable[..., object], *args: object) -> bool:
        """Tell whether a call for one node succeeded.

        One that fails, for a file that is gone as well, must not cost this
        agent the nodes that it has.
        """
        return self._health.attempt(f'{_LEASE_CHECK} {which.name}',
                                    _as_remote, call, *args)

    def _balance(self, seen: list[slot_module.Slot]) -> None:
        """Take what is free, give up what others should hold."""
        now = time.monotonic()
        holders = {name: self._agent if slot.held else slot.holder
                   for name, slot in self._slots.items()}
        for slot in seen:
            if slot.free_since is None:
                continue
            name = slot.which.name
            wait = spread.patience(self._agent, self._alive, holders, name)
            if now - slot.free_since < wait:
                continue
            self._tried(slot.which, slot.take)
            if slot.held:
                holders[name] = self._agent
                self._moved_at = now
        if now - self._moved_at >= _SETTLE:
            surplus = spread.surplus(self._agent, self._alive, holders)
            if surplus is not None:
                self._moved_at = now
                self._give_up([self._slots[surplus]])

    def _tell_ready(self) -> None:
        if self._ready or not self._slots or not all(
                slot.registered.is_set() if slot.held else slot.holder
                for slot in self._slots.values()):
            return
        self._ready = True
        self._on_ready()

    def _give_up(self, slots: list[slot_module.Slot]) -> None:
        """End the parts of nodes and let other agents take them."""
        for slot in slots:
            slot.end()
        deadline = time.monotonic() + _HANDOVER
        for slot in slots:
            slot.join(max(0.0, deadline - time.monotonic()))
        for slot in slots:
            slot.close()
        for slot in slots:
            slot.release()

    def _give_up_all(self) -> None:
        held = [slot for slot in self._slots.values() if slot.held]
        try:
            # First: the others shall not leave the nodes to us.
            self._presence.withdraw()
        except exceptions.RemoteError as error:
            LOG.debug('Not said that this agent ends: %s', error)
        self._give_up(held)
        deadline = time.monotonic() + _STOP_PATIENCE
        for slot in held:
            for name in slot.join(max(0.0, deadline - time.monotonic())):
                LOG.warning('Thread %s is cut off in a remote call', name)


def _as_remote(call: typing.Callable[..., object], *args: object) -> None:
    try:
        call(*args)
    except exceptions.ConfigError as error:
        raise exceptions.RemoteError('this agent', str(error)) from error
