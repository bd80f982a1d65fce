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
"""A pod's sandbox as the runtime is told it.

Pure: in flows the resolved pod, out flows the CRI's message. The sandbox is
what the pod's network and namespaces hang on; its name is the capsule's
UUID, by which zun-cni finds the capsule's Neutron port.
"""

from collections.abc import Iterator
from collections.abc import Mapping

from zun_vk import exceptions
from zun_vk.compute.configs import amounts
from zun_vk.compute.configs import cgroups
from zun_vk.compute.configs import dns
from zun_vk.compute.configs import labels
from zun_vk.compute.configs import namespaces
from zun_vk.compute.configs import refusal
from zun_vk.compute.configs import resources
from zun_vk.compute.configs import security
from zun_vk.compute.configs import settings as configs
from zun_vk.compute.configs import sysctls
from zun_vk.compute.cri import cri_pb2
from zun_vk.rpc import payload as rpc

# Of the kernel's 64 bytes one is for the end.
MAX_HOSTNAME = 63
MAX_FQDN = 64


def sandbox_config(payload: rpc.PodPayload, capsule: str, attempt: int,
                   settings: configs.Settings, log_directory: str,
                   host_dns: rpc.Dns) -> cri_pb2.PodSandboxConfig:
    """Return the configuration of a pod's sandbox.

    The runtime handler is not in it: it goes beside it.

    :param capsule: UUID of the pod's capsule
    :param attempt: how many sandboxes the pod had before
    :param log_directory: absolute path, under which the containers' logs are
    :param host_dns: what the host's resolv.conf says, see ``dns.parse``
    :raises ConfigRefused: FailedCreatePodSandBox, or SysctlForbidden and
        SupplementalGroupsPolicyNotSupported, with which a pod fails for good
    """
    with refusal.reading(refusal.SANDBOX):
        pod = payload.pod
        metadata, spec = pod['metadata'], pod['spec']
        return cri_pb2.PodSandboxConfig(
            metadata=cri_pb2.PodSandboxMetadata(
                name=capsule, uid=metadata['uid'],
                namespace=metadata['namespace'], attempt=attempt),
            hostname=hostname(payload), log_directory=log_directory,
            dns_config=dns.of_pod(payload, host_dns),
            port_mappings=_ports(spec),
            labels={**(metadata.get('labels') or {}),
                    **labels.of_pod(pod, capsule)},
            annotations=metadata.get('annotations') or {},
            linux=_linux(pod, settings))


def hostname(payload: rpc.PodPayload) -> str:
    """Return the host name that a pod sees.

    Kubernetes: Pod's hostname and subdomain fields.

    :raises ConfigRefused: it is to be fully qualified, and is too long so
    """
    spec = payload.pod['spec']
    name = payload.hostname or payload.pod['metadata']['name']
    if len(name) > MAX_HOSTNAME:
        name = name[:MAX_HOSTNAME].rstrip('-.')
    if not (payload.domain and spec.get('setHostnameAsFQDN')):
        return name
    full = f'{name}.{payload.domain}'
    if len(full) > MAX_FQDN:
        raise exceptions.ConfigRefused(
            refusal.SANDBOX, 'failed to construct FQDN from pod hostname and '
            f'cluster domain, FQDN {full} is too long ({MAX_FQDN} characters '
            f'is the max, {len(full)} characters requested)')
    return full


def _ports(spec: Mapping) -> Iterator[cri_pb2.PortMapping]:
    """Give what the containers serve; nothing is mapped to the host."""
    for container in amounts.containers(spec):
        for port in container.get('ports') or ():
            yield cri_pb2.PortMapping(
                protocol=cri_pb2.Protocol.Value(port.get('protocol', 'TCP')),
                container_port=port['containerPort'])


def _linux(pod: Mapping,
           settings: configs.Settings) -> cri_pb2.LinuxPodSandboxConfig:
    spec = pod['spec']
    namespaces.check(spec)
    shared = spec.get('securityContext') or {}
    path, _ = cgroups.pod_cgroup(settings, pod['metadata']['uid'], pod)
    return cri_pb2.LinuxPodSandboxConfig(
        cgroup_parent=path, sysctls=sysctls.of_pod(shared),
        security_context=_security(spec, shared, settings),
        overhead=resources.of_overhead(spec),
        resources=resources.of_sandbox(spec))


def _security(
        spec: Mapping, shared: Mapping, settings: configs.Settings,
) -> cri_pb2.LinuxSandboxSecurityContext:
    made = cri_pb2.LinuxSandboxSecurityContext(
        namespace_options=namespaces.of_pod(spec),
        selinux_options=security.selinux(shared),
        supplemental_groups=security.groups(shared),
        supplemental_groups_policy=security.groups_policy(shared, settings),
        privileged=settings.allow_privileged and any(
            (container.get('securityContext') or {}).get('privileged')
            for container in amounts.containers(spec)),
        # The sandbox itself only waits: it needs no profile of the pod's.
        seccomp=cri_pb2.SecurityProfile(
            profile_type=cri_pb2.SecurityProfile.RuntimeDefault))
    if shared.get('runAsUser') is not None:
        made.run_as_user.value = shared['runAsUser']
        if shared.get('runAsGroup') is not None:
            made.run_as_group.value = shared['runAsGroup']
    return made
