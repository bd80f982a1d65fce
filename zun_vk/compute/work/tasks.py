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
import dataclasses
import threading
import typing

from oslo_log import log as logging

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, eq=False)
class _Task:
    """Something to run; equal to nothing but itself."""

    key: typing.Hashable
    run: typing.Callable[[], object]
    done: typing.Callable[[typing.Any, Exception | None], None]
    owner: str


class Tasks:
    """Runs functions in threads of its own.

    :param name: of its threads
    :param threads: at most so many at the same time; others wait
    :param most_of_one: of one owner; the threads that are left are for
        others. None: as many as there are
    """

    def __init__(self, name: str, threads: int,
                 most_of_one: int | None = None):
        self._name = name
        self._most = threads
        self._most_of_one = most_of_one or threads
        # The one lock: it guards all below.
        self._changed = threading.Condition()
        self._running: set[typing.Hashable] = set()
        self._waiting: collections.deque[_Task] = collections.deque()
        self._of_owner: collections.Counter[str] = collections.Counter()
        self._threads = 0
        self._idle = 0
        self._closed = False

    def start(self, key: typing.Hashable, run: typing.Callable[[], object],
              done: typing.Callable[[typing.Any, Exception | None], None],
              owner: str = '') -> bool:
        """Run a function, unless one runs under that key.

        :param done: called from its thread with what it returned, or with
            the error that it raised
        :param owner: who may hold it up, such as the name of a server
        :returns: False where one runs already
        """
        with self._changed:
            if key in self._running:
                return False
            if self._closed:
                # Nobody looks at results any more.
                return True
            self._running.add(key)
            self._waiting.append(_Task(key, run, done, owner))
            if (self._idle < self._startable()
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

    def _startable(self) -> int:
        """Return how many that wait could run; with the lock held."""
        waiting = collections.Counter(task.owner for task in self._waiting)
        return sum(min(count, self._most_of_one - self._of_owner[owner])
                   for owner, count in waiting.items())

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
                while (task := self._take()) is None and not self._closed:
                    self._changed.wait()
                self._idle -= 1
                if task is None:
                    return
            self._run(task)

    def _take(self) -> '_Task | None':
        """Take the next one whose owner has room; with the lock held."""
        for task in self._waiting:
            if self._of_owner[task.owner] < self._most_of_one:
                self._waiting.remove(task)
                self._of_owner[task.owner] += 1
                return task
        return None

    def _run(self, task: '_Task') -> None:
        result, failure = None, None
        try:
            result = task.run()
        except Exception as error:  # the top of a thread
            failure = error
        with self._changed:
            self._running.discard(task.key)
            self._of_owner[task.owner] -= 1
            if not self._of_owner[task.owner]:
                del self._of_owner[task.owner]
            # This thread still has the result to hand over.
            self._changed.notify()
        try:
            task.done(result, failure)
        except Exception:  # the top of a thread
            LOG.exception('The result of %s is lost', task.key)
