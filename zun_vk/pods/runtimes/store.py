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
"""The capsules of this node, as last seen in Zun.

Lists and single looks come from several threads and may overtake one
another; the store makes sure that an older look never undoes a newer one.
"""

import dataclasses
import threading

from zun_vk.pods import capsule as capsule_module

# Seconds after which Zun is asked again for a deletion it did not do.
_ASK_AGAIN = 60.0


class CapsuleStore:
    """Capsules by their UUID and by their pod's UID.

    All times are monotonic seconds at which a look at Zun was begun.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards all below
        self._capsules: dict[str, capsule_module.Capsule] = {}
        self._seen: dict[str, float] = {}
        self._first_seen: dict[str, float] = {}
        self._asked: dict[str, float] = {}
        self._gone: dict[str, float] = {}
        # What the last list lacked, of what Zun was asked to delete.
        self._missed: set[str] = set()
        self._by_uid: dict[str, set[str]] = {}

    def of_pod(self, uid: str) -> list[capsule_module.Capsule]:
        """Return the capsules of a pod, the one to keep first.

        That is the oldest that is not in error: a pod that was made twice
        (a lost answer) has run longest there.
        """
        with self._lock:
            found = [self._capsules[u] for u in self._by_uid.get(uid, ())]
        return sorted(found, key=lambda c: (
            c.deleting, c.status == capsule_module.ERROR, c.created_at,
            c.uuid))

    def get(self, uuid: str) -> capsule_module.Capsule | None:
        with self._lock:
            return self._capsules.get(uuid)

    def uids(self) -> set[str]:
        with self._lock:
            return set(self._by_uid)

    def in_transition(self) -> list[capsule_module.Capsule]:
        with self._lock:
            return [c for c in self._capsules.values() if c.in_transition]

    def youngest(self, at: float) -> float:
        """Return for how long Zun has worked on what it began last.

        :returns: seconds; 0 where it is at work on nothing
        """
        with self._lock:
            return min((at - self._asked.get(uuid, self._first_seen[uuid])
                        for uuid, capsule in self._capsules.items()
                        if capsule.in_transition), default=0.0)

    def age(self, uuid: str, at: float) -> float:
        """Return for how many seconds a capsule has been known."""
        with self._lock:
            return at - self._first_seen.get(uuid, at)

    def deletion_asked(self, uuid: str, at: float) -> None:
        """Note that Zun was asked to delete a capsule."""
        with self._lock:
            self._asked[uuid] = at
            if uuid in self._capsules:
                self._capsules[uuid] = dataclasses.replace(
                    self._capsules[uuid], delete_asked=True)

    def put(self, capsule: capsule_module.Capsule, at: float) -> bool:
        """Keep one capsule; tell whether anything about it is new."""
        with self._lock:
            return self._put(capsule, at)

    def remove(self, uuid: str, at: float) -> str | None:
        """Note that a capsule is gone; return its pod's UID if known."""
        with self._lock:
            return self._remove(uuid, at)

    def merge(self, listed: list[capsule_module.Capsule], at: float
              ) -> tuple[set[str], list[capsule_module.Capsule]]:
        """Take in a complete list begun at ``at``.

        A capsule that two lists in a row lack is gone, if Zun had taken the
        order to delete it before both.

        :returns: the UIDs of the pods whose capsules changed or went, and
            the known capsules that the list lacks: they may be gone
        """
        with self._lock:
            changed = {c.uid for c in listed if self._put(c, at)}
            present = {c.uuid for c in listed}
            missing = [c for uuid, c in self._capsules.items()
                       if uuid not in present and self._seen[uuid] < at]
            # A look begun after this one cannot bring these back.
            self._gone = {uuid: gone for uuid, gone in self._gone.items()
                          if gone >= at}
            deleted = {c.uuid for c in missing
                       if self._asked.get(c.uuid, at) < at}
            for uuid in deleted & self._missed:
                changed.add(self._capsules[uuid].uid)
                self._remove(uuid, at)
            self._missed = deleted - self._missed
        return changed, [c for c in missing if c.uuid not in deleted]

    def _remove(self, uuid: str, at: float) -> str | None:
        self._gone[uuid] = at
        for times in (self._seen, self._first_seen, self._asked):
            times.pop(uuid, None)
        capsule = self._capsules.pop(uuid, None)
        if capsule is None:
            return None
        self._unlink(capsule)
        return capsule.uid

    def _put(self, capsule: capsule_module.Capsule, at: float) -> bool:
        uuid = capsule.uuid
        if self._gone.get(uuid, float('-inf')) >= at:
            return False
        if self._seen.get(uuid, float('-inf')) > at:
            return False
        self._seen[uuid] = at
        self._first_seen.setdefault(uuid, at)
        if at - self._asked.get(uuid, float('-inf')) < _ASK_AGAIN:
            capsule = dataclasses.replace(capsule, delete_asked=True)
        known = self._capsules.get(uuid)
        if known is not None and not capsule.host:
            # Zun shows a user no hosts; one that it had stays its host.
            capsule = dataclasses.replace(capsule, host=known.host)
        if known == capsule:
            # The old one stays: what a list brings anew goes at once.
            return False
        self._capsules[uuid] = capsule
        self._by_uid.setdefault(capsule.uid, set()).add(uuid)
        return True

    def _unlink(self, capsule: capsule_module.Capsule) -> None:
        uuids = self._by_uid.get(capsule.uid, set())
        uuids.discard(capsule.uuid)
        if not uuids:
            self._by_uid.pop(capsule.uid, None)
