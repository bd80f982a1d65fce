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
"""Which namespaces of the kernel the containers of a pod share."""

from collections.abc import Mapping

from zun_vk import exceptions
from zun_vk.compute.configs import refusal
from zun_vk.compute.cri import cri_pb2

# The pod's network is Neutron's, its host another project's as well.
_OF_HOST = ('hostNetwork', 'hostPID', 'hostIPC')


def of_pod(spec: Mapping, target: str = '') -> cri_pb2.NamespaceOption:
    """Return the namespaces of a pod or of one of its containers.

    Kubernetes: Share Process Namespace between Containers in a Pod.

    :param target: container whose process namespace is shared; '' for none
    """
    made = cri_pb2.NamespaceOption(
        network=cri_pb2.POD, ipc=cri_pb2.POD, pid=cri_pb2.CONTAINER)
    if spec.get('shareProcessNamespace'):
        made.pid = cri_pb2.POD
    elif target:
        made.pid, made.target_id = cri_pb2.TARGET, target
    return made


def check(spec: Mapping) -> None:
    """Refuse a pod that wants namespaces which it cannot have here.

    :raises ConfigRefused: FailedCreatePodSandBox; names the field
    """
    for field in _OF_HOST:
        if spec.get(field):
            raise exceptions.ConfigRefused(
                refusal.SANDBOX, f'spec.{field} is not allowed on this node')
    if spec.get('hostUsers') is False:
        raise exceptions.ConfigRefused(
            refusal.SANDBOX, 'spec.hostUsers: user namespaces are not '
            'supported on this node')
