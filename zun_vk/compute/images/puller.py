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
"""Has the image of a container on the host, or says why it is not there.

Kubernetes: Images, image pull policy and pull back-off. Reasons and messages
are the kubelet's. In flows a container and its pod's credentials, out flow
an image, an error, and events on the way. A registry's words are passed on
bounded and without the credentials.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import pathlib
import threading
import time
import typing

from zun_vk import exceptions
from zun_vk.compute.cri import client as cri
from zun_vk.compute.images import credentials as keys
from zun_vk.compute.images import image as images
from zun_vk.compute.images import names
from zun_vk.compute.images import pauses
from zun_vk.compute.images import records
from zun_vk.rpc import payload as rpc

_PARALLEL = 4
_MAX_WORDS = 1024
# Of CRI: errors whose first word is their reason.
_REASONS = {
    'RegistryUnavailable': 'the registry is unavailable',
    'SignatureValidationFailed': 'the signature validation failed'}
_NORMAL, _WARNING = 'Normal', 'Warning'


class Recorder(typing.Protocol):
    """Takes what happens to one pod."""

    def event(self, kind: str, reason: str, message: str,
              container: str) -> None:
        """Tell of something.

        :param kind: Normal or Warning
        :param container: its name
        """


class ImagePuller:
    """Pulls images, each once at a time; any thread may ask.

    :param runtime: pulls and shows them
    :param directory: for what must be known of images as long as they are
        here, so not on a tmpfs; see ``records``
    :param parallel: pulls at the same time from one registry: one that
        does not answer must not hold up the others
    :param clock: monotonic seconds
    """

    def __init__(self, runtime: cri.Runtime, directory: str,
                 parallel: int = _PARALLEL,
                 clock: typing.Callable[[], float] = time.monotonic):
        self.records = records.PullRecords(pathlib.Path(directory))
        self._runtime = runtime
        self._clock = clock
        self._pauses = pauses.Pauses(clock)
        self._slots = Turns(parallel)
        self._turns = Turns()

    def ensure(self, uid: str, container: dict,
               credentials: Iterable[rpc.Credential],
               sandbox_config: typing.Any,
               recorder: Recorder) -> images.Image:
        """Return the image of a container, pulled if it has to be.

        Takes as long as that takes, the pulls before it included.

        :param uid: of its pod
        :param credentials: of its pod
        :param sandbox_config: of its sandbox: a runtime may pull for it
        :raises ImageProblem: it is not there
        """
        job = _Job(uid, container, tuple(credentials), sandbox_config,
                   recorder)
        try:
            job.read()
            self._settle()
            found = self._present(job)
            if found is None:
                self._check_pause(job)
                with self._turns.of(job.image):
                    # Another pod may have pulled it meanwhile.
                    found = self._present(job) or self._pull(job)
        except exceptions.ImageProblem as problem:
            if problem.reason == names.INVALID:
                job.tell(_WARNING, 'InspectFailed', problem.message)
            raise
        return found

    def _settle(self) -> None:
        """Find out what became of pulls that nobody saw the end of."""
        for name in self.records.doubted():
            with contextlib.suppress(exceptions.RemoteError):
                status = self._runtime.image_status(name)
                self.records.settle(name, status and status.id)

    def _present(self, job: '_Job') -> images.Image | None:
        """Return the image if it is here and the pod may use it.

        :raises ImageProblem: it is not, and must not be pulled
        """
        if job.policy == names.ALWAYS:
            return None
        found = self._inspect(job)
        if found and self.records.may_use(job.image, found.id, job.matching):
            job.tell(_NORMAL, 'Pulled', f'Container image "{job.asked}" '
                     'already present on machine and can be accessed by the '
                     'pod')
            return found
        if job.policy == names.NEVER:
            # The same words where it is here: that is nobody's business.
            message = (f'Container image "{job.asked}" is not present with '
                       'pull policy of Never')
            job.tell(_WARNING, 'ErrImageNeverPull', message)
            raise exceptions.ImageProblem('ErrImageNeverPull', message)
        return None

    def _inspect(self, job: '_Job') -> images.Image | None:
        try:
            status = self._runtime.image_status(job.image)
        except exceptions.RemoteError as error:
            message = (f'Failed to inspect image "{job.asked}": '
                       f'{job.words(error)}')
            job.tell(_WARNING, 'InspectFailed', message)
            raise exceptions.ImageProblem(
                'ImageInspectError', message) from error
        return None if status is None else images.from_status(status)

    def _pull(self, job: '_Job') -> images.Image:
        """Pull the image and return it.

        :raises ImageProblem: it failed
        """
        try:
            self.records.begin(job.image)
        except OSError as error:
            raise exceptions.ImageProblem(
                'ErrImagePull', 'Failed to record image pull intent for '
                f'container image "{job.asked}": {error.strerror}') from error
        job.tell(_NORMAL, 'Pulling', f'Pulling image "{job.asked}"')
        asked = self._clock()
        with self._slots.of(names.registry(job.image)):
            began = self._clock()
            found = self._try_all(job)
        now = self._clock()
        self._pauses.succeeded(job.key)
        job.tell(_NORMAL, 'Pulled',
                 f'Successfully pulled image "{job.asked}" in '
                 f'{duration(now - began)} ({duration(now - asked)} including '
                 f'waiting). Image size: {found.size} bytes.')
        return found

    def _check_pause(self, job: '_Job') -> None:
        """Leave an image alone that could not be pulled not long ago.

        :raises ImageProblem: ImagePullBackOff
        """
        last = self._pauses.holding(job.key)
        if last is None:
            return
        message = f'Back-off pulling image "{job.asked}"'
        job.tell(_NORMAL, 'BackOff', message)
        raise exceptions.ImageProblem('ImagePullBackOff',
                                      f'{message}: {last}')

    def _try_all(self, job: '_Job') -> images.Image:
        """Pull with each credential in turn, until one will do.

        :raises ImageProblem: none did
        """
        errors: list[exceptions.RemoteError] = []
        for credential in job.matching or (None,):
            try:
                found = self._pull_with(job, credential)
            except exceptions.RemoteError as error:
                errors.append(error)
                continue
            self.records.finish(job.image, found.id, credential)
            return found
        self.records.fail(job.image, certain=not any(
            isinstance(error, exceptions.Unreachable) for error in errors))
        raise self._failed(job, errors)

    def _pull_with(self, job: '_Job',
                   credential: rpc.Credential | None) -> images.Image:
        auth = None if credential is None else keys.auth_config(credential)
        ref = self._runtime.pull_image(job.image, auth, job.sandbox_config)
        status = (self._runtime.image_status(ref)
                  or self._runtime.image_status(job.image))
        if status is None:
            raise exceptions.RuntimeNotFound(
                'the runtime does not show the image that it pulled')
        return images.from_status(status)

    def _failed(self, job: '_Job', errors: Sequence[exceptions.RemoteError]
                ) -> exceptions.ImageProblem:
        words = list(dict.fromkeys(map(job.words, errors)))
        whole = words[0] if len(words) == 1 else f'[{", ".join(words)}]'
        whole = whole[:_MAX_WORDS]
        job.tell(_WARNING, 'Failed',
                 f'Failed to pull image "{job.asked}": {whole}')
        problem = _meaning(job.asked, whole)
        self._pauses.failed(job.key, f'{problem.reason}: {problem.message}')
        return problem


class _Job:
    """One container that wants its image."""

    def __init__(self, uid: str, container: dict,
                 credentials: tuple[rpc.Credential, ...],
                 sandbox_config: typing.Any, recorder: Recorder):
        self.asked = str(container.get('image') or '')
        self.sandbox_config = sandbox_config
        self.key = (uid, self.asked)
        self._container = container
        self._credentials = credentials
        self._recorder = recorder

    def read(self) -> None:
        """Find out what its fields mean.

        :raises ImageProblem: its image's name is none
        """
        self.image = names.tagged(self.asked)
        self.policy = names.policy(self._container)
        self.matching = keys.matching(
            self._credentials, names.parse(self.asked).repository)

    def tell(self, kind: str, reason: str, message: str) -> None:
        self._recorder.event(kind, reason, message, self._container['name'])

    def words(self, error: exceptions.RemoteError) -> str:
        """Return what a runtime says, fit for its pod's author to read."""
        text = error.message.removeprefix('PullImage: ')
        return keys.scrub(text, self._credentials)[:_MAX_WORDS]


class Turns:
    """So many at a time for each name; different names do not wait."""

    def __init__(self, bound: int = 1) -> None:
        self._bound = bound
        # Guards the map: of each name its places and who wants one.
        self._lock = threading.Lock()
        self._turns: dict[str, tuple[threading.Semaphore, int]] = {}

    @contextlib.contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Wait for one's turn and have it."""
        with self._lock:
            turn, waiting = self._turns.get(
                name, (threading.Semaphore(self._bound), 0))
            self._turns[name] = turn, waiting + 1
        try:
            with turn:
                yield
        finally:
            with self._lock:
                turn, waiting = self._turns[name]
                if waiting > 1:
                    self._turns[name] = turn, waiting - 1
                else:
                    del self._turns[name]


def _meaning(image: str, words: str) -> exceptions.ImageProblem:
    for reason, why in _REASONS.items():
        if words.startswith(reason):
            return exceptions.ImageProblem(
                reason, f'image pull failed for {image} because {why}'
                f'{words.removeprefix(reason)}')
    return exceptions.ImageProblem('ErrImagePull', words)


def duration(seconds: float) -> str:
    """Return seconds as Go writes them, cut to milliseconds: ``1m2.5s``."""
    milli = max(0, int(seconds * 1000))
    if milli < 1000:
        return f'{milli}ms' if milli else '0s'
    minutes, milli = divmod(milli, 60000)
    hours, minutes = divmod(minutes, 60)
    text = f'{milli / 1000:.3f}'.rstrip('0').rstrip('.') + 's'
    if hours:
        return f'{hours}h{minutes}m{text}'
    return f'{minutes}m{text}' if minutes else text
