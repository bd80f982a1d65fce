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
"""What people are told of a pod that runs, but not as its author may think.

One event for each, however often it is looked at.
"""

from collections.abc import Iterable

from zun_vk.kube import events
from zun_vk.pods import changes
from zun_vk.pods import environment
from zun_vk.pods import memory as memory_module
from zun_vk.pods import translate

_DIFFERS = 'ZunMeaningDiffers'
_TOKEN = 'ServiceAccountTokenNotMounted'
_IGNORED = 'PodChangeIgnored'


class Notices:
    """Tells by events.

    :param recorder: takes them
    """

    def __init__(self, recorder: events.EventRecorder):
        self._recorder = recorder

    def noted(self, pod: dict, notes: Iterable[environment.Note]) -> None:
        """Tell what was left out of a pod, or replaced, and why."""
        for note in notes:
            self._recorder.pod(pod, events.WARNING, *note, once=True)

    def differences(self, pod: dict, translation: translate.Translation,
                    notes: Iterable[environment.Note]) -> None:
        """Tell what is otherwise in the capsule than on a kubelet."""
        self.noted(pod, notes)
        if translation.differences:
            self._recorder.pod(pod, events.WARNING, _DIFFERS,
                               '; '.join(translation.differences), once=True)
        if translation.token_volume:
            self._recorder.pod(
                pod, events.NORMAL, _TOKEN, 'This node mounts no service '
                'account token into its pods', once=True)

    def ignored(self, pod: dict, memory: memory_module.Memory) -> None:
        """Tell what was changed since the capsule was made or first seen."""
        if memory.made is None:
            memory.made = changes.as_made(pod)
        ignored = changes.ignored(memory.made, pod)
        if ignored:
            self._recorder.pod(
                pod, events.WARNING, _IGNORED, 'Zun changes no capsule. '
                'Without effect: ' + ', '.join(ignored), once=True)
