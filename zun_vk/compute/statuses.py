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
"""Parts of a Kubernetes ContainerStatus, each from what it tells of."""

import datetime

from zun_vk.compute import model
from zun_vk.compute import view as views

# Words of the kubelet that clients know.
CREATING = 'ContainerCreating'
INITIALIZING = 'PodInitializing'
CRASH_LOOP = 'CrashLoopBackOff'
UNKNOWN = 'ContainerStatusUnknown'


def waiting(reason: str, message: str = '') -> dict:
    words = {'reason': reason, 'message': message}
    return {'waiting': {key: text for key, text in words.items() if text}}


def lost(message: str) -> dict:
    """Return the state of one of which nobody knows how it ended."""
    return {'terminated': {
        'exitCode': views.LOST, 'reason': UNKNOWN, 'message': message,
        'startedAt': None, 'finishedAt': None}}


def completed(message: str) -> dict:
    """Return the state of one that must have ended well."""
    return {'terminated': {
        'exitCode': 0, 'reason': 'Completed', 'message': message,
        'startedAt': None, 'finishedAt': None}}


def running(container: model.SeenContainer) -> dict:
    return {'running': {'startedAt': timestamp(container.started_at)}}


def terminated(view: views.View, container: model.SeenContainer) -> dict:
    state = {'exitCode': container.exit_code,
             'reason': container.reason or (
                 'Error' if container.exit_code else 'Completed'),
             'startedAt': timestamp(container.started_at),
             'finishedAt': timestamp(container.finished_at),
             'containerID': view.full_id(container)}
    if container.message:
        state['message'] = container.message
    return {'terminated': state}


def resources(spec: dict) -> dict:
    """Return the fields that say what the container was given."""
    given = spec.get('resources') or {}
    fields = {'resources': given}
    if given.get('requests'):
        fields['allocatedResources'] = given['requests']
    return fields


def user(container: model.SeenContainer) -> dict:
    """Return the field that says whom it runs as; {} if nobody knows."""
    if container.user is None:
        return {}
    linux: dict[str, int | list[int]] = {
        'uid': container.user.uid, 'gid': container.user.gid}
    if container.user.groups:
        linux |= {'supplementalGroups': list(container.user.groups)}
    return {'user': {'linux': linux}}


def volume_mounts(spec: dict) -> dict:
    """Return the field that says what is mounted; {} for nothing.

    No mount is read-only below other mounts within it.
    """
    mounts = [_mount(mount) for mount in spec.get('volumeMounts') or ()]
    return {'volumeMounts': mounts} if mounts else {}


def back_off(seconds: float, pod: dict, name: str) -> str:
    """Return the kubelet's words for a container that waits."""
    minutes, rest = divmod(int(seconds), 60)
    length = f'{minutes}m{rest}s' if minutes else f'{rest}s'
    return (f'back-off {length} restarting failed container={name} '
            f'pod={pod_name(pod)}')


def pod_name(pod: dict) -> str:
    """Return a pod's name as the kubelet writes it in messages."""
    metadata = pod['metadata']
    return f'{metadata["name"]}_{metadata["namespace"]}({metadata["uid"]})'


def timestamp(nanoseconds: int) -> str:
    """Return a time in RFC 3339, of whole seconds, in UTC."""
    return datetime.datetime.fromtimestamp(
        nanoseconds // 10 ** 9, datetime.UTC).strftime('%Y-%m-%dT%H:%M:%SZ')


def _mount(mount: dict) -> dict:
    status = {'name': mount['name'], 'mountPath': mount['mountPath']}
    if mount.get('readOnly'):
        status |= {'readOnly': True, 'recursiveReadOnly': 'Disabled'}
    return status
