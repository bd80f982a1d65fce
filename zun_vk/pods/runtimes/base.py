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
"""What a capsule runtime offers the pod controller.

Runtimes are found by name in the entry point namespace
``zun_vk.capsule_runtime`` and made with (conf, owner, health, throttles).
"""

import abc
import threading
import typing

from oslo_config import cfg
import stevedore.driver
import stevedore.exception

from zun_vk import exceptions
from zun_vk import health as health_module
from zun_vk.cloud import throttle
from zun_vk.pods import capsule as capsule_module
from zun_vk.pods import environment
from zun_vk.pods import identity
from zun_vk.pods import translate as translation_module

NAMESPACE = 'zun_vk.capsule_runtime'


class CapsuleRuntime(abc.ABC):
    """Runs pods as capsules and knows the capsules of this node."""

    #: zun-vk-compute runs the containers: the agent talks with the hosts.
    on_hosts = False

    @abc.abstractmethod
    def check(self, pod: dict) -> None:
        """Look whether ``pod`` can be carried, before anything is read.

        :raises UnsupportedPod: the pod asks for what cannot be carried
        :raises NotAdmitted: no kubelet would take it
        """

    @abc.abstractmethod
    def translate(self, pod: dict, variables: environment.Environment
                  ) -> translation_module.Translation:
        """Return the capsule of ``pod``.

        :param variables: those of its containers
        :raises UnsupportedPod: the pod asks for what cannot be carried
        :raises NotYetResolvable: its variables cannot be carried
        """

    @abc.abstractmethod
    def create(self, pod: dict,
               translation: translation_module.Translation
               ) -> capsule_module.Capsule:
        """Make the capsule of ``pod``.

        :raises Rejected, AccessDenied, NotFound, Conflict: it was refused
        :raises NotSent, Throttled: nobody was asked, or it was not done
        :raises RemoteError: any other: it may have been made
        """

    @abc.abstractmethod
    def delete(self, capsule: capsule_module.Capsule) -> None:
        """Have the capsule deleted; no error where it is gone.

        May do nothing yet where that is not safe: call again until the
        capsule is gone.
        """

    @abc.abstractmethod
    def of_pod(self, uid: str) -> list[capsule_module.Capsule]:
        """Return the capsules of a pod, the one to keep first."""

    def located(self, uuid: str, asked: float | None = None
                ) -> capsule_module.Capsule | None:
        """Return a capsule of this node, with its host if it has one.

        None where the runtime shows no hosts.

        :param asked: monotonic time; what was seen since then serves. None:
            now
        """
        return None

    @abc.abstractmethod
    def uids(self) -> set[str]:
        """Return the UIDs of the pods that have capsules."""

    @abc.abstractmethod
    def listed_at(self) -> float:
        """Return the monotonic time the last complete list was begun.

        What is not known though it was made before then does not exist.
        -inf before the first list.
        """

    @abc.abstractmethod
    def look_soon(self) -> None:
        """Begin another list without waiting for its turn."""

    @abc.abstractmethod
    def run(self, on_change: typing.Callable[[str], None],
            stop: threading.Event) -> None:
        """Follow the capsules until ``stop`` is set.

        :param on_change: called with a pod's UID when its capsule changed,
            and once for every known capsule after the first list
        """


class Factory(typing.Protocol):
    """What an entry point of the namespace names: the runtime's class."""

    on_hosts: bool

    def __call__(self, conf: cfg.ConfigOpts, owner: identity.Owner,
                 health: health_module.Health,
                 throttles: throttle.Throttles,
                 guard: typing.Callable[[], None]) -> CapsuleRuntime:
        ...


def find(conf: cfg.ConfigOpts) -> Factory:
    """Return the runtime that ``[pods] capsule_runtime`` names, unmade.

    :raises ConfigError: there is no such runtime
    """
    name = conf.pods.capsule_runtime
    try:
        return typing.cast(Factory, stevedore.driver.DriverManager(
            NAMESPACE, name).driver)
    except stevedore.exception.NoMatches as error:
        raise exceptions.ConfigError(
            '[pods] capsule_runtime', f'no runtime is called {name!r}'
        ) from error
