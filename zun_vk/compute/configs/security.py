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
"""With which rights the processes of a container run.

Kubernetes: Configure a Security Context for a Pod or Container. What a
container does not say, its pod says; what neither does, its image.
"""

from collections.abc import Mapping
import typing

from zun_vk import exceptions
from zun_vk.compute.configs import namespaces
from zun_vk.compute.configs import profiles
from zun_vk.compute.configs import refusal
from zun_vk.compute.configs import settings as configs
from zun_vk.compute.cri import cri_pb2

MAX_ID = 2 ** 31 - 1

# Fields of the pod that a container may set for itself.
_INHERITED = ('runAsUser', 'runAsGroup', 'runAsNonRoot', 'seLinuxOptions')

# Of /proc and /sys: what tells of the host, or would change it.
MASKED = ('/proc/acpi', '/proc/asound', '/proc/interrupts', '/proc/kcore',
          '/proc/keys', '/proc/latency_stats', '/proc/sched_debug',
          '/proc/scsi', '/proc/timer_list', '/proc/timer_stats',
          '/sys/devices/virtual/powercap', '/sys/firmware')
READ_ONLY = ('/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys',
             '/proc/sysrq-trigger')

# Each of these is a way out of the container, or to the whole host.
HOST_CAPABILITIES = frozenset((
    'ALL', 'BPF', 'CHECKPOINT_RESTORE', 'DAC_READ_SEARCH', 'MAC_ADMIN',
    'MAC_OVERRIDE', 'PERFMON', 'SYS_ADMIN', 'SYS_BOOT', 'SYS_MODULE',
    'SYS_RAWIO', 'SYS_TIME', 'SYSLOG'))


class ImageUser(typing.Protocol):
    """Whom an image runs as: a number, else a name, else root."""

    @property
    def uid(self) -> int | None:
        """Number of the user."""

    @property
    def username(self) -> str:
        """Its name, where the image gives no number."""


def of_container(
        pod: Mapping, container: Mapping, image: ImageUser,
        settings: configs.Settings, target: str = '',
) -> cri_pb2.LinuxContainerSecurityContext:
    """Return the security context of a container.

    :param target: container whose process namespace it shares; '' for none
    :raises ConfigRefused: CreateContainerConfigError
    """
    shared = pod['spec'].get('securityContext') or {}
    own = container.get('securityContext') or {}
    security = effective(pod, container)
    _check_host_rights(own, settings)
    _check_not_root(pod, container['name'], security, image)
    made = cri_pb2.LinuxContainerSecurityContext(
        capabilities=_capabilities(own), privileged=own.get('privileged'),
        namespace_options=namespaces.of_pod(pod['spec'], target),
        selinux_options=selinux(security),
        readonly_rootfs=own.get('readOnlyRootFilesystem'),
        no_new_privs=own.get('allowPrivilegeEscalation') is False,
        supplemental_groups=groups(shared),
        supplemental_groups_policy=groups_policy(shared, settings),
        seccomp=profiles.seccomp(pod, own),
        apparmor=profiles.apparmor(pod, container['name'], own))
    _set_user(made, security, image)
    if own.get('procMount') != 'Unmasked':
        made.masked_paths.extend(MASKED)
        made.readonly_paths.extend(READ_ONLY)
    return made


def effective(pod: Mapping, container: Mapping) -> dict[str, typing.Any]:
    """Return a container's security context with what its pod adds."""
    shared = pod['spec'].get('securityContext') or {}
    own = container.get('securityContext') or {}
    inherited = {name: shared[name] for name in _INHERITED
                 if shared.get(name) is not None}
    return {**inherited, **{name: value for name, value in own.items()
                            if value is not None}}


def groups(shared: Mapping) -> list[int]:
    """Return the supplemental groups of a pod, that of volumes first."""
    volumes = shared.get('fsGroup')
    return [*([] if volumes is None else [volumes]),
            *(shared.get('supplementalGroups') or ())]


def groups_policy(shared: Mapping, settings: configs.Settings) -> int:
    """Return whether groups of the image count as well.

    :raises ConfigRefused: the runtime cannot leave them out
    """
    policy = shared.get('supplementalGroupsPolicy') or 'Merge'
    if policy == 'Strict' and not settings.strict_groups:
        raise exceptions.ConfigRefused(
            'SupplementalGroupsPolicyNotSupported',
            'securityContext.supplementalGroupsPolicy: the container runtime '
            'of this node does not support Strict')
    return cri_pb2.SupplementalGroupsPolicy.Value(policy)


def selinux(security: Mapping) -> cri_pb2.SELinuxOption | None:
    options = security.get('seLinuxOptions')
    if options is None:
        return None
    return cri_pb2.SELinuxOption(**{
        part: options.get(part) for part in ('user', 'role', 'type', 'level')})


def _set_user(made: cri_pb2.LinuxContainerSecurityContext,
              security: Mapping, image: ImageUser) -> None:
    user, group = security.get('runAsUser'), security.get('runAsGroup')
    if user is None:
        user = image.uid
        if user is None:
            made.run_as_username = image.username
    if user is None and not image.username:
        # The CRI takes a group only beside a user.
        user = 0
    if user is not None:
        made.run_as_user.value = user
    if group is not None:
        made.run_as_group.value = group


def _check_host_rights(own: Mapping, settings: configs.Settings) -> None:
    """Refuse what could take over the host, where it is not allowed to.

    :raises ConfigRefused: names the field and the option
    """
    if settings.allow_privileged:
        return
    field = ''
    if own.get('privileged'):
        field = 'privileged'
    elif own.get('procMount') == 'Unmasked':
        field = 'procMount: Unmasked'
    else:
        added = (own.get('capabilities') or {}).get('add') or ()
        for name in sorted(HOST_CAPABILITIES.intersection(map(_bare, added))):
            field = f'capabilities.add: {name}'
    if field:
        raise exceptions.ConfigRefused(
            refusal.CONTAINER, f'securityContext.{field} is not allowed on '
            f'this node ({configs.ALLOW_PRIVILEGED} is false)')


def _check_not_root(pod: Mapping, name: str, security: Mapping,
                    image: ImageUser) -> None:
    """Refuse a container that must not run as root and would, or may.

    :raises ConfigRefused: in the kubelet's words
    """
    if not security.get('runAsNonRoot'):
        return
    user = security.get('runAsUser')
    problem = ''
    if user is not None:
        if user == 0:
            problem = "container's runAsUser breaks non-root policy"
    elif image.uid is None and image.username:
        problem = ('container has runAsNonRoot and image has non-numeric '
                   f'user ({image.username}), cannot verify user is non-root')
    elif not image.uid:
        problem = 'container has runAsNonRoot and image will run as root'
    elif not 0 < image.uid <= MAX_ID:
        problem = ('container has runAsNonRoot and image has an invalid user '
                   f'id ({image.uid}). (Must be 1-({MAX_ID}))')
    if problem:
        metadata = pod['metadata']
        full = f'{metadata["name"]}_{metadata["namespace"]}'
        raise exceptions.ConfigRefused(
            refusal.CONTAINER, f'{problem} (pod: "{full}'
            f'({metadata["uid"]})", container: {name})')


def _capabilities(own: Mapping) -> cri_pb2.Capability | None:
    wanted = own.get('capabilities')
    if wanted is None:
        return None
    return cri_pb2.Capability(
        add_capabilities=map(_bare, wanted.get('add') or ()),
        drop_capabilities=map(_bare, wanted.get('drop') or ()))


def _bare(capability: str) -> str:
    """Return a capability's name as Kubernetes writes it."""
    return capability.upper().removeprefix('CAP_')
