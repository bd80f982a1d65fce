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
"""A container as the runtime is told it.

Pure: in flows the resolved pod, one of its containers, its image and what is
mounted into it, out flows the CRI's message.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import json
import typing

from zun_vk import exceptions
from zun_vk.compute import model
from zun_vk.compute.configs import cgroups
from zun_vk.compute.configs import labels
from zun_vk.compute.configs import mounts as runtime_mounts
from zun_vk.compute.configs import refusal
from zun_vk.compute.configs import resources
from zun_vk.compute.configs import security
from zun_vk.compute.configs import settings as configs
from zun_vk.compute.cri import cri_pb2
from zun_vk.compute.probes import spec
from zun_vk.rpc import payload as rpc

TERMINATION_PATH = '/dev/termination-log'
TERMINATION_POLICY = 'File'


class Image(security.ImageUser, typing.Protocol):
    """An image that is on the host."""

    @property
    def id(self) -> str:
        """What the runtime calls it."""


def container_config(
        payload: rpc.PodPayload, capsule: str, container: Mapping,
        attempt: int, image: Image, mounts: Iterable[runtime_mounts.Mount],
        settings: configs.Settings, log_path: str, spec_hash: str = '',
        target: str = '') -> cri_pb2.ContainerConfig:
    """Return the configuration of a container.

    :param capsule: UUID of the pod's capsule
    :param container: of the pod's spec, with its environment resolved
    :param attempt: how often it ran before
    :param log_path: relative to the log directory of its sandbox
    :param spec_hash: by which a changed spec is seen
    :param target: identity of the container whose process namespace it
        shares; '' for none
    :raises ConfigRefused: CreateContainerConfigError
    """
    with refusal.reading(refusal.CONTAINER):
        _check(container)
        return cri_pb2.ContainerConfig(
            metadata=cri_pb2.ContainerMetadata(
                name=container['name'], attempt=attempt),
            image=cri_pb2.ImageSpec(
                image=image.id, user_specified_image=container['image']),
            # Either is the image's where it is empty, and its arguments are
            # not taken where the command is given.
            command=container.get('command') or (),
            args=container.get('args') or (),
            working_dir=container.get('workingDir'),
            envs=_environment(container),
            mounts=runtime_mounts.of_container(container, mounts, settings),
            labels={**labels.of_pod(payload.pod, capsule),
                    model.LABEL_CONTAINER: container['name']},
            annotations=_annotations(container, attempt, spec_hash),
            log_path=log_path, stdin=container.get('stdin'),
            stdin_once=container.get('stdinOnce'), tty=container.get('tty'),
            stop_signal=_stop_signal(container),
            linux=cri_pb2.LinuxContainerConfig(
                resources=resources.of_container(
                    payload.pod, container, settings,
                    cgroups.owns_cgroup(settings)),
                security_context=security.of_container(
                    payload.pod, container, image, settings, target)))


def _check(container: Mapping) -> None:
    if container.get('volumeDevices'):
        raise exceptions.ConfigRefused(
            refusal.CONTAINER,
            'volumeDevices: block devices are not supported on this node')


def _environment(container: Mapping) -> Iterator[cri_pb2.KeyValue]:
    for variable in container.get('env') or ():
        yield cri_pb2.KeyValue(
            key=variable['name'],
            value=(variable.get('value') or '').encode())


def _annotations(container: Mapping, attempt: int,
                 spec_hash: str) -> dict[str, str]:
    made = {
        model.ANNOTATION_RESTART_COUNT: str(attempt),
        model.ANNOTATION_MESSAGE_PATH: container.get(
            'terminationMessagePath') or TERMINATION_PATH,
        model.ANNOTATION_MESSAGE_POLICY: container.get(
            'terminationMessagePolicy') or TERMINATION_POLICY,
        model.ANNOTATION_SPEC_HASH: spec_hash}
    pre_stop = (container.get('lifecycle') or {}).get('preStop')
    if pre_stop:
        made[model.ANNOTATION_PRE_STOP] = json.dumps(
            _of_itself(pre_stop, container))
    return made


def _of_itself(handler: Mapping, container: Mapping) -> Mapping:
    """Return a handler that needs no container to be understood.

    As a kubelet's, it is for when the pod is not known any more.
    """
    action = handler.get('httpGet')
    if not action:
        return handler
    with contextlib.suppress(ValueError):
        return {'httpGet': {**action, 'port': spec.port_of(
            action.get('port') or 0, container)}}
    return handler


def _stop_signal(container: Mapping) -> int:
    """Return the signal that ends the container, if not its image's.

    Kubernetes: ``lifecycle.stopSignal``; SIGRTMIN+1 is SIGRTMINPLUS1 here.
    """
    name = (container.get('lifecycle') or {}).get('stopSignal')
    if not name:
        return cri_pb2.RUNTIME_DEFAULT
    return cri_pb2.Signal.Value(
        name.replace('+', 'PLUS').replace('-', 'MINUS'))
