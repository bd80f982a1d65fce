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
"""Tells which pods changed in the runtime, and that the runtime answers.

The runtime's events say so at once, where it has them (containerd from 1.7,
CRI-O where it is told to); the list of all sandboxes and containers says so
anyway: often where there are no events, seldom beside them, for events may
be lost. Only what this service made is looked at.
"""

from collections.abc import Callable
import math
import threading
import time
import typing

from oslo_log import log as logging

from zun_vk import backoff
from zun_vk import exceptions
from zun_vk.compute.cri import channel
from zun_vk.compute.cri import client
from zun_vk.compute.cri import seen

LOG = logging.getLogger(__name__)

# Seconds between two lists, without events and beside them.
OFTEN = 0.5
SELDOM = 10.0
# A stream that lived for so long is taken to bring events.
_PROVEN = 1.0
# Events that missed a change are not relied on for so long.
_DISTRUST = 60.0
_JOIN = 10.0

#: By pod UID: ID and state of each of its sandboxes and containers.
Snapshot: typing.TypeAlias = dict[str, frozenset[tuple[str, int]]]


class Watcher:
    """Watches one runtime; ``run`` is for one thread.

    :param on_change: is told the UID of a pod that changed; must not block
    """

    def __init__(self, runtime: client.Runtime,
                 on_change: Callable[[str], None],
                 clock: Callable[[], float] = time.monotonic):
        self._runtime = runtime
        self._on_change = on_change
        self._clock = clock
        self._stream_pause = backoff.Backoff(1.0, 60.0, reset_after=120.0)
        self._listed_at = -math.inf  # written by run() only
        # Of run() only.
        self._snapshot: Snapshot = {}
        self._reader: threading.Thread | None = None
        self._read_after = -math.inf
        self._distrust_until = -math.inf
        self._answers = True
        self._lock = threading.Lock()  # guards all below
        self._stream: channel.Stream | None = None
        self._has_events = True
        self._announced: set[str] = set()

    def age(self) -> float:
        """Return the seconds since the runtime last gave its lists.

        Infinite where it never did. Kubernetes: the kubelet takes 180 s for
        a runtime that is not well.
        """
        return self._clock() - self._listed_at

    def run(self, stop: threading.Event) -> None:
        """Watch until told to stop."""
        pause = backoff.Backoff(OFTEN, 5.0)
        wait = 0.0
        try:
            while not stop.wait(wait):
                self._read_events()
                wait = OFTEN
                if self.age() < self._interval():
                    continue
                try:
                    self._relist()
                    pause.reset()
                except exceptions.RemoteError as error:
                    self._note_absence(error)
                    wait = pause.next()
        finally:
            self._end_stream()

    # Lists

    def _relist(self) -> None:
        relied = self._relied_on()
        now = snapshot(self._runtime.sandboxes(seen.OURS),
                       self._runtime.containers(seen.OURS))
        # What is in the list was told of before, by events that tell all.
        announced = self._take_announced()
        before, self._snapshot = self._snapshot, now
        if relied and news(before, now) - announced:
            LOG.info('The runtime sent no event of a change')
            self._distrust_until = self._clock() + _DISTRUST
        self._note_presence()
        for uid in changes(before, now):
            self._on_change(uid)

    def _interval(self) -> float:
        # A little less: it is asked at the pace of the lists.
        return (SELDOM if self._relied_on() else OFTEN) * 0.9

    def _note_presence(self) -> None:
        self._listed_at = self._clock()
        if not self._answers:
            LOG.info('The runtime answers')
            self._answers = True

    def _note_absence(self, error: exceptions.RemoteError) -> None:
        if self._answers:
            LOG.warning('The runtime does not give its lists: %s', error)
            self._answers = False
        with self._lock:
            # What comes back may be another version.
            self._has_events = True

    # Events

    def _relied_on(self) -> bool:
        """Whether events can be expected to tell of every change.

        They build on a list that was made since they began.
        """
        with self._lock:
            began = self._stream.began if self._stream else math.inf
        return (began + _PROVEN <= self._clock()
                and began <= self._listed_at
                and self._distrust_until <= self._clock())

    def _take_announced(self) -> set[str]:
        with self._lock:
            announced, self._announced = self._announced, set()
        return announced

    def _read_events(self) -> None:
        """Keep a thread that reads events, where there are any."""
        with self._lock:
            wanted = self._has_events and self._stream is None
        if not wanted or self._clock() < self._read_after:
            return
        self._read_after = self._clock() + self._stream_pause.next()
        try:
            stream = self._runtime.events()
        except exceptions.RemoteError:
            return
        with self._lock:
            self._stream = stream
        self._reader = threading.Thread(
            target=self._read, args=(stream,), daemon=True,
            name='watcher-events')
        self._reader.start()

    def _read(self, stream: channel.Stream) -> None:
        """Tell of each event of a stream until it ends."""
        try:
            for event in stream:
                self._tell(event)
        except exceptions.RuntimeRefused as error:
            with self._lock:
                self._has_events = error.code != 'UNIMPLEMENTED'
            LOG.info('The runtime sends no events: %s', error)
        except exceptions.RemoteError as error:
            LOG.debug('The stream of events ended: %s', error)
        except Exception:  # the top of a thread
            LOG.exception('The stream of events cannot be read')
            stream.cancel()
        finally:
            with self._lock:
                self._stream = None

    def _tell(self, event: typing.Any) -> None:
        sandbox = event.pod_sandbox_status
        uid = seen.uid_of(sandbox)
        # Of what was removed no more than an ID may be left: the next list
        # tells of it.
        if not uid or not seen.is_ours(sandbox):
            return
        with self._lock:
            self._announced.add(uid)
        self._on_change(uid)

    def _end_stream(self) -> None:
        with self._lock:
            stream = self._stream
        if stream is not None:
            stream.cancel()
        if self._reader is not None:
            self._reader.join(_JOIN)


def snapshot(sandboxes: typing.Iterable[typing.Any],
             containers: typing.Iterable[typing.Any]) -> Snapshot:
    """Return what a pod's worker would want to know about, by UID.

    :param sandboxes: messages PodSandbox
    :param containers: messages Container
    """
    found: dict[str, set[tuple[str, int]]] = {}
    for message in (*sandboxes, *containers):
        found.setdefault(seen.uid_of(message), set()).add(
            (message.id, message.state))
    return {uid: frozenset(items) for uid, items in found.items() if uid}


def changes(before: Snapshot, now: Snapshot) -> set[str]:
    """Return the UIDs of the pods that came, changed or went."""
    return {uid for uid in before.keys() | now.keys()
            if before.get(uid) != now.get(uid)}


def news(before: Snapshot, now: Snapshot) -> set[str]:
    """Return the UIDs of the pods that have what was not there before."""
    return {uid for uid, items in now.items()
            if items - before.get(uid, frozenset())}
