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
"""What the parts of a pod's worker share: how to tell, and how to come back.
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import time
import typing

from zun_vk.compute.work import pod as pod_module
from zun_vk.compute.work import tasks as tasks_module
from zun_vk.rpc import states

NORMAL, WARNING = 'Normal', 'Warning'


@dataclasses.dataclass(frozen=True)
class Recorder:
    """Events of one pod, as the image puller and others want to tell them.

    :param tell: takes a node and an event
    """

    pod: pod_module.Pod
    tell: Callable[[str, states.PodEvent], None]

    def event(self, kind: str, reason: str, message: str,
              container: str = '') -> None:
        """Tell of something that happened.

        :param kind: NORMAL or WARNING
        :param container: its name; '' where it is about the pod
        """
        capsule = self.pod.capsule
        self.tell(capsule.node, states.PodEvent(
            capsule.uid, capsule.namespace, capsule.pod, kind, reason,
            message[:4096], self.pod.path_of(container) if container else '',
            time.time()))


@dataclasses.dataclass(frozen=True)
class Background:
    """Starts work whose outcome a pod's worker handles.

    :param wake: called with a UID whose pod has something in its inbox
    :param apart: by the first word of their keys: what runs elsewhere, for
        it may take long
    """

    tasks: tasks_module.Tasks
    wake: Callable[[str], None]
    apart: Mapping[str, tasks_module.Tasks] = dataclasses.field(
        default_factory=dict)

    def start(self, pod: pod_module.Pod, key: tuple,
              run: Callable[[], typing.Any],
              then: Callable[[pod_module.Pod, typing.Any,
                              Exception | None], None],
              owner: str = '') -> bool:
        """Run something and hand its result, or error, to the worker.

        :param owner: who may hold it up, such as the name of a server
        :returns: False where something runs under that key already
        """
        def over(pod: pod_module.Pod, result: typing.Any,
                 error: Exception | None) -> None:
            pod.under_way.discard(key)
            then(pod, result, error)

        def done(result: typing.Any, error: Exception | None) -> None:
            pod.inbox.append(lambda pod: over(pod, result, error))
            self.wake(pod.uid)

        if key in pod.under_way:
            return False
        pod.under_way.add(key)
        # Of a capsule that the pod had before, something may still run.
        tasks = self.apart.get(key[0], self.tasks)
        return tasks.start((*key, pod.uid, pod.capsule.uuid), run, done,
                           owner)

    def running(self, pod: pod_module.Pod, key: tuple) -> bool:
        """Tell whether the worker has not been handed the outcome yet.

        What it saw of the runtime may be older than the end of the work.
        """
        return key in pod.under_way
