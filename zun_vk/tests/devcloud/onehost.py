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
"""One host of the devcloud under attack: servers killed, silent, rebooted."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
from typing import Any

from devcloud import api
from devcloud import hosts as zun_hosts
from devcloud import worker
from zun_vk.compute import model
from zun_vk.tests.devcloud import hosted
from zun_vk.tests.devcloud import life
from zun_vk.tests.fixtures import kube
from zun_vk.tests.fixtures.podcase import Object
from zun_vk.tests.fixtures.wait import wait_for

SERVERS = ('rabbitmq', 'containerd', 'zun-vk-compute', 'zun-compute')
MOUNTS = pathlib.Path('/proc/self/mounts')


class OneHostCase(life.LifeCase):
    """A test of all pods on one host, whose servers it may kill."""

    def setUp(self):
        super().setUp()
        self.host = zun_hosts.first()
        self.addCleanup(self.restore)
        for other in self.devcloud.hosts():
            if other != self.host:
                self.addCleanup(self.cloud.cordon, other, False)
                self.cloud.cordon(other)

    def server(self, name: str) -> str:
        """Return the name of the host's server of this kind."""
        if name in (api.AGENT, 'rabbitmq'):
            return name
        return zun_hosts.named(name, self.host)

    def kill(self, name: str) -> None:
        """SIGKILL a server of the host, or one that all share."""
        self.devcloud.kill(self.server(name))

    def start(self, name: str) -> None:
        if name == api.AGENT:
            self.devcloud.start_agent()
        else:
            self.devcloud.start(self.server(name))

    def restore(self) -> None:
        """Have all servers run again, however a test ended."""
        for name in SERVERS:
            if self.devcloud.pid(self.server(name)) is None:
                self.start(name)

    # what a restart may not touch

    def seen_of(self, pod: Object) -> list[tuple[Any, ...]]:
        """Return what makes a pod's containers those that they are."""
        return [(each['name'], each.get('containerID'),
                 each['restartCount'], each['state'])
                for each in self.now(pod)['status']['containerStatuses']]

    def in_runtime(self, pod: Object) -> list[tuple[Any, ...]]:
        """Return the containers and sandboxes that the host has of a pod."""
        labels = {model.LABEL_UID: pod['metadata']['uid']}
        with self.runtime(self.host) as runtime:
            return sorted(
                [(each.id, each.state, each.created_at)
                 for each in runtime.containers(labels)] +
                [(each.id, each.state, each.created_at)
                 for each in runtime.sandboxes(labels)])

    # processes of containers

    def pids(self, pod: Object, sandboxes: bool = False) -> list[int]:
        """Return the first process of each of a pod's containers.

        :param sandboxes: those of its sandboxes too
        """
        labels = {model.LABEL_UID: pod['metadata']['uid']}
        with self.runtime(self.host) as runtime:
            found = [runtime.container_info(each.id).get('pid', 0)
                     for each in runtime.containers(labels)]
            if sandboxes:
                found += [runtime.sandbox_status(each.id).pid
                          for each in runtime.sandboxes(labels)]
        return [pid for pid in found if pid]

    def signal(self, pod: Object, number: int,
               sandboxes: bool = False) -> None:
        """Send a signal to the first process of a pod's containers."""
        for pid in self.pids(pod, sandboxes):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def reboot(self, *pods: Object) -> None:
        """Leave of a host what a reboot would leave.

        :param pods: all that run there
        """
        self.kill('zun-vk-compute')
        for pod in pods:
            self.signal(pod, signal.SIGKILL, sandboxes=True)
        self.kill('containerd')
        run = worker.state(self.devcloud.paths, self.host)
        mounted = [pathlib.Path(line.split()[1])
                   for line in MOUNTS.read_text().splitlines()]
        for path in reversed(mounted):
            if path.is_relative_to(run):
                subprocess.run(['umount', '--lazy', path], check=True,
                               timeout=10)
        for path in run.iterdir():
            shutil.rmtree(path)
        self.start('containerd')
        self.start('zun-vk-compute')

    def wait_silent(self, pod: Object, timeout: float) -> Object:
        """Return a pod once its host is known to be silent."""
        seen = self.wait_ready_is(pod, 'False', 'HostNotResponding', timeout)
        self.assertIn(self.host, kube.condition(seen, 'Ready')['message'])
        return seen

    def wait_same(self, pod: Object, was: list[tuple[Any, ...]]) -> None:
        """Wait until a pod is Ready, as it was before."""
        wait_for(lambda: kube.is_ready(self.now(pod))
                 and self.seen_of(pod) == was, 'a pod as it was', 60,
                 seen=lambda: (was, self.about(pod)))

    def until_told(self, name: str, namespace: str, code: int = 0,
                   **fields: Any) -> Object:
        """Create a pod that ends with this code when told to."""
        return self.run_pod(
            hosted.shell(life.UNTIL_TOLD.format(code=code)), name=name,
            namespace=namespace, **fields)
