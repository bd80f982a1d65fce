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
"""Starts containers: image, mounts, configuration, start, postStart hook.

Pulling and starting are work in the background, so that a pod can be told to
end meanwhile; what they need is taken from the pod when they begin.
"""

from collections.abc import Callable
import contextlib
import threading
import time
import typing

from zun_vk import backoff
from zun_vk import exceptions
from zun_vk.compute import hooks
from zun_vk.compute import logs
from zun_vk.compute import model
from zun_vk.compute.configs import container as container_configs
from zun_vk.compute.configs import settings as configs
from zun_vk.compute.cri import client as cri
from zun_vk.compute.images import names
from zun_vk.compute.images import puller as puller_module
from zun_vk.compute.volumes import mount as mounts_module
from zun_vk.compute.volumes import volumes as volumes_module
from zun_vk.compute.work import background as background_module
from zun_vk.compute.work import pod as pod_module
from zun_vk.compute.work import sandboxes as sandboxes_module

_CONFIG, _CREATE, _RUN = ('CreateContainerConfigError',
                          'CreateContainerError', 'RunContainerError')
# Kubernetes: a postStart hook has no bound of its own.
_HOOK_SECONDS = 3600.0
# Images of a pod that are pulled beside its sandbox.
_FETCHED = 4


class _Failed(Exception):
    """A container did not start.

    :param reason: CamelCase word
    :param event: of the event, where it differs from Failed
    """

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason = reason
        self.message = message


class Starter:
    """Starts the containers of this host's pods.

    :param settings: returns what is the same for all pods
    :param hook: runs a handler of a container, given the pod, the
        container's name and id, the handler, the seconds it may take and an
        event that cuts it off
    """

    def __init__(self, runtime: cri.Runtime,
                 settings: Callable[[], configs.Settings],
                 sandboxes: sandboxes_module.Sandboxes,
                 volumes: volumes_module.PodVolumes,
                 puller: puller_module.ImagePuller,
                 background: background_module.Background,
                 record: Callable[[pod_module.Pod],
                                  background_module.Recorder],
                 hook: Callable[..., hooks.Outcome],
                 wall: Callable[[], float] = time.time):
        self._runtime = runtime
        self._settings = settings
        self._sandboxes = sandboxes
        self._volumes = volumes
        self._puller = puller
        self._background = background
        self._record = record
        self._hook = hook
        self._wall = wall

    def start(self, pod: pod_module.Pod, action: model.StartContainer,
              sandbox: model.SeenSandbox) -> None:
        """Begin to start a container in a sandbox."""
        if action.name in pod.memory.starting or self._background.running(
                pod, ('pull', action.name)):
            return
        wrong = pod.told.container_errors.get(action.name)
        if wrong:
            self._failed(pod, action, _Failed(_CONFIG, wrong))
            return
        pod.memory.starting.add(action.name)
        container = pod.spec_of(action.name)
        fetched = pod.fetched.pop(action.name, None)
        if fetched and fetched.name == container.get('image'):
            self._pulled(pod, action, sandbox, fetched.image, fetched.error)
            return

        def pulled(pod: pod_module.Pod, image: typing.Any,
                   error: Exception | None) -> None:
            self._pulled(pod, action, sandbox, image, error)

        self._background.start(
            pod, ('pull', action.name),
            lambda: self._pull(pod, container, sandbox.attempt), pulled,
            names.registry(container.get('image', '')))

    def fetch(self, pod: pod_module.Pod, attempt: int) -> None:
        """Begin to pull the images of what starts first.

        Beside the sandbox, which does not need them. Unlike a kubelet, which
        begins when the sandbox is there.

        :param attempt: of the sandbox
        """
        spec = pod.told.pod['spec']
        for container in (spec.get('initContainers')
                          or spec['containers'])[:_FETCHED]:
            self._fetch(pod, container, attempt)

    def _fetch(self, pod: pod_module.Pod, container: dict,
               attempt: int) -> None:
        name = container['name']

        def fetched(pod: pod_module.Pod, image: typing.Any,
                    error: Exception | None) -> None:
            pod.fetched[name] = pod_module.Fetched(
                container.get('image', ''), image, error)

        if name not in pod.memory.starting and name not in pod.fetched:
            self._background.start(
                pod, ('pull', name),
                lambda: self._pull(pod, container, attempt), fetched,
                names.registry(container.get('image', '')))

    def _pull(self, pod: pod_module.Pod, container: dict,
              attempt: int) -> typing.Any:
        return self._puller.ensure(
            pod.uid, container, pod.told.credentials,
            self._sandboxes.config(pod, attempt), self._record(pod))

    def _pulled(self, pod: pod_module.Pod, action: model.StartContainer,
                sandbox: model.SeenSandbox, image: typing.Any,
                error: Exception | None) -> None:
        if pod.ends:
            pod.memory.starting.discard(action.name)
            return
        if error is not None:
            self._failed(pod, action, error)
            return
        if action.backoff is not None:
            pod.memory.backoff[action.name] = action.backoff

        def started(pod: pod_module.Pod, identity: typing.Any,
                    error: Exception | None) -> None:
            self._started(pod, action, identity, error)

        container = pod.spec_of(action.name)
        pod.creating.add(action.name)
        self._background.start(
            pod, ('create', action.name),
            lambda: self._create(pod, container, action, sandbox, image),
            started)

    def _create(self, pod: pod_module.Pod, container: dict,
                action: model.StartContainer, sandbox: model.SeenSandbox,
                image: typing.Any) -> str:
        recorder = self._record(pod)
        config = self._config(pod, container, action, sandbox, image)
        with _as(_CREATE):
            identity = self._runtime.create_container(
                sandbox.id, config,
                self._sandboxes.config(pod, sandbox.attempt))
        recorder.event(background_module.NORMAL, 'Created',
                       'Container created', action.name)
        with _as(_RUN):
            self._runtime.start_container(identity)
        recorder.event(background_module.NORMAL, 'Started',
                       'Container started', action.name)
        return identity

    def _config(self, pod: pod_module.Pod, container: dict,
                action: model.StartContainer, sandbox: model.SeenSandbox,
                image: typing.Any) -> typing.Any:
        payload = pod.told
        with _as(_CONFIG):
            mounts = [*self._volumes.mounts(
                payload, action.name, action.attempt,
                sandbox.addresses or pod.capsule.addresses),
                *_of_host(payload.host_paths, container)]
            return container_configs.container_config(
                payload, pod.capsule.uuid, container, action.attempt, image,
                mounts, self._settings(),
                logs.container_log(action.name, action.attempt),
                model.hash_of(container))

    def _started(self, pod: pod_module.Pod, action: model.StartContainer,
                 identity: str, error: Exception | None) -> None:
        pod.creating.discard(action.name)
        if error is not None:
            self._failed(pod, action, error)
            return
        pod.memory.starting.discard(action.name)
        pod.memory.waiting.pop(action.name, None)
        pod.memory.retry_at.pop(action.name, None)
        pod.start_pauses.pop(action.name, None)
        handler = (pod.spec_of(action.name).get('lifecycle')
                   or {}).get('postStart')
        if not handler:
            return
        pod.memory.hooks[identity] = model.PostStart(False)

        def finished(pod: pod_module.Pod, outcome: typing.Any,
                     error: Exception | None) -> None:
            failed = str(error) if error else (
                '' if outcome.ok else outcome.message or 'failed')
            pod.memory.hooks[identity] = model.PostStart(True, failed)
            if failed:
                self._record(pod).event(
                    background_module.WARNING, hooks.POST_START_FAILED,
                    'PostStartHook failed', action.name)

        self._background.start(
            pod, ('hook', identity), lambda: self._hook(
                pod, action.name, identity, handler, _HOOK_SECONDS,
                threading.Event()), finished)

    def _failed(self, pod: pod_module.Pod, action: model.StartContainer,
                error: Exception) -> None:
        memory, name = pod.memory, action.name
        memory.starting.discard(name)
        reason = getattr(error, 'reason', _CREATE)
        message = getattr(error, 'message', str(error))
        memory.waiting[name] = model.Words(reason, message)
        pause = pod.start_pauses.setdefault(
            name, backoff.Backoff(1.0, 30.0))
        memory.retry_at[name] = self._wall() + pause.next()
        # Kubernetes: of an image the event says no more than the word, for
        # the pull has told the rest.
        words = reason if isinstance(
            error, exceptions.ImageProblem) else message
        self._record(pod).event(background_module.WARNING, 'Failed',
                                f'Error: {words}', name)
        # What was planned before it failed does not know of ``retry_at``.
        self._background.wake(pod.uid)


@contextlib.contextmanager
def _as(reason: str) -> typing.Iterator[None]:
    """Give what fails the word that Kubernetes has for it."""
    try:
        yield
    except exceptions.ConfigRefused as error:
        raise _Failed(error.reason, error.message) from error
    except exceptions.ZunVkError as error:
        raise _Failed(reason, getattr(error, 'message', str(error))
                      ) from error


def _of_host(paths: typing.Mapping[str, str],
             container: dict) -> list[mounts_module.Mount]:
    """Return the mounts of directories of the host: volumes of Zun's."""
    return [mounts_module.Mount(paths[mount['name']], mount['mountPath'],
                                bool(mount.get('readOnly')))
            for mount in container.get('volumeMounts') or ()
            if mount['name'] in paths]
