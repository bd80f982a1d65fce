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
"""What of the host and of its options the runtime's objects depend on."""

import dataclasses
import os
import pathlib

from oslo_config import cfg

CGROUP_ROOT = pathlib.Path('/sys/fs/cgroup')
ALLOW_PRIVILEGED = '[compute] allow_privileged'


@dataclasses.dataclass(frozen=True)
class Settings:
    """All that is the same for every pod of the host.

    :param cgroup_parent: above the cgroups of pods; '' for none
    :param allow_privileged: containers may take over the host
    :param pids_limit: tasks of a pod; 0 for no limit
    :param memory_capacity: of the host, bytes
    :param cgroup_v2: the host has the unified hierarchy
    :param swap_limits: its kernel can bound swap
    :param strict_groups: the runtime knows supplementalGroupsPolicy Strict
    :param recursive_read_only: the runtime can make a mount read only with
        all that is mounted below it
    """

    cgroup_parent: str = ''
    allow_privileged: bool = False
    pids_limit: int = 0
    memory_capacity: int = 1024 ** 3
    cgroup_v2: bool = False
    swap_limits: bool = False
    strict_groups: bool = False
    recursive_read_only: bool = False


def from_conf(conf: cfg.ConfigOpts,
              cgroup_root: pathlib.Path = CGROUP_ROOT) -> Settings:
    """Return the settings of this host.

    What only the runtime knows (``strict_groups``, ``recursive_read_only``)
    is left off: whoever has asked it puts it in.

    :param conf: with the section ``compute``
    """
    unified = is_v2(cgroup_root)
    return Settings(
        cgroup_parent=conf.compute.cgroup_parent,
        allow_privileged=conf.compute.allow_privileged,
        pids_limit=conf.compute.pids_limit,
        memory_capacity=(os.sysconf('SC_PHYS_PAGES')
                         * os.sysconf('SC_PAGE_SIZE')),
        cgroup_v2=unified, swap_limits=_bounds_swap(cgroup_root, unified))


def is_v2(cgroup_root: pathlib.Path) -> bool:
    """Tell whether cgroups are mounted as one unified hierarchy."""
    return (cgroup_root / 'cgroup.controllers').exists()


def _bounds_swap(cgroup_root: pathlib.Path, unified: bool) -> bool:
    if not unified:
        return (cgroup_root / 'memory/memory.memsw.limit_in_bytes').exists()
    # The root itself has no such file; every child has, or none.
    return next(cgroup_root.glob('*/memory.swap.max'), None) is not None
