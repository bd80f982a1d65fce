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
"""The one writer of pod statuses.

Any thread publishes the status a pod should have; a few threads write the
newest of each pod, until it is written or the pod is gone. No two of them
write one pod at a time, so that its statuses arrive in their order. A status
that the API server has already is not written again, and the first one that
has ended is the last: it is kept until it is written, and none follows it.
"""

import collections
import threading
import time
import typing

from oslo_log import log as logging

from zun_vk import backoff
from zun_vk import exceptions
from zun_vk import health as health_module
from zun_vk import metrics
from zun_vk.kube import client as kube_client
from zun_vk.pods import status as pod_status

LOG = logging.getLogger(__name__)

_CHECK = 'write pod status'
# Threads to run: an API server takes some milliseconds for each status.
THREADS = 8


class StatusWriter:
    """Writes pod statuses in threads of its own, each in ``run``.

    :param client: the API server
    :param on_written: called with a pod's UID once its status is written
    """

    def __init__(self, client: kube_client.KubeClient,
                 health: health_module.Health,
                 on_written: typing.Callable[[str], None]):
        self._client = client
        self._health = health
        self._on_written = on_written
        # The lock of all below.
        self._changed = threading.Condition()
        self._wanted: collections.OrderedDict[str, tuple[dict, dict]] = (
            collections.OrderedDict())
        # UIDs of the pods that a thread writes now, and since when there is
        # something to write: monotonic seconds, as those of the next.
        self._writing: dict[str, float] = {}
        self._waiting_since: dict[str, float] = {}
        # Those of them whose end is being written.
        self._ending: set[str] = set()
        # UIDs of the pods whose last write failed: it may have been done.
        self._unsure: set[str] = set()
        self._pause = backoff.Backoff(0.5, 30.0)
        # Nothing is written before, monotonic seconds.
        self._not_before = float('-inf')
        # Of the pods that wait alone, after a failure that is no other's
        # concern: how long, and until when, monotonic seconds.
        self._pauses: dict[str, backoff.Backoff] = {}
        self._due: dict[str, float] = {}
        # Pods as the API server returned them, until the watch shows them.
        self._written: dict[str, dict] = {}

    def publish(self, pod: dict, status: dict) -> None:
        """Have ``status`` written to ``pod``, instead of any before it.

        The first end of a pod stays: nothing takes its place.
        """
        uid = pod['metadata']['uid']
        with self._changed:
            if self._is_news(uid, pod, status):
                self._wanted[uid] = (pod, status)
                if status['phase'] != pod_status.PENDING:
                    # Somebody waits for it, and nothing may come after it.
                    self._wanted.move_to_end(uid, last=False)
                self._waiting_since.setdefault(uid, time.monotonic())
                self._changed.notify()

    def newest(self, pod: dict) -> dict:
        """Return ``pod`` as last written here, if the watch lags behind."""
        uid = pod['metadata']['uid']
        with self._changed:
            newest = self._newest(uid, pod)
            if newest is pod:
                self._written.pop(uid, None)
            return newest

    def forget(self, uid: str) -> None:
        """Drop what is kept of a pod that is gone."""
        with self._changed:
            self._wanted.pop(uid, None)
            self._waiting_since.pop(uid, None)
            self._written.pop(uid, None)
            # A thread that writes it now will keep nothing of it.
            self._writing.pop(uid, None)
            self._ending.discard(uid)
            self._unsure.discard(uid)
            self._pauses.pop(uid, None)
            self._due.pop(uid, None)

    def run(self, stop: threading.Event) -> None:
        """Be one writer, until ``stop`` is set and ``wake`` was called."""
        while not stop.is_set():
            taken = self._take(stop)
            if taken is not None:
                self._try(*taken)

    def wake(self) -> None:
        """Let ``run`` notice that ``stop`` is set."""
        with self._changed:
            self._changed.notify_all()

    def _try(self, uid: str, pod: dict, status: dict) -> None:
        """Write a status that was taken, or have it tried again later."""
        error: Exception | None
        try:
            error = self._health.outcome(_CHECK, self._write, uid, pod,
                                         status)
        except Exception as bug:  # it must not cost the status
            metrics.CRASHES.labels('status').inc()
            LOG.exception('The status of pod %s/%s will be tried again',
                          pod['metadata']['namespace'],
                          pod['metadata']['name'])
            error = bug
        self._give_back((uid, pod, status), error)

    def _newest(self, uid: str, pod: dict) -> dict:
        """Return the newer of ``pod`` and what was written, in the lock."""
        written = self._written.get(uid, pod)
        return written if _version(written) > _version(pod) else pod

    def _is_news(self, uid: str, pod: dict, status: dict) -> bool:
        """Tell whether a status is worth more than what is known here.

        The caller holds the lock.
        """
        if uid in self._ending:
            # The watch may show the end before another thread looks at what
            # waits: nothing would be left to tell it by.
            return False
        if uid in self._wanted:
            _, waiting = self._wanted[uid]
            return waiting['phase'] not in pod_status.TERMINAL
        # What is being written differs from what the pod has: so may this,
        # even if the pod has it. _write looks again.
        return (uid in self._writing or uid in self._unsure
                or _worth_writing(pod, status))

    def _take(self, stop: threading.Event
              ) -> tuple[str, dict, dict] | None:
        """Wait for a status that may be written now; None: stop."""
        with self._changed:
            while not stop.is_set():
                uid, early = self._next(time.monotonic())
                if uid is not None:
                    self._writing[uid] = self._waiting_since.pop(uid)
                    pod, status = self._wanted.pop(uid)
                    if status['phase'] in pod_status.TERMINAL:
                        self._ending.add(uid)
                    return uid, pod, status
                self._changed.wait(early)
        return None

    def _next(self, now: float) -> tuple[str | None, float | None]:
        """Return whose status may be written now; the caller has the lock.

        :returns: the UID; or None and the seconds until there may be one,
            None where only a change can bring one
        """
        free = (uid for uid in self._wanted if uid not in self._writing)
        if self._not_before > now:
            return None, (self._not_before - now
                          if next(free, None) is not None else None)
        early: float | None = None
        for uid in free:
            wait = self._due.get(uid, now) - now
            if wait <= 0:
                return uid, None
            early = wait if early is None else min(early, wait)
        return None, early

    def _give_back(self, taken: tuple[str, dict, dict],
                   error: Exception | None) -> None:
        """Let the next status of the pod be written.

        What could not be written is kept for later, unless a newer one came
        meanwhile, which an end does not give way to. After a failure nobody
        writes for a while, or for as long as the API server asks; after a
        refusal or a bug only this pod waits.
        """
        uid, pod, status = taken
        with self._changed:
            since = self._writing.pop(uid, None)
            self._ending.discard(uid)
            now = time.monotonic()
            if error is None:
                self._pause.reset()
                self._unsure.discard(uid)
                self._due.pop(uid, None)
                self._pauses.pop(uid, None)
            else:
                metrics.STATUS_WRITES.labels('retried').inc()
                if since is not None:
                    self._unsure.add(uid)
                    self._keep(uid, pod, status)
                    self._waiting_since[uid] = since
                if _concerns_all(error):
                    self._hold_all(error.retry_after, now)
                elif since is not None:
                    self._due[uid] = now + self._pauses.setdefault(
                        uid, backoff.Backoff(0.5, 60.0)).next()
            if self._wanted:
                self._changed.notify()

    def _hold_all(self, pause: float, now: float) -> None:
        """Let nobody write for at least so many seconds; in the lock."""
        if now >= self._not_before:
            # The first of those that failed together.
            pause = max(pause, self._pause.next())
        self._not_before = max(self._not_before, now + pause)

    def _keep(self, uid: str, pod: dict, status: dict) -> None:
        """Keep a status that could not be written; in the lock."""
        if status['phase'] in pod_status.TERMINAL or uid not in self._wanted:
            self._wanted[uid] = (pod, status)

    def _write(self, uid: str, pod: dict, status: dict) -> None:
        with self._changed:
            # Not newest(): the watch may be older than ``pod``.
            newest = self._newest(uid, pod)
            unsure = uid in self._unsure
            since = self._writing.get(uid, time.monotonic())
        if pod_status.is_terminal(newest) or not (
                unsure or _worth_writing(newest, status)):
            return
        metadata = pod['metadata']
        try:
            written = self._client.patch_pod_status(
                metadata['namespace'], metadata['name'], _patch(uid, status))
        except (exceptions.Conflict, exceptions.NotFound) as error:
            if kube_client.has_pod(self._client, metadata['namespace'],
                                   metadata['name'], uid):
                # Others changed it at the same moment; or an API server that
                # has just started does not know its pods yet. Try again.
                raise
            _dropped(pod, error)
            return
        except exceptions.Rejected as error:
            # It will never be taken; the next look makes another.
            _dropped(pod, error)
            return
        metrics.STATUS_WRITES.labels('written').inc()
        metrics.STATUS_SECONDS.observe(time.monotonic() - since)
        with self._changed:
            if uid in self._writing:
                self._written[uid] = written
        self._on_written(uid)


def _concerns_all(error: Exception
                  ) -> typing.TypeGuard[exceptions.RemoteError]:
    """Tell whether a write of another pod would fail as well.

    One that is forbidden need not be: an admission webhook, or a node's
    rights, may have something against this one.
    """
    return (isinstance(error, exceptions.RemoteError)
            and not isinstance(error, exceptions.Conflict
                               | exceptions.NotFound)
            and error.status != 403)


def _dropped(pod: dict, error: exceptions.RemoteError) -> None:
    metrics.STATUS_WRITES.labels('dropped').inc()
    LOG.debug('Status of pod %s/%s dropped: %s', pod['metadata']['namespace'],
              pod['metadata']['name'], error)


def _worth_writing(pod: dict, status: dict) -> bool:
    if pod_status.is_terminal(pod):
        return False
    return pod_status.differs(pod.get('status') or {}, status)


def _patch(uid: str, status: dict) -> dict:
    """Return the strategic merge patch that writes ``status``.

    The UID makes the API server refuse it where another pod has the name.
    Addresses are merged by value: without the directive old ones stay.
    """
    status = dict(status)
    for name in ('podIPs', 'hostIPs'):
        if status.get(name):
            status[name] = [*status[name], {'$patch': 'replace'}]
    return {'metadata': {'uid': uid}, 'status': status}


def _version(pod: dict) -> int:
    """Return the pod's resourceVersion, which grows with every change."""
    try:
        return int(pod['metadata']['resourceVersion'])
    except (KeyError, ValueError):
        return 0
