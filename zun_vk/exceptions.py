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
"""Every error zun_vk raises on purpose.

Callers choose what to do by class, never by message: each class says what
went wrong and whether trying again can help. Messages go to logs and pod
events, so they must never hold a credential.
"""


class ZunVkError(Exception):
    """Base of all errors raised on purpose."""


class ConfigError(ZunVkError):
    """An option is missing or wrong; the process cannot start.

    :param option: the option as an operator writes it, ``[section] name``
    :param problem: what is wrong with it
    """

    def __init__(self, option: str, problem: str):
        # One line, whatever a parser had to say.
        super().__init__(f'{option}: {" ".join(problem.split())}')
        self.option = option


class InvalidQuantity(ZunVkError, ValueError):
    """A Kubernetes quantity that cannot be read."""


class UnsupportedPod(ZunVkError):
    """A pod asks for what the capsule runtime cannot carry.

    :param fields: paths of the offending fields, ``spec.hostNetwork``
    """

    def __init__(self, fields: list[str]):
        super().__init__(
            'not supported by this node: ' + ', '.join(fields))
        self.fields = fields


class NotAdmitted(ZunVkError):
    """A pod that no kubelet would take, in the words of one.

    :param reason: CamelCase word
    """

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason = reason
        self.message = message


class NotYetResolvable(ZunVkError):
    """What a pod refers to is missing or unusable, and may come.

    :param reason: CamelCase word for the event
    :param message: names what is missing, never a value
    """

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason = reason
        self.message = message


class ConfigRefused(ZunVkError):
    """A pod's sandbox or container cannot be made as its pod says.

    :param reason: CamelCase word for the pod's status and its event
    :param message: names the field, never a value that may be secret
    """

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason = reason
        self.message = message


class ImageProblem(ZunVkError):
    """The image of a container is not there to run; it may come.

    :param reason: the container's waiting reason, ErrImagePull
    :param message: in the kubelet's words
    """

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason = reason
        self.message = message


class RemoteError(ZunVkError):
    """A remote service did not do what it was asked.

    :param service: who was asked: kubernetes, keystone, zun, placement,
        neutron, cri
    :param message: the service's own words where it gave any
    :param status: HTTP status, 0 where there was no answer
    """

    #: Seconds the service asks to wait before the next attempt.
    retry_after: float = 0

    def __init__(self, service: str, message: str, status: int = 0):
        super().__init__(f'{service}: {message}')
        self.service = service
        self.message = message
        self.status = status

    def rephrase(self, message: str) -> None:
        """Say this instead, where its words must not be shown."""
        self.message = message
        self.args = (f'{self.service}: {message}',)
        self.__cause__ = None
        self.__suppress_context__ = True


class Unreachable(RemoteError):
    """No answer: connection refused, time-out, TLS failure.

    What was asked may or may not have been done.
    """


class NotSent(Unreachable):
    """No answer, for nothing was sent: it was not done."""


class NotHolder(NotSent):
    """Nothing was sent, for another agent may hold the node by now."""


class Unavailable(RemoteError):
    """The service answered that it cannot serve now (5xx).

    :param retry_after: seconds the service asks to wait, 0 if it says none
    """

    def __init__(self, service: str, message: str, status: int = 0,
                 retry_after: float = 0):
        super().__init__(service, message, status)
        self.retry_after = retry_after


class Throttled(Unavailable):
    """The service asks for fewer requests (429); it did nothing.

    :param retry_after: seconds the service asks to wait, 0 if it says none
    """

    def __init__(self, service: str, message: str, retry_after: float = 0):
        super().__init__(service, message, 429, retry_after)


class AccessDenied(RemoteError):
    """Wrong or insufficient credentials (401, 403)."""


class NotFound(RemoteError):
    """The object does not exist (404)."""


class Conflict(RemoteError):
    """The object exists already or was changed by another (409)."""


class Expired(RemoteError):
    """The asked resourceVersion is too old (410): list again."""


class Rejected(RemoteError):
    """The request itself is at fault (other 4xx): repeating cannot help."""


class RuntimeUnavailable(Unreachable):
    """The container runtime did not answer; trying again can help.

    Its socket is gone, it is starting, or it took too long. What was asked
    may or may not have been done.

    :param late: it took too long, says the runtime or the caller's clock
    """

    def __init__(self, message: str, late: bool = False):
        super().__init__('cri', message)
        self.late = late


class RuntimeNotFound(NotFound):
    """The container runtime knows no such sandbox, container or image."""

    def __init__(self, message: str):
        super().__init__('cri', message, 404)


class RuntimeRefused(RemoteError):
    """The container runtime answered that it cannot do this.

    :param message: its own words, bounded, without credentials
    :param code: name of the gRPC status, ``UNKNOWN`` where it says no more
    """

    def __init__(self, message: str, code: str = 'UNKNOWN'):
        super().__init__('cri', message)
        self.code = code


class CommandTimedOut(RuntimeRefused):
    """A command in a container ran for too long and was ended."""

    def __init__(self, message: str):
        super().__init__(message, 'DEADLINE_EXCEEDED')


class VolumeRefused(ZunVkError):
    """A pod wants a volume that cannot be had on this host.

    :param field: its path, ``spec.volumes[2].hostPath``
    """

    def __init__(self, field: str):
        super().__init__(f'not supported by this node: {field}')
        self.field = field


class VolumeFailed(ZunVkError):
    """A volume could not be made, mounted or removed; it may work later.

    :param volume: its name
    :param problem: what went wrong
    """

    def __init__(self, volume: str, problem: str):
        super().__init__(f'MountVolume.SetUp failed for volume "{volume}" : '
                         f'{problem}')
        self.volume = volume
        self.message = str(self)


class NoNetwork(ZunVkError):
    """The network namespace of a pod cannot be entered: it is gone."""


class Refused(ZunVkError):
    """What was asked of the kubelet's API is answered with an error.

    :param status: HTTP status
    :param words: the answer's text, as the kubelet has it; never a secret
    """

    def __init__(self, status: int, words: str):
        super().__init__(words)
        self.status = status
        self.words = words


class ReaderGone(ZunVkError):
    """Nobody reads a stream any more."""
