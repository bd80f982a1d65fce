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
"""Who was refused at the kubelet's API, and who got into a container.

Flows in: refusals, and streams as they begin and end. Flows out: one line
each, of the logger ``zun_vk.kubelet.audit``, and counts. Never a command, a
query, a header or anything that flows in a stream. What others have chosen
stands between quotes, without control characters: a line is a line.

Refusals are bounded, for anybody can cause them: what is over is counted,
and the next line says how many. Streams are not: their users may open them.
"""

from collections.abc import Callable
import dataclasses
import json
import time
import types
import typing

from oslo_log import log as logging

from zun_vk import exceptions
from zun_vk import metrics
from zun_vk import pace
from zun_vk.kubelet import context

LOG = logging.getLogger(__name__)

_LONGEST = 253
ROUTES = frozenset({
    'attach', 'checkpoint', 'configz', 'containerLogs', 'exec', 'healthz',
    'logs', 'metrics', 'pods', 'portForward', 'run', 'runningpods', 'stats'})
_OTHER = 'other'
_NOBODY = '-'


class Audit:
    """Tells what happens at the API of one node; safe to share by threads.

    :param node: its name
    :param clock: monotonic seconds
    """

    def __init__(self, node: str,
                 clock: Callable[[], float] = time.monotonic):
        self._node = node
        self._clock = clock
        # Apart: who has no user must not hide what users try.
        self._nobodies = pace.Pace(clock)
        self._users = pace.Pace(clock)

    def refused(self, status: int, peer: str, method: str, root: str,
                user: context.User | None = None) -> None:
        """Tell that a request was refused.

        :param status: HTTP status of the answer
        :param peer: address and port it came from
        :param root: of the route, ``/exec``; '' for none
        :param user: None: nobody
        """
        route = route_of(root)
        metrics.KUBELET_REFUSALS.labels(str(status), route).inc()
        held = (self._users if user else self._nobodies).may_pass()
        if held is None:
            return
        LOG.warning(
            'refused: status=%d %s method=%s route=%s%s', status,
            self._who(user, peer), quoted(method), route,
            f' not_shown={held}' if held else '')

    def stream(self, kind: str, user: context.User, peer: str,
               namespace: str, pod: str, container: str = '') -> 'Stream':
        """Return what tells of one stream into a pod, by ``with``.

        :param kind: exec, attach, portForward or run
        :param container: '' for portForward
        """
        return Stream(
            route_of(kind),
            f'{self._who(user, peer)} pod={quoted(f"{namespace}/{pod}")} '
            f'container={quoted(container)}', self._clock)

    def _who(self, user: context.User | None, peer: str) -> str:
        return (f'user={quoted(user.name) if user else _NOBODY} '
                f'peer={quoted(peer)} node={self._node}')


@dataclasses.dataclass
class Stream:
    """One stream: told of as it begins and ends, however it ends.

    Whoever runs it sets what it knows then.

    :param sent: bytes that flowed to the client
    :param received: bytes that came from it
    :param why: a word or two of our own, for how it ended
    """

    _kind: str
    _what: str
    _clock: Callable[[], float]
    sent: int = 0
    received: int = 0
    why: str = ''

    def __enter__(self) -> 'Stream':
        self._began = self._clock()
        metrics.KUBELET_STREAMS.labels(self._kind).inc()
        metrics.KUBELET_STREAMS_OPEN.labels(self._kind).inc()
        LOG.info('%s begins: %s', self._kind, self._what)
        return self

    def __exit__(self, kind: type[BaseException] | None,
                 error: BaseException | None,
                 traceback: types.TracebackType | None) -> None:
        metrics.KUBELET_STREAMS_OPEN.labels(self._kind).dec()
        for way, number in (('sent', self.sent), ('received', self.received)):
            metrics.KUBELET_STREAM_BYTES.labels(self._kind, way).inc(number)
        LOG.info('%s ends: %s seconds=%.3f sent=%d received=%d why=%s',
                 self._kind, self._what, self._clock() - self._began,
                 self.sent, self.received, quoted(self._ending(error)))

    def _ending(self, error: BaseException | None) -> str:
        """Return how it ended; of an error no more than its kind."""
        if isinstance(error, exceptions.Refused):
            return f'refused {error.status}'
        return type(error).__name__ if error else self.why or 'ended'


def route_of(root: str) -> str:
    """Return the first part of a route's root, of a small fixed set."""
    first = root.removeprefix('/').partition('/')[0]
    return first if first in ROUTES else _OTHER


def quoted(value: typing.Any) -> str:
    """Return a text between quotes, as ASCII without control characters."""
    text = str(value)
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + '...'
    return json.dumps(text).replace('\x7f', '\\u007f')
