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
"""Ends containers: preStop hook, signal, grace, kill.

Each container that is being killed has a thread of its own, for it may take
as long as the pod's author likes. The bounds of one that is under way can be
drawn tighter, never wider.
"""

from collections.abc import Callable
import math
import threading
import time
import typing

from oslo_log import log as logging

from zun_vk.compute import model
from zun_vk.compute.work import pod as pod_module
from zun_vk.compute.work import tasks as tasks_module

LOG = logging.getLogger(__name__)

#: Seconds after which a stop that failed is tried again.
RETRY = 2.0


class Kill:
    """One container that is being killed.

    :param stop: stops it, given the seconds until it is killed
    :param hook: runs its preStop hook, given the seconds that it may take
        and an event that cuts it off
    :param deadline: seconds since the epoch
    :param held: run the hook, and wait before the signal
    """

    def __init__(self, stop: Callable[[float], None],
                 hook: Callable[[float, threading.Event], None] | None,
                 deadline: float, held: bool,
                 wall: Callable[[], float] = time.time):
        self._stop = stop
        self._hook = hook
        self._wall = wall
        self._changed = threading.Condition()  # guards the three below
        self._deadline = deadline
        self._held = held
        self._signalled = False
        # Set when the hook has had its time.
        self._cut = threading.Event()

    def bound(self, deadline: float, held: bool) -> None:
        """Draw the bounds tighter."""
        with self._changed:
            sooner = deadline < self._deadline
            self._deadline = min(deadline, self._deadline)
            self._held = self._held and held
            self._changed.notify_all()
        if sooner:
            timer = threading.Timer(self._left(), self._cut.set)
            timer.name, timer.daemon = 'cut-hook', True
            timer.start()

    def run(self) -> None:
        """Do it; returns when the container has ended."""
        if self._hook is not None and self._left() > 0:
            try:
                self._hook(self._left(), self._cut)
            except Exception:  # whatever it is, the container must end
                LOG.exception('A preStop hook broke')
        with self._changed:
            while self._held and self._left() > 0:
                self._changed.wait(self._left())
            self._signalled = True
            self._changed.notify_all()
        self._stop(self._grace())

    def let_go(self) -> None:
        """Wait for nothing any more: the container has gone."""
        self._cut.set()
        with self._changed:
            self._held = False
            self._changed.notify_all()

    def stop_again(self) -> None:
        """Stop it by the present deadline, beside a stop under way.

        While the hook runs there is none: it gets the time that is left. Not
        more, as a command in the container cannot be cut off.
        """
        with self._changed:
            while not self._signalled and self._left() > 0:
                self._changed.wait(self._left())
        self._stop(self._grace())

    def _grace(self) -> float:
        return math.ceil(max(model.MIN_GRACE, self._left()))

    def _left(self) -> float:
        return max(0.0, self._deadline - self._wall())


class Killer:
    """Ends the containers of all pods.

    :param stop: stops a container, given its id and the grace in seconds
    :param hook: returns what runs the preStop hook of a container, None
        where it has none
    :param wake: called with a UID whose pod has something in its inbox
    """

    def __init__(self, stop: Callable[[str, float], None],
                 hook: Callable[
                     [pod_module.Pod, str, str],
                     Callable[[float, threading.Event], None] | None],
                 tasks: tasks_module.Tasks, wake: Callable[[str], None],
                 wall: Callable[[], float] = time.time):
        self._stop = stop
        self._hook = hook
        self._tasks = tasks
        self._wake = wake
        self._wall = wall
        # By pod, then by container id; touched by the pod's worker only.
        self._kills: dict[str, dict[str, Kill]] = {}

    def kill(self, pod: pod_module.Pod, action: model.KillContainer) -> bool:
        """Begin to end a container, or end it sooner.

        :returns: False where it is being ended already
        """
        deadline = self._wall() + action.grace
        kills = self._kills.setdefault(pod.uid, {})
        under_way = kills.get(action.id)
        if action.restart:
            pod.memory.again.add(action.id)
        pod.memory.killing[action.id] = model.Killing(
            min(deadline, pod.memory.killing[action.id].deadline)
            if action.id in pod.memory.killing else deadline, action.hold)
        if under_way is not None:
            under_way.bound(deadline, action.hold)
            self._tasks.start(('sooner', action.id, deadline),
                              under_way.stop_again if not action.hold
                              else _nothing, _ignore)
            return False
        kill = Kill(lambda grace: self._stop(action.id, grace),
                    self._hook(pod, action.name, action.id), deadline,
                    action.hold, self._wall)
        kills[action.id] = kill

        def done(result: typing.Any, error: Exception | None) -> None:
            pod.inbox.append(
                lambda pod: self._ended(pod, action, error))
            self._wake(pod.uid)

        self._tasks.start(('kill', action.id), kill.run, done)
        return True

    def forget(self, pod: pod_module.Pod) -> None:
        """Forget a pod that has gone; hooks may go on that outlived it."""
        for kill in self._kills.pop(pod.uid, {}).values():
            kill.let_go()

    def _ended(self, pod: pod_module.Pod, action: model.KillContainer,
               error: Exception | None) -> None:
        self._kills.get(pod.uid, {}).pop(action.id, None)
        pod.memory.killing.pop(action.id, None)
        pod.memory.retry_at.pop(action.id, None)
        if error is not None:
            pod.memory.retry_at[action.id] = self._wall() + RETRY
            LOG.warning('Pod %s: container %s could not be stopped: %s',
                        pod.uid, action.name, error)


def _nothing() -> None:
    """Nothing to do but what the bounds do."""


def _ignore(result: object, error: Exception | None) -> None:
    """What runs beside it tells the outcome."""
