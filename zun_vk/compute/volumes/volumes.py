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
"""The volumes of the pods of a host, on its disk and in its memory.

In flow resolved pods, out flow the mounts of their containers. Secrets are
in memory only: in directories of a tmpfs that nobody but root gets into.
Nothing is remembered between calls, so a restart of the service loses
nothing; calls for one pod must come one after the other::

    pod_root/<uid>/volumes/<name>          emptyDir on disk
    pod_root/<uid>/etc-hosts
    pod_root/<uid>/containers/<name>/<n>   termination message of attempt n
    run_root/volumes/<uid>/<name>          files, and emptyDir in memory
    run_root/subpaths/<uid>/<container>/<index of the volumeMount>
"""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import dataclasses
import os
import re
import typing

from zun_vk import exceptions
from zun_vk import quantity
from zun_vk.compute.volumes import atomic
from zun_vk.compute.volumes import etc_hosts
from zun_vk.compute.volumes import kinds
from zun_vk.compute.volumes import linux
from zun_vk.compute.volumes import mount
from zun_vk.compute.volumes import mountinfo
from zun_vk.compute.volumes import subpath
from zun_vk.compute.volumes import termination
from zun_vk.compute.volumes import trees
from zun_vk.rpc import payload as rpc_payload

_UID = re.compile(r'[A-Za-z0-9]([A-Za-z0-9-]{0,62}[A-Za-z0-9])?')
_RUN = ('subpaths', 'volumes')


@dataclasses.dataclass(frozen=True)
class OverLimit:
    """A volume that holds more than it may.

    :param used: bytes
    :param limit: bytes
    """

    volume: str
    used: int
    limit: int

    @property
    def message(self) -> str:
        """Kubernetes' own words for the pod's status."""
        return (f'Usage of EmptyDir volume "{self.volume}" exceeds the '
                f'limit "{quantity.format_bytes(self.limit)}". ')


class PodVolumes:
    """Makes, shows and removes volumes.

    :param settings: ``pod_root`` and ``run_root``, as of [compute]
    """

    def __init__(self, settings: typing.Any):
        # The kernel's list of mounts has no links in it.
        self._pod_root = os.path.realpath(settings.pod_root)
        self._run_root = os.path.realpath(settings.run_root)

    def open(self) -> None:
        """Make the roots, before anything is written below them.

        :raises exceptions.ConfigError: one of them cannot be had
        """
        try:
            os.makedirs(self._pod_root, mode=0o700, exist_ok=True)
        except OSError as error:
            raise exceptions.ConfigError(
                '[compute] pod_root', f'it cannot be made: {error.strerror}'
                ) from None
        try:
            os.makedirs(self._run_root, mode=0o700, exist_ok=True)
            kind = mountinfo.kind_of(self._run_root, mountinfo.read())
            if kind != 'tmpfs':
                linux.mount_tmpfs(self._run_root, 'mode=0700')
            os.chmod(self._run_root, 0o700)
            for name in _RUN:
                trees.make_private(self._run_root, name)
            # Of its own, for systems mount /run without exec, and programs
            # are run from ConfigMaps.
            volumes = os.path.join(self._run_root, 'volumes')
            if not mountinfo.is_mounted(volumes):
                linux.mount_tmpfs(volumes, 'mode=0700')
        except OSError as error:
            raise exceptions.ConfigError(
                '[compute] run_root', 'it is not on a tmpfs, and none can '
                f'be mounted there: {error.strerror}') from None

    def uids(self) -> set[str]:
        """Return the pods that something is kept of."""
        return {name for root in self._roots() if os.path.isdir(root)
                for name in os.listdir(root) if _UID.fullmatch(name)}

    def prepare(self, payload: rpc_payload.PodPayload) -> None:
        """Make all volumes of a pod; those that exist are left alone.

        :raises exceptions.VolumeRefused: one cannot be had on this host
        :raises exceptions.VolumeFailed: one cannot be made now
        """
        spec = payload.pod['spec']
        for volume in kinds.volumes(spec):
            with _failing(volume.name):
                if volume.kind == kinds.DISK:
                    self._make_disk(_uid(payload), volume, spec)
                elif volume.kind == kinds.MEMORY:
                    self._make_memory(_uid(payload), volume, spec)
                else:
                    self._publish(payload, volume)

    def update(self, payload: rpc_payload.PodPayload) -> None:
        """Let the files of a pod that runs be those of its new payload.

        Volumes that the payload has no files of stay as they are. One that
        fails holds up no other.

        :raises exceptions.VolumeRefused: as :meth:`prepare`
        :raises exceptions.VolumeFailed: the files of this volume are the
            old ones
        """
        failed: list[exceptions.VolumeFailed] = []
        for volume in kinds.volumes(payload.pod['spec']):
            if volume.name in payload.volumes and volume.kind in kinds.FILES:
                try:
                    with _failing(volume.name):
                        self._publish(payload, volume)
                except exceptions.VolumeFailed as error:
                    failed.append(error)
        if failed:
            raise failed[0]

    def mounts(self, payload: rpc_payload.PodPayload, container: str,
               attempt: int, addresses: Sequence[str]) -> list[mount.Mount]:
        """Return what a container that is about to be created sees.

        But for directories of the host (``host_paths``): they are as they
        are.

        :param container: its name
        :param attempt: how many of that name there were before
        :param addresses: of the pod
        :raises exceptions.VolumeFailed: something of it cannot be mounted
        """
        uid = _uid(payload)
        spec = kinds.container(payload.pod['spec'], container)
        made = self._volume_mounts(payload, spec)
        if addresses and not mount.taken(made, etc_hosts.PATH):
            made.append(self._hosts(payload, addresses))
        path = mount.absolute(
            spec.get('terminationMessagePath') or termination.DEFAULT_PATH)
        if not mount.taken(made, path):
            made.append(self._termination(uid, container, attempt, path))
        return made

    def termination_message(
            self, uid: str, container: str, attempt: int, policy: str,
            log_path: str, exit_code: int, containers: int = 1) -> str:
        """Return what a container said of its end; '' for nothing.

        :param policy: its terminationMessagePolicy
        :param log_path: absolute path of its log
        :param containers: how many the pod has
        :raises exceptions.VolumeFailed: it cannot be read
        """
        with _failing('termination message'):
            path = os.path.join(
                self._pod_root, _checked(uid), 'containers',
                _name(container), str(attempt))
            return termination.message(
                path, policy, log_path, exit_code, containers)

    def used(self, uid: str) -> dict[str, int]:
        """Return the bytes that each emptyDir on disk takes, by name."""
        root = os.path.join(self._pod_root, _checked(uid), 'volumes')
        if not os.path.isdir(root):
            return {}
        return {name: trees.used(os.path.join(root, name))
                for name in os.listdir(root) if kinds.NAME.fullmatch(name)}

    def over_limit(
            self, payload: rpc_payload.PodPayload) -> list[OverLimit]:
        """Return the emptyDir volumes that hold more than their sizeLimit.

        Those in memory cannot: the limit is the size of their tmpfs.
        """
        root = os.path.join(self._pod_root, _uid(payload), 'volumes')
        found = []
        for volume in kinds.volumes(payload.pod['spec']):
            if volume.kind == kinds.DISK and volume.limit:
                used = trees.used(os.path.join(root, volume.name))
                if used > volume.limit:
                    found.append(OverLimit(volume.name, used, volume.limit))
        return found

    def remove(self, uid: str) -> None:
        """Unmount and delete everything of a pod; nothing of it is fine.

        :raises exceptions.VolumeFailed: something is left; call again
        """
        self._clear(uid, *(os.path.join(root, _checked(uid))
                           for root in self._roots()))

    def release(self, uid: str) -> None:
        """Unmount and delete the volumes of a pod that has ended.

        What its containers said last stays: it is read again by a service
        that begins anew.

        :raises exceptions.VolumeFailed: something is left; call again
        """
        *run_roots, pod_root = self._roots()
        self._clear(uid, *(os.path.join(root, _checked(uid))
                           for root in run_roots),
                    os.path.join(pod_root, _checked(uid), 'volumes'))

    def _clear(self, uid: str, *directories: str) -> None:
        for own in directories:
            with _failing(uid):
                for path in mountinfo.beneath(mountinfo.read(), own):
                    linux.unmount(path)
                trees.clear(own)

    def _roots(self) -> list[str]:
        """Return what pods have directories in; what is mounted first."""
        return [*(os.path.join(self._run_root, name) for name in _RUN),
                self._pod_root]

    def _make_disk(self, uid: str, volume: kinds.Volume,
                   spec: Mapping) -> None:
        parent = trees.make_private(self._pod_root, uid, 'volumes')
        path = os.path.join(parent, volume.name)
        if os.path.isdir(path):
            return
        # It appears at once as it has to be, for it is not looked at again.
        new = trees.make_private(parent, f'..{volume.name}')
        group = kinds.fs_group(spec)
        os.chown(new, 0, group or 0)
        os.chmod(new, 0o777 if group is None else 0o2777)
        os.rename(new, path)

    def _make_memory(self, uid: str, volume: kinds.Volume,
                     spec: Mapping) -> None:
        path = trees.make_private(
            self._run_root, 'volumes', uid, volume.name)
        if mountinfo.is_mounted(path):
            return
        group = kinds.fs_group(spec)
        # As the kernel makes it where nobody says otherwise: sticky.
        options = ['mode=01777'] if group is None else [
            'mode=03777', f'gid={group}']
        size = kinds.size(volume, spec)
        if size:
            options.append(f'size={size}')
        linux.mount_tmpfs(path, ','.join(options))

    def _publish(self, payload: rpc_payload.PodPayload,
                 volume: kinds.Volume) -> None:
        files = payload.volumes.get(volume.name)
        if files is None:
            raise exceptions.VolumeFailed(volume.name, '; '.join(
                payload.volume_errors) or 'its files are not known')
        spec = payload.pod['spec']
        group, user = kinds.fs_group(spec), kinds.only_user(spec)
        path = trees.make_private(
            self._run_root, 'volumes', _uid(payload), volume.name)
        # Containers see the volume itself, not the directories above it.
        os.chown(path, 0, group or 0)
        os.chmod(path, 0o755 if group is None else 0o2755)
        atomic.publish(path, [
            _entry(file, volume, group, user) for file in files], group)

    def _volume_mounts(self, payload: rpc_payload.PodPayload,
                       container: Mapping) -> list[mount.Mount]:
        volumes = {volume.name: volume
                   for volume in kinds.volumes(payload.pod['spec'])}
        made = []
        for index, spec in enumerate(container.get('volumeMounts') or ()):
            name = spec.get('name') or ''
            if name in payload.host_paths:
                # Zun's, which zun-compute has attached.
                continue
            with _failing(name):
                if name not in volumes:
                    raise exceptions.VolumeFailed(
                        name, 'the pod has no such volume')
                path = self._path(_uid(payload), volumes[name])
                if spec.get('subPath'):
                    path = self._part(path, spec['subPath'], _uid(payload),
                                      _name(container['name']), index)
                made.append(mount.mount(
                    spec, path, volumes[name].kind in kinds.FILES))
        return made

    def _path(self, uid: str, volume: kinds.Volume) -> str:
        if volume.kind == kinds.DISK:
            return os.path.join(self._pod_root, uid, 'volumes', volume.name)
        return os.path.join(self._run_root, 'volumes', uid, volume.name)

    def _part(self, volume: str, part: str, uid: str, container: str,
              index: int) -> str:
        subpath.check(part)
        found = subpath.open_within(volume, part)
        try:
            parent = trees.make_private(
                self._run_root, 'subpaths', uid, container)
            place = os.path.join(parent, str(index))
            subpath.bind(found, place)
        finally:
            os.close(found)
        return place

    def _hosts(self, payload: rpc_payload.PodPayload,
               addresses: Sequence[str]) -> mount.Mount:
        text = etc_hosts.content(
            addresses, payload.hostname, payload.domain,
            payload.pod['spec'].get('hostAliases') or ())
        with _failing('etc-hosts'):
            root = trees.make_private(self._pod_root, _uid(payload))
            path = os.path.join(root, 'etc-hosts')
            etc_hosts.write(path, text)
        return mount.Mount(path, etc_hosts.PATH)

    def _termination(self, uid: str, container: str, attempt: int,
                     path: str) -> mount.Mount:
        with _failing('termination message'):
            root = trees.make_private(
                self._pod_root, uid, 'containers', _name(container))
            for old in os.listdir(root):
                # The one before is what lastState says.
                if old.isdigit() and int(old) < attempt - 1:
                    os.unlink(os.path.join(root, old))
            host_path = os.path.join(root, str(attempt))
            termination.make(host_path)
        return mount.Mount(host_path, path)


def _entry(file: rpc_payload.File, volume: kinds.Volume, group: int | None,
           user: int | None) -> atomic.Entry:
    mode, owner = file.mode, 0
    if file.path in volume.tokens and (group, user) != (None, None):
        # Kubernetes: a token is for those who run the containers alone.
        mode, owner = kinds.TOKEN_MODE, user or 0
    return atomic.Entry(file.path, file.data, mode, owner)


@contextlib.contextmanager
def _failing(volume: str) -> Iterator[None]:
    """Say of which volume an error is."""
    try:
        yield
    except exceptions.ZunVkError:
        raise
    except OSError as error:
        # Without its path, which is the host's.
        raise exceptions.VolumeFailed(
            volume, error.strerror or type(error).__name__) from None
    except ValueError as error:
        raise exceptions.VolumeFailed(volume, str(error)) from None


def _uid(payload: rpc_payload.PodPayload) -> str:
    return _checked(payload.pod['metadata']['uid'])


def _checked(uid: str) -> str:
    if not _UID.fullmatch(uid):
        raise exceptions.VolumeRefused('metadata.uid')
    return uid


def _name(container: str) -> str:
    if not kinds.NAME.fullmatch(container):
        raise exceptions.VolumeRefused('spec.containers.name')
    return container
