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
"""What of the host a container sees, as the runtime is told."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import typing

from zun_vk import exceptions
from zun_vk.compute.configs import refusal
from zun_vk.compute.configs import settings as configs
from zun_vk.compute.cri import cri_pb2

_PROPAGATION = {
    'HostToContainer': cri_pb2.PROPAGATION_HOST_TO_CONTAINER,
    'Bidirectional': cri_pb2.PROPAGATION_BIDIRECTIONAL}


class Mount(typing.Protocol):
    """A file or directory of the host, and where a container sees it."""

    @property
    def host_path(self) -> str:
        """Absolute path on the host."""

    @property
    def container_path(self) -> str:
        """Absolute path in the container."""

    @property
    def read_only(self) -> bool:
        """Whether the container may only read it."""

    @property
    def propagation(self) -> str:
        """mountPropagation: None, HostToContainer or Bidirectional."""


def of_container(container: Mapping, mounts: Iterable[Mount],
                 settings: configs.Settings) -> Iterator[cri_pb2.Mount]:
    """Give the mounts of a container.

    :raises ConfigRefused: a mount would reach out of the container, or the
        runtime cannot make it as asked
    """
    asked = {mount.get('mountPath'): mount
             for mount in container.get('volumeMounts') or ()}
    privileged = (container.get('securityContext') or {}).get('privileged')
    for mount in mounts:
        if mount.propagation == 'Bidirectional' and not privileged:
            raise exceptions.ConfigRefused(
                refusal.CONTAINER, f'volumeMounts: {mount.container_path}: '
                'Bidirectional propagation is for privileged containers')
        yield cri_pb2.Mount(
            host_path=str(mount.host_path),
            container_path=str(mount.container_path),
            readonly=mount.read_only, selinux_relabel=True,
            propagation=_PROPAGATION.get(
                mount.propagation, cri_pb2.PROPAGATION_PRIVATE),
            recursive_read_only=mount.read_only and _is_recursive(
                asked.get(mount.container_path) or {}, settings))


def _is_recursive(asked: Mapping, settings: configs.Settings) -> bool:
    """Tell whether a mount is read only with all that is below it.

    Kubernetes: Recursive read-only mounts.
    """
    wish = asked.get('recursiveReadOnly') or 'Disabled'
    if wish == 'Enabled' and not settings.recursive_read_only:
        raise exceptions.ConfigRefused(
            refusal.CONTAINER, f'volumeMounts: {asked.get("mountPath")}: the '
            'container runtime of this node does not support '
            'recursiveReadOnly: Enabled')
    return wish != 'Disabled' and settings.recursive_read_only
