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
"""How the sandboxes of a host's containerd get their network.

containerd runs a CNI plugin: the project's, which asks the host's
zun-vk-compute, or Zun's own, which asks the host's zun-cni-daemon. Either
plugs what zun-compute noted down in the capsule's record.
"""

import hashlib
import json
from pathlib import Path

from devcloud import capsule_driver
from devcloud import containerd
from devcloud import hosts
from devcloud import openstack
from devcloud import paths
from devcloud import servers
from devcloud import settings
from devcloud import web
from devcloud import worker

LOOPBACK = Path('/usr/lib/cni/loopback')


def address(host: str) -> str:
    """Where the host's daemon listens: all on one port.

    The whole of 127.0.0.0/8 is this machine's.
    """
    digest = hashlib.sha256(host.encode()).digest()
    return f'127.77.{digest[0]}.{digest[1]}'


def netloc(host: str) -> str:
    return f'{address(host)}:{settings.PORTS["zun-cni-daemon"]}'


def options(where: paths.Paths, host: str) -> dict[str, object]:
    """The section cni_daemon of zun.conf."""
    return {'cni_daemon_host': address(host),
            'cni_daemon_port': settings.PORTS['zun-cni-daemon'],
            'zun_cni_config_file': plugin_configuration(where, host),
            # Processes at a time; one serves one request
            'worker_num': 8}


def plugin_configuration(where: paths.Paths, host: str) -> Path:
    return containerd.cni(where, host) / '10-zun-cni.conf'


def link_programs(where: paths.Paths, venv: Path) -> None:
    """Where containerd looks for CNI programs."""
    folder = containerd.cni(where)
    folder.mkdir(parents=True, exist_ok=True)
    for program in (LOOPBACK, venv / 'bin' / 'zun-cni',
                    worker.programs(where) / 'zun-vk-cni'):
        paths.link(folder / program.name, program)


def write_configuration(where: paths.Paths, host: str,
                        zun_conf: Path) -> None:
    """What containerd reads about its network."""
    path = plugin_configuration(where, host)
    path.parent.mkdir(parents=True, exist_ok=True)
    network = {'cniVersion': '0.3.1', 'name': 'zun'}
    if capsule_driver.on(where, host) == 'zun_vk':
        network.update(type='zun-vk-cni',
                       socket=str(worker.state(where, host) / 'cni.sock'))
    else:
        network.update(type='zun-cni', zun_conf=str(zun_conf))
    paths.write_private(path, json.dumps(network))


def daemon(where: paths.Paths, venv: Path, host: str,
           zun_conf: Path) -> servers.Server:
    peer = web.Peer(f'http://{netloc(host)}')
    return servers.Server(
        hosts.named('zun-cni-daemon', host),
        (str(venv / 'bin' / 'python'), '-m', 'devcloud_drivers.cni_daemon',
         f'--config-file={zun_conf}'),
        # It has no page of its own: this is how it says so
        servers.http_health(peer, '/', (404,)),
        after=('mariadb', 'neutron', 'accounts', 'zun tables'),
        env={'PYTHONPATH': str(openstack.DRIVERS),
             'DEVCLOUD_BRIDGE_PREFIX': hosts.bridge_prefix(where.ident)})
