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
"""Steps that wait for each other, run side by side, and tell how they do.

Steps flow in as data; each runs in a thread as soon as all it comes after
are done. The first failure stops the start of others and is raised when the
running ones have ended.
"""

from collections.abc import Callable
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
import queue
import sys
import threading
import time

from devcloud import errors

# Seconds after which a running step says that it still runs, and again
STILL = 15.0


@dataclass(frozen=True)
class Step:
    """One piece of work.

    :param after: names of steps that must be done before; a name that is
        not among the steps counts as done
    :param log: what to show the last line of while it takes long
    :param quiet: nothing is printed when it took under half a second
    """

    name: str
    action: Callable[[], object]
    after: tuple[str, ...] = ()
    log: Path | None = None
    quiet: bool = False


class Screen:
    """Lines with the time since the start, from any thread."""

    def __init__(self, stream=None):
        self._stream = stream or sys.stderr
        self._begin = time.monotonic()
        self._lock = threading.Lock()

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._begin

    def say(self, text: str) -> None:
        with self._lock:
            print(f'[{self.elapsed:6.1f}s] {text}', file=self._stream,
                  flush=True)


class Runner:
    """Runs steps in the order they need.

    :param abort: called once when a step failed or on Ctrl-C, to end what
        the other steps wait for
    """

    def __init__(self, screen: Screen, abort: Callable[[], None]):
        self._screen = screen
        self._abort = abort
        self._ended: queue.SimpleQueue = queue.SimpleQueue()
        self._began: dict[str, float] = {}
        self._running: dict[str, Step] = {}
        self._said: dict[str, float] = {}

    def run(self, steps: Iterable[Step]) -> None:
        """Run all of them.

        :raises Exception: what the first failing step raised
        """
        waiting = {step.name: step for step in steps}
        failure: BaseException | None = None
        while self._running or (waiting and failure is None):
            if failure is None:
                self._start_ready(waiting)
            try:
                failure = self._next_end(failure)
            except KeyboardInterrupt as interrupt:
                failure = failure or interrupt
                self._abort()
        if failure is not None:
            raise failure

    def _start_ready(self, waiting: dict[str, Step]) -> None:
        open_names = set(waiting) | set(self._running)
        ready = [step for step in waiting.values()
                 if not open_names.intersection(step.after)]
        if not ready and not self._running:
            raise errors.DevcloudError(
                f'steps wait for each other: {", ".join(sorted(waiting))}')
        for step in ready:
            del waiting[step.name]
            self._running[step.name] = step
            now = time.monotonic()
            self._began[step.name] = self._said[step.name] = now
            threading.Thread(target=self._work, args=(step,),
                             name=f'step {step.name}', daemon=True).start()

    def _work(self, step: Step) -> None:
        try:
            step.action()
        except BaseException as error:
            self._ended.put((step, error))
        else:
            self._ended.put((step, None))

    def _next_end(self, failure):
        try:
            step, error = self._ended.get(timeout=1)
        except queue.Empty:
            self._say_still()
            return failure
        del self._running[step.name]
        took = time.monotonic() - self._began[step.name]
        if error is None:
            if took >= 0.5 or not step.quiet:
                self._screen.say(f'{step.name}: done ({took:.1f} s)')
            return failure
        if failure is None:
            self._screen.say(f'{step.name}: FAILED ({took:.1f} s)')
            self._abort()
        return failure or error

    def _say_still(self) -> None:
        now = time.monotonic()
        for name, step in self._running.items():
            if now - self._said[name] < STILL:
                continue
            self._said[name] = now
            last = errors.log_tail(step.log, 1) if step.log else []
            hint = f' ({last[0].strip()[:90]})' if last else ''
            self._screen.say(
                f'{name}: {now - self._began[name]:.0f} s so far{hint}')
