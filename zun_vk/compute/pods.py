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
"""The pods of this host: who they are, which must be looked at, who looks.

Flows in: capsules from zun-compute, wishes of the agents, changes that the
runtime shows. Each pod is looked at by one worker at a time. What happens to
a pod is decided by its worker alone: from here it only gets notes in its
inbox.
"""

import collections
from collections.abc import Callable
from collections.abc import Iterable
import dataclasses
import threading
import time
import typing

from oslo_log import log as logging

from zun_vk import exceptions
from zun_vk import workqueue
from zun_vk.compute import model
from zun_vk.compute import store as store_module
from zun_vk.compute.work import pod as pod_module
from zun_vk.rpc import fields
from zun_vk.rpc import payload as payload_module
from zun_vk.rpc import states

LOG = logging.getLogger(__name__)

_DEFAULT_GRACE = 30.0
# UUIDs of capsules that were deleted, to be told from new ones.
_MAX_DELETED = 4096
# Seconds after which a record that could not be written is tried again.
_SAVE_AGAIN = 10.0


class Pods:
    """All pods of this host.

    :param store: their records
    :param wall: seconds since the epoch
    """

    def __init__(self, store: store_module.RecordStore,
                 wall: Callable[[], float] = time.time):
        self._store = store
        self._wall = wall
        self.queue = workqueue.WorkQueue(base=0.5, cap=30.0)
        self._lock = threading.Lock()  # guards the dicts below
        self._pods: dict[str, pod_module.Pod] = {}
        self._by_capsule: dict[str, str] = {}
        self._confirmed = False
        #: Its name, before the ids of containers in their statuses.
        self.runtime = 'containerd'
        # The newest last; Zun uses no UUID twice.
        self._deleted: collections.OrderedDict[str, None] = (
            collections.OrderedDict())
        # Held while a capsule is taken: it may come twice at once, from
        # zun-compute and with the list of all that it has.
        self._taking = threading.Lock()

    def restore(self) -> None:
        """Take up the pods that were recorded before."""
        for uid, (record, payload) in self._store.records().items():
            try:
                pod = _restored(uid, record, payload)
            except fields.Malformed as error:
                LOG.error('The record of pod %s makes no sense: %s', uid,
                          error)
                continue
            self._add(pod)

    def run(self, capsule: pod_module.Capsule,
            payload: payload_module.PodPayload | None) -> None:
        """Run a capsule; nothing new where it runs already.

        :param payload: of a capsule that no agent knows
        :raises Unavailable: not now; call again
        :raises Malformed: it claims to be a pod of another project
        """
        with self._taking:
            self._run(capsule, payload)

    def _run(self, capsule: pod_module.Capsule,
             payload: payload_module.PodPayload | None) -> None:
        with self._lock:
            known = self._pods.get(capsule.uid)
            deleted = capsule.uuid in self._deleted
        if known is not None and known.capsule.uuid == capsule.uuid:
            self._complete(known, capsule.vif, payload)
            return
        if deleted:
            # Zun said so before it was deleted, and is heard after.
            LOG.info('Capsule %s was deleted and does not run',
                     capsule.uuid)
            return
        if known is not None and (
                known.capsule.project_id != capsule.project_id):
            # Labels are for anybody to write: this one ends no pod.
            raise fields.Malformed('uid is of a pod of another project')
        if known is not None:
            # The pod got another capsule: of the one before nothing runs
            # any more, or it must not.
            LOG.warning('Pod %s: capsule %s takes the place of %s',
                        capsule.uid, capsule.uuid, known.capsule.uuid)
            self.delete(known.capsule.uuid, 0)
            raise exceptions.Unavailable(
                'zun-vk-compute', 'the pod has another capsule here')
        pod = pod_module.Pod(capsule, payload=payload)
        try:
            if payload is not None:
                self._store.save_payload(capsule.uid, payload.to_wire())
            self._store.save(capsule.uid, pod_module.to_record(pod))
        except OSError as error:
            # Whoever asks still has it, and will ask again.
            raise exceptions.Unavailable(
                'zun-vk-compute', f'the pod cannot be recorded: '
                f'{error.strerror}') from None
        if not self._add(pod):
            LOG.info('Capsule %s was deleted and does not run',
                     capsule.uuid)
            self._store.remove(capsule.uid)

    def _complete(self, pod: pod_module.Pod, vif: dict[str, typing.Any],
                  payload: payload_module.PodPayload | None) -> None:
        """Have what the record of a pod lacked.

        A VIF, which an older service did not know, or an older zun-compute
        did not tell: its next sandbox could not be plugged. And a payload
        whose file broke: of a capsule without a node nobody else tells it.
        """
        lacks_vif = bool(vif) and not pod.capsule.vif
        lacks_payload = payload is not None and pod.payload is None
        if not (lacks_vif or lacks_payload):
            return

        def note(pod: pod_module.Pod) -> None:
            if lacks_vif:
                pod.capsule = dataclasses.replace(pod.capsule, vif=vif)
                self.save(pod)
            if payload is not None and pod.payload is None:
                pod.payload = payload
                self._save_payload(pod.uid, payload)

        self._note(pod, note)

    def _save_payload(self, uid: str,
                      payload: payload_module.PodPayload) -> None:
        try:
            self._store.save_payload(uid, payload.to_wire())
        except OSError as error:
            # Zun tells it again after the next start.
            LOG.error('What pod %s is cannot be recorded: %s', uid,
                      error.strerror)

    def delete(self, uuid: str, grace: float | None) -> bool:
        """Have a capsule end and go.

        :param grace: seconds; None: as its pod says
        :returns: it is gone
        """
        with self._lock:
            self._deleted[uuid] = None
            self._deleted.move_to_end(uuid)
            if len(self._deleted) > _MAX_DELETED:
                self._deleted.popitem(last=False)
        pod = self.of_capsule(uuid)
        if pod is None:
            return True

        def remove(pod: pod_module.Pod) -> None:
            pod.removing = True
            self._end(pod, _grace(pod) if grace is None else grace, '', '')

        self._note(pod, remove)
        return False

    def adopt(self, capsule: pod_module.Capsule,
              grace: float | None) -> bool:
        """Have the pod of a capsule without a record end and go.

        :param grace: seconds; None: as of a pod that does not say
        :returns: False where the pod has another capsule here
        """
        with self._taking:
            known = self.get(capsule.uid)
            if known is not None:
                return known.capsule.uuid == capsule.uuid
            pod = pod_module.Pod(capsule, removing=True)
            self._end(pod, _DEFAULT_GRACE if grace is None else grace, '', '')
            self._add(pod)
        return True

    def end(self, uid: str, grace: float, reason: str,
            message: str) -> None:
        """Have a pod end; its capsule stays."""
        pod = self.get(uid)
        if pod is not None:
            self._note(pod, lambda pod: self._end(pod, grace, reason,
                                                  message))

    def changed(self, uid: str) -> None:
        """Take note that the Pod object changed."""
        pod = self.get(uid)
        if pod is not None:
            self._note(pod, _ask_again)

    def get(self, uid: str) -> pod_module.Pod | None:
        with self._lock:
            return self._pods.get(uid)

    def of_capsule(self, uuid: str) -> pod_module.Pod | None:
        """Return the pod of a capsule; None where it is not here."""
        with self._lock:
            return self._pods.get(self._by_capsule.get(uuid, ''))

    def all(self) -> list[pod_module.Pod]:
        with self._lock:
            return list(self._pods.values())

    def known(self) -> set[str] | None:
        """Return the UIDs of all pods; None before Zun has confirmed them.

        Without records, as after a tmpfs was lost, only Zun knows them.
        """
        with self._lock:
            return set(self._pods) if self._confirmed else None

    def confirm(self) -> None:
        """Take note that all pods that Zun has here are known."""
        with self._lock:
            self._confirmed = True

    def nodes(self) -> set[str]:
        """Return the virtual nodes that have pods here."""
        return {pod.capsule.node for pod in self.all()} - {''}

    def states(self, node: str | None = None) -> list[states.PodState]:
        """Return what was last told of pods.

        :param node: of this one; None: of all
        """
        found = (pod.published for pod in self.all()
                 if node is None or pod.capsule.node == node)
        return [state for state in found if state is not None]

    def all_told(self, node: str) -> bool:
        """Tell whether ``states`` of a node has all of its pods here.

        Not before Zun has told its capsules, nor while a pod was not looked
        at since the start.
        """
        with self._lock:
            confirmed = self._confirmed
        return confirmed and all(
            pod.published is not None for pod in self.all()
            if pod.capsule.node == node)

    def only(self, capsules: Iterable[str]) -> list[pod_module.Pod]:
        """Return the pods whose capsules are not among these UUIDs."""
        known = set(capsules)
        return [pod for pod in self.all() if pod.capsule.uuid not in known]

    def save(self, pod: pod_module.Pod) -> None:
        """Keep the record of a pod; where it cannot be written, later.

        A disk that is full must not stop what is done for a pod.
        """
        if pod.gone:
            return
        try:
            self._store.save(pod.uid, pod_module.to_record(pod))
        except OSError as error:
            LOG.error('Pod %s cannot be recorded: %s', pod.uid,
                      error.strerror)
            pod.unsaved = True
            self.queue.add_after(pod.uid, _SAVE_AGAIN)
        else:
            pod.unsaved = False

    def work(self, look: Callable[[pod_module.Pod], float | None],
             stop: threading.Event) -> None:
        """Be one worker, until the queue is shut down."""
        while not stop.is_set():
            uid = self.queue.get(timeout=60)
            if uid is None:
                continue
            try:
                self._work(uid, look)
            except exceptions.RemoteError as error:
                LOG.warning('Pod %s is looked at again: %s', uid, error)
                self.queue.retry(uid)
            except Exception:  # the top of a thread
                LOG.exception('Pod %s could not be looked at', uid)
                self.queue.retry(uid)
            finally:
                self.queue.done(uid)

    def _work(self, uid: str,
              look: Callable[[pod_module.Pod], float | None]) -> None:
        pod = self.get(uid)
        if pod is None:
            return
        if pod.unsaved:
            self.save(pod)
        again = look(pod)
        self.queue.forget(uid)
        if pod.gone:
            self._forget(pod)
        elif pod.inbox:
            self.queue.add(uid)
        elif again is not None:
            self.queue.add_after(uid, again)

    def _end(self, pod: pod_module.Pod, grace: float, reason: str,
             message: str) -> None:
        """Have a pod end by then, or sooner where it ends already."""
        deadline = self._wall() + max(0.0, grace)
        ending = pod.memory.ending
        if ending is None:
            pod.memory.ending = model.Ending(deadline, grace, reason,
                                             message)
        elif deadline < ending.deadline:
            pod.memory.ending = model.Ending(
                deadline, grace, ending.reason, ending.message)
        self.save(pod)

    def _note(self, pod: pod_module.Pod,
              note: Callable[[pod_module.Pod], None]) -> None:
        pod.inbox.append(note)
        self.queue.add(pod.uid)

    def _add(self, pod: pod_module.Pod) -> bool:
        """Have a pod looked at from now on.

        :returns: False where its capsule was deleted meanwhile
        """
        pod.memory.runtime = self.runtime
        with self._lock:
            if pod.capsule.uuid in self._deleted and not pod.removing:
                return False
            self._pods[pod.uid] = pod
            self._by_capsule[pod.capsule.uuid] = pod.uid
        self.queue.add(pod.uid)
        return True

    def _forget(self, pod: pod_module.Pod) -> None:
        capsule = pod.capsule
        try:
            self._store.keep(pod.uid, {
                'node': capsule.node, 'namespace': capsule.namespace,
                'pod': capsule.pod, 'at': self._wall()})
        except OSError as error:
            # Its capsule must go all the same.
            LOG.error('Logs of pod %s stay: what is left of it cannot be '
                      'recorded: %s', pod.uid, error.strerror)
        self._store.remove(pod.uid)
        with self._lock:
            self._pods.pop(pod.uid, None)
            self._by_capsule.pop(capsule.uuid, None)


def _restored(uid: str, record: dict, payload: dict | None,
              ) -> pod_module.Pod:
    """Return a pod as it was recorded, whatever became of its payload.

    :raises Malformed: the record itself makes no sense
    """
    try:
        return pod_module.from_record(record, payload)
    except fields.Malformed as error:
        found = pod_module.from_record(record, None)
        LOG.error('What pod %s is was recorded in a way that makes no sense, '
                  'and is asked for again: %s', uid, error)
        return found


def _ask_again(pod: pod_module.Pod) -> None:
    pod.fetch_at, pod.changed = float('-inf'), True


def _grace(pod: pod_module.Pod) -> float:
    """Return the seconds that a pod is given to end."""
    spec = pod.payload.pod['spec'] if pod.payload else {}
    grace = spec.get('terminationGracePeriodSeconds')
    return float(_DEFAULT_GRACE if grace is None else grace)
