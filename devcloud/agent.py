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
"""The agent under test: its configuration, its identity, its process.

It is a real process with credentials of its own: the Keystone user zun-vk
and the Kubernetes user zun-vk-agent, whose rights are the checkout's RBAC
manifests and nothing more. What it does for its node it does as the node, by
a certificate that kube-controller-manager signs.
"""

from collections.abc import Sequence
from pathlib import Path

from devcloud import capsule_driver
from devcloud import commands
from devcloud import control_plane
from devcloud import errors
from devcloud import identity
from devcloud import infrastructure
from devcloud import openstack
from devcloud import paths
from devcloud import pki
from devcloud import seed
from devcloud import servers
from devcloud import settings
from devcloud import web
from devcloud import worker

NAME = 'agent'


def configuration(where: paths.Paths, keys: pki.Pki,
                  project: str) -> dict[str, dict]:
    """zun-vk.conf.

    :param project: ID of the Keystone project that capsules run in
    """
    cloud = openstack.credentials(where, 'zun-vk')
    runtime = ('compute' if capsule_driver.chosen(where) == 'zun_vk'
               else 'rest')
    address = settings.node_address()
    return {
        'DEFAULT': {'transport_url': infrastructure.transport_url(where)},
        'oslo_messaging_rabbit': infrastructure.QUEUES,
        'pods': {'capsule_runtime': runtime},
        'agent': {'state_path': where.data / 'agent'},
        'kubernetes': {'kubeconfig': keys.kubeconfig('agent')},
        'kubelet_api': {'port': settings.PORTS['kubelet'],
                        'address': address,
                        'client_ca_file': keys.crt('ca')},
        'node': {'name': settings.NODE, 'address': address},
        'tenants': {'default_project': project},
        'zun': cloud,
        'placement': cloud,
        'neutron': cloud,
    }


def node_ready(keys: pki.Pki) -> str:
    """'' when the API server shows the agent's node as Ready."""
    try:
        reply = control_plane.api(keys).call(
            'GET', f'/api/v1/nodes/{settings.NODE}', timeout=5)
    except web.UNREACHABLE as error:
        return f'no answer of the API server ({type(error).__name__})'
    if not reply.ok:
        return 'no node'
    for condition in reply.json().get('status', {}).get('conditions', []):
        if condition['type'] == 'Ready' and condition['status'] != 'True':
            return f'node not ready: {condition.get("reason", "")}'
    return ''


class Agent:
    """Starts and stops the agent of one cloud."""

    def __init__(self, where: paths.Paths, keys: pki.Pki,
                 runner: commands.Commands, supervisor: servers.Supervisor,
                 kubectl: Path):
        self._where = where
        self._keys = keys
        self._run = runner
        self._supervisor = supervisor
        self._kubectl = kubectl

    def server(self, extra: Sequence[Path] = ()) -> servers.Server:
        """The agent as one of the servers; health is the node's."""
        files = [self._where.etc / 'zun-vk.conf', *extra]
        return servers.Server(
            NAME,
            (str(worker.programs(self._where) / 'zun-vk-agent'),
             *(f'--config-file={path}' for path in files)),
            lambda: node_ready(self._keys),
            after=('zun-api', 'placement', 'neutron', 'kube-apiserver'),
            seconds=60, stop_seconds=12, notifies=True)

    def prepare(self) -> None:
        """Its environment, configuration and rights."""
        log = self._where.log('agent-prepare')
        if not (worker.programs(self._where) / 'zun-vk-agent').exists():
            worker.prepare(self._where, self._run)
        tenant = seed.tenant(identity.OpenStack(self._where, 'demo'))
        paths.write_private(
            self._where.etc / 'zun-vk.conf',
            settings.ini(configuration(self._where, self._keys, tenant)))
        manifests = self._where.checkout / 'etc' / 'kubernetes'
        if any(manifests.glob('*.yaml')):
            self._run.run(
                (self._kubectl, 'apply', '--kubeconfig',
                 self._keys.kubeconfig('admin'), '-f', manifests), log)

    def start(self, extra: Sequence[Path] = ()) -> bool:
        """Start it and wait until it says that it is ready.

        :param extra: configuration files after the generated one
        :returns: False if it ran already
        :raises errors.DevcloudError: it ended or did not become ready
        """
        if self._supervisor.processes.pid(NAME) is not None:
            return False
        for path in extra:
            if not path.is_file():
                raise errors.DevcloudError(f'{path} is not a file')
        self.prepare()
        self._supervisor.start(self.server(extra))
        return True

    def stop(self) -> bool:
        """End it; True if it ended by itself in time."""
        return self._supervisor.stop(self.server())
