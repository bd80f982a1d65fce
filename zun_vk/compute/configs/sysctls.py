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
"""The kernel parameters that a pod may set.

Kubernetes: Using sysctls in a Kubernetes Cluster, safe ones as of 1.36.
Each is the pod's own: it lives in the pod's network or IPC namespace.
"""

from collections.abc import Mapping

from zun_vk import exceptions

FORBIDDEN = 'SysctlForbidden'
SAFE = frozenset((
    'kernel.shm_rmid_forced',
    'net.ipv4.ip_local_port_range',
    'net.ipv4.ip_local_reserved_ports',
    'net.ipv4.ip_unprivileged_port_start',
    'net.ipv4.ping_group_range',
    'net.ipv4.tcp_fin_timeout',
    'net.ipv4.tcp_keepalive_intvl',
    'net.ipv4.tcp_keepalive_probes',
    'net.ipv4.tcp_keepalive_time',
    'net.ipv4.tcp_rmem',
    'net.ipv4.tcp_syncookies',
    'net.ipv4.tcp_wmem',
))


def of_pod(security: Mapping) -> dict[str, str]:
    """Return the sysctls of a pod's security context by name.

    :raises ConfigRefused: SysctlForbidden; such a pod never runs
    """
    made = {}
    for sysctl in security.get('sysctls') or ():
        name = _dotted(sysctl['name'])
        if name not in SAFE:
            raise exceptions.ConfigRefused(
                FORBIDDEN,
                f'forbidden sysctl: "{sysctl["name"]}" not allowlisted')
        made[name] = sysctl['value']
    return made


def _dotted(name: str) -> str:
    """Return a name in its dotted form; net/ipv4/x is net.ipv4.x.

    sysctl.d(5): what separates first is the separator. A dot after a slash
    is part of a name and must not become a separator: no safe name has one.
    """
    first = name.replace('.', '/').find('/')
    if first >= 0 and name[first] == '/':
        return name.translate(str.maketrans('/.', './'))
    return name
