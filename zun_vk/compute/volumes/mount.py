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
"""What a container's volumeMounts say: pure reading, nothing is mounted."""

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import posixpath


@dataclasses.dataclass(frozen=True)
class Mount:
    """A file or directory of the host within a container.

    :param propagation: as Kubernetes says it: None, HostToContainer or
        Bidirectional
    :param recursive_read_only: mounts beneath it have to be read-only too
    """

    host_path: str
    container_path: str
    read_only: bool = False
    propagation: str = 'None'
    recursive_read_only: bool = False


def mount(spec: Mapping, host_path: str, read_only: bool) -> Mount:
    """Return what one volumeMount asks for.

    :param read_only: whether the volume is, whatever the mount says
    """
    read_only = read_only or bool(spec.get('readOnly'))
    return Mount(
        host_path, path(spec), read_only,
        spec.get('mountPropagation') or 'None',
        read_only and spec.get('recursiveReadOnly') == 'Enabled')


def path(spec: Mapping) -> str:
    """Return where in the container it is mounted."""
    return absolute(spec.get('mountPath') or '')


def absolute(text: str) -> str:
    # Kubernetes: a relative one begins at the root.
    return posixpath.normpath('/' + text.lstrip('/'))


def taken(mounts: Iterable[Mount], container_path: str) -> bool:
    """Tell whether a container mounts something of its own there."""
    return any(each.container_path == container_path for each in mounts)
