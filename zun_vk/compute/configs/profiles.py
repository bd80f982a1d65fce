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
"""Which system calls and files the kernel lets a container have.

Kubernetes: seccomp and AppArmor profiles of a security context, the
container's own before the pod's.
"""

from collections.abc import Mapping

from zun_vk import exceptions
from zun_vk.compute.configs import refusal
from zun_vk.compute.cri import cri_pb2

_TYPES = ('RuntimeDefault', 'Unconfined', 'Localhost')
_ANNOTATION = 'container.apparmor.security.beta.kubernetes.io/'
_LOCALHOST = 'localhost/'


def seccomp(pod: Mapping, own: Mapping) -> cri_pb2.SecurityProfile:
    """Return the seccomp profile of a container.

    Without one it is the runtime's (as a kubelet's with ``seccompDefault``):
    the host is shared between projects.

    :param own: the container's security context
    :raises ConfigRefused: a profile of the host is asked for
    """
    profile = own.get('seccompProfile') or _of_pod(pod, 'seccompProfile')
    kind = profile.get('type', 'RuntimeDefault')
    if kind not in _TYPES or kind == 'Localhost':
        raise exceptions.ConfigRefused(
            refusal.CONTAINER, f'securityContext.seccompProfile: {kind} '
            'profiles are not available on this node')
    return _profile(kind)


def apparmor(pod: Mapping, container: str,
             own: Mapping) -> cri_pb2.SecurityProfile | None:
    """Return the AppArmor profile of a container; None for the default.

    :param container: its name
    :param own: its security context
    :raises ConfigRefused: the profile makes no sense
    """
    profile = own.get('appArmorProfile') or _annotated(pod, container) or (
        _of_pod(pod, 'appArmorProfile'))
    if not profile:
        return None
    kind, name = profile.get('type'), profile.get('localhostProfile')
    if kind not in _TYPES:
        raise exceptions.ConfigRefused(
            refusal.CONTAINER, f'unknown apparmor profile type: "{kind}"')
    if kind == 'Localhost' and not name:
        raise exceptions.ConfigRefused(
            refusal.CONTAINER, 'missing localhost apparmor profile name')
    return _profile(kind, str(name) if kind == 'Localhost' else '')


def _profile(kind: str, name: str = '') -> cri_pb2.SecurityProfile:
    types = cri_pb2.SecurityProfile.ProfileType
    return cri_pb2.SecurityProfile(profile_type=types.Value(kind),
                                   localhost_ref=name)


def _of_pod(pod: Mapping, name: str) -> Mapping:
    return (pod['spec'].get('securityContext') or {}).get(name) or {}


def _annotated(pod: Mapping, container: str) -> Mapping:
    """Return the profile that an annotation names, as before 1.30."""
    annotations = pod['metadata'].get('annotations') or {}
    text = annotations.get(_ANNOTATION + container, '')
    if text.startswith(_LOCALHOST):
        return {'type': 'Localhost',
                'localhostProfile': text.removeprefix(_LOCALHOST)}
    return {'': {}, 'runtime/default': {'type': 'RuntimeDefault'},
            'unconfined': {'type': 'Unconfined'}}.get(text, {'type': text})
