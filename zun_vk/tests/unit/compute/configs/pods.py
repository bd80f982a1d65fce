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
"""Resolved pods for the tests of what the runtime is told."""

import dataclasses
import typing

from zun_vk.compute.configs import container as containers
from zun_vk.compute.configs import sandbox
from zun_vk.compute.configs import settings as configs
from zun_vk.rpc import payload as rpc
from zun_vk.tests.fixtures import pods

CAPSULE = '5b4d7d39-2c94-4bd4-8d0c-6c3a3e0e2a11'
UID = 'c5e1d0f4-98a7-4ad9-a6b7-0b8a53a9d8f0'
SETTINGS = configs.Settings(cgroup_parent='/zun-vk',
                            memory_capacity=4 * 1024 ** 3)
HOST_DNS = rpc.Dns(('192.0.2.1',), ('host.example',), ('timeout:2',))


@dataclasses.dataclass(frozen=True)
class Image:
    id: str = 'sha256:abc'
    uid: int | None = None
    username: str = ''


@dataclasses.dataclass(frozen=True)
class Mount:
    host_path: str = '/host'
    container_path: str = '/data'
    read_only: bool = False
    propagation: str = 'None'


def pod(*members: dict[str, typing.Any], **spec: typing.Any) -> dict:
    made = pods.pod('web', *members, **spec)
    made['metadata'].update(namespace='shop', uid=UID)
    return made


def payload(of: dict, **fields: typing.Any) -> rpc.PodPayload:
    return rpc.PodPayload('1', of, **fields)


def sandbox_of(of: dict, settings=SETTINGS, attempt=0, **fields):
    return sandbox.sandbox_config(
        payload(of, **fields), CAPSULE, attempt, settings,
        '/var/log/pods/shop_web', HOST_DNS)


def container_of(member: dict, image=None, mounts=(), settings=SETTINGS,
                 attempt=0, target='', **spec):
    of = pod(member, **spec)
    return containers.container_config(
        payload(of), CAPSULE, member, attempt, image or Image(), mounts,
        settings, f'{member["name"]}/{attempt}.log', spec_hash='cafe',
        target=target)
