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
"""Work in the background, one piece for each key, with its result kept.

A pod's worker must not wait for a pull or for a container that takes its
time to end. It starts such work here under a key, goes on, and looks at the
result when it is called again.
"""

import collections
import threading
import typing

from oslo_log import log as logging

LOG = logging.getLogger(__name__)


class Tasks:
    """Runs functions in threads of its own.

    :param name: of its threads
    :param threads: at most so many at the same time; others wait
    """

    def __init__(self, name: str, threads: int):
        self._name = name
        self._most = threads
        # The one lock: it guards all below.
        self._changed = threading.Condition()
        self._running: set[typing.Hashable] = set()
        self._waiting: collections.deque[tuple] = collections.deque()
        self._threads = 0
        self._idle = 0
        self._closed = False

    def start(self, key: typing.Hashable, run: typing.Callable[[], object],
              done: typing.Callable[[typing.Any, Exception | None], None],
              ) -> bool:
        """Run a function, unless one runs under that key.

        :param done: called from its thread with what it returned, or with
            the error that it raised
        :returns: False where one runs already
        """
        with self._changed:
            if key in self._running:
                return False
            if self._closed:
                # Nobody looks at results any more.
                return True
            self._running.add(key)
            self._waiting.append((key, run, done))
            if (self._idle < len(self._waiting)
                    and self._threads < self._most):
                self._spawn()
            self._changed.notify()
        return True

    def running(self, key: typing.Hashable) -> bool:
        with self._changed:
            return key in self._running

    def close(self) -> None:
        """Begin nothing new; does not wait for what runs."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()

    def _spawn(self) -> None:
        """Start a thread; the caller holds the lock.

        A daemon, unlike those of an executor: an end of the service must not
        wait for a hook or a pull.
        """
        self._threads += 1
        threading.Thread(target=self._work, daemon=True,
                         name=f'{self._name}-{self._threads}').start()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._idle += 1
                while not self._waiting and not self._closed:
                    self._changed.wait()
                self._idle -= 1
                if self._closed:
                    return
                task = self._waiting.popleft()
            self._run(*task)

    def _run(self, key: typing.Hashable, run: typing.Callable[[], object],
             done: typing.Callable[[typing.Any, Exception | None], None],
             ) -> None:
        result, failure = None, None
        try:
            result = run()
        except Exception as error:  # the top of a thread
            failure = error
        with self._changed:
            self._running.discard(key)
        try:
            done(result, failure)
        except Exception:  # the top of a thread
            LOG.exception('The result of %s is lost', key)
