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
"""The cloud made ready for the tests, and given back as it was.

The tests' pods do not tolerate the virtual node's taint, so the agent runs
without it meanwhile. The images are put on the hosts and stay there.
"""

from collections.abc import Iterator
import contextlib
import json
from pathlib import Path

from devcloud import api
from devcloud import errors
from devcloud import paths
from devcloud import progress
from devcloud.conformance import images

CONFIGURATION = '[node]\ntaint =\n'
NODE = f'/api/v1/nodes/{api.NODE}'


def provide_images(cloud: api.Devcloud, screen: progress.Screen) -> None:
    """Have the images on every host; quick where they are there.

    :raises errors.DevcloudError: one could not be put there
    """
    made = images.make(cloud.paths)
    known = cloud.paths.state / 'conformance' / 'images'
    there = known.read_text().split('\n') if known.exists() else []
    # A host that is added later gets them from the cloud
    wanted = [f'{name} {path.name}' for name, path in made.items()]
    for line, (name, path) in zip(wanted, made.items(), strict=True):
        if line not in there:
            screen.say(f'image {name}')
            cloud.add_image(name, path)
    paths.write_private(known, '\n'.join(wanted))


@contextlib.contextmanager
def agent(cloud: api.Devcloud, folder: Path) -> Iterator[None]:
    """Have the node, and its agent, without a taint; then as before.

    The agent leaves a taint that is there to the cluster's admin, who is us.

    :raises errors.DevcloudError: it did not start, or its node is not Ready
    """
    extra = folder / 'agent.conf'
    paths.write_private(extra, CONFIGURATION)
    ran = cloud.pid(api.AGENT) is not None
    cloud.stop_agent()
    try:
        cloud.start_agent([extra])
        if problem := cloud.node_problem():
            raise errors.DevcloudError(problem)
        with untainted(cloud):
            yield
    finally:
        cloud.stop_agent()
        if ran:
            cloud.start_agent()


@contextlib.contextmanager
def untainted(cloud: api.Devcloud) -> Iterator[None]:
    """Have no taints on the node; then those again that were there.

    :raises errors.DevcloudError: the API server refuses
    """
    before = cloud.kubernetes().must('GET', NODE).json()['spec'].get('taints')
    _set_taints(cloud, None)
    try:
        yield
    finally:
        _set_taints(cloud, before)


def _set_taints(cloud: api.Devcloud, taints: list[dict] | None) -> None:
    cloud.kubernetes().must(
        'PATCH', NODE, json.dumps({'spec': {'taints': taints}}).encode(),
        {'Content-Type': 'application/merge-patch+json'})
