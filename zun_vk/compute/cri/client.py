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
"""What zun-vk-compute asks of a container runtime, over CRI v1.

Plain values and messages of cri_pb2 go in and come out. Nothing is retried
here and nothing is remembered. What is verbose in an answer may hold the
environment of a container: never log it.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import json
import time
import typing

from zun_vk import exceptions
from zun_vk.compute.cri import channel
from zun_vk.compute.cri import cri_pb2

# Kubernetes: runtimeRequestTimeout of the kubelet.
_SECONDS = 120.0
# A runtime ends a pull that makes no progress; this ends one of an old
# runtime that does not.
_PULL_SECONDS = 3600.0
# For what is answered from memory.
_QUICK_SECONDS = 30.0
# For a runtime to end a command and say so.
_END_SECONDS = 10.0


class SandboxStatus(typing.NamedTuple):
    """One sandbox as the runtime tells of it.

    :ivar status: message PodSandboxStatus
    :ivar info: what a runtime says beyond that, {} where it is not asked
    :ivar pid: of the process that holds its namespaces, 0 if not known
    """

    status: typing.Any
    info: dict[str, typing.Any]
    pid: int


class Output(typing.NamedTuple):
    """What a command in a container left."""

    stdout: bytes
    stderr: bytes
    exit_code: int


class Runtime:
    """The calls of one runtime; any thread may make them.

    Every call raises RuntimeUnavailable where no answer came,
    RuntimeNotFound where its object is not there and RuntimeRefused where
    the runtime says no, all of zun_vk.exceptions.

    :param endpoint: ``unix:///run/containerd/containerd.sock``
    :param timeout: seconds that a call may take
    """

    def __init__(self, endpoint: str, timeout: float = _SECONDS):
        self._channel = channel.Channel(endpoint)
        self._seconds = timeout
        self._quick = min(timeout, _QUICK_SECONDS)

    def close(self) -> None:
        """End every call and the connection."""
        self._channel.close()

    # The runtime

    def version(self) -> typing.Any:
        """Return the message VersionResponse: its name and version."""
        return self._channel.call(
            'Version', cri_pb2.VersionRequest(version='v1'), self._quick)

    def status(self) -> typing.Any:
        """Return the message StatusResponse: conditions and features."""
        return self._channel.call(
            'Status', cri_pb2.StatusRequest(), self._quick)

    def sandbox_image(self) -> str:
        """Return the name of the image that sandboxes are made of.

        '' where the runtime does not tell: then it has it pinned.
        """
        info = self._channel.call(
            'Status', cri_pb2.StatusRequest(verbose=True), self._quick).info
        # containerd. The rest of it may hold credentials: it goes no further.
        name = parsed(info, 'config').get('sandboxImage')
        return name if isinstance(name, str) else ''

    # Sandboxes

    def run_sandbox(self, config: typing.Any, handler: str = '') -> str:
        """Make and start a sandbox; return its ID.

        :param config: message PodSandboxConfig
        :param handler: of its RuntimeClass, '' for the runtime's default
        """
        # Kubernetes: the kubelet waits twice as long, for its network.
        return self._channel.call(
            'RunPodSandbox', cri_pb2.RunPodSandboxRequest(
                config=config, runtime_handler=handler),
            2 * self._seconds).pod_sandbox_id

    def stop_sandbox(self, sandbox: str) -> None:
        """Stop a sandbox and what runs in it; gone is as good."""
        with contextlib.suppress(exceptions.RuntimeNotFound):
            self._channel.call(
                'StopPodSandbox', cri_pb2.StopPodSandboxRequest(
                    pod_sandbox_id=sandbox), self._seconds)

    def remove_sandbox(self, sandbox: str) -> None:
        """Remove a sandbox and its containers; gone is as good."""
        with contextlib.suppress(exceptions.RuntimeNotFound):
            self._channel.call(
                'RemovePodSandbox', cri_pb2.RemovePodSandboxRequest(
                    pod_sandbox_id=sandbox), self._seconds)

    def sandbox_status(self, sandbox: str,
                       verbose: bool = True) -> SandboxStatus:
        """Return what the runtime tells of a sandbox.

        :param verbose: with ``info`` and ``pid``
        """
        answer = self._channel.call(
            'PodSandboxStatus', cri_pb2.PodSandboxStatusRequest(
                pod_sandbox_id=sandbox, verbose=verbose), self._quick)
        info = parsed(answer.info)
        return SandboxStatus(answer.status, info, pid_in(info))

    def sandboxes(self, labels: Mapping[str, str] | None = None
                  ) -> list[typing.Any]:
        """Return a message PodSandbox for each that has these labels."""
        return list(self._channel.call(
            'ListPodSandbox', cri_pb2.ListPodSandboxRequest(
                filter=cri_pb2.PodSandboxFilter(label_selector=labels)),
            self._quick).items)

    # Containers

    def create_container(self, sandbox: str, config: typing.Any,
                         sandbox_config: typing.Any) -> str:
        """Make a container, not started; return its ID.

        :param config: message ContainerConfig
        :param sandbox_config: what the sandbox was made with
        """
        return self._channel.call(
            'CreateContainer', cri_pb2.CreateContainerRequest(
                pod_sandbox_id=sandbox, config=config,
                sandbox_config=sandbox_config), self._seconds).container_id

    def start_container(self, container: str) -> None:
        """Start a container that was created."""
        self._channel.call(
            'StartContainer', cri_pb2.StartContainerRequest(
                container_id=container), self._seconds)

    def stop_container(self, container: str, grace: float) -> None:
        """Stop a container and wait until it has; gone is as good.

        :param grace: seconds between its stop signal and SIGKILL; the
            runtime counts whole ones, so it is rounded up
        """
        seconds = max(0, -int(-grace // 1))
        with contextlib.suppress(exceptions.RuntimeNotFound):
            self._channel.call(
                'StopContainer', cri_pb2.StopContainerRequest(
                    container_id=container, timeout=seconds),
                self._seconds + seconds)

    def remove_container(self, container: str) -> None:
        """Remove a container, killed if it runs; gone is as good."""
        with contextlib.suppress(exceptions.RuntimeNotFound):
            self._channel.call(
                'RemoveContainer', cri_pb2.RemoveContainerRequest(
                    container_id=container), self._seconds)

    def containers(self, labels: Mapping[str, str] | None = None
                   ) -> list[typing.Any]:
        """Return a message Container for each that has these labels."""
        return list(self._channel.call(
            'ListContainers', cri_pb2.ListContainersRequest(
                filter=cri_pb2.ContainerFilter(label_selector=labels)),
            self._quick).containers)

    def container_status(self, container: str) -> typing.Any:
        """Return the message ContainerStatus."""
        return self._channel.call(
            'ContainerStatus', cri_pb2.ContainerStatusRequest(
                container_id=container), self._quick).status

    def container_info(self, container: str) -> dict[str, typing.Any]:
        """Return what the runtime tells beyond that: ``pid`` for one.

        It holds the container's environment: never log it.
        """
        return parsed(self._channel.call(
            'ContainerStatus', cri_pb2.ContainerStatusRequest(
                container_id=container, verbose=True), self._quick).info)

    def update_resources(self, container: str, resources: typing.Any
                         ) -> None:
        """Change the limits of a container.

        :param resources: message LinuxContainerResources
        """
        self._channel.call(
            'UpdateContainerResources',
            cri_pb2.UpdateContainerResourcesRequest(
                container_id=container, linux=resources), self._seconds)

    def reopen_log(self, container: str) -> None:
        """Have the log of a running container opened anew, by its name."""
        self._channel.call(
            'ReopenContainerLog', cri_pb2.ReopenContainerLogRequest(
                container_id=container), self._quick)

    # What goes on inside containers

    def exec_sync(self, container: str, command: Sequence[str],
                  timeout: float) -> Output:
        """Run a command in a container and wait for its end.

        :param timeout: seconds it may take; the runtime counts whole ones,
            so it is rounded up, to one at least
        :raises CommandTimedOut: it took longer and was ended
        """
        seconds = max(1, -int(-timeout // 1))
        until = time.monotonic() + seconds + _END_SECONDS
        request = cri_pb2.ExecSyncRequest(
            container_id=container, cmd=command, timeout=seconds)
        try:
            answer = self._channel.call(
                'ExecSync', request, seconds + _END_SECONDS)
        except exceptions.RuntimeUnavailable as error:
            # Before the end of this side's patience: the runtime says so.
            if error.late and time.monotonic() < until:
                raise exceptions.CommandTimedOut(error.message) from None
            raise
        return Output(answer.stdout, answer.stderr, answer.exit_code)

    def exec_url(self, container: str, command: Sequence[str], *,
                 stdin: bool, stdout: bool, stderr: bool, tty: bool) -> str:
        """Return where the streams of a command in a container are served.

        A terminal has one stream for both outputs: no ``stderr`` with it.
        """
        return self._channel.call('Exec', cri_pb2.ExecRequest(
            container_id=container, cmd=command, stdin=stdin, stdout=stdout,
            stderr=stderr and not tty, tty=tty), self._quick).url

    def attach_url(self, container: str, *, stdin: bool, stdout: bool,
                   stderr: bool, tty: bool) -> str:
        """Return where the streams of a container are served."""
        return self._channel.call('Attach', cri_pb2.AttachRequest(
            container_id=container, stdin=stdin, stdout=stdout,
            stderr=stderr and not tty, tty=tty), self._quick).url

    def port_forward_url(self, sandbox: str, ports: Sequence[int] = ()
                         ) -> str:
        """Return where connections into a sandbox are served."""
        return self._channel.call('PortForward', cri_pb2.PortForwardRequest(
            pod_sandbox_id=sandbox, port=ports), self._quick).url

    # Statistics and events

    def container_stats(self, container: str) -> typing.Any:
        """Return the message ContainerStats of one container."""
        return self._channel.call(
            'ContainerStats', cri_pb2.ContainerStatsRequest(
                container_id=container), self._quick).stats

    def containers_stats(self, labels: Mapping[str, str] | None = None
                         ) -> list[typing.Any]:
        """Return a message ContainerStats for each that has these labels."""
        return list(self._channel.call(
            'ListContainerStats', cri_pb2.ListContainerStatsRequest(
                filter=cri_pb2.ContainerStatsFilter(label_selector=labels)),
            self._quick).stats)

    def sandboxes_stats(self, labels: Mapping[str, str] | None = None
                        ) -> list[typing.Any]:
        """Return a message PodSandboxStats for each that has these labels."""
        return list(self._channel.call(
            'ListPodSandboxStats', cri_pb2.ListPodSandboxStatsRequest(
                filter=cri_pb2.PodSandboxStatsFilter(label_selector=labels)),
            self._quick).stats)

    def events(self) -> channel.Stream:
        """Return messages ContainerEventResponse, as things happen.

        Iterating raises RuntimeRefused with code ``UNIMPLEMENTED`` where
        the runtime has no events: containerd before 1.7.
        """
        return self._channel.stream(
            'GetContainerEvents', cri_pb2.GetEventsRequest())

    # Images

    def images(self) -> list[typing.Any]:
        """Return a message Image for each image on the host."""
        return list(self._channel.call(
            'ListImages', cri_pb2.ListImagesRequest(), self._quick).images)

    def image_status(self, image: str) -> typing.Any:
        """Return the message Image; None where the host does not have it.

        :param image: name or ID
        """
        answer = self._channel.call(
            'ImageStatus', cri_pb2.ImageStatusRequest(
                image=cri_pb2.ImageSpec(image=image)), self._quick)
        return answer.image if answer.HasField('image') else None

    def pull_image(self, image: str, auth: typing.Any = None,
                   sandbox_config: typing.Any = None) -> str:
        """Pull an image and return the reference to start it by.

        :param auth: message AuthConfig, None for nobody in particular
        :param sandbox_config: of the sandbox that it is for
        """
        return self._channel.call(
            'PullImage', cri_pb2.PullImageRequest(
                image=cri_pb2.ImageSpec(image=image), auth=auth,
                sandbox_config=sandbox_config), _PULL_SECONDS).image_ref

    def remove_image(self, image: str) -> None:
        """Remove an image with all its names; gone is as good."""
        with contextlib.suppress(exceptions.RuntimeNotFound):
            self._channel.call(
                'RemoveImage', cri_pb2.RemoveImageRequest(
                    image=cri_pb2.ImageSpec(image=image)), self._seconds)

    def fs_info(self) -> list[typing.Any]:
        """Return a message FilesystemUsage for each that holds images."""
        return list(self._channel.call(
            'ImageFsInfo', cri_pb2.ImageFsInfoRequest(),
            self._quick).image_filesystems)


def parsed(info: Mapping[str, str], key: str = 'info'
           ) -> dict[str, typing.Any]:
    """Return a verbose part of an answer; {} for what makes no sense.

    containerd and CRI-O put one JSON object under the key ``info``.
    """
    try:
        value = json.loads(info.get(key, '{}'))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def pid_in(info: Mapping[str, typing.Any]) -> int:
    """Return the process ID in it, 0 for none."""
    pid = info.get('pid')
    return pid if type(pid) is int and pid > 0 else 0
