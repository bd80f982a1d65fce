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
"""What the hosts told of this node's pods: of each capsule the newest.

Messages may come late, twice or not at all. A host gives its states of a
pod numbers that grow, over restarts of its service too; so an older one is
known by its number, however it travelled. States are kept by capsule: what
is told of another capsule of the same pod is of no concern to this one.
"""

import threading

from zun_vk.rpc import states


class PodStates:
    """The newest state of each capsule, and which hosts had a pod."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards all below
        self._states: dict[str, states.PodState] = {}
        # By UID of the pod.
        self._capsules: dict[str, set[str]] = {}
        self._hosts: dict[str, set[str]] = {}
        # Of capsules that the last full report of their host lacked, how
        # many did.
        self._lacking: dict[str, int] = {}

    def put(self, state: states.PodState, host: str) -> bool:
        """Keep a state; tell whether it says anything new."""
        with self._lock:
            self._hosts.setdefault(state.uid, set()).add(host)
            self._capsules.setdefault(state.uid, set()).add(state.capsule)
            before = self._states.get(state.capsule)
            found = self._lacking.pop(state.capsule, 0) > 0
            if before and before.generation >= state.generation:
                return found
            self._states[state.capsule] = state
            return True

    def of(self, capsule: str) -> states.PodState | None:
        """Return the newest state of a capsule, if any was told."""
        with self._lock:
            return self._states.get(capsule)

    def lack(self, uid: str, capsule: str) -> None:
        """Note that the host of a capsule does not know it."""
        with self._lock:
            self._capsules.setdefault(uid, set()).add(capsule)
            self._lacking[capsule] = self._lacking.get(capsule, 0) + 1

    def is_lacking(self, capsule: str, times: int = 1) -> bool:
        """Tell whether its host, when asked last, did not know it.

        :param times: so often, one after the other
        """
        with self._lock:
            return self._lacking.get(capsule, 0) >= times

    def hosts_of(self, uid: str) -> set[str]:
        """Return the hosts that told of a pod, its capsule gone or not."""
        with self._lock:
            return set(self._hosts.get(uid, ()))

    def forget(self, uid: str) -> set[str]:
        """Drop what is kept of a pod that is gone; return its hosts."""
        with self._lock:
            for capsule in self._capsules.pop(uid, ()):
                self._states.pop(capsule, None)
                self._lacking.pop(capsule, None)
            return self._hosts.pop(uid, set())
