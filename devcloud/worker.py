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
"""A host's zun-vk-compute: the checkout's, from the checkout's .venv."""

from pathlib import Path

from devcloud import commands
from devcloud import containerd
from devcloud import hosts
from devcloud import infrastructure
from devcloud import openstack
from devcloud import paths
from devcloud import servers
from devcloud import settings

NAME = 'zun-vk-compute'
PIDS = 1024


def programs(where: paths.Paths) -> Path:
    """Where the checkout's own programs are."""
    return where.checkout / '.venv' / 'bin'


def prepare(where: paths.Paths, runner: commands.Commands) -> None:
    """Have the checkout's environment; quick where it is up to date."""
    runner.run((where.checkout / 'tools' / 'venv',),
               where.log('zun-vk-venv'))


def path(where: paths.Paths, host: str) -> Path:
    return where.etc / f'{NAME}-{host}.conf'


def configuration(where: paths.Paths, host: str) -> dict[str, dict]:
    """zun-vk-compute.conf.

    What has to go with a reboot is under /run, which is a tmpfs: so it may
    hold secrets.
    """
    pods, logs = kept(where, host)
    return {
        'DEFAULT': {'transport_url': infrastructure.transport_url(where)},
        'oslo_messaging_rabbit': infrastructure.QUEUES,
        'compute': {
            'host': host,
            'runtime_endpoint': containerd.endpoint(where, host),
            'pod_root': pods,
            'log_root': logs,
            'run_root': state(where, host),
            'cgroup_parent': f'/{hosts.cgroup(where)}',
            # The machine is all hosts: no pod may take all of it.
            'pids_limit': PIDS,
            # All hosts are this machine: each has a port of its own, which
            # it tells.
            'stream_address': '127.0.0.1',
            'stream_port': 0,
        },
    }


def state(where: paths.Paths, host: str) -> Path:
    return where.run / f'{NAME}-{host}'


def kept(where: paths.Paths, host: str) -> list[Path]:
    """What outlives a reboot: pods' volumes on disk, and their logs."""
    return [where.data / f'pods-{host}', where.data / f'pod-logs-{host}']


def folders(where: paths.Paths, host: str) -> list[Path]:
    """What pods have mounts in."""
    return [state(where, host), *kept(where, host)]


def write_configuration(where: paths.Paths, host: str) -> None:
    state(where, host).mkdir(mode=0o700, parents=True, exist_ok=True)
    paths.write_private(path(where, host),
                        settings.ini(configuration(where, host)))


def server(where: paths.Paths, host: str) -> servers.Server:
    return servers.Server(
        hosts.named(NAME, host),
        (*hosts.machine(host), str(programs(where) / NAME),
         f'--config-file={path(where, host)}'),
        lambda: containerd.health(where, host),
        after=('zun-vk programs', 'rabbitmq',
               hosts.named('containerd', host)),
        stop_seconds=12, notifies=True,
        # os-vif's plugin of the devcloud is found there.
        env={'PYTHONPATH': str(openstack.DRIVERS)})
