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
"""What a container runtime shows, in this project's own words. Pure.

In: messages of cri_pb2, of lists or with the full status. Out: the plain
data of zun_vk.compute.model.
"""

from collections.abc import Iterable
import typing

from zun_vk.compute import model
from zun_vk.compute.cri import cri_pb2

_STATES = {
    cri_pb2.CONTAINER_CREATED: model.ContainerState.CREATED,
    cri_pb2.CONTAINER_RUNNING: model.ContainerState.RUNNING,
    cri_pb2.CONTAINER_EXITED: model.ContainerState.EXITED,
}
#: Labels of what is looked at: the rest is not ours.
OURS = {model.LABEL_MANAGED_BY: model.MANAGED_BY}


def is_ours(message: typing.Any) -> bool:
    """Return whether a sandbox or container was made by this service."""
    return message.labels.get(model.LABEL_MANAGED_BY) == model.MANAGED_BY


def uid_of(message: typing.Any) -> str:
    """Return the UID of the pod of a sandbox or container; '' for none."""
    return message.labels.get(model.LABEL_UID, '')


def sandbox(message: typing.Any) -> model.SeenSandbox:
    """Return a sandbox.

    :param message: PodSandboxStatus, or PodSandbox, which has no addresses
    """
    return model.SeenSandbox(
        id=message.id,
        attempt=message.metadata.attempt,
        ready=message.state == cri_pb2.SANDBOX_READY,
        created_at=message.created_at,
        addresses=addresses(getattr(message, 'network', None)),
        uid=uid_of(message),
        capsule=message.labels.get(model.LABEL_CAPSULE, ''),
        handler=message.runtime_handler)


def addresses(network: typing.Any) -> tuple[str, ...]:
    """Return the addresses in a message PodSandboxNetworkStatus."""
    if network is None:
        return ()
    found = [network.ip, *(each.ip for each in network.additional_ips)]
    return tuple(dict.fromkeys(filter(None, found)))


def container(message: typing.Any, sandbox_id: str = ''
              ) -> model.SeenContainer:
    """Return a container.

    :param message: ContainerStatus, or Container, which has no times and no
        outcome
    :param sandbox_id: the status does not tell it
    """
    state = _STATES.get(message.state, model.ContainerState.UNKNOWN)
    annotations = message.annotations
    return model.SeenContainer(
        id=message.id,
        name=message.labels.get(model.LABEL_CONTAINER,
                                message.metadata.name),
        attempt=message.metadata.attempt,
        state=state,
        created_at=message.created_at,
        started_at=_known(message, 'started_at', 0),
        finished_at=_known(message, 'finished_at', 0),
        exit_code=_known(message, 'exit_code', 0),
        reason=_known(message, 'reason', ''),
        message=_known(message, 'message', ''),
        image=message.image.user_specified_image or message.image.image,
        image_id=message.image_id,
        image_ref=message.image_ref,
        sandbox_id=_known(message, 'pod_sandbox_id', '') or sandbox_id,
        uid=uid_of(message),
        spec_hash=annotations.get(model.ANNOTATION_SPEC_HASH, ''),
        log_path=_known(message, 'log_path', ''),
        user=_user(message))


def seen(sandboxes: Iterable[model.SeenSandbox],
         containers: Iterable[model.SeenContainer]) -> model.Seen:
    """Return all that there is of a pod, newest first."""
    return model.Seen(tuple(sorted(sandboxes, key=_newest_first)),
                      tuple(sorted(containers, key=_newest_first)))


def _newest_first(item: model.SeenSandbox | model.SeenContainer
                  ) -> tuple[int, int]:
    # The attempt first: a clock that was set back must not turn them round.
    return -item.attempt, -item.created_at


def _known(message: typing.Any, field: str, default: typing.Any
           ) -> typing.Any:
    return getattr(message, field, default)


def _user(message: typing.Any) -> model.User | None:
    """Return whom it runs as; containerd before 2.0 does not tell."""
    user = _known(message, 'user', None)
    if user is None or not user.HasField('linux'):
        return None
    return model.User(user.linux.uid, user.linux.gid,
                      tuple(user.linux.supplemental_groups))
