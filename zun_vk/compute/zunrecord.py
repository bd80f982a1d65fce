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
"""Zun's records of a capsule, read and written as plain values.

Pure, and without Zun: what goes in are attributes of its objects, what comes
out is what ``run_capsule`` takes, or the attributes to set.

A capsule of the agent says in its labels which pod it stands for, and the
agent tells the host the rest. One that a user of Zun made has all there is to
know of it in its record: that becomes a pod here, with Zun's meaning of
things (its command goes to the image's entry point, CPU is a share).
"""

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import datetime
import json
import math
import typing

from zun_vk.rpc import marks
from zun_vk.rpc import payload
from zun_vk.rpc import states

RUNNING, STOPPED, CREATING, ERROR = 'Running', 'Stopped', 'Creating', 'Error'
_POLICIES = {'always': 'Always', 'on-failure': 'OnFailure'}
_PULL = {'always': 'Always', 'ifnotpresent': 'IfNotPresent',
         'never': 'Never'}
_MAX_REASON = 2048
# Beside it, in the name of a directory, are a project's ID and a UUID.
_MAX_NAME = 128
# oslo.versionedobjects: the fields of an object.
_DATA = 'versioned_object.data'


class Mounted(typing.NamedTuple):
    """A volume of a container, attached to the host.

    :param source: on the host
    :param target: in the container
    """

    source: str
    target: str


@dataclasses.dataclass(frozen=True)
class Fields:
    """Attributes to set on a record of Zun's; None stays as it is."""

    status: str | None = None
    status_reason: str | None = None
    status_detail: str | None = None
    container_id: str | None = None
    started_at: datetime.datetime | None = None


def addresses(by_network: object) -> list[str]:
    """Return the IP addresses in Zun's {network: [{addr: ...}, ...]}."""
    if not isinstance(by_network, dict):
        return []
    found = [port.get('addr') for ports in by_network.values()
             for port in ports or []]
    return list(dict.fromkeys(filter(None, found)))


def vif(metadata: object) -> dict:
    """Return the VIF in what Zun notes down for CNI; {} where none is."""
    found: typing.Any = metadata
    for name in ('vif', _DATA, 'default_vif'):
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def is_pod(record: typing.Any) -> bool:
    """Tell whether an agent made a capsule, which alone knows the rest."""
    labels = record.labels or {}
    return bool(labels.get(marks.NODE) and labels.get(marks.UID))


def capsule(record: typing.Any, runtime: str,
            volumes: Mapping[str, Iterable[Mounted]]) -> dict:
    """Return a capsule as ``run_capsule`` takes it.

    :param record: the capsule as Zun has it, with its containers
    :param runtime: handler of the container runtime, '' for its default
    :param volumes: what is mounted, by the UUID of the container
    """
    labels = record.labels or {}
    made = {'uuid': record.uuid, 'name': record.name or '',
            'status': record.status or '',
            'project_id': record.project_id or '',
            'addresses': addresses(record.addresses), 'runtime': runtime,
            'vif': vif(record.cni_metadata)}
    if is_pod(record):
        return made | {'node': labels[marks.NODE],
                       'uid': labels[marks.UID], 'payload': None,
                       'namespace': labels.get(marks.NAMESPACE) or '',
                       'pod': labels.get(marks.POD) or ''}
    whole = _payload(record, runtime, volumes)
    metadata = whole.pod['metadata']
    return made | {'node': '', 'uid': record.uuid,
                   'namespace': metadata['namespace'],
                   'pod': metadata['name'], 'payload': whole.to_wire()}


def _payload(record: typing.Any, runtime: str,
             volumes: Mapping[str, Iterable[Mounted]]) -> payload.PodPayload:
    policy = (record.restart_policy or {}).get('Name', 'always')
    paths: dict[str, str] = {}
    spec: dict[str, typing.Any] = {
        'restartPolicy': _POLICIES.get(str(policy).lower(), 'Never'),
        'initContainers': [_container(each, paths, volumes)
                           for each in record.init_containers or []],
        'containers': [_container(each, paths, volumes)
                       for each in record.containers or []],
    }
    # Zun's own grace, of docker.
    spec['terminationGracePeriodSeconds'] = 10
    name = record.name or record.uuid
    pod = {'metadata': {'uid': record.uuid, 'name': _pod_name(name),
                        'namespace': _pod_name(record.project_id or 'zun')},
           'spec': spec}
    return payload.PodPayload(
        generation='zun', pod=pod, host_paths=paths, runtime_handler=runtime,
        hostname=(record.hostname or name).replace('_', '-').lower()[:63])


def _pod_name(name: str) -> str:
    """Return a name of Zun's as one of a pod: directories are called so.

    Kubernetes: no underscores in it, which separate its parts there.
    """
    return name.replace('_', '-')[:_MAX_NAME]


def _container(record: typing.Any, paths: dict[str, str],
               volumes: Mapping[str, Iterable[Mounted]]) -> dict:
    made: dict[str, typing.Any] = {
        'name': record.uuid, 'image': record.image,
        'args': [str(word) for word in record.command or []],
        'env': [{'name': name, 'value': str(value)} for name, value
                in (record.environment or {}).items()],
        'workingDir': record.workdir or '',
        'tty': bool(record.tty), 'stdin': bool(record.interactive),
        'imagePullPolicy': _PULL.get(
            (record.image_pull_policy or '').lower(), 'Always'),
        'resources': _resources(record),
        'volumeMounts': []}
    if record.privileged:
        made['securityContext'] = {'privileged': True}
    for mounted in volumes.get(record.uuid, ()):
        name = f'zun-{len(paths)}'
        paths[name] = mounted.source
        made['volumeMounts'].append(
            {'name': name, 'mountPath': mounted.target})
    return made


def _resources(record: typing.Any) -> dict:
    """CPU is a share in Zun, as a request is; memory is a limit, in MiB."""
    found: dict[str, dict] = {}
    if record.cpu:
        found['requests'] = {'cpu': f'{math.ceil(record.cpu * 1000)}m'}
    if record.memory:
        found['limits'] = {'memory': f'{int(record.memory)}Mi'}
    return found


def container_names(record: typing.Any) -> list[str]:
    """Return the names of a capsule's containers in the pod, in order."""
    try:
        names = json.loads((record.annotations or {})[marks.CONTAINERS])
    except (KeyError, TypeError, ValueError, RecursionError):
        names = None
    if isinstance(names, list) and all(isinstance(n, str) for n in names):
        return names
    return [each.uuid for each in record.containers or []]


def capsule_fields(state: states.PodState) -> Fields:
    """Return what of a host's state Zun's record of the capsule shows.

    As with Zun's own drivers it runs once all its containers were started.
    """
    if state.reason:
        return Fields(ERROR, _reason(state.reason, state.message),
                      container_id=state.sandbox or None)
    if state.ended:
        return Fields(STOPPED, '', container_id=state.sandbox or None)
    if state.sandbox_ready and state.containers and all(
            map(_was_started, state.containers)):
        return Fields(RUNNING, '', container_id=state.sandbox)
    waiting = [_waiting(status) for status
               in (*state.init_containers, *state.containers)]
    return Fields(None, next(filter(None, waiting), ''),
                  container_id=state.sandbox or None)


def _was_started(status: Mapping[str, typing.Any]) -> bool:
    state = status.get('state') or {}
    return ('running' in state or 'terminated' in state
            or bool(status.get('lastState')))


def container_fields(status: Mapping[str, typing.Any]) -> Fields:
    """Return what of a container's status Zun's record of it shows.

    :param status: Kubernetes' ContainerStatus
    """
    state = status.get('state') or {}
    identity = str(status.get('containerID') or '').partition('://')[2]
    if 'running' in state:
        return Fields(RUNNING, '', _restarts(status), identity,
                      _time(state['running'].get('startedAt')))
    if 'terminated' in state:
        ended = state['terminated']
        return Fields(
            STOPPED, _reason(ended.get('reason'), ended.get('message')),
            f'Exited({ended.get("exitCode", 0)}) at '
            f'{ended.get("finishedAt") or "an unknown time"}',
            identity, _time(ended.get('startedAt')))
    return Fields(CREATING if not status.get('restartCount') else STOPPED,
                  _waiting(status), _restarts(status), identity or None)


def _time(text: object) -> datetime.datetime | None:
    """Return a time of Kubernetes' as Zun keeps it: UTC, without saying so.

    None where it is none.
    """
    try:
        found = datetime.datetime.fromisoformat(str(text))
    except ValueError:
        return None
    if found.tzinfo is not None:
        found = found.astimezone(datetime.UTC).replace(tzinfo=None)
    return found.replace(microsecond=0)


def _waiting(status: Mapping[str, typing.Any]) -> str:
    waiting = (status.get('state') or {}).get('waiting') or {}
    return _reason(waiting.get('reason'), waiting.get('message'))


def _restarts(status: Mapping[str, typing.Any]) -> str:
    count = status.get('restartCount') or 0
    return f'Restarted {count} times' if count else ''


def _reason(reason: object, message: object) -> str:
    words = ': '.join(str(part) for part in (reason, message) if part)
    return words[:_MAX_REASON]
