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
"""Tokens of service accounts, each bound to one pod.

Flows in: pods, from any thread. Flows out: tokens that the API server stops
to accept when the pod is gone. One is asked for when it is needed first, and
again when it has lived through most of its time. It is kept in memory only,
and shown nowhere.
"""

from collections.abc import Callable
import dataclasses
import random
import threading
import time
import typing

from oslo_log import log as logging

from zun_vk import exceptions
from zun_vk.kube import client as kube_client

LOG = logging.getLogger(__name__)

#: Seconds that a token is valid where the pod does not say it.
SECONDS = 3600
# Kubernetes: the least that the API server gives.
_LEAST_SECONDS = 600
# Kubernetes: renewed at 80 % of its life, and after a day at the latest;
# some seconds earlier, by chance, so that not all are renewed at once.
_PART = 0.8
_MOST_SECONDS = 24 * 3600
_SPREAD = 10.0
# Seconds until the next attempt where one could not be renewed.
_RETRY = 60.0
# Seconds overdue after which nobody asks for it any more: a host asks for
# each of its pods every minute.
_UNUSED = 3600.0
_MAX_ENTRIES = 65536
_MAX_LENGTH = 65536


@dataclasses.dataclass(frozen=True)
class Token:
    """A token.

    :param refresh_at: seconds since the epoch, when to ask for the next
    :param expires_at: likewise
    """

    value: str = dataclasses.field(repr=False)
    refresh_at: float
    expires_at: float


class _Key(typing.NamedTuple):
    uid: str
    account: str
    audience: str
    seconds: int


class Tokens:
    """The tokens of one node's pods; safe to share by threads.

    :param client: calls with the rights of the node
    """

    def __init__(self, client: kube_client.KubeClient,
                 clock: Callable[[], float] = time.time):
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()  # guards what is below
        self._held: dict[_Key, Token] = {}

    def get(self, pod: dict, audience: str, seconds: int) -> Token:
        """Return a token of the service account of ``pod``.

        :param audience: '' for that of the API server
        :param seconds: how long it shall be valid at least
        :raises RemoteError: there is none that is still valid
        """
        key = _Key(pod['metadata']['uid'],
                   pod['spec'].get('serviceAccountName') or 'default',
                   audience, max(seconds, _LEAST_SECONDS))
        with self._lock:
            held = self._held.get(key)
        now = self._clock()
        if held is not None and now < held.refresh_at:
            return held
        try:
            fresh = self._ask(pod, key, now)
        except exceptions.RemoteError as error:
            if held is None or now >= held.expires_at:
                raise
            LOG.warning('The token of pod %s/%s is not renewed yet: %s',
                        pod['metadata']['namespace'],
                        pod['metadata']['name'], error)
            fresh = dataclasses.replace(
                held, refresh_at=min(now + _RETRY, held.expires_at))
        self._hold(key, fresh, now)
        return fresh

    def _ask(self, pod: dict, key: _Key, now: float) -> Token:
        metadata = pod['metadata']
        answer = self._client.create_token(
            metadata['namespace'], key.account, {
                'apiVersion': 'authentication.k8s.io/v1',
                'kind': 'TokenRequest',
                'spec': {
                    'audiences': [key.audience] if key.audience else [],
                    'expirationSeconds': key.seconds,
                    'boundObjectRef': {
                        'apiVersion': 'v1', 'kind': 'Pod',
                        'name': metadata['name'], 'uid': key.uid}}})
        value = (answer.get('status') or {}).get('token')
        # It may give less than was asked for.
        life = (answer.get('spec') or {}).get('expirationSeconds')
        if (not isinstance(value, str) or not 0 < len(value) <= _MAX_LENGTH
                or not isinstance(life, int) or life <= 0):
            raise exceptions.Unavailable(
                kube_client.SERVICE, 'create token: an answer without one')
        due = min(life * _PART, _MOST_SECONDS)
        # Not for cryptography.
        early = random.uniform(0, min(_SPREAD, due / 2))  # noqa: S311
        return Token(value, now + due - early, now + life)

    def _hold(self, key: _Key, token: Token, now: float) -> None:
        with self._lock:
            for old in [each for each, held in self._held.items()
                        if now >= min(held.expires_at,
                                      held.refresh_at + _UNUSED)]:
                del self._held[old]
            if len(self._held) >= _MAX_ENTRIES:
                del self._held[next(iter(self._held))]
            self._held[key] = token
