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
"""Follows the capsules of a node in Zun; makes and deletes them there.

What all capsule runtimes have in common. One list of all capsules per
interval, however many pods there are. Capsules that Zun is working on are
looked at sooner: a few one by one, many by lists that follow each other as
quickly as Zun answers them.
"""

import contextlib
import threading
import time
import typing

from oslo_config import cfg
from oslo_log import log as logging

from zun_vk import backoff
from zun_vk import exceptions
from zun_vk import health as health_module
from zun_vk.cloud import sessions
from zun_vk.cloud import throttle
from zun_vk.cloud import zun
from zun_vk.pods import capsule as capsule_module
from zun_vk.pods import discretion
from zun_vk.pods import identity
from zun_vk.pods import translate as translation_module
from zun_vk.pods.runtimes import base
from zun_vk.pods.runtimes import store

LOG = logging.getLogger(__name__)

# Seconds between two looks at a capsule that Zun is working on: a tenth of
# the time that it has worked on it, within these bounds. So a look comes
# late by a part of what Zun takes, and slow work is not asked for all the
# time.
_LOOK_INTERVALS = (0.1, 1.0)
_LOOKS_OVER_AGE = 10
# Many capsules share a rate that Zun's API does not feel.
_LOOKS_A_SECOND = 10
# Seconds between two lists at least.
_LIST_INTERVAL = 0.25
_FEW = 2
# A pause after a list, over the time the list took: a list costs Zun some
# milliseconds a capsule, and shall keep it busy a third of the time at most.
_PAUSE_AFTER_LIST = 2
# Seconds after which a capsule that is still being made may be deleted.
_CREATING_PATIENCE = 60.0
_CHECK = 'follow the capsules in Zun'


class FollowingRuntime(base.CapsuleRuntime):
    """Knows capsules as Zun's REST API shows them.

    :param conf: options; sections ``[zun]`` and ``[tenants]``
    :param owner: whose capsules to handle
    :param throttles: the gates before Zun's endpoints
    :param guard: raises NotHolder while another may act for the node
    """

    def __init__(self, conf: cfg.ConfigOpts, owner: identity.Owner,
                 health: health_module.Health,
                 throttles: throttle.Throttles,
                 guard: typing.Callable[[], None] = lambda: None):
        self._owner = owner
        self._health = health
        self._interval = conf.zun.poll_interval
        self._zun = zun.ZunClient(sessions.ServiceAccess(
            conf, 'zun', conf.tenants.default_project), throttles, guard)
        # What capsules are listed with.
        self._lister = self._zun
        self._store = store.CapsuleStore()
        self._listed_at = float('-inf')
        self._list_due = 0.0
        # When the last list ended, and how long it took, seconds; owned by
        # the thread in run().
        self._list_ended = float('-inf')
        self._list_took = 0.0
        # Set to end the loop's pause early; the loop clears it.
        self._wake = threading.Event()

    def create(self, pod: dict,
               translation: translation_module.Translation
               ) -> capsule_module.Capsule:
        try:
            raw = self._zun.create_capsule(translation.template)
        except exceptions.RemoteError as error:
            if translation.secrets.repeated_in(error.message):
                error.rephrase(discretion.WITHHELD)
            if error.service == sessions.KEYSTONE:
                raise exceptions.NotSent(error.service, error.message,
                                         error.status) from error
            raise
        capsule = _read(raw)
        # Newer than any list that was begun before the answer came.
        self._store.put(capsule, time.monotonic())
        self._wake.set()
        return capsule

    def delete(self, capsule: capsule_module.Capsule) -> None:
        at = time.monotonic()
        # Until a host has taken it up, Zun drops a capsule's record and
        # lets the host make the containers all the same.
        if (capsule.unplaced
                and self._store.age(capsule.uuid, at) < _CREATING_PATIENCE):
            return
        try:
            with _discreetly():
                self._zun.delete_capsule(capsule.uuid)
            self._store.deletion_asked(capsule.uuid, at)
        except exceptions.NotFound:
            self._store.remove(capsule.uuid, at)
        self._wake.set()

    def of_pod(self, uid: str) -> list[capsule_module.Capsule]:
        return self._store.of_pod(uid)

    def uids(self) -> set[str]:
        return self._store.uids()

    def listed_at(self) -> float:
        return self._listed_at

    def look_soon(self) -> None:
        self._list_due = 0.0
        self._wake.set()

    def run(self, on_change: typing.Callable[[str], None],
            stop: threading.Event) -> None:
        pause = backoff.Backoff(1.0, 30.0)
        while not stop.is_set():
            if self._health.attempt(_CHECK, self._round, on_change):
                pause.reset()
                self._sleep(stop)
            else:
                self._list_due = 0.0
                stop.wait(pause.next())

    def _round(self, on_change: typing.Callable[[str], None]) -> None:
        changing = self._store.in_transition()
        if (time.monotonic() >= self._list_due
                or self._list_is_quicker(len(changing))):
            self._list(on_change)
            return
        for capsule in changing:
            if time.monotonic() >= self._list_due:
                # A Zun so slow shows all of them sooner by the list.
                return
            self._look(capsule, on_change)

    def _list_is_quicker(self, changing: int) -> bool:
        """Tell whether a list shows so many sooner than looks at each."""
        cycle = self._list_took * (1 + _PAUSE_AFTER_LIST)
        return changing > _FEW and cycle < changing / _LOOKS_A_SECOND

    def _sleep(self, stop: threading.Event) -> None:
        """Wait until the next look is due or something wants one sooner."""
        if not self._store.in_transition():
            self._wake.wait(max(0.0, self._list_due - time.monotonic()))
        self._wake.clear()
        stop.wait(self._pause(len(self._store.in_transition()),
                              self._store.youngest(time.monotonic())))

    def _pause(self, changing: int, youngest: float) -> float:
        """Return seconds until so many changing capsules are looked at.

        :param youngest: seconds since Zun has begun with the last of them
        """
        now = time.monotonic()
        pause = 0.0
        if self._list_is_quicker(changing):
            again = self._list_ended + self._list_took * _PAUSE_AFTER_LIST
            pause = max(_LIST_INTERVAL, again - now)
        elif changing:
            shortest, longest = _LOOK_INTERVALS
            pause = max(shortest, min(youngest / _LOOKS_OVER_AGE, longest),
                        changing / _LOOKS_A_SECOND)
        return max(0.0, min(pause, self._list_due - now))

    def _list(self, on_change: typing.Callable[[str], None]) -> None:
        at = time.monotonic()
        ours = self._lister.list_capsules(self._ours)
        self._list_ended = time.monotonic()
        self._list_took = self._list_ended - at
        self._list_due = self._list_ended + self._interval
        changed, missing = self._store.merge(ours, at)
        self._listed_at = at
        for uid in changed:
            on_change(uid)
        for capsule in missing:
            # A list is not proof: Zun may have cut or garbled it.
            self._look(capsule, on_change)

    def _ours(self, raw: dict) -> capsule_module.Capsule | None:
        if not self._owner.owns(raw.get('labels')):
            return None
        try:
            return _read(raw)
        except exceptions.Unavailable as error:
            # One such must not hide the others.
            LOG.warning('Skipped: %s', error)
            return None

    def _look(self, capsule: capsule_module.Capsule,
              on_change: typing.Callable[[str], None]) -> None:
        at = time.monotonic()
        try:
            with _discreetly():
                now = _read(self._zun.get_capsule(capsule.uuid))
        except exceptions.NotFound:
            self._store.remove(capsule.uuid, at)
            on_change(capsule.uid)
            return
        except exceptions.Unavailable as error:
            # Perhaps only this one: the others must be looked at. Whether
            # Zun works at all is for the list to say.
            LOG.debug('Capsule %s: %s', capsule.uuid, error)
            return
        if self._store.put(now, at):
            on_change(capsule.uid)


@contextlib.contextmanager
def _discreetly() -> typing.Iterator[None]:
    """Drop what Zun says of one capsule: its Secrets are not known here."""
    try:
        yield
    except exceptions.RemoteError as error:
        if error.service == zun.SERVICE and error.status:
            error.rephrase(f'HTTP status {error.status}, without words')
        raise


def _read(raw: dict) -> capsule_module.Capsule:
    try:
        return capsule_module.from_zun(raw)
    except (AttributeError, TypeError, ValueError) as error:
        raise exceptions.Unavailable(
            zun.SERVICE, f'a capsule that makes no sense: {error}'
        ) from error
