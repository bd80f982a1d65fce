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
"""Waits for Neutron to have wired a pod's port: then traffic passes.

Whoever binds a port at once, as some networks do, never asks; for the others
only zun-compute may ask Neutron.
"""

import threading
import time

from zun_vk import backoff
from zun_vk import exceptions
from zun_vk.rpc import bus as bus_module

# Seconds, as zun-cni-daemon waits.
_PATIENCE = 60.0


class Ports:
    """The ports of this host's capsules.

    :param stop: ends all waiting
    """

    def __init__(self, bus: bus_module.Bus, host: str,
                 stop: threading.Event, patience: float = _PATIENCE):
        self._driver = bus.peer(bus_module.DRIVER, host)
        self._stop = stop
        self._patience = patience

    def wait_active(self, capsule: str) -> None:
        """Return when the ports of a capsule are active.

        :raises RemoteError: they are not, and it took too long
        """
        pause, until = backoff.Backoff(0.2, 2.0), (
            time.monotonic() + self._patience)
        while self._driver.call('port_active',
                                uuid=capsule).get('active') is not True:
            if self._stop.wait(pause.next()) or time.monotonic() > until:
                raise exceptions.Unavailable(
                    'neutron', f'the port of capsule {capsule} is not '
                    'active yet')
