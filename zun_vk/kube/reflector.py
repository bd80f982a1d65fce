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
"""A live copy of one Kubernetes resource: list, then watch, for ever.

In flow raw JSON objects from a Source; out go two calls, on_change and
on_delete, and a store that anyone may read. Whatever happened while the
watch was away shows up as such calls after the next list: an observer sees
every object's last state, though not every state between.

It must never end before it is told to, never mutate an object it was given,
and never let one bad object or one failing observer stop the others.

Kubernetes: efficient detection of changes.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import logging
import random
import threading
import time
import typing

from zun_vk import backoff
from zun_vk import exceptions

LOG = logging.getLogger(__name__)

# The version to list at for what is true now. Never "0", for anything that
# an API server has at hand: one that lags behind would show an agent that
# takes over a node the pods of a while ago, without what was written since.
NEWEST_VERSION = ''

# A watch is ended by the API server after a random time between these.
WATCH_SECONDS = (300, 600)
# A watch that ends sooner than this, without an error, is an error.
SHORT_WATCH_SECONDS = 1.0

_CHANGES = ('ADDED', 'MODIFIED')


class Watch(typing.Protocol):
    """An open watch: iterate for its events."""

    def __iter__(self) -> Iterator[typing.Any]:
        """Yield events, ``{'type': ..., 'object': {...}}``, until it ends.

        :raises exceptions.RemoteError: the connection failed
        """

    def close(self) -> None:
        """End the iteration soon; from any thread, any number of times."""


class Source(typing.Protocol):
    """Where one resource is listed and watched."""

    def list(self, resource_version: str) -> dict:
        """Return a List object, its pages joined.

        :raises exceptions.Expired: that version is gone
        :raises exceptions.RemoteError: any other failure
        """

    def watch(self, resource_version: str, timeout_seconds: int) -> Watch:
        """Open a watch, with bookmarks, for what follows that version.

        :raises exceptions.Expired: that version is gone
        :raises exceptions.RemoteError: any other failure
        """


class Reflector:
    """Keeps the copy and tells of changes, in the thread that runs it.

    :param source: where the objects come from
    :param name: what is reflected, for the log
    :param on_change: called with the object as it was (None: it is new) and
        as it is
    :param on_delete: called with the last state seen of an object now gone
    :param on_synced: called once, after the first list was reported
    :param retry: delays between attempts
    :param clock: monotonic seconds
    :param chance: a number at random between two numbers
    """

    def __init__(self, source: Source, *, name: str,
                 on_change: Callable[[dict | None, dict], None],
                 on_delete: Callable[[dict], None],
                 on_synced: Callable[[], None] | None = None,
                 retry: backoff.Backoff | None = None,
                 clock: Callable[[], float] = time.monotonic,
                 chance: Callable[[float, float], float] = random.uniform):
        self.synced = threading.Event()
        #: Why the last attempt failed, None while all is well.
        self.last_error: exceptions.RemoteError | None = None
        #: Events and objects skipped because they made no sense.
        self.skipped = 0
        #: Calls of on_change, on_delete and on_synced that raised.
        self.observer_failures = 0
        self._source = source
        self._name = name
        self._on_change = on_change
        self._on_delete = on_delete
        self._on_synced = on_synced
        self._retry = retry or backoff.Backoff(
            0.8, 30.0, reset_after=120.0, clock=clock)
        self._clock = clock
        self._chance = chance
        # Where the next list or watch begins.
        self._version = NEWEST_VERSION
        self._logged: set[tuple[type, int]] = set()
        # The one lock: it guards _store, which only run() changes, and
        # _stream, which run() sets and the thread that waits for stop closes.
        self._lock = threading.Lock()
        self._store: dict[str, dict] = {}
        self._stream: Watch | None = None

    def get(self, uid: str) -> dict | None:
        """Return the object of that metadata.uid; it must not be changed."""
        with self._lock:
            return self._store.get(uid)

    def snapshot(self) -> dict[str, dict]:
        """Return all objects by metadata.uid; they must not be changed."""
        with self._lock:
            return dict(self._store)

    def run(self, stop: threading.Event) -> None:
        """Keep the copy until stop is set; never raises.

        A watch that waits for events is closed when stop is set. A list in
        progress is not: stopping takes up to the Source's own time-out.
        """
        closer = threading.Thread(
            target=self._close_at, args=(stop,), daemon=True,
            name=f'reflector-{self._name}-closer')
        closer.start()
        while not stop.is_set():
            try:
                self._list()
                while not stop.is_set():
                    self._watch(stop)
            except Exception as exc:  # the top of a thread
                if not stop.is_set():
                    self._failed(exc)
                    stop.wait(max(self._retry.next(),
                                  getattr(exc, 'retry_after', 0)))
        closer.join()

    def _close_at(self, stop: threading.Event) -> None:
        stop.wait()
        with self._lock:
            stream = self._stream
        if stream is not None:
            self._close(stream)

    def _close(self, stream: Watch) -> None:
        try:
            stream.close()
        except Exception:
            LOG.warning('closing the watch of %s failed', self._name,
                        exc_info=True)

    # List

    def _list(self) -> None:
        listed = self._source.list(self._version)
        items, version = _read_list(listed)
        found = {}
        for item in items:
            identity = _identity(item)
            if identity is None:
                self._skip('an object without metadata.uid or version')
            else:
                found[identity[0]] = item
        for uid in self.snapshot().keys() - found.keys():
            self._remove(uid, None)
        for uid, item in found.items():
            self._put(uid, item)
        self._version = version
        if not self.synced.is_set():
            self.synced.set()
            if self._on_synced is not None:
                self._tell(self._on_synced)

    # Watch

    def _watch(self, stop: threading.Event) -> None:
        started = self._clock()
        with self._open(stop) as stream:
            for event in stream:
                if stop.is_set():
                    return
                self._apply(event)
                self._recovered()
        if self._clock() - started < SHORT_WATCH_SECONDS:
            raise exceptions.Unreachable(
                'kubernetes', 'the watch was ended as soon as it began')
        self._recovered()

    @contextlib.contextmanager
    def _open(self, stop: threading.Event) -> Iterator[Iterable]:
        seconds = int(self._chance(*WATCH_SECONDS))
        stream = self._source.watch(self._version, seconds)
        self.last_error = None
        with self._lock:
            self._stream = stream
        try:
            # Had stop been set before _stream was, nobody would close it.
            yield () if stop.is_set() else stream
        finally:
            with self._lock:
                self._stream = None
            self._close(stream)

    def _apply(self, event: typing.Any) -> None:
        fields = event if isinstance(event, dict) else {}
        kind = fields.get('type')
        thing: typing.Any = fields.get('object')
        if kind == 'ERROR':
            raise _error_of(thing)
        if kind == 'BOOKMARK':
            self._bookmark(thing)
            return
        identity = _identity(thing)
        if identity is None or kind not in _CHANGES + ('DELETED',):
            self._skip('a watch event without a known type or an object')
            return
        uid, version = identity
        if kind == 'DELETED':
            self._remove(uid, thing)
        else:
            self._put(uid, thing)
        self._version = version

    def _bookmark(self, thing: typing.Any) -> None:
        version = _text(_metadata(thing), 'resourceVersion')
        if version is None:
            self._skip('a bookmark without a version')
        else:
            self._version = version

    # Store

    def _put(self, uid: str, new: dict) -> None:
        with self._lock:
            old = self._store.get(uid)
            self._store[uid] = new
        if old is None or _identity(old) != _identity(new):
            self._tell(self._on_change, old, new)

    def _remove(self, uid: str, last: dict | None) -> None:
        with self._lock:
            old = self._store.pop(uid, None)
        if old is not None:
            self._tell(self._on_delete, last or old)

    def _tell(self, observer: Callable[..., None], *args: typing.Any) -> None:
        try:
            observer(*args)
        except Exception:
            self.observer_failures += 1
            LOG.exception('an observer of %s failed', self._name)

    # Trouble

    def _skip(self, what: str) -> None:
        # Never the object itself: it may hold secrets.
        self.skipped += 1
        LOG.warning('%s: skipped %s', self._name, what)

    def _failed(self, exc: Exception) -> None:
        if isinstance(exc, exceptions.Expired):
            LOG.info('%s: the version is too old, listing again', self._name)
            self._version = NEWEST_VERSION
            return
        if isinstance(exc, exceptions.RemoteError):
            error, trace = exc, None
        else:
            error, trace = exceptions.RemoteError(
                'kubernetes', f'{type(exc).__name__}: {exc}'), exc
        if error.status == 504:
            # Also said of a version from before etcd was restored.
            self._version = NEWEST_VERSION
        self.last_error = error
        kind = (type(exc), error.status)
        if kind not in self._logged:
            self._logged.add(kind)
            LOG.warning('%s cannot be followed, trying again: %s',
                        self._name, error, exc_info=trace)

    def _recovered(self) -> None:
        if self._logged:
            self._logged.clear()
            LOG.info('%s is followed again', self._name)


def _read_list(listed: typing.Any) -> tuple[list, str]:
    version = _text(_metadata(listed), 'resourceVersion')
    items = listed.get('items') if version else None
    if version is None or not isinstance(items, list | None):
        raise exceptions.RemoteError('kubernetes', 'not a list of objects')
    return items or [], version


def _identity(thing: typing.Any) -> tuple[str, str] | None:
    """Return an object's uid and version, None where it lacks either."""
    metadata = _metadata(thing)
    uid = _text(metadata, 'uid')
    version = _text(metadata, 'resourceVersion')
    return (uid, version) if uid and version else None


def _metadata(thing: typing.Any) -> dict:
    metadata = thing.get('metadata') if isinstance(thing, dict) else None
    return metadata if isinstance(metadata, dict) else {}


def _text(fields: dict, name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) and value else None


def _error_of(status: typing.Any) -> exceptions.RemoteError:
    """Return what the Status object of an ERROR event says."""
    fields = status if isinstance(status, dict) else {}
    code = fields.get('code')
    code = code if isinstance(code, int) else 0
    message = str(fields.get('message') or 'the watch failed')[:500]
    if code == 410:
        return exceptions.Expired('kubernetes', message, code)
    if code == 429:
        return exceptions.Throttled('kubernetes', message)
    if code >= 500:
        return exceptions.Unavailable('kubernetes', message, code)
    return exceptions.RemoteError('kubernetes', message, code)
