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
"""What the tests of pods on a host share: their logs, and looks inside.

The tests are root on the machine that is all hosts: they read the logs of
containers where the runtime writes them, and ask the runtime itself.
"""

from collections.abc import Iterator
import contextlib
import pathlib
from typing import Any

from devcloud import containerd
from devcloud import hosts as zun_hosts
from devcloud import worker
from zun_vk.compute import model
from zun_vk.compute.cri import client as cri
from zun_vk.tests.devcloud import base
from zun_vk.tests.fixtures.podcase import Object
from zun_vk.tests.fixtures.wait import wait_for

FINISHED = ('Succeeded', 'Failed')
CGROUPS = pathlib.Path('/sys/fs/cgroup')
_MARK = '== '


def shell(script: str, name: str = 'main', **fields: Any) -> Object:
    """Return a container that runs a script."""
    return base.container(name, **{'args': ['sh', '-c', script], **fields})


def telling(commands: dict[str, str], name: str = 'main',
            **fields: Any) -> Object:
    """Return a container that says what each of these commands says.

    :param commands: by the name that ``told`` has them under
    """
    return shell('\n'.join(
        f'printf "\\n{_MARK}{key}\\n"\n({command}) 2>&1'
        for key, command in commands.items()), name, **fields)


def parts(text: str) -> dict[str, str]:
    """Return what a container of ``telling`` said, by command.

    Without the ends of lines at its end.
    """
    found: dict[str, list[str]] = {}
    said: list[str] = []
    for line in text.splitlines():
        if line.startswith(_MARK):
            said = found.setdefault(line.removeprefix(_MARK), [])
        else:
            said.append(line)
    return {key: '\n'.join(lines).rstrip('\n')
            for key, lines in found.items()}


def content(log: bytes, stream: bytes = b'') -> bytes:
    """Return what a container said, from its log in CRI's format.

    :param stream: b'stdout' or b'stderr'; both where it is empty
    """
    said = []
    for line in log.split(b'\n')[:-1]:
        _time, name, tag, words = line.split(b' ', 3)
        if stream in (b'', name):
            said.append(words + (b'' if tag == b'P' else b'\n'))
    return b''.join(said)


def status_of(pod: Object, container: str = 'main') -> Object:
    """Return the status of a container, {} where it has none."""
    status = pod['status']
    for found in [*(status.get('initContainerStatuses') or ()),
                  *(status.get('containerStatuses') or ())]:
        if found['name'] == container:
            return found
    return {}


def ended(pod: Object, container: str = 'main') -> Object:
    """Return the state of a container that has ended, else {}."""
    return status_of(pod, container).get('state', {}).get('terminated') or {}


def waiting(pod: Object, container: str = 'main') -> Object:
    """Return why a container does not run, {} where it does."""
    return status_of(pod, container).get('state', {}).get('waiting') or {}


class HostedCase(base.DevcloudTestCase):
    """A test of pods that zun-vk-compute runs."""

    def messages(self, pod: Object, reason: str) -> set[str]:
        """Return the messages of the pod's events of this reason."""
        return {event['message'] for event in self.events(pod, reason)}

    def wait_message(self, pod: Object, reason: str, begin: str) -> None:
        """Wait for an event of this reason whose message begins so.

        Events are written apart from the status that goes with them.
        """
        wait_for(lambda: any(message.startswith(begin) for message
                             in self.messages(pod, reason)),
                 f'an event {reason} that says "{begin}"', 20,
                 seen=lambda: self.events(pod))

    def run_pod(self, *containers: Object, **fields: Any) -> Object:
        """As the base's; it runs once, and ends at once when told to."""
        return super().run_pod(*containers, **{
            'restartPolicy': 'Never', 'terminationGracePeriodSeconds': 1,
            **fields})

    def _remove_namespace(self, name: str) -> None:
        """Remove a namespace; what takes long of that is Kubernetes'."""
        self.api.delete_namespace(name)
        wait_for(lambda: not self.api.pods(name), f'no pods in {name}', 60)

    # what becomes of pods

    def finished(self, pod: Object, timeout: float | None = None) -> Object:
        """Return a pod once it is Succeeded or Failed."""
        self.wait_pod(
            pod, lambda seen: seen['status'].get('phase') in FINISHED,
            'finished', timeout)
        return self.now(pod)

    def succeeded(self, pod: Object, timeout: float | None = None) -> Object:
        """Return a pod that has to succeed once it has."""
        done = self.finished(pod, timeout)
        self.assertEqual('Succeeded', done['status']['phase'],
                         self.about(pod))
        return done

    def wait_why(self, pod: Object, container: str,
                 *reasons: str) -> Object:
        """Return the pod once the container waits for one of these."""
        self.wait_pod(
            pod, lambda seen: waiting(seen, container).get('reason')
            in reasons, f'{container}: {reasons}')
        return self.now(pod)

    # what containers said

    def log(self, pod: Object, container: str = 'main',
            attempt: int = 0) -> bytes:
        """Return the log of a container as it is on its host."""
        return self.log_path(pod, container, attempt).read_bytes()

    def log_path(self, pod: Object, container: str = 'main',
                 attempt: int = 0) -> pathlib.Path:
        """Return the file that a container's log is in on its host."""
        metadata = pod['metadata']
        folder = f'{metadata["namespace"]}_{metadata["name"]}_' \
                 f'{metadata["uid"]}'
        for host in self.devcloud.hosts():
            root = worker.kept(self.devcloud.paths, host)[1]
            path = root / folder / container / f'{attempt}.log'
            if path.exists():
                return path
        raise AssertionError(f'no log {folder}/{container}/{attempt}')

    def output(self, pod: Object, container: str = 'main',
               attempt: int = 0) -> str:
        """Return what a container has said, over both streams."""
        return content(self.log(pod, container, attempt)).decode()

    def told(self, pod: Object, container: str = 'main') -> dict[str, str]:
        """Return what a container of ``telling`` has said, by command."""
        return parts(self.output(pod, container))

    # what the runtime knows

    @contextlib.contextmanager
    def runtime(self, host: str) -> Iterator[cri.Runtime]:
        """Give a host's container runtime."""
        runtime = cri.Runtime(
            containerd.endpoint(self.devcloud.paths, host))
        try:
            yield runtime
        finally:
            runtime.close()

    def call(self, pod: Object, *command: str, container: str = 'main',
             timeout: float = 10) -> cri.Output:
        """Run a command in a container that runs."""
        ident = status_of(self.now(pod), container)[
            'containerID'].partition('://')[2]
        labels = {model.LABEL_UID: pod['metadata']['uid']}
        for host in self.devcloud.hosts():
            with self.runtime(host) as runtime:
                if ident in {each.id for each in runtime.containers(labels)}:
                    return runtime.exec_sync(ident, command, timeout)
        raise AssertionError(f'no host has container {ident}')

    def cat(self, pod: Object, path: str, container: str = 'main') -> str:
        """Return a file of a container; what cat says where it fails."""
        answer = self.call(pod, 'cat', path, container=container)
        return (answer.stdout + answer.stderr).decode()

    # what is left

    def wait_nothing_left(self, *pods: Object) -> None:
        """Wait until there is nothing of pods on any host."""
        uids = [pod['metadata']['uid'] for pod in pods]
        wait_for(lambda: not self.left(uids), 'nothing left of pods', 60,
                 interval=0.5, seen=lambda: self.left(uids))

    def left(self, uids: list[str]) -> list[str]:
        """Return what there is of pods with these UIDs, on all hosts."""
        found = [capsule['uuid'] for capsule in self.cloud.capsules(*uids)]
        where = self.devcloud.paths
        for host in self.devcloud.hosts():
            with self.runtime(host) as runtime:
                found += [sandbox.id for sandbox in runtime.sandboxes()
                          if sandbox.labels.get(model.LABEL_UID) in uids]
            for folder in worker.folders(where, host):
                found += [str(path) for uid in uids
                          for pattern in (f'*{uid}*', f'*/*{uid}*')
                          for path in folder.glob(pattern)]
        found += [str(path) for uid in uids for path in CGROUPS.glob(
            f'*/{zun_hosts.cgroup(where)}/pod{uid}')]
        return found
