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
"""What is fixed in every cloud: names, addresses, ports; and its passwords.

The ports are the devcloud's own and below the ephemeral range, so that
Debian's services and other people's servers on the machine are not in the
way. Everything listens on the loopback address only, but for the kubelet's
API: the API server passes requests on to no Node that has such an address.
"""

import contextlib
import json
import secrets
import socket

from devcloud import paths

HOST = '127.0.0.1'
REGION = 'RegionOne'
NODE = 'zun-vk'
POD_CIDR = '10.77.0.0/24'
# Far from POD_CIDR; nothing routes it, it only has to be somewhere
SERVICE_CIDR = '10.96.0.0/16'

PORTS = {
    'mariadb': 17306,
    'epmd': 17369,
    'rabbitmq': 17672,
    'rabbitmq-distribution': 17673,
    'registry': 17500,
    'keystone': 17000,
    'placement': 17778,
    'neutron': 17696,
    'zun-api': 17517,
    'zun-cni-daemon': 17036,
    'etcd': 17379,
    'etcd-peer': 17380,
    'kube-apiserver': 17443,
    'kube-controller-manager': 17257,
    'kube-scheduler': 17259,
    'metrics-server': 17444,
    # Of the agent's first node; further ones have the ports after it
    'kubelet': 17800,
}

# Names of what has a password of its own
ACCOUNTS = ('database', 'rabbitmq', 'admin', 'demo', 'placement', 'neutron',
            'zun', 'zun-vk')


def url(server: str, path: str = '', scheme: str = 'http') -> str:
    return f'{scheme}://{HOST}:{PORTS[server]}{path}'


KEYSTONE = url('keystone', '/v3')


def node_address() -> str:
    """The machine's own address, of its default route; HOST without one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, \
            contextlib.suppress(OSError):
        # Nothing is sent
        probe.connect(('192.0.2.1', 9))
        return probe.getsockname()[0]
    return HOST


def passwords(where: paths.Paths) -> dict[str, str]:
    """This cloud's passwords by account, made up on first use."""
    store = where.state / 'passwords.json'
    known = json.loads(store.read_text()) if store.exists() else {}
    missing = [name for name in ACCOUNTS if name not in known]
    if missing:
        known.update({name: secrets.token_hex(16) for name in missing})
        paths.write_private(store, json.dumps(known, indent=1))
    return known


def ini(sections: dict[str, dict[str, object]]) -> str:
    """Render a configuration file for oslo.config.

    A dollar sign is doubled: oslo.config would take it for a reference.
    """
    lines = []
    for section, options in sections.items():
        lines.append(f'[{section}]')
        for name, value in options.items():
            text = str(value).replace('$', '$$')
            if '\n' in text:
                raise ValueError(f'[{section}] {name} has a line break')
            lines.append(f'{name} = {text}')
        lines.append('')
    return '\n'.join(lines)
