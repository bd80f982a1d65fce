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

Any thread publishes the status a pod should have; one thread writes the
newest of each pod, until it is written or the pod is gone. A status that
the API server has already is not written again, and one that has ended is
never followed by one that has not.
"""

import collections
import threading
import typing

from oslo_log import log as logging

from zun_vk import exceptions
from zun_vk import health as health_module
from zun_vk import metrics
from zun_vk.kube import backoff
from zun_vk.kube import client as kube_client
from zun_vk.pods import status as pod_status

LOG = logging.getLogger(__name__)

_CHECK = 'write pod status'


class StatusWriter:
    """Writes pod statuses in a thread of its own, ``run``.

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
        # Pods as the API server returned them, until the watch shows them.
        self._written: dict[str, dict] = {}
        self._stopped = False

    def publish(self, pod: dict, status: dict) -> None:
        """Have ``status`` written to ``pod``, instead of any before it."""
        if not _worth_writing(pod, status):
            return
        uid = pod['metadata']['uid']
        with self._changed:
            _, waiting = self._wanted.get(uid, (None, {}))
            if (waiting.get('phase') in pod_status.TERMINAL
                    and status['phase'] not in pod_status.TERMINAL):
                return
            self._wanted[uid] = (pod, status)
            self._changed.notify()

    def newest(self, pod: dict) -> dict:
        """Return ``pod`` as last written here, if the watch lags behind."""
        uid = pod['metadata']['uid']
        with self._changed:
            written = self._written.get(uid)
            if written is None:
                return pod
            if _version(written) > _version(pod):
                return written
            del self._written[uid]
        return pod

    def forget(self, uid: str) -> None:
        """Drop what is kept of a pod that is gone."""
        with self._changed:
            self._wanted.pop(uid, None)
            self._written.pop(uid, None)

    def run(self, stop: threading.Event) -> None:
        """Write until ``stop`` is set and ``wake`` was called."""
        pause = backoff.Backoff(0.5, 30.0)
        while not stop.is_set():
            taken = self._take(stop)
            if taken is None:
                continue
            uid, pod, status = taken
            if self._health.attempt(_CHECK, self._write, uid, pod, status):
                pause.reset()
            else:
                metrics.STATUS_WRITES.labels('retried').inc()
                self._give_back(uid, pod, status)
                stop.wait(pause.next())

    def wake(self) -> None:
        """Let ``run`` notice that it shall stop."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _take(self, stop: threading.Event
              ) -> tuple[str, dict, dict] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._wanted or self._stopped)
            if not self._wanted:
                return None
            uid, (pod, status) = self._wanted.popitem(last=False)
            return uid, pod, status

    def _give_back(self, uid: str, pod: dict, status: dict) -> None:
        """Keep a status for later, unless a newer one came meanwhile."""
        with self._changed:
            self._wanted.setdefault(uid, (pod, status))

    def _write(self, uid: str, pod: dict, status: dict) -> None:
        if not _worth_writing(self.newest(pod), status):
            return
        metadata = pod['metadata']
        try:
            written = self._client.patch_pod_status(
                metadata['namespace'], metadata['name'], _patch(uid, status))
        except (exceptions.NotFound, exceptions.Conflict,
                exceptions.Rejected) as error:
            # Gone, or another pod of that name; or a status that the API
            # server will never take, which the next look makes anew.
            metrics.STATUS_WRITES.labels('dropped').inc()
            LOG.debug('Status of pod %s/%s dropped: %s',
                      metadata['namespace'], metadata['name'], error)
            return
        metrics.STATUS_WRITES.labels('written').inc()
        with self._changed:
            self._written[uid] = written
        self._on_written(uid)


def _worth_writing(pod: dict, status: dict) -> bool:
    if pod_status.is_terminal(pod) and (
            status['phase'] not in pod_status.TERMINAL):
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
