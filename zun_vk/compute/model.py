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
"""What a host knows of a pod, and what it may decide to do about it.

Plain data. :class:`Seen` is what the container runtime shows, made new each
time; :class:`PodMemory` is what no runtime can show, and belongs to the pod's
worker; :class:`Plan` is what the worker is to do next. The decision between
them (``decide``) and the report (``report``) read these, and change nothing.

Names: an *attempt* counts the sandboxes of a pod, or the containers of one
name in it, from 0; a container's attempt is its restart count.
"""

from collections.abc import Iterator
import dataclasses
import enum
import hashlib
import json
import typing

LABEL_UID = 'io.kubernetes.pod.uid'
LABEL_POD = 'io.kubernetes.pod.name'
LABEL_NAMESPACE = 'io.kubernetes.pod.namespace'
LABEL_CONTAINER = 'io.kubernetes.container.name'
LABEL_CAPSULE = 'zun.openstack.org/capsule'
#: What does not have this label is never touched.
LABEL_MANAGED_BY = 'zun.openstack.org/managed-by'
MANAGED_BY = 'zun-vk-compute'
ANNOTATION_RESTART_COUNT = 'io.kubernetes.container.restartCount'
ANNOTATION_MESSAGE_PATH = 'io.kubernetes.container.terminationMessagePath'
ANNOTATION_MESSAGE_POLICY = 'io.kubernetes.container.terminationMessagePolicy'
ANNOTATION_PRE_STOP = 'zun.openstack.org/pre-stop'
ANNOTATION_SPEC_HASH = 'zun.openstack.org/spec-hash'


class ContainerState(enum.StrEnum):
    """Of a container, as CRI knows them."""

    CREATED = 'CREATED'
    RUNNING = 'RUNNING'
    EXITED = 'EXITED'
    UNKNOWN = 'UNKNOWN'


class Kind(enum.StrEnum):
    """How a container takes part in its pod."""

    INIT = 'INIT'
    SIDECAR = 'SIDECAR'
    REGULAR = 'REGULAR'


# What the runtime shows ----------------------------------------------------

@dataclasses.dataclass(frozen=True)
class User:
    """Whom the first process of a container runs as."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class SeenSandbox:
    """A sandbox of a pod.

    :param created_at: nanoseconds since the epoch
    :param addresses: the runtime's answer, first the primary one
    :param handler: runtime handler; '' for the default
    """

    id: str
    attempt: int = 0
    ready: bool = True
    created_at: int = 0
    addresses: tuple[str, ...] = ()
    uid: str = ''
    capsule: str = ''
    handler: str = ''


@dataclasses.dataclass(frozen=True)
class SeenContainer:
    """A container of a pod, running or not.

    Times are nanoseconds since the epoch, 0 where they are not known.

    :param exit_code: where it exited
    :param reason: the runtime's CamelCase word for that, such as OOMKilled
    :param message: its termination message, or else the runtime's
    :param image: as the pod names it
    :param image_ref: what was pulled, with a digest where there is one
    :param spec_hash: ``hash_of`` what it was made from; '' if not known
    :param user: None where the runtime does not tell
    """

    id: str
    name: str
    attempt: int = 0
    state: ContainerState = ContainerState.RUNNING
    created_at: int = 0
    started_at: int = 0
    finished_at: int = 0
    exit_code: int = 0
    reason: str = ''
    message: str = ''
    image: str = ''
    image_id: str = ''
    image_ref: str = ''
    sandbox_id: str = ''
    uid: str = ''
    spec_hash: str = ''
    log_path: str = ''
    user: User | None = None


@dataclasses.dataclass(frozen=True)
class Seen:
    """All that the runtime has of one pod, each list newest first."""

    sandboxes: tuple[SeenSandbox, ...] = ()
    containers: tuple[SeenContainer, ...] = ()

    def newest(self, name: str) -> SeenContainer | None:
        """Return the last container of that name."""
        return next(self.all_of(name), None)

    def all_of(self, name: str) -> Iterator[SeenContainer]:
        """Return the containers of that name, newest first."""
        return (container for container in self.containers
                if container.name == name)


# What the worker remembers -------------------------------------------------

@dataclasses.dataclass(frozen=True)
class Words:
    """Why something is as it is.

    :param reason: CamelCase word
    :param message: in words, for the pod's author
    """

    reason: str = ''
    message: str = ''


@dataclasses.dataclass(frozen=True)
class Ending:
    """The pod was told to end, or ends of its own.

    :param deadline: seconds since the epoch; what runs then is killed
    :param grace: seconds that it was given
    :param reason: what the pod has failed of; '' where it was deleted, or
        where its containers say how it ended
    """

    deadline: float
    grace: float
    reason: str = ''
    message: str = ''


@dataclasses.dataclass(frozen=True)
class Backoff:
    """How long a container that ended waits before it starts again.

    :param delay: seconds, from its end
    :param at: seconds since the epoch at which the delay was set
    :param spec_hash: of what was started; another one begins anew
    """

    delay: float
    at: float
    spec_hash: str = ''


@dataclasses.dataclass(frozen=True)
class Failure:
    """A probe says that a container must be killed.

    :param kind: ``Liveness`` or ``Startup``
    """

    kind: str
    message: str = ''


@dataclasses.dataclass(frozen=True)
class Probed:
    """What the probes of a running container have found.

    :param started: the startup probe passed; None while it has not said
    :param ready: the readiness probe passes; None while it has not said
    """

    started: bool | None = None
    ready: bool | None = None
    failed: Failure | None = None


@dataclasses.dataclass(frozen=True)
class PostStart:
    """The postStart hook of a container.

    A container that none is known of has none, or it ran before the service
    did: the worker must set this before it looks again.

    :param failed: why the container must be killed; ''
    """

    finished: bool
    failed: str = ''


@dataclasses.dataclass(frozen=True)
class Killing:
    """A container is being killed.

    :param deadline: seconds since the epoch, of its SIGKILL
    :param held: only its preStop hook was let run
    """

    deadline: float
    held: bool = False


@dataclasses.dataclass
class PodMemory:
    """What is known of a pod beside what the runtime shows.

    Owned and changed by the pod's worker alone; lost with the service but
    for what the worker records (``ending``, ``ended``, ``backoff``,
    ``reported``).

    :param ending: None: it was not told to end
    :param ended: ``Plan.ended`` was reached: nothing of it starts again
    :param volumes_ready: nothing starts before
    :param backoff: by container name, of ``StartContainer.backoff``
    :param retry_at: seconds since the epoch before which something that
        failed is not tried again: by a container's name its start, by a
        container's or a sandbox's id its stop
    :param waiting: by container name: why its last start failed; cleared by
        a start that does not
    :param starting: names of containers that are being started; until
        ``hooks`` has the postStart hook of what has one
    :param sandbox_error: why there is no sandbox
    :param sandbox_retry_at: seconds since the epoch, likewise
    :param probes: by container id
    :param hooks: by container id
    :param killing: by container id; taken out when the kill is over, or has
        failed
    :param again: ids of the containers that are or were killed with
        ``KillContainer.restart``
    :param stopped: ids of the sandboxes that were stopped
    :param reported: by container name: its last reported status
    :param runtime: its name, before container ids in a status
    """

    ending: Ending | None = None
    finishing: Ending | None = None
    ended: bool = False
    volumes_ready: bool = False
    backoff: dict[str, Backoff] = dataclasses.field(default_factory=dict)
    retry_at: dict[str, float] = dataclasses.field(default_factory=dict)
    waiting: dict[str, Words] = dataclasses.field(default_factory=dict)
    starting: set[str] = dataclasses.field(default_factory=set)
    sandbox_error: Words | None = None
    sandbox_retry_at: float = 0
    probes: dict[str, Probed] = dataclasses.field(default_factory=dict)
    hooks: dict[str, PostStart] = dataclasses.field(default_factory=dict)
    killing: dict[str, Killing] = dataclasses.field(default_factory=dict)
    again: set[str] = dataclasses.field(default_factory=set)
    stopped: set[str] = dataclasses.field(default_factory=set)
    reported: dict[str, dict] = dataclasses.field(default_factory=dict)
    runtime: str = 'containerd'


# What to do ----------------------------------------------------------------

@dataclasses.dataclass(frozen=True)
class NewSandbox:
    """Make a sandbox.

    :param changed: it takes the place of another one (an event says so)
    """

    attempt: int
    changed: bool = False


@dataclasses.dataclass(frozen=True)
class StopSandbox:
    """Stop a sandbox, of which no container runs."""

    id: str
    why: str = ''


@dataclasses.dataclass(frozen=True)
class StartContainer:
    """Make and start a container.

    :param attempt: its restart count
    :param backoff: to be remembered under its name before it is started;
        None: nothing is to be
    """

    name: str
    attempt: int
    kind: Kind
    backoff: Backoff | None = None


@dataclasses.dataclass(frozen=True)
class KillContainer:
    """Run the preStop hook of a container, then stop it.

    May come again for a container that is being killed: with less grace, or
    no longer held. Then what runs of it goes on, under the new bounds.

    :param grace: seconds for the hook and the container together; the
        signal is sent with at least ``MIN_GRACE`` of it
    :param message: of the event ``Killing``
    :param reason: CamelCase word of what is wrong with it; ''
    :param hold: run the hook, but send no signal: others end first
    :param restart: another one is to take its place, whatever its exit code
    """

    id: str
    name: str
    grace: float
    message: str
    reason: str = ''
    hold: bool = False
    restart: bool = False


#: Seconds that a container has at least between the signal and the kill.
MIN_GRACE = 2.0

Action: typing.TypeAlias = (
    NewSandbox | StopSandbox | StartContainer | KillContainer)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to do next, in this order; then look again.

    :param look_at: seconds since the epoch at which time alone makes
        something to do; None: never
    :param finishing: the pod ends of its own from now on: to be remembered
        before the actions are taken
    :param ended: nothing of the pod runs, nor will again
    :param failed: why the pod has failed where no container says so
    """

    actions: tuple[Action, ...] = ()
    look_at: float | None = None
    finishing: Ending | None = None
    ended: bool = False
    failed: Words | None = None


def hash_of(container: dict) -> str:
    """Return what changes when a running container must be replaced.

    Of all that may change in a running pod (Kubernetes: pod updates) this is
    the image alone. The resolved environment must not count: a ConfigMap
    that changes restarts nothing.
    """
    picked = {field: container.get(field, '') for field in ('name', 'image')}
    return hashlib.sha256(
        json.dumps(picked, sort_keys=True).encode()).hexdigest()[:16]
