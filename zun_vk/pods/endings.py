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
"""The pods that this node gives up, and what they and people are told.

Each is one event and one status Failed. None is called before it is sure
that no capsule of the pod runs; what deletes capsules is elsewhere.
"""

from zun_vk import exceptions
from zun_vk.kube import events
from zun_vk.kube import times
from zun_vk.pods import admission
from zun_vk.pods import status as pod_status
from zun_vk.pods import writer

UNSUPPORTED = 'UnsupportedPodSpec'
LOST = 'CapsuleLost'
# Kubernetes: the kubelet's reason and message.
DEADLINE = 'DeadlineExceeded'
_DEADLINE_WORDS = (
    'Pod was active on the node longer than the specified deadline')
CUT_OFF = DEADLINE, _DEADLINE_WORDS
DAEMONSET = 'DaemonSetPod'
_TERMINATED = 'Terminated'
_TERMINATED_WORDS = 'The pod was deleted, and nothing of it runs'
_DAEMONSET_WORDS = 'This node runs no pods of DaemonSets'


class Endings:
    """Fails pods.

    :param host_ip: address of the node
    """

    def __init__(self, recorder: events.EventRecorder,
                 status_writer: writer.StatusWriter, host_ip: str):
        self._recorder = recorder
        self._writer = status_writer
        self._host_ip = host_ip

    def refused(self, pod: dict, error: exceptions.UnsupportedPod
                | exceptions.NotAdmitted) -> None:
        """Fail a pod that cannot be carried, or that no kubelet would take."""
        if isinstance(error, exceptions.NotAdmitted):
            self._reject(pod, error.reason, error.message)
        else:
            self._fail(pod, UNSUPPORTED, str(error))

    def lost(self, pod: dict) -> None:
        """Fail a pod whose capsule somebody else has deleted.

        A kubelet starts vanished containers again where restartPolicy says
        so, under the same pod. Here a new capsule has another address and
        none of the old one's files: that is another pod.
        """
        self._fail(pod, LOST, 'Zun no longer has the capsule of this pod')

    def forgotten(self, pod: dict) -> None:
        """Fail a pod that ended, and of which its host lost how."""
        self._fail(pod, LOST, 'The host of this pod no longer knows what it '
                   'came to')

    def terminated(self, pod: dict) -> None:
        """Fail a pod that is deleted and whose object others keep."""
        self._publish(pod, _TERMINATED, _TERMINATED_WORDS)

    def cut_off(self, pod: dict) -> None:
        """Say that a pod is stopped for its activeDeadlineSeconds."""
        self._recorder.pod(pod, events.NORMAL, DEADLINE, _DEADLINE_WORDS,
                           once=True)

    def expired(self, pod: dict, status: dict | None = None) -> None:
        """Fail a pod that was cut off.

        :param status: what it has come to, where its host says
        """
        self.cut_off(pod)
        if status is None:
            self._publish(pod, *CUT_OFF)
        else:
            self._writer.publish(pod, status)

    def rejected(self, pod: dict, shortage: admission.Shortage,
                 words: str) -> None:
        """Fail a pod that found no room in time.

        :param words: Zun's reason
        """
        said = f'{shortage}. Zun: {words}' if words else str(shortage)
        self._reject(pod, shortage.reason, said)

    def turned_away(self, pod: dict) -> None:
        """Fail a pod of a DaemonSet."""
        self._fail(pod, DAEMONSET, _DAEMONSET_WORDS)

    def ignored(self, pod: dict) -> None:
        """Say that a pod of a DaemonSet stays Pending."""
        self._recorder.pod(pod, events.NORMAL, DAEMONSET, _DAEMONSET_WORDS,
                           once=True)

    def _reject(self, pod: dict, reason: str, words: str) -> None:
        self._recorder.pod(pod, events.WARNING, reason, words, once=True)
        self._publish(pod, reason, f'Pod was rejected: {words}')

    def _fail(self, pod: dict, reason: str, message: str) -> None:
        self._recorder.pod(pod, events.WARNING, reason, message, once=True)
        self._publish(pod, reason, message)

    def _publish(self, pod: dict, reason: str, message: str) -> None:
        self._writer.publish(pod, pod_status.failed(
            pod, self._host_ip, times.now(), reason, message))
