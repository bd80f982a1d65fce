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
"""The fake OpenStack as a process of its own, answering at once.

``address`` answers where it is, ``counts`` what it was asked since then, by
method and route.
"""

from benchmarks import children
from zun_vk.tests.fixtures import openstack

_ROOM = 1_000_000


def main() -> None:
    with openstack.FakeCloud(hosts=0) as cloud:
        cloud.add_host('big', cpu=_ROOM, memory=_ROOM * 1024)
        cloud.zun.start_delay = cloud.zun.delete_delay = 0
        children.serve(lambda command: _answer(cloud, command))


def _answer(cloud: openstack.FakeCloud, command: str) -> dict:
    if command == 'address':
        return {'keystone': cloud.keystone.url, 'project': cloud.project}
    with cloud.lock:
        return {'capsules': len(cloud.zun.capsules), **{
            service.name: {' '.join(key): count
                           for key, count in service.requests.items()}
            for service in (cloud.keystone, cloud.placement, cloud.zun)}}


if __name__ == '__main__':
    main()
