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
"""The devcloud for programs: what tests and the demo need of it.

>>> cloud = api.Devcloud()
>>> cloud.up()
>>> cloud.stop('zun-api'); cloud.start('zun-api')
"""

from collections.abc import Mapping
from collections.abc import Sequence
import os
from pathlib import Path
import shlex

from devcloud import capsule_driver
from devcloud import cloud as clouds
from devcloud import control_plane
from devcloud import hosts
from devcloud import identity
from devcloud import paths
from devcloud import progress
from devcloud import settings
from devcloud import web

AGENT = clouds.agent.NAME
NODE = settings.NODE


class Devcloud:
    """The cloud of $DEVCLOUD_DIR, or of this checkout.

    Methods that change something wait for other devcloud commands of the
    machine; they raise devcloud.errors.DevcloudError.

    :param environ: where DEVCLOUD_DIR and XDG_CACHE_HOME are looked up
    """

    def __init__(self, environ: Mapping[str, str] = os.environ):
        self.paths = paths.Paths.from_environment(environ)
        self._screen = progress.Screen()

    def _cloud(self) -> clouds.Cloud:
        # A new one for each call: an aborted one starts nothing any more
        return clouds.Cloud(self.paths, self._screen)

    @property
    def kubeconfig(self) -> Path:
        """The Kubernetes admin's."""
        return self.paths.etc / 'admin.kubeconfig'

    @property
    def kubectl(self) -> Path:
        return self.paths.bin / 'kubectl'

    def environment(self, user: str = 'admin') -> dict[str, str]:
        """Variables for clients: KUBECONFIG, PATH, OS_*.

        :param user: admin or demo
        """
        return {'KUBECONFIG': str(self.kubeconfig),
                'PATH': f'{self.paths.bin}:{os.environ.get("PATH", "")}',
                **identity.environment(self.paths, user)}

    def openstack(self, user: str = 'admin',
                  project: str = '') -> identity.OpenStack:
        """To call the OpenStack APIs with, as admin or demo."""
        return identity.OpenStack(self.paths, user, project)

    def kubernetes(self) -> web.Peer:
        """To call the API server with, as admin."""
        return control_plane.api(self._cloud().keys)

    def node_problem(self) -> str:
        """'' when the virtual node is Ready, else why it is not."""
        return clouds.agent.node_ready(self._cloud().keys)

    @property
    def capsule_driver(self) -> str:
        """What runs capsules on the hosts."""
        return capsule_driver.chosen(self.paths)

    def choose_capsule_driver(self, name: str) -> None:
        """Have another one from the next start of a cloud that is down."""
        cloud = self._cloud()
        with cloud.locked():
            capsule_driver.choose(self.paths, name)

    def up(self, driver: str = '') -> None:
        """Have everything but the agent run.

        :param driver: the capsule driver from now on; '' for the one before
        """
        cloud = self._cloud()
        with cloud.locked():
            cloud.up(driver)

    def pid(self, name: str) -> int | None:
        """The pid of a server (or of the agent: AGENT), if it runs."""
        return self._cloud().supervisor.processes.pid(name)

    def log(self, name: str) -> Path:
        return self.paths.log(name)

    def start(self, name: str) -> None:
        """Start a server and wait until it is healthy."""
        cloud = self._cloud()
        with cloud.locked():
            cloud.start(name)

    def stop(self, name: str) -> bool:
        """End a server; True if it ended in time by itself."""
        cloud = self._cloud()
        with cloud.locked():
            return cloud.stop(name)

    def kill(self, name: str) -> None:
        """SIGKILL a server and wait for its end."""
        cloud = self._cloud()
        with cloud.locked():
            cloud.kill(name)

    def start_agent(self, extra: Sequence[Path] = ()) -> bool:
        """Start the agent and wait until it is ready.

        :param extra: configuration files after the generated one
        :returns: False if it ran already
        """
        cloud = self._cloud()
        with cloud.locked():
            return cloud.agent.start(extra)

    def stop_agent(self) -> bool:
        """End the agent; True if it ended in time by itself."""
        return self.stop(AGENT)

    def add_host(self, name: str, zone: str = '', driver: str = '') -> None:
        """Have one more Zun host.

        :param zone: its availability zone; '' for the one that Zun gives
        :param driver: its capsule driver; '' for the cloud's
        """
        cloud = self._cloud()
        with cloud.locked():
            cloud.add_host(name, zone, driver)

    def remove_host(self, name: str) -> None:
        """Have an added host no more.

        Fails while capsules are on it; its servers are stopped then.
        """
        cloud = self._cloud()
        with cloud.locked():
            cloud.remove_host(name)

    def add_image(self, name: str, path: Path) -> None:
        """Make an image archive known to every host, now and later.

        :param name: as pods will name it
        :param path: an archive as `docker save` writes it
        """
        cloud = self._cloud()
        with cloud.locked():
            cloud.images.add(name, path)

    def hosts(self) -> list[str]:
        return hosts.names(self.paths)


def exports(where: paths.Paths, user: str) -> str:
    """Lines for a shell's eval."""
    lines = [f'export KUBECONFIG='
             f'{shlex.quote(str(where.etc / "admin.kubeconfig"))}',
             f'export PATH={shlex.quote(str(where.bin))}:"$PATH"']
    lines += [f'export {name}={shlex.quote(value)}' for name, value
              in identity.environment(where, user).items()]
    return '\n'.join(lines)
