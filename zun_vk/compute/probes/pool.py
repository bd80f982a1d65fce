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
"""Threads that run probes: few at first, more while all of them wait."""

from collections.abc import Callable
import queue
import threading

from zun_vk import threads


class Pool:
    """Runs what it is given, in threads of its own.

    :param bound: threads at most
    """

    def __init__(self, bound: int):
        self._bound = bound
        self._threads = threads.Threads()
        self._work: queue.SimpleQueue = queue.SimpleQueue()
        # Guards the counts.
        self._lock = threading.Lock()
        self._count = 0
        self._waiting = 0

    def run(self, work: Callable[[], None]) -> None:
        """Run something soon; it must not raise."""
        with self._lock:
            self._waiting += 1
            grow = (self._waiting > 0 and self._count < self._bound
                    and not self._threads.stop.is_set())
            self._count += grow
            name = f'probe-{self._count}'
        self._work.put(work)
        if grow:
            self._threads.spawn(name, self._loop)

    def stop(self) -> None:
        """Begin nothing new; what runs ends by itself."""
        self._threads.stop.set()
        with self._lock:
            count = self._count
        for _ in range(count):
            self._work.put(None)

    def join(self, seconds: float) -> list[str]:
        """Wait for the threads; return the names of those that still run."""
        return self._threads.join(seconds)

    def _loop(self) -> None:
        while True:
            with self._lock:
                # One more that will take something.
                self._waiting -= 1
            work = self._work.get()
            if work is None or self._threads.stop.is_set():
                return
            work()
