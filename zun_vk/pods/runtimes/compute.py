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
"""Capsule runtime ``compute``: pods run by zun-vk-compute on Zun's hosts.

Zun is asked for room and shows what there is; how the containers are, the
hosts say (``hosted``). They are believed only about capsules that Zun says
are on them, so the capsules are listed as an admin sees them, with hosts.
"""

import threading
import time
import typing

from oslo_config import cfg

from zun_vk import exceptions
from zun_vk import health as health_module
from zun_vk.cloud import sessions
from zun_vk.cloud import throttle
from zun_vk.cloud import zun
from zun_vk.pods import capsule as capsule_module
from zun_vk.pods import environment
from zun_vk.pods import identity
from zun_vk.pods import request
from zun_vk.pods import translate as translation_module
from zun_vk.pods.runtimes import following


class ComputeRuntime(following.FollowingRuntime):
    """Capsules whose containers zun-vk-compute runs."""

    on_hosts = True

    def __init__(self, conf: cfg.ConfigOpts, owner: identity.Owner,
                 health: health_module.Health,
                 throttles: throttle.Throttles,
                 guard: typing.Callable[[], None] = lambda: None):
        super().__init__(conf, owner, health, throttles, guard)
        # Capsules of other projects that carry our labels are forged.
        self._project = conf.tenants.default_project
        self._lister = zun.ZunClient(
            sessions.ServiceAccess(conf, 'zun'), throttles, guard,
            everywhere=bool(self._project))
        # Held by the one thread that looks at the newest capsules.
        self._looking = threading.Lock()
        # When the last look that Zun answered was begun, and when one
        # failed and of what; monotonic seconds. Guarded by it.
        self._looked_at = self._failed_at = float('-inf')
        self._error: exceptions.RemoteError | None = None

    def check(self, pod: dict) -> None:
        request.check(pod)

    def translate(self, pod: dict, variables: environment.Environment
                  ) -> translation_module.Translation:
        return request.translate(pod, self._owner)

    def located(self, uuid: str, asked: float | None = None
                ) -> capsule_module.Capsule | None:
        """Return one of this node's capsules, with its host if it has one.

        :raises RemoteError: Zun does not answer
        """
        asked = time.monotonic() if asked is None else asked
        known = self._store.get(uuid)
        if known is None or not known.host:
            with self._looking:
                # Another's look that was begun since serves as well.
                if self._looked_at < asked:
                    if self._error and self._failed_at > asked:
                        # While this one waited: one time-out is enough.
                        raise self._error
                    self._look_at_newest()
            known = self._store.get(uuid)
        return known

    def _look_at_newest(self) -> None:
        at = time.monotonic()
        try:
            found = self._lister.newest_capsules()
        except exceptions.RemoteError as error:
            self._error, self._failed_at = error, time.monotonic()
            raise
        self._looked_at = at
        for raw in found:
            capsule = self._ours(raw)
            if capsule is not None:
                self._store.put(capsule, at)

    def _ours(self, raw: dict) -> capsule_module.Capsule | None:
        if self._project and raw.get('project_id') != self._project:
            return None
        return super()._ours(raw)
