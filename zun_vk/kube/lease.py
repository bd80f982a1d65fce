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
"""The node's Lease in kube-node-lease: its heartbeat, and the lock on it.

Whoever is named in ``holderIdentity`` acts for the node. Flows in: renewals
of others, seen by asking. Flows out: our own renewals, and a fence that is
open while no other can have taken the lease. Times are compared on one
machine only: a lease has expired when it did not change for its duration
before our eyes (as client-go's leader election does), whatever the clocks
of others say.
"""

import threading
import time
import typing

from oslo_log import log as logging

from zun_vk import backoff
from zun_vk import exceptions
from zun_vk import health as health_module
from zun_vk.kube import client as kube_client
from zun_vk.kube import times

LOG = logging.getLogger(__name__)

NAMESPACE = 'kube-node-lease'
# Seconds after which others may take a lease that is not renewed.
# Kubernetes calls a node dead after 50 s without a renewal.
DURATION = 15
# Seconds a holder acts after it began its last renewal that succeeded: what
# is left to DURATION is for a request that is on its way.
HOLD = 10.0
INTERVAL = 4.0
# Seconds to wait for the API server: two tries must fit into HOLD.
TIMEOUT = 4.0
_LONGEST = 120
_CHECK = 'renew node lease'
Clock = typing.Callable[[], float]


def boottime() -> float:
    """Return monotonic seconds that go on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def checked(answer: typing.Any) -> dict:
    """Return an API server's answer, if it is a Lease.

    :raises Unavailable: it is something else, perhaps a proxy's
    """
    try:
        metadata, spec = answer['metadata'], answer.get('spec')
        if (isinstance(metadata['name'], str)
                and isinstance(metadata['resourceVersion'], str)
                and isinstance(spec, dict | None)):
            return answer
    except (AttributeError, KeyError, TypeError):
        pass
    raise exceptions.Unavailable(
        kube_client.SERVICE, 'an answer that is no Lease')


class Fence:
    """Whether this agent may act for a node at this moment.

    One thread opens and closes it; any thread may ask. It closes by itself:
    a process that was stopped for a while finds it closed.
    """

    def __init__(self, node: str, clock: Clock = boottime):
        self._node = node
        self._clock = clock
        self._until = float('-inf')

    def open_until(self, moment: float) -> None:
        """Let acts pass until ``moment`` of the clock."""
        self._until = moment

    def close(self) -> None:
        self._until = float('-inf')

    @property
    def is_open(self) -> bool:
        return self._clock() < self._until

    def check(self) -> None:
        """Do nothing while open.

        :raises NotHolder: this agent may not act for the node
        """
        if not self.is_open:
            raise exceptions.NotHolder(
                kube_client.SERVICE,
                f'the lease of node {self._node} is not held')


class Watched:
    """A Lease of others, and whether it is renewed before our eyes."""

    def __init__(self, clock: Clock = boottime):
        self._clock = clock
        self._version = ''
        self._changed_at = float('-inf')
        self._changes = -1

    def see(self, lease: dict) -> None:
        """Take in the Lease as the API server has it now."""
        version = lease['metadata']['resourceVersion']
        if version != self._version:
            self._version = version
            self._changed_at = self._clock()
            self._changes += 1

    def holder(self, lease: dict) -> str | None:
        """Return who holds the lease, None once it has expired."""
        spec = lease.get('spec') or {}
        seconds = spec.get('leaseDurationSeconds') or DURATION
        if self._clock() - self._changed_at > min(seconds, _LONGEST):
            return None
        return spec.get('holderIdentity') or None

    @property
    def renewed(self) -> bool:
        """It changed since it was first seen: somebody is alive."""
        return self._changes > 0


class NodeLease:
    """The Lease of one node, as one agent may come to hold it.

    :param client: a client no other thread uses, with a short time-out
    :param node: name of the node, and so of its Lease
    :param holder: name of this agent. Of two processes with one name only
        one may live.
    :param fence: opened while the lease is held
    """

    def __init__(self, client: kube_client.KubeClient, node: str, holder: str,
                 fence: Fence, health: health_module.Health,
                 clock: Clock = boottime):
        self._client = client
        self._node = node
        self._holder = holder
        self._fence = fence
        self._health = health
        self._clock = clock
        # Owned by the thread that calls: first who looks and takes, then
        # run(), then who releases; never two at once.
        self._lease: dict | None = None
        self._watched = Watched(clock)
        # UID of the Node object, the Lease's owner; '' before it exists.
        self.node_uid = ''

    def look(self) -> str | None:
        """Return who holds the node, None where it can be taken.

        :raises RemoteError: the API server did not say
        """
        self._lease = self._get()
        if self._lease is None:
            return None
        self._watched.see(self._lease)
        holder = self._watched.holder(self._lease)
        # Our own name is that of a predecessor that has ended.
        return None if holder == self._holder else holder

    def take(self) -> bool:
        """Take the lease that ``look`` found free; tell whether we got it.

        :raises RemoteError: it may or may not have been taken
        """
        at = self._clock()
        try:
            self._lease = self._write(self._taking())
        except (exceptions.Conflict, exceptions.NotFound):
            return False
        self._fence.open_until(at + HOLD)
        return True

    def run(self, stop: threading.Event,
            on_resumed: typing.Callable[[], None]) -> bool:
        """Renew until ``stop`` is set or another agent has the lease.

        :param on_resumed: called after a renewal that came too late to keep
            the fence open; nobody else held the node meanwhile
        :returns: False where the lease is lost
        """
        pause = backoff.Backoff(0.2, 2.0)
        while not stop.is_set():
            was_open = self._fence.is_open
            error = self._health.outcome(_CHECK, self._renew)
            if error is not None:
                # As long as the server asks, but no longer than between two
                # renewals: a longer wait would let the fence close and the
                # lease expire, and whoever takes the node then asks the
                # server for far more than this one small request.
                stop.wait(max(pause.next(),
                              min(error.retry_after, INTERVAL)))
                continue
            if self._lease is None:
                self._fence.close()
                self._health.ok(_CHECK)
                return False
            pause.reset()
            if not was_open:
                on_resumed()
            stop.wait(INTERVAL)
        return True

    def release(self) -> None:
        """Let another agent take the node at once; closes the fence.

        :raises RemoteError: it is not released, and will expire
        """
        self._fence.close()
        if self._lease is None:
            return
        try:
            self._write({'holderIdentity': None})
        except (exceptions.Conflict, exceptions.NotFound):
            LOG.debug('The lease of node %s was not ours', self._node)
        self._lease = None

    def _renew(self) -> None:
        """Renew once; the lease is None afterwards where it is lost."""
        at = self._clock()
        renewed = {'renewTime': times.now_micro()}
        try:
            self._lease = self._write(renewed)
        except exceptions.NotFound:
            self._lease = checked(self._client.create_lease(
                NAMESPACE, self._new(self._taking())))
        except exceptions.Conflict:
            self._lease = self._if_ours(checked(
                self._client.get_lease(NAMESPACE, self._node)))
            if self._lease is None:
                return
            self._lease = self._write(renewed)
        self._fence.open_until(at + HOLD)

    def _if_ours(self, lease: dict) -> dict | None:
        """Return a lease that someone changed if we hold it, else None."""
        if (lease.get('spec') or {}).get('holderIdentity') == self._holder:
            return lease
        LOG.warning('Node %s is held by another agent now', self._node)
        return None

    def _get(self) -> dict | None:
        try:
            return checked(self._client.get_lease(NAMESPACE, self._node))
        except exceptions.NotFound:
            return None

    def _taking(self) -> dict:
        now = times.now_micro()
        spec = (self._lease or {}).get('spec') or {}
        changed = spec.get('holderIdentity') != self._holder
        return {'holderIdentity': self._holder,
                'leaseDurationSeconds': DURATION,
                'acquireTime': now, 'renewTime': now,
                'leaseTransitions': (spec.get('leaseTransitions') or 0)
                + bool(changed and self._lease)}

    def _write(self, spec: dict) -> dict:
        if self._lease is None:
            return checked(self._client.create_lease(
                NAMESPACE, self._new(spec)))
        version = self._lease['metadata']['resourceVersion']
        return checked(self._client.patch_lease(
            NAMESPACE, self._node,
            {'metadata': {'resourceVersion': version} | self._owned(),
             'spec': spec}))

    def _new(self, spec: dict) -> dict:
        return {'apiVersion': 'coordination.k8s.io/v1', 'kind': 'Lease',
                'metadata': {'name': self._node} | self._owned(),
                'spec': spec}

    def _owned(self) -> dict:
        """Return the metadata that lets the Lease go with its Node."""
        if not self.node_uid:
            return {}
        return {'ownerReferences': [
            {'apiVersion': 'v1', 'kind': 'Node', 'name': self._node,
             'uid': self.node_uid}]}
