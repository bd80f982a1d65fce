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
"""What the tests of a pod's life share beyond hosted.py.

Pods that can be looked at after their end, containers that write down what
they are asked, and agnhost.
"""

import calendar
import datetime
from typing import Any

from devcloud import own_images
from zun_vk.tests.devcloud import hosted
from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures import pods
from zun_vk.tests.fixtures.podcase import Object

KEEP = 'zun.test/keep'
STRATEGIC = 'application/strategic-merge-patch+json'
# Prints each request it is asked, and answers 200.
ANSWER = ("while :; do printf 'HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n"
          "Connection: close\\r\\n\\r\\n' | nc -l -p {port}; done")
STUBBORN = 'trap "" TERM; while :; do sleep 0.2; done'
UNTIL_TOLD = 'trap "exit {code}" TERM; while :; do sleep 0.1; done'


def agnhost(name: str, *words: str, **fields: Any) -> Object:
    """Return a container that runs a command of agnhost."""
    return {'name': name, 'image': own_images.AGNHOST, 'args': list(words),
            **fields}


def listener(name: str, port: int, **fields: Any) -> Object:
    """Return a container that prints the requests it is sent."""
    return hosted.shell(ANSWER.format(port=port), name, **fields)


def seconds(text: str) -> float:
    """Return a time of Kubernetes in seconds since the epoch."""
    return calendar.timegm(
        datetime.datetime.fromisoformat(text).utctimetuple())


class LifeCase(hosted.HostedCase):
    """A test of pods from their start to their end."""

    def kept_pod(self, *containers: Object, name: str, namespace: str,
                 **spec: Any) -> Object:
        """Create a pod whose object outlives its deletion.

        Its last status can be read then; it goes with the test.
        """
        body = pods.pod(name, *containers, node=self.node_name, **{
            'restartPolicy': 'Never', 'terminationGracePeriodSeconds': 1,
            **spec})
        body['metadata']['finalizers'] = [KEEP]
        pod = self.submit(body, namespace)
        self.addCleanup(self.let_go, pod)
        return pod

    def let_go(self, pod: Object) -> None:
        """Let a kept pod's object go."""
        if self.now(pod):
            metadata = pod['metadata']
            self.api.patch_pod(metadata['namespace'], metadata['name'],
                               {'metadata': {'finalizers': None}})

    def all_ended(self, pod: Object, timeout: float = 60) -> Object:
        """Return a pod once each of its containers has ended."""
        def done(seen):
            statuses = [*(seen['status'].get('initContainerStatuses') or ()),
                        *seen['status']['containerStatuses']]
            return all('terminated' in each['state'] for each in statuses)
        self.wait_pod(pod, done, 'with all containers ended', timeout)
        return self.now(pod)

    def set_condition(self, pod: Object, kind: str, status: str) -> None:
        """Set a condition of a pod as another party does."""
        metadata = pod['metadata']
        kube.call(self.api.core.patch_namespaced_pod_status,
                  metadata['name'], metadata['namespace'],
                  {'status': {'conditions': [
                      {'type': kind, 'status': status}]}},
                  _content_type=STRATEGIC)

    def wait_ready_is(self, pod: Object, status: str,
                      reason: str | None = None,
                      timeout: float | None = None) -> Object:
        """Return a pod once its condition Ready is so."""
        def holds(seen):
            ready = kube.condition(seen, 'Ready')
            return (ready.get('status') == status
                    and reason in (None, ready.get('reason')))
        self.wait_pod(pod, holds, f'Ready {status} {reason or ""}', timeout)
        return self.now(pod)
