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

from concurrent import futures
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
        self._pool = futures.ThreadPoolExecutor(threads, name)
        self._lock = threading.Lock()  # guards the set below
        self._running: set[typing.Hashable] = set()

    def start(self, key: typing.Hashable, run: typing.Callable[[], object],
              done: typing.Callable[[typing.Any, Exception | None], None],
              ) -> bool:
        """Run a function, unless one runs under that key.

        :param done: called from its thread with what it returned, or with
            the error that it raised
        :returns: False where one runs already
        """
        with self._lock:
            if key in self._running:
                return False
            self._running.add(key)
        try:
            self._pool.submit(self._run, key, run, done)
        except RuntimeError:
            # Shut down: nobody looks at results any more.
            with self._lock:
                self._running.discard(key)
        return True

    def running(self, key: typing.Hashable) -> bool:
        with self._lock:
            return key in self._running

    def close(self) -> None:
        """Begin nothing new; does not wait for what runs."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, key: typing.Hashable, run: typing.Callable[[], object],
             done: typing.Callable[[typing.Any, Exception | None], None],
             ) -> None:
        result, failure = None, None
        try:
            result = run()
        except Exception as error:  # the top of a thread
            failure = error
        with self._lock:
            self._running.discard(key)
        try:
            done(result, failure)
        except Exception:  # the top of a thread
            LOG.exception('The result of %s is lost', key)
