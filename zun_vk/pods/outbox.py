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
"""Tells hosts things, in the background: no worker waits for the bus.

Of what is told a host about one subject only the newest is sent. What
cannot be sent is tried again for as long as nothing newer takes its place;
what is lost on the way is told again by whoever needs it done.
"""

import collections
import threading
import time
import typing

from oslo_log import log as logging

from zun_vk import backoff
from zun_vk import health as health_module
from zun_vk.rpc import bus as bus_module

LOG = logging.getLogger(__name__)

_CHECK = 'tell hosts'
_MOST = 20000
# Seconds after which a message that is being sent does not get through.
_LONG = 5.0
_Key = tuple[str, str, str]


class Outbox:
    """Casts to hosts, from one thread, ``run``.

    :param bus: the message bus
    :param guard: raises NotHolder while another may act for the node
    :param on_sent: called with host and method of what was sent
    """

    def __init__(self, bus: bus_module.Bus, health: health_module.Health,
                 guard: typing.Callable[[], None],
                 on_sent: typing.Callable[[str, str], None]):
        self._bus = bus
        self._health = health
        self._guard = guard
        self._on_sent = on_sent
        # The lock of what is below.
        self._changed = threading.Condition()
        self._waiting: collections.OrderedDict[_Key, dict] = (
            collections.OrderedDict())
        # Whether the last message failed, and since when one is being sent,
        # monotonic seconds; written by the one thread.
        self._failed = False
        self._since: float | None = None

    def put(self, host: str, method: str, subject: str,
            **arguments: typing.Any) -> None:
        """Have a host told something, soon.

        :param subject: what it is about, such as a UID
        """
        with self._changed:
            self._waiting[host, method, subject] = arguments
            if len(self._waiting) > _MOST:
                self._waiting.popitem(last=False)
            self._changed.notify()

    def run(self, stop: threading.Event) -> None:
        """Send until ``stop`` is set and ``wake`` was called."""
        pause = backoff.Backoff(0.5, 10.0)
        while not stop.is_set():
            with self._changed:
                if not self._waiting:
                    self._changed.wait(60)
                    continue
                key, arguments = self._waiting.popitem(last=False)
            if self._try(key, arguments):
                pause.reset()
                continue
            with self._changed:
                self._waiting.setdefault(key, arguments)
            stop.wait(pause.next())

    def stuck(self) -> bool:
        """Tell whether nothing gets through now."""
        since = self._since
        return self._failed or (
            since is not None and time.monotonic() - since > _LONG)

    def wake(self) -> None:
        """Let ``run`` notice that ``stop`` is set."""
        with self._changed:
            self._changed.notify_all()

    def _try(self, key: _Key, arguments: dict) -> bool:
        self._since = time.monotonic()
        try:
            sent = self._health.attempt(_CHECK, self._send, key, arguments)
        finally:
            self._since = None
        self._failed = not sent
        return sent

    def _send(self, key: _Key, arguments: dict) -> None:
        host, method, _ = key
        self._guard()
        self._bus.peer(bus_module.COMPUTE, host).cast(method, **arguments)
        self._on_sent(host, method)
