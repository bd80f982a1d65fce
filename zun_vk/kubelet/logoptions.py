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
"""What is asked of a container's log, and which log that is. Pure.

Queries are read, and refused, as the kubelet does it (kubernetes: pkg/kubelet
server.go getContainerLogs, kubelet_pods.go validateContainerLogStatus).
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import datetime
import re
import typing

from zun_vk import exceptions
from zun_vk.rpc import streams

_INTEGER = re.compile(r'[+-]?[0-9]{1,19}')
_MAX_INTEGER = 2 ** 63 - 1
_TIME = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?'
                   r'(Z|[+-]\d\d:\d\d)', re.ASCII)
_FALSE = ('0', 'false')
_STREAMS = {'All': '', 'Stdout': streams.STDOUT, 'Stderr': streams.STDERR}
# Words of the kubelet for why a container does not start.
_REASONS = {
    'ErrImagePull': "image can't be pulled",
    'ImagePullBackOff': 'trying and failing to pull image'}
_KINDS = ('containers', 'initContainers', 'ephemeralContainers')
_STATUSES = ('containerStatuses', 'initContainerStatuses',
             'ephemeralContainerStatuses')
_TERMINAL = ('Succeeded', 'Failed')

Query: typing.TypeAlias = Mapping[str, Sequence[str]]


@dataclasses.dataclass(frozen=True)
class Wish:
    """What was asked.

    :param options: its attempt is not known yet
    :param previous: the container before the one that is now
    """

    options: streams.LogOptions
    previous: bool = False


@dataclasses.dataclass(frozen=True)
class Choice:
    """Which container of that name.

    :param attempt: its restart count, as far as the status tells it
    :param container_id: in the runtime, where that may know it better
    """

    attempt: int
    container_id: str = ''


def parse(query: Query, now: float) -> Wish:
    """Return what a query asks for.

    :param now: seconds since the epoch
    :raises Refused: it is none, or asks for what cannot be
    """
    try:
        tail = _integer(_with_old_tail(query), 'tailLines')
        seconds, limit = (_integer(query, name)
                          for name in ('sinceSeconds', 'limitBytes'))
        since = _time(query, 'sinceTime')
    except ValueError:
        raise exceptions.Refused(
            400, '{"message": "Unable to decode query."}') from None
    stream = _first(query, 'stream')
    stream = 'All' if stream is None else stream
    if not _is_valid(tail, seconds, since, limit, stream):
        raise exceptions.Refused(422, '{"message": "Invalid request."}')
    if seconds is not None:
        since = max(0.0, now - seconds)
    return Wish(streams.LogOptions(
        follow=_flag(query, 'follow'), timestamps=_flag(query, 'timestamps'),
        tail=tail, since=since, limit=limit, streams=_STREAMS[stream]),
        _flag(query, 'previous'))


def _is_valid(tail: int | None, seconds: int | None, since: float | None,
              limit: int | None, stream: str) -> bool:
    """Tell whether values go together; Kubernetes: PodLogOptions."""
    return ((tail is None or tail >= 0)
            and (limit is None or limit >= 1)
            and (seconds is None or seconds >= 1)
            and (seconds is None or since is None)
            and stream in _STREAMS
            and (stream == 'All' or tail is None))


def _with_old_tail(query: Query) -> Query:
    """Return the query with ``tail``, its name of old, as ``tailLines``."""
    tail = _first(query, 'tail')
    if not tail:
        return query
    return {'tailLines': () if tail == 'all' else (tail,)}


def _first(query: Query, name: str) -> str | None:
    values = query.get(name)
    return values[0] if values else None


def _flag(query: Query, name: str) -> bool:
    value = _first(query, name)
    return value is not None and value.lower() not in _FALSE


def _integer(query: Query, name: str) -> int | None:
    value = _first(query, name)
    if value is None:
        return None
    if not _INTEGER.fullmatch(value) or not (
            -_MAX_INTEGER <= int(value) <= _MAX_INTEGER):
        raise ValueError(f'{name} is not a number')
    return int(value)


def _time(query: Query, name: str) -> float | None:
    value = _first(query, name)
    if value is None:
        return None
    if value in ('', 'null'):
        return 0.0
    if not _TIME.fullmatch(value):
        raise ValueError(f'{name} is not a time')
    at = datetime.datetime.fromisoformat(value)
    return max(0.0, at.timestamp())


def choose(pod: Mapping, container: str, previous: bool) -> Choice:
    """Return whose log is meant.

    A container that runs comes before one that ended, one that ended before
    nothing.

    :param previous: the one before, in any case
    :raises Refused: there is no such container, or none has run yet
    """
    name = pod['metadata']['name']
    spec = pod.get('spec') or {}
    if not any(each['name'] == container
               for kind in _KINDS for each in spec.get(kind) or ()):
        raise exceptions.Refused(
            404, f'container "{container}" not found in pod "{name}"')
    who = f'container "{container}" in pod "{name}"'
    status = _status(pod, container, who)
    state = status.get('state') or {}
    last = (status.get('lastState') or {}).get('terminated')
    if previous:
        if not last or not last.get('containerID'):
            raise exceptions.Refused(
                400, f'previous terminated {who} not found')
        return _of(status, last)
    if state.get('running') is not None or (
            state.get('terminated') is not None
            and _was_made(status, state['terminated'])):
        return Choice(status.get('restartCount') or 0)
    if last and last.get('containerID'):
        return _of(status, last)
    if last or state.get('terminated') is not None:
        raise exceptions.Refused(400, f'{who} is terminated')
    raise exceptions.Refused(400, _waits(who, state.get('waiting')))


def _status(pod: Mapping, container: str, who: str) -> Mapping:
    status = pod.get('status') or {}
    for kind in _STATUSES:
        for each in status.get(kind) or ():
            if each['name'] == container:
                return each
    if status.get('phase') in _TERMINAL:
        raise exceptions.Refused(400, f'{who} is not available')
    # Nothing was told yet; a kubelet always has something to tell.
    reason = ('PodInitializing' if pod['spec'].get('initContainers')
              else 'ContainerCreating')
    return {'name': container, 'state': {'waiting': {'reason': reason}}}


def _was_made(status: Mapping, ended: Mapping) -> bool:
    """Tell whether the container of that restart count has ever run."""
    return bool(ended.get('containerID') or status.get('containerID'))


def _of(status: Mapping, last: Mapping) -> Choice:
    """Return the container whose end the last state is."""
    count = status.get('restartCount') or 0
    if last['containerID'] == status.get('containerID'):
        return Choice(count)
    # One that could not be started may lie between.
    return Choice(max(0, count - 1), last['containerID'].split('://')[-1])


def _waits(who: str, waiting: Mapping | None) -> str:
    if waiting is None:
        return f'{who} is waiting to start - no logs yet'
    reason = waiting.get('reason') or ''
    return f'{who} is waiting to start: {_REASONS.get(reason, reason)}'
