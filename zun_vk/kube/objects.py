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
"""Secrets, ConfigMaps and Services by name, read once for many pods.

Flows in: names, from any thread. Flows out: the part of the object that a
container may see, or None where there is no such object. One GET per object,
never a list or a watch of Secrets: an identity that may read only what its
pods refer to is enough.

An answer serves those who come after it for some seconds, unless they must
see what was there at a later time. "Not there" is kept for one second. The
namespace is part of every key; size and number are bounded; nothing here
shows a value in its repr.
"""

import base64
import collections
from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import threading
import time
import typing

from zun_vk import exceptions
from zun_vk.kube import client as kube_client

_KEEP = 10.0
_KEEP_ABSENCE = 1.0
# Seconds without a request where the API server does not say how many.
_PAUSE = 1.0
_MAX_ENTRIES = 1024
_MAX_BYTES = 8 * 1024 ** 2
_Key = tuple[str, ...]


class Port(typing.NamedTuple):
    """One port of a Service.

    :param name: '' where it has none
    """

    name: str
    number: int
    protocol: str


class Service(typing.NamedTuple):
    """A Service that has an address of its own."""

    name: str
    address: str
    ports: tuple[Port, ...]


@dataclasses.dataclass(frozen=True)
class Secret:
    """A Secret.

    :param kind: its type, such as kubernetes.io/dockerconfigjson
    """

    kind: str
    data: Mapping[str, bytes] = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class ConfigMap:
    """A ConfigMap.

    :param data: what is text
    :param binary: what is not
    """

    data: Mapping[str, str] = dataclasses.field(repr=False)
    binary: Mapping[str, bytes] = dataclasses.field(repr=False)


class _Entry:
    """What is known of one object; read and changed under its lock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.asked_at = float('-inf')
        self.failed_at = float('-inf')
        self.error: exceptions.RemoteError | None = None
        self.value: typing.Any = None
        self.size = 0

    def expired(self, now: float) -> bool:
        keep = _KEEP_ABSENCE if self.value is None else _KEEP
        return now - self.asked_at >= keep


class ObjectCache:
    """What the API server says of single objects; safe to share.

    ``not_before`` in every call: the answer must show what was there at
    this monotonic time, or later.

    :param client: the API server
    """

    def __init__(self, client: kube_client.KubeClient,
                 clock: Callable[[], float] = time.monotonic):
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()  # guards all below
        self._entries: collections.OrderedDict[_Key, _Entry] = (
            collections.OrderedDict())
        self._size = 0
        # Nothing is asked before; by the clock.
        self._not_before = float('-inf')

    def secret(self, namespace: str, name: str,
               not_before: float) -> Mapping[str, bytes] | None:
        """Return the data of a Secret, None where there is no such."""
        found = self.whole_secret(namespace, name, not_before)
        return None if found is None else found.data

    def whole_secret(self, namespace: str, name: str,
                     not_before: float) -> Secret | None:
        """Return a Secret with its type, None where there is no such."""
        return self._get(
            ('secret', namespace, name), not_before,
            lambda: _secret(self._client.get_secret(namespace, name)))

    def config_map(self, namespace: str, name: str,
                   not_before: float) -> Mapping[str, str] | None:
        """Return the data of a ConfigMap, None where there is no such."""
        found = self.whole_config_map(namespace, name, not_before)
        return None if found is None else found.data

    def whole_config_map(self, namespace: str, name: str,
                         not_before: float) -> ConfigMap | None:
        """Return a ConfigMap with all it has, None where there is none."""
        return self._get(
            ('configmap', namespace, name), not_before,
            lambda: _config_map(self._client.get_config_map(
                namespace, name)))

    def services(self, namespace: str,
                 not_before: float) -> tuple[Service, ...]:
        """Return the Services of a namespace that have an address."""
        return self._get(
            ('services', namespace), not_before,
            lambda: _services(self._client.list_services(namespace))) or ()

    def master_service(self) -> Service | None:
        """Return the API server's own Service."""
        return self._get(
            ('service', *kube_client.MASTER_SERVICE), float('-inf'),
            lambda: _service(self._client.get_service(
                *kube_client.MASTER_SERVICE)))

    def allocatable(self, node: str) -> Mapping[str, str]:
        """Return what a node can give to pods, by resource."""
        return self._get(
            ('node', node), float('-inf'),
            lambda: _allocatable(self._client.get_node(node))) or {}

    def runtime_handler(self, name: str, not_before: float) -> str | None:
        """Return the handler of a RuntimeClass, None where there is none."""
        return self._get(
            ('runtimeclass', name), not_before,
            lambda: str(self._client.get_runtime_class(name)['handler']))

    def _get(self, key: _Key, not_before: float,
             fetch: Callable[[], typing.Any]) -> typing.Any:
        came = self._clock()
        entry = self._entry(key)
        with entry.lock:
            if entry.asked_at >= not_before and not entry.expired(
                    self._clock()):
                return entry.value
            if entry.error and entry.failed_at > came:
                # It failed while this caller waited: one time-out is enough.
                raise entry.error
            self._fetch(key, entry, fetch)
            return entry.value

    def _entry(self, key: _Key) -> _Entry:
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
            return entry

    def _fetch(self, key: _Key, entry: _Entry,
               fetch: Callable[[], typing.Any]) -> None:
        asked_at = self._clock()
        self._refuse_in_a_pause(asked_at)
        try:
            value = _understood(fetch)
        except exceptions.NotFound:
            value = None
        except exceptions.Throttled as error:
            self._pause(error.retry_after or _PAUSE)
            raise
        except exceptions.RemoteError as error:
            entry.error, entry.failed_at = error, self._clock()
            raise
        size = _size(value)
        with self._lock:
            if self._entries.get(key) is entry:
                self._size += size - entry.size
                entry.size = size
            self._shrink()
        entry.asked_at, entry.value, entry.error = asked_at, value, None

    def _pause(self, seconds: float) -> None:
        with self._lock:
            self._not_before = max(self._not_before,
                                   self._clock() + seconds)

    def _refuse_in_a_pause(self, now: float) -> None:
        """Let no pod try what every other one is asked to leave.

        :raises Throttled: the API server wants a pause
        """
        with self._lock:
            left = self._not_before - now
        if left > 0:
            raise exceptions.Throttled(
                kube_client.SERVICE, 'it asks for fewer requests', left)

    def _shrink(self) -> None:
        """Drop what was used longest ago while it is too old or too much."""
        now = self._clock()
        while self._entries:
            key, oldest = next(iter(self._entries.items()))
            if not (self._size > _MAX_BYTES
                    or len(self._entries) > _MAX_ENTRIES
                    or (oldest.expired(now) and not oldest.lock.locked())):
                return
            self._size -= oldest.size
            del self._entries[key]


def _understood(fetch: Callable[[], typing.Any]) -> typing.Any:
    try:
        return fetch()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # Not chained: such an error may show a value.
        raise exceptions.Unavailable(
            kube_client.SERVICE, 'an object that makes no sense: '
            + type(error).__name__) from None


def _secret(raw: dict) -> Secret:
    return Secret(str(raw.get('type') or ''), _bytes(raw.get('data')))


def _config_map(raw: dict) -> ConfigMap:
    return ConfigMap({key: str(value) for key, value
                      in (raw.get('data') or {}).items()},
                     _bytes(raw.get('binaryData')))


def _bytes(data: dict | None) -> dict[str, bytes]:
    return {key: base64.b64decode(value)
            for key, value in (data or {}).items()}


def _services(raw: dict) -> tuple[Service, ...]:
    return tuple(filter(None, map(_service, raw.get('items') or [])))


def _service(raw: dict) -> Service | None:
    """Return a Service, None where it has no address of its own."""
    spec = raw.get('spec') or {}
    address = spec.get('clusterIP') or 'None'
    if address == 'None':
        return None
    return Service(raw['metadata']['name'], address, tuple(
        Port(port.get('name') or '', port['port'],
             port.get('protocol') or 'TCP')
        for port in spec.get('ports') or []))


def _allocatable(raw: dict) -> dict[str, str]:
    return dict((raw.get('status') or {}).get('allocatable') or {})


def _size(value: typing.Any) -> int:
    """Return about how many bytes an answer holds."""
    if isinstance(value, Secret):
        return _size(value.data)
    if isinstance(value, ConfigMap):
        return _size(value.data) + _size(value.binary)
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(len(key) + len(text) for key, text in value.items())
    if isinstance(value, Service):
        return 200 * (1 + len(value.ports))
    return sum(map(_size, value or ()))
