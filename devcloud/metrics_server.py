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
"""metrics-server: a real one, for `kubectl top` and autoscalers.

Not a part of `up`: to build it takes minutes, once, and who does not need it
need not wait. It runs as a process beside the API server, which passes the
requests for metrics.k8s.io on to it. It reads kubelets as any user does whom
a certificate names, with the rights of its own manifests.
"""

from collections.abc import Mapping
import contextlib
import os
from pathlib import Path
from typing import Any

from devcloud import binaries
from devcloud import commands
from devcloud import control_plane
from devcloud import once
from devcloud import paths
from devcloud import pki
from devcloud import servers
from devcloud import settings
from devcloud import web

NAME = 'metrics-server'
MODULE = paths.CHECKOUT / 'devcloud' / NAME
VERSION = '0.9.0'
PACKAGE = 'sigs.k8s.io/metrics-server/cmd/metrics-server'
NAMESPACE = 'kube-system'
API = 'v1beta1.metrics.k8s.io'
# Seconds between two looks at each node; it allows no less. And for a look,
# which has to be less
RESOLUTION, PATIENCE = 10, 8

_RBAC = 'rbac.authorization.k8s.io'
_REGISTERED = f'/apis/apiregistration.k8s.io/v1/apiservices/{API}'


class MetricsServer:
    """Builds, starts and stops the one of a cloud."""

    def __init__(self, where: paths.Paths, keys: pki.Pki,
                 runner: commands.Commands, supervisor: servers.Supervisor,
                 environ: Mapping[str, str] = os.environ):
        self._where = where
        self._keys = keys
        self._run = runner
        self._supervisor = supervisor
        self._binaries = binaries.Binaries(where, runner, environ)
        self.program = where.cache / 'kubernetes' / f'{NAME}-{VERSION}'
        self.log = where.cache / 'log' / f'{NAME}-build.log'

    def server(self) -> servers.Server:
        """It as one of the servers."""
        kubeconfig = self._keys.kubeconfig(NAME)
        return servers.Server(
            NAME,
            (str(self.program), f'--kubeconfig={kubeconfig}',
             f'--authentication-kubeconfig={kubeconfig}',
             f'--authorization-kubeconfig={kubeconfig}',
             f'--bind-address={settings.HOST}',
             f'--secure-port={settings.PORTS[NAME]}',
             f'--tls-cert-file={self._keys.crt(NAME)}',
             f'--tls-private-key-file={self._keys.key(NAME)}',
             f'--kubelet-certificate-authority={self._keys.crt("ca")}',
             '--kubelet-preferred-address-types=InternalIP',
             '--kubelet-use-node-status-port',
             f'--metric-resolution={RESOLUTION}s',
             f'--kubelet-request-timeout={PATIENCE}s'),
            servers.http_health(lambda: web.Peer(
                settings.url(NAME, scheme='https'), tls=self._keys.tls()),
                '/livez'),
            after=('kube-apiserver',), ports=(NAME,), stop_seconds=5)

    def ensure(self) -> Path:
        """The program, built if need be.

        :raises errors.DevcloudError: no Go, or the build failed
        """
        once.build(self.program, self.log, self.program.exists, self._build)
        return self.program

    def _build(self, new: Path) -> None:
        # There is no hurry, and others work on the machine
        self._run.run(
            ('nice', '-n', '19', self._binaries.go(), 'build', '-v',
             '-mod=readonly', '-trimpath', '-ldflags', '-s -w', '-o',
             new, PACKAGE), self.log, cwd=MODULE,
            env=binaries.BUILD_ENVIRONMENT)

    def start(self) -> None:
        """Have it run and be registered; it may be repeated."""
        self.ensure()
        # A cloud of before has no identity for it
        self._keys.make()
        api = control_plane.api(self._keys)
        for path, body in objects(pki.encoded(self._keys.crt('ca'))):
            if api.call('GET', f'{path}/{name_of(body)}').status == 404:
                api.must('POST', path, body)
        self._supervisor.start(self.server())

    def stop(self) -> bool:
        """End it; True if it ended by itself in time."""
        self.forget()
        return self._supervisor.stop(self.server())

    def forget(self) -> None:
        """Have the API server ask it no more.

        While one is registered that does not answer, no namespace can be
        deleted.
        """
        # Where nobody hears it, `up` does it once more
        with contextlib.suppress(*web.UNREACHABLE):
            control_plane.api(self._keys).call('DELETE', _REGISTERED,
                                               timeout=5)

    def forget_if_down(self) -> None:
        """Do so where it ended without us."""
        if self._supervisor.processes.pid(NAME) is None:
            self.forget()


def name_of(body: Mapping[str, Any]) -> str:
    return body['metadata']['name']


def objects(ca: str) -> list[tuple[str, dict[str, Any]]]:
    """What it needs in Kubernetes: the path of each kind, and the object.

    :param ca: the authority of its certificate, in base64
    """
    return [*_rights(), *_registration(ca)]


def _rights() -> list[tuple[str, dict[str, Any]]]:
    rules = [
        {'apiGroups': [''], 'resources': ['nodes/metrics'],
         'verbs': ['get']},
        {'apiGroups': [''], 'resources': ['pods', 'nodes'],
         'verbs': ['get', 'list', 'watch']}]
    role = {'apiVersion': f'{_RBAC}/v1', 'kind': 'ClusterRole',
            'metadata': {'name': f'devcloud:{NAME}'}, 'rules': rules}
    everywhere = f'/apis/{_RBAC}/v1/clusterrolebindings'
    return [
        (f'/apis/{_RBAC}/v1/clusterroles', role),
        (everywhere, _binding('ClusterRole', name_of(role))),
        (everywhere, _binding('ClusterRole', 'system:auth-delegator')),
        (f'/apis/{_RBAC}/v1/namespaces/{NAMESPACE}/rolebindings',
         _binding('Role', 'extension-apiserver-authentication-reader'))]


def _binding(kind: str, role: str) -> dict[str, Any]:
    return {
        'apiVersion': f'{_RBAC}/v1',
        'kind': f'{kind}Binding',
        'metadata': {'name': f'devcloud:{NAME}:{role.rpartition(":")[2]}'},
        'roleRef': {'apiGroup': _RBAC, 'kind': kind, 'name': role},
        'subjects': [{'apiGroup': _RBAC, 'kind': 'User', 'name': NAME}]}


def _registration(ca: str) -> list[tuple[str, dict[str, Any]]]:
    # By a name: endpoints with a loopback address are not allowed
    service = {'apiVersion': 'v1', 'kind': 'Service',
               'metadata': {'name': NAME},
               'spec': {'type': 'ExternalName', 'externalName': 'localhost'}}
    api = {'apiVersion': 'apiregistration.k8s.io/v1', 'kind': 'APIService',
           'metadata': {'name': API},
           'spec': {'group': 'metrics.k8s.io', 'version': 'v1beta1',
                    'groupPriorityMinimum': 100, 'versionPriority': 100,
                    'caBundle': ca,
                    'service': {'name': NAME, 'namespace': NAMESPACE,
                                'port': settings.PORTS[NAME]}}}
    return [(f'/api/v1/namespaces/{NAMESPACE}/services', service),
            (_REGISTERED.rpartition('/')[0], api)]
