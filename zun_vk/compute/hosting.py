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
"""Keeps in step with Zun: which capsules this host has, and which no more.

zun-compute tells each capsule when it is made. What it told while this
service was away, or before the host was started again, is asked for here;
and a capsule that Zun has forgotten (a forced deletion) ends.
"""

from collections.abc import Callable
import contextlib
import threading
import time
import typing

from oslo_log import log as logging

from zun_vk import backoff
from zun_vk import exceptions
from zun_vk.compute import endpoint as endpoint_module
from zun_vk.compute import logs
from zun_vk.compute import model
from zun_vk.compute import pods as pods_module
from zun_vk.compute import store as store_module
from zun_vk.compute.cri import client as cri
from zun_vk.compute.cri import cri_pb2
from zun_vk.compute.cri import seen
from zun_vk.compute.work import pod as pod_module
from zun_vk.compute.work import tasks as tasks_module
from zun_vk.rpc import bus as bus_module
from zun_vk.rpc import fields
from zun_vk.rpc import states

LOG = logging.getLogger(__name__)

_INTERVAL = 300.0
_MAX_CAPSULES = 100000
_MAX_KEPT = 500
_MAX_KEPT_SECONDS = 24 * 3600.0
_RUNS = ('Creating', 'Running')
# Of the 64 threads that the bus has by default: so many may ask the runtime,
# which may hang, at the same time.
_AT_ONCE = 8


class Hosting:
    """The capsules that Zun has on this host.

    :param log_root: where the logs of pods are
    :param record: has zun-compute write a state to its records
    :param wall: seconds since the epoch
    """

    def __init__(self, bus: bus_module.Bus, host: str, runtime: cri.Runtime,
                 pods: pods_module.Pods, store: store_module.RecordStore,
                 log_root: str, tasks: tasks_module.Tasks,
                 record: Callable[[states.PodState], None],
                 wall: Callable[[], float] = time.time):
        self._bus = bus
        self._host = host
        self._runtime = runtime
        self._pods = pods
        self._store = store
        self._log_root = log_root
        self._tasks = tasks
        self._record = record
        self._wall = wall
        # UUIDs that the last answer of zun-compute lacked; of run() only.
        self._missed: set[str] = set()
        self._turns = threading.BoundedSemaphore(_AT_ONCE)

    def run(self, stop: threading.Event) -> None:
        """Compare with Zun at the start and every few minutes."""
        pause = backoff.Backoff(1.0, 30.0)
        while not stop.is_set():
            try:
                self._compare()
                self._forget_old()
            except (exceptions.RemoteError, fields.Malformed) as error:
                LOG.info('zun-compute does not tell its capsules: %s', error)
                stop.wait(pause.next())
                continue
            pause.reset()
            stop.wait(_INTERVAL)

    def clear(self, uuid: str, grace: float | None) -> bool:
        """Remove what the runtime has of a capsule that has no record.

        It ends as one that has: what must be known for that is in its
        labels.

        :param grace: seconds; None: the default
        :returns: there is nothing; False also where too many ask: call again
        :raises RemoteError: the runtime does not say
        """
        if not self._turns.acquire(blocking=False):
            return False
        try:
            found = self._runtime.sandboxes(
                {model.LABEL_CAPSULE: uuid,
                 model.LABEL_MANAGED_BY: model.MANAGED_BY})
            if not found:
                return True
            capsule = self._labelled(uuid, found)
        finally:
            self._turns.release()
        if capsule is None or not self._pods.adopt(capsule, grace):
            self._remove(uuid, found)
        return False

    def _labelled(self, uuid: str, sandboxes: list[typing.Any],
                  ) -> pod_module.Capsule | None:
        """Return a capsule as the labels of its sandboxes tell it."""
        wire: dict[str, typing.Any] = {'uuid': uuid}
        for each in sandboxes:
            wire |= {'uid': each.labels.get(model.LABEL_UID),
                     'namespace': each.labels.get(model.LABEL_NAMESPACE),
                     'pod': each.labels.get(model.LABEL_POD)}
            if each.state == cri_pb2.SANDBOX_READY:
                # For its hooks.
                wire['addresses'] = list(seen.addresses(
                    self._runtime.sandbox_status(each.id).status.network))
        try:
            return pod_module.capsule_from_wire(wire)
        except fields.Malformed:
            return None

    def _remove(self, uuid: str, sandboxes: list[typing.Any]) -> None:

        def remove() -> None:
            for sandbox in sandboxes:
                self._runtime.stop_sandbox(sandbox.id)
                self._runtime.remove_sandbox(sandbox.id)

        def done(result: object, error: Exception | None) -> None:
            if error is not None:
                LOG.warning('Capsule %s was not removed: %s', uuid, error)

        self._tasks.start(('clear', uuid), remove, done)

    def forget(self, uid: str) -> None:
        """Remove the logs of a pod whose object is gone."""
        remnant = self._store.kept().get(uid)
        if remnant is None or self._pods.get(uid) is not None:
            return
        # None can have been made where there is no such name.
        with contextlib.suppress(ValueError):
            logs.remove(logs.pod_dir(
                self._log_root, str(remnant.get('namespace')),
                str(remnant.get('pod')), uid))
        self._store.forget(uid)

    def _compare(self) -> None:
        # Not for long: zun-compute may be about to start, too.
        reply = self._bus.peer(bus_module.DRIVER, self._host).call(
            'capsules')
        wires = fields.mappings(reply, 'capsules', _MAX_CAPSULES)
        known = [self._run(wire) for wire in wires
                 if wire.get('status') in _RUNS]
        self._end_missed([wire.get('uuid') for wire in wires])
        if all(known):
            self._pods.confirm()
        # What a failure there has lost; it writes only what differs.
        for state in self._pods.states():
            self._record(state)

    def _end_missed(self, uuids: list[object]) -> None:
        """End the capsules that Zun has not had twice.

        :param uuids: of those that it has
        """
        if not all(isinstance(uuid, str) for uuid in uuids):
            # Any capsule may be the one that is not told as it should be.
            LOG.error('A capsule of Zun has a uuid that is none')
            return
        absent = {pod.capsule.uuid for pod in self._pods.only(
            str(uuid) for uuid in uuids)}
        for uuid in self._missed & absent:
            LOG.warning('Capsule %s is gone in Zun and ends', uuid)
            self._pods.delete(uuid, None)
        self._missed = absent

    def _run(self, wire: dict) -> bool:
        """Run a capsule.

        :returns: False where it must be tried again, for what may run of it
            is not known to be wanted
        """
        try:
            endpoint_module.run_described(self._pods, wire)
        except fields.Malformed as error:
            LOG.error('A capsule of Zun cannot be run: %s', error)
        except exceptions.Unavailable as error:
            LOG.error('A capsule of Zun cannot be run now: %s', error)
            return False
        return True

    def _forget_old(self) -> None:
        """Forget pods that are gone for long, and those that nobody wants."""
        kept = self._store.kept()
        newest_first = sorted(
            kept, key=lambda uid: -float(kept[uid].get('at') or 0))
        for number, uid in enumerate(newest_first):
            age = self._wall() - float(kept[uid].get('at') or 0)
            if number >= _MAX_KEPT or age > _MAX_KEPT_SECONDS:
                self.forget(uid)
        by_node: dict[str, list[str]] = {}
        for uid in newest_first:
            by_node.setdefault(str(kept[uid].get('node')), []).append(uid)
        for node, uids in by_node.items():
            self._forget_unwanted(node, uids)

    def _forget_unwanted(self, node: str, uids: list[str]) -> None:
        wanted: tuple[str, ...] = ()
        if node:
            try:
                reply = self._bus.peer(bus_module.AGENT, node).call(
                    'wanted', host=self._host, uids=uids)
            except exceptions.RemoteError:
                # Nobody holds the node now: later.
                return
            wanted = fields.texts(reply, 'uids', _MAX_CAPSULES)
        for uid in uids:
            if uid not in wanted:
                self.forget(uid)
