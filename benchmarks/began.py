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
"""When the sandbox and the container of a capsule began, by their runtime.

It is asked once they run, for its own timestamps: so nothing is looked at
while the time counts, and no driver can say more than is true.
"""

import datetime
import typing

from devcloud import containerd
from devcloud import hosts
from devcloud import paths
from zun_vk.compute.cri import client
from zun_vk.compute.cri import cri_pb2


class Began(typing.NamedTuple):
    """Seconds since 1970.

    :ivar sandbox: the runtime noted the sandbox down: its network comes after
        that, by containerd 1.6.16 and newer
    :ivar container: the first process of the container was started
    """

    sandbox: float
    container: float


def began(where: paths.Paths, host: str, driver: str, capsule: dict) -> Began:
    """Return when a capsule of one container began.

    :param capsule: as Zun's API shows it
    :raises RuntimeError: its container does not run
    """
    if driver == 'docker':
        return _docker(where, host, capsule)
    runtime = client.Runtime(containerd.endpoint(where, host))
    try:
        return in_cri(runtime, capsule)
    finally:
        runtime.close()


def in_cri(runtime: client.Runtime, capsule: dict) -> Began:
    """Return it from a CRI runtime: sandboxes bear the capsule's UUID."""
    uuid = capsule['uuid']
    for sandbox in runtime.sandboxes():
        if sandbox.metadata.name != uuid:
            continue
        for listed in runtime.containers():
            if (listed.pod_sandbox_id == sandbox.id
                    and listed.state == cri_pb2.CONTAINER_RUNNING):
                status = runtime.container_status(listed.id)
                return Began(sandbox.created_at / 1e9,
                             status.started_at / 1e9)
    raise RuntimeError(f'no container of capsule {uuid} runs')


def _docker(where: paths.Paths, host: str, capsule: dict) -> Began:
    docker = hosts.docker(where, host)
    found = []
    for uuid in (capsule['uuid'], capsule['containers'][0]['uuid']):
        state = docker.must(
            'GET', f'/containers/zun-{uuid}/json').json()['State']
        if not state['Running']:
            raise RuntimeError(f'container zun-{uuid} does not run')
        found.append(timestamp(state['StartedAt']))
    return Began(*found)


def timestamp(text: str) -> float:
    """Return seconds since 1970 of a time as Go writes it, in UTC.

    Go leaves out zeros at the end, of nine digits.
    """
    whole, _, part = text.removesuffix('Z').partition('.')
    began = datetime.datetime.fromisoformat(f'{whole}+00:00').timestamp()
    return began + float(f'0.{part or 0}')
