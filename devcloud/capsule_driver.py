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
"""Which of Zun's capsule drivers the hosts run.

Chosen at ``up`` for the cloud, at ``add-host`` for one host.

``zun_vk``  the project's own: pods by zun-vk-compute and containerd
``cri``     Zun's own for containerd
``docker``  Zun's own for dockerd

With the last two everything is stock Zun, and the agent of such a cloud
uses no more than its REST API.
"""

from devcloud import errors
from devcloud import hosts
from devcloud import paths

NAMES = ('zun_vk', 'cri', 'docker')
DEFAULT = 'zun_vk'


def chosen(where: paths.Paths) -> str:
    """What this cloud runs on hosts that have none of their own."""
    store = where.state / 'capsule-driver'
    return store.read_text().strip() if store.exists() else DEFAULT


def on(where: paths.Paths, host: str) -> str:
    """What a host runs."""
    return hosts.drivers(where).get(host) or chosen(where)


def choose(where: paths.Paths, name: str) -> None:
    """Have this cloud run another one from its next start.

    :raises errors.DevcloudError: there is none of that name
    """
    check(name)
    paths.write_private(where.state / 'capsule-driver', f'{name}\n')


def check(name: str) -> None:
    """Refuse what is no driver.

    :raises errors.DevcloudError: there is none of that name
    """
    if name not in NAMES:
        raise errors.DevcloudError(
            f'{name!r} is not a capsule driver (there are: '
            f'{", ".join(NAMES)})')


def has_containerd(where: paths.Paths, host: str) -> bool:
    """Whether a host's capsules are containerd's."""
    return on(where, host) != 'docker'
