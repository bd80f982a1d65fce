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
"""The whole cloud: which steps bring it up and in which order it ends."""

from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import fcntl
import functools
import os
from pathlib import Path
import shutil
import signal
import threading

from devcloud import agent
from devcloud import approver
from devcloud import binaries
from devcloud import capsule_driver
from devcloud import commands
from devcloud import control_plane
from devcloud import errors
from devcloud import hosts
from devcloud import identity
from devcloud import image_programs
from devcloud import images
from devcloud import infrastructure
from devcloud import leftovers
from devcloud import metrics_server
from devcloud import openstack
from devcloud import packages
from devcloud import paths
from devcloud import pki
from devcloud import processes
from devcloud import progress
from devcloud import seed
from devcloud import servers
from devcloud import virtualenv
from devcloud import worker
from devcloud import zun_hosts

# Steps' names that servers come after are used in their tables, too
PACKAGES = 'Debian packages'
VENV = 'Python packages'
KUBERNETES = 'Kubernetes programs'
IMAGE_PROGRAMS = 'programs for images'
OWN_PROGRAMS = 'zun-vk programs'


class Cloud:
    """One cloud on this machine.

    :param where: its folders
    :param screen: where progress is told
    """

    def __init__(self, where: paths.Paths, screen: progress.Screen):
        self.where = where
        self.screen = screen
        self._abort = threading.Event()
        self._commands = commands.Commands()
        self.supervisor = servers.Supervisor(where, self._abort)
        self.keys = pki.Pki(where, self._commands)
        self.images = images.Images(where)
        self._programs = binaries.Binaries(where, self._commands)
        self._image_programs = image_programs.ImagePrograms(
            where, self._commands)
        self._environment = virtualenv.openstack(where, self._commands)

    @functools.cached_property
    def binaries(self) -> Path:
        """The folder of the Kubernetes programs, built or to be built."""
        link = self.where.bin / 'kubectl'
        if self.supervisor.processes.pid('kube-apiserver') and \
                link.exists():
            return link.resolve().parent
        return self._programs.find() or self._programs.built

    @functools.cached_property
    def agent(self) -> agent.Agent:
        return agent.Agent(self.where, self.keys, self._commands,
                           self.supervisor, self.where.bin / 'kubectl')

    @functools.cached_property
    def metrics_server(self) -> metrics_server.MetricsServer:
        return metrics_server.MetricsServer(
            self.where, self.keys, self._commands, self.supervisor)

    def all_servers(self) -> list[servers.Server]:
        """All servers that `up` starts."""
        venv = self._environment.path
        return [
            *control_plane.table(self.where, self.keys, self.binaries),
            approver.server(self.keys),
            infrastructure.mariadb(self.where),
            *infrastructure.rabbit(self.where),
            infrastructure.registry(self.where),
            *openstack.table(self.where, venv),
            *zun_hosts.table(self.where, venv),
        ]

    def server(self, name: str) -> servers.Server:
        """A server by its name.

        :raises errors.DevcloudError: there is none of that name
        """
        known = {server.name: server
                 for server in [*self.all_servers(), *self._others()]}
        if name not in known:
            raise errors.DevcloudError(
                f'no such server: {name} (there are: '
                f'{", ".join(sorted(known))})')
        return known[name]

    def _others(self) -> list[servers.Server]:
        """The servers that `up` does not start."""
        return [self.agent.server(), self.metrics_server.server()]

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other devcloud commands of the machine out meanwhile."""
        self.where.registry.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(self.where.registry / 'lock', 'w') as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.screen.say('waiting for another devcloud command')
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    # -- up

    def up(self, driver: str = '') -> None:
        """Have everything run, whatever was there before.

        :param driver: the capsule driver from now on; '' for the one before
        """
        need_root()
        self.where.make()
        if driver and driver != capsule_driver.chosen(self.where):
            self._switch(driver)
        for words in leftovers.Leftovers(
                self.where, self.supervisor.processes).clear():
            self.screen.say(words)
        self._runner().run(self._all_steps())

    def _switch(self, driver: str) -> None:
        """Take another capsule driver; `up` starts what it needs.

        :raises errors.DevcloudError: there are capsules, which it could
            not delete
        """
        if self.supervisor.processes.pid('zun-api'):
            admin = identity.OpenStack(self.where, 'admin')
            left = admin.zun.must(
                'GET', '/capsules/?all_projects=1').json()['capsules']
            if left:
                raise errors.DevcloudError(
                    f'there are {len(left)} capsules of the driver '
                    f'{capsule_driver.chosen(self.where)}')
        kept = {hosts.named('dockerd', host)
                for host in hosts.names(self.where)}
        venv = self._environment.path
        ending = [self.agent.server(), *reversed(
            [server for server in zun_hosts.table(self.where, venv)
             if server.name not in kept])]
        for server in ending:
            self.supervisor.stop(server)
        capsule_driver.choose(self.where, driver)

    def _runner(self) -> progress.Runner:
        return progress.Runner(self.screen, self._give_up)

    def _give_up(self) -> None:
        self._abort.set()
        self._commands.abort()

    def _all_steps(self) -> list[progress.Step]:
        return [*self._preparations(), *self._tables(), *self._contents(),
                *map(self._start_step, self.all_servers())]

    def _start_step(self, server: servers.Server) -> progress.Step:
        return progress.Step(
            server.name, functools.partial(self.supervisor.start, server),
            server.after, self.where.log(server.name), quiet=True)

    def _preparations(self) -> list[progress.Step]:
        step = functools.partial(progress.Step, quiet=True)
        return [
            step(PACKAGES, self._install_packages,
                 log=self.where.log('packages')),
            step(VENV, self._environment.ensure, (PACKAGES,),
                 self._environment.log),
            step(KUBERNETES, self._have_programs, (PACKAGES,),
                 self._programs.log),
            # Not at the same time: they have most of their sources in common
            step(IMAGE_PROGRAMS, self._image_programs.ensure, (KUBERNETES,),
                 self._image_programs.log),
            step('keys', self.keys.make, (PACKAGES, KUBERNETES)),
            step('configuration', self._configure, (PACKAGES,)),
            *self._own_programs(),
            step('database files', functools.partial(
                infrastructure.make_database_files, self.where,
                self._commands), (PACKAGES,)),
            step('databases', functools.partial(
                infrastructure.make_databases, self.where, self._commands),
                ('mariadb',)),
        ]

    def _own_programs(self) -> list[progress.Step]:
        if not any(capsule_driver.on(self.where, host) == 'zun_vk'
                   for host in hosts.names(self.where)):
            return []
        return [progress.Step(
            OWN_PROGRAMS, functools.partial(
                worker.prepare, self.where, self._commands), (PACKAGES,),
            self.where.log('zun-vk-venv'), quiet=True)]

    def _install_packages(self) -> None:
        packages.install(self._commands, self.where.log('packages'))
        infrastructure.need_programs()

    def _have_programs(self) -> None:
        if not self.supervisor.processes.pid('kube-apiserver'):
            self.binaries = self._programs.ensure()
        paths.link(self.where.bin / 'kubectl', self.binaries / 'kubectl')

    def _configure(self) -> None:
        venv = self._environment.path
        infrastructure.write_configuration(self.where)
        openstack.write_configuration(self.where, venv)
        zun_hosts.write_configuration(self.where, venv)

    def _push_for_kubernetes(self) -> None:
        self.images.push_for_kubernetes(self._image_programs.folder)

    def _tables(self) -> list[progress.Step]:
        venv = self._environment.path
        return [progress.Step(
            f'{name} tables', functools.partial(
                openstack.initialise, self.where, venv, self._commands,
                name),
            ('databases', 'configuration', VENV),
            self.where.log(f'{name}-database'), quiet=True)
            for name in infrastructure.DATABASES]

    def _contents(self) -> list[progress.Step]:
        def step(name, action, *after):
            return progress.Step(name, action, after, quiet=True)

        client = self._environment.path / 'bin' / 'openstack'
        return [
            step('accounts', functools.partial(seed.accounts, self.where),
                 'keystone'),
            step('network', functools.partial(seed.network, self.where),
                 'accounts', 'neutron'),
            step('quotas', functools.partial(seed.quotas, self.where),
                 'accounts', 'neutron', 'zun-api'),
            step('own images', self.images.push_own, 'registry'),
            step('images for Kubernetes', self._push_for_kubernetes,
                 'registry', IMAGE_PROGRAMS),
            step('clients', functools.partial(
                paths.link, self.where.bin / client.name, client), VENV),
            step('Kubernetes ready', self._kubernetes_ready,
                 'kube-controller-manager'),
            *(step(f'containers on {host}', functools.partial(
                hosts.revive, self.where, host),
                hosts.named('dockerd', host))
              for host in hosts.names(self.where)),
            *(self._images_step(host) for host in hosts.names(self.where)),
        ]

    def _images_step(self, host: str) -> progress.Step:
        after = ['registry', hosts.named('dockerd', host)]
        if capsule_driver.has_containerd(self.where, host):
            after.append(hosts.named('containerd', host))
        return progress.Step(
            f'images on {host}', functools.partial(
                self.images.load_all, host), tuple(after), quiet=True)

    def _kubernetes_ready(self) -> None:
        self.metrics_server.forget_if_down()
        for _ in range(300):
            problem = control_plane.can_run_pods(self.keys)
            if not problem:
                return
            if self._abort.wait(0.1):
                raise errors.Aborted('interrupted')
        raise errors.LoggedFailure(
            f'Kubernetes cannot run pods: {problem}',
            self.where.log('kube-controller-manager'))

    # -- parts

    def start(self, name: str) -> None:
        """Start one server and wait until it is healthy."""
        need_root()
        if name == agent.NAME:
            self.agent.start()
            return
        if name == metrics_server.NAME:
            self.metrics_server.start()
            return
        self.supervisor.start(self.server(name))

    def stop(self, name: str) -> bool:
        """End one server; True if it ended by itself in time."""
        need_root()
        if name == metrics_server.NAME:
            return self.metrics_server.stop()
        return self.supervisor.stop(self.server(name))

    def kill(self, name: str) -> None:
        """SIGKILL one server, as a crash would end it.

        :raises errors.DevcloudError: it does not run
        """
        record = self.supervisor.processes.record(name)
        descriptor = None
        if record is not None and record.alive():
            descriptor = processes.send(record.pid, record.start,
                                        signal.SIGKILL)
        if descriptor is None:
            raise errors.DevcloudError(f'{name} does not run')
        processes.wait_gone([descriptor], 5)

    def add_host(self, name: str, zone: str = '', driver: str = '') -> None:
        """Have one more Zun host, in an availability zone.

        :param driver: its capsule driver; '' for the cloud's
        """
        need_root()
        if driver:
            capsule_driver.check(driver)
        hosts.add(self.where, name, zone, driver)
        self._configure()
        self._runner().run([
            *self._own_programs(),
            *map(self._start_step, self._servers_on(name)),
            self._images_step(name)])

    def _servers_on(self, host: str) -> list[servers.Server]:
        return zun_hosts.on_host(
            self.where, self._environment.path, host,
            identity.OpenStack(self.where, 'admin'))

    def remove_host(self, name: str) -> None:
        """Have an added host no more."""
        need_root()
        if name not in hosts.names(self.where)[1:]:
            raise errors.DevcloudError(f'{name} is not an added host')
        for server in reversed(self._servers_on(name)):
            self.supervisor.stop(server)
        hosts.forget(self.where, name)
        leftovers.Leftovers(self.where, self.supervisor.processes).clear()
        for folder in zun_hosts.folders(self.where, name):
            shutil.rmtree(folder, ignore_errors=True)

    # -- down

    def down(self) -> None:
        """End everything; data stay."""
        need_root()
        self.where.make()
        everything = [*self._others(), *self.all_servers()]
        alive = [server for server in everything
                 if self.supervisor.processes.pid(server.name)]
        before = start_order([*self._all_steps(), *map(
            self._start_step, everything)])
        self._runner().run(progress.Step(
            f'stop {server.name}', functools.partial(self._end, server),
            tuple(f'stop {other.name}' for other in alive
                  if server.name in before[other.name]), quiet=True)
            for server in alive)
        leftovers.Leftovers(self.where, self.supervisor.processes).clear()
        shutil.rmtree(self.where.run, ignore_errors=True)

    def _end(self, server: servers.Server) -> None:
        if server.name.startswith('dockerd'):
            self._kill_containers(server.name)
        if server.name == metrics_server.NAME:
            self.metrics_server.forget()
        if not self.supervisor.stop(server):
            self.screen.say(
                f'{server.name} did not end within '
                f'{server.stop_seconds:.0f} s and was killed')

    def _kill_containers(self, dockerd: str) -> None:
        """dockerd would wait for those that do not heed SIGTERM."""
        for host in hosts.names(self.where):
            if hosts.named('dockerd', host) != dockerd:
                continue
            docker = hosts.docker(self.where, host)
            if servers.http_health(docker, '/_ping')():
                return
            for row in docker.must('GET', '/containers/json').json():
                docker.call('POST', f'/containers/{row["Id"]}/kill')

    def wipe(self) -> None:
        """End everything and forget it: data, keys, logs."""
        self.down()
        shutil.rmtree(self.where.state, ignore_errors=True)
        if self.where.state.exists():
            raise errors.DevcloudError(
                f'{self.where.state} could not be removed')


def start_order(steps: Iterable[progress.Step]) -> dict[str, set[str]]:
    """For each step the names of all that must be done before it."""
    direct = {step.name: set(step.after) for step in steps}
    found: dict[str, set[str]] = {}

    def before(name: str) -> set[str]:
        if name not in found:
            found[name] = set()
            for other in direct.get(name, ()):
                found[name] |= {other} | before(other)
        return found[name]

    for name in direct:
        before(name)
    return found


def need_root() -> None:
    """The cloud runs dockerd and makes bridges.

    :raises errors.DevcloudError: not root
    """
    if os.geteuid() != 0:
        raise errors.DevcloudError('the devcloud has to run as root')
