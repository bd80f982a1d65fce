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
"""Threads that belong together: named, kept up, ended by one event.

They are daemons: nothing they hold is lost if they are cut off, for a
process may be killed at any point anyway.
"""

import threading
import time
import typing

from oslo_log import log as logging

from zun_vk import backoff
from zun_vk import metrics

LOG = logging.getLogger(__name__)


class Threads:
    """The threads of one part of the agent.

    :param suffix: ends every thread's name, such as the node's name
    """

    def __init__(self, suffix: str = ''):
        self.stop = threading.Event()
        self._suffix = f':{suffix}' if suffix else ''
        self._threads: list[threading.Thread] = []

    def spawn(self, name: str, run: typing.Callable, *args) -> None:
        """Run ``run(*args)`` in a thread called ``name``."""
        thread = threading.Thread(target=self.keep_up, daemon=True,
                                  name=name + self._suffix,
                                  args=(name, run, *args))
        self._threads.append(thread)
        thread.start()

    def keep_up(self, name: str, run: typing.Callable, *args) -> None:
        """Run a part; one that crashes is begun again, not missed."""
        pause = backoff.Backoff(1.0, 60.0, reset_after=120.0)
        while not self.stop.is_set():
            try:
                run(*args)
                return
            except Exception:  # the top of a thread
                metrics.CRASHES.labels(name.rstrip('-0123456789')).inc()
                LOG.exception('%s failed and is begun again', name)
                self.stop.wait(pause.next())

    def join(self, seconds: float) -> list[str]:
        """Wait for the threads to end; return the names of those that run.

        :param seconds: to wait at most, for all of them together
        """
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return self.running()

    def running(self) -> list[str]:
        """Return the names of the threads that have not ended."""
        return [thread.name for thread in self._threads if thread.is_alive()]
