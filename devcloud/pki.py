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
"""Keys, certificates and kubeconfigs of the Kubernetes control plane.

Three authorities: one for Kubernetes; one for etcd alone, so that no
Kubernetes client certificate opens the database; one for the API server as it
passes requests on to others, for whoever has its certificate may say who
asks. Made once by openssl; every file is readable by its owner only.
"""

import base64
from dataclasses import dataclass
import json
from pathlib import Path
import secrets
import ssl

from devcloud import commands
from devcloud import errors
from devcloud import paths
from devcloud import settings

DAYS = '3650'
EC = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes')


@dataclass(frozen=True)
class Identity:
    """Whom a certificate names.

    :param subject: as openssl writes it
    :param ca: which authority signs
    :param names: subjectAltName, for servers
    """

    name: str
    subject: str
    ca: str = 'ca'
    names: str = ''


LOCAL = f'IP:{settings.HOST},DNS:localhost'
IDENTITIES = (
    Identity('apiserver', '/CN=kube-apiserver',
             names=f'{LOCAL},IP:10.96.0.1,DNS:kubernetes,'
                   'DNS:kubernetes.default,DNS:kubernetes.default.svc'),
    Identity('controller-manager', '/CN=system:kube-controller-manager',
             names=LOCAL),
    Identity('scheduler', '/CN=system:kube-scheduler', names=LOCAL),
    Identity('kubelet-client',
             '/O=system:masters/CN=kube-apiserver-kubelet-client'),
    Identity('admin', '/O=system:masters/CN=devcloud-admin'),
    Identity('agent', '/O=zun-vk/CN=zun-vk-agent'),
    Identity('metrics-server', '/CN=metrics-server',
             names=f'{LOCAL},DNS:metrics-server.kube-system.svc'),
    Identity('front-proxy', '/CN=front-proxy', 'front-proxy-ca'),
    Identity('etcd', '/CN=etcd', 'etcd-ca', LOCAL),
    Identity('etcd-client', '/CN=kube-apiserver', 'etcd-ca'),
)
KUBECONFIGS = ('admin', 'agent', 'controller-manager', 'metrics-server',
               'scheduler')


class Pki:
    """The files under pki/ of one cloud."""

    def __init__(self, where: paths.Paths, runner: commands.Commands):
        self._where = where
        self._run = runner
        self._log = where.log('pki')

    def crt(self, name: str) -> str:
        return str(self._where.pki / f'{name}.crt')

    def key(self, name: str) -> str:
        return str(self._where.pki / f'{name}.key')

    def kubeconfig(self, name: str) -> Path:
        return self._where.etc / f'{name}.kubeconfig'

    def make(self) -> None:
        """Make whatever is missing."""
        for name in ('ca', 'etcd-ca', 'front-proxy-ca'):
            self._authority(name)
        for identity in IDENTITIES:
            self._certificate(identity)
        self._service_account_key()
        for name in KUBECONFIGS:
            paths.write_private(self.kubeconfig(name), self._render(name))

    def tls(self, name: str = '') -> ssl.SSLContext:
        """To call the control plane with, as one of the identities."""
        context = ssl.create_default_context(cafile=self.crt('ca'))
        if name:
            context.load_cert_chain(self.crt(name), self.key(name))
        return context

    def _authority(self, name: str) -> None:
        if Path(self.crt(name)).exists():
            return
        new = self.crt(f'new-{name}')
        self._run.run(
            ('openssl', 'req', '-x509', *EC, '-keyout', self.key(name),
             '-out', new, '-subj', f'/CN=zun-vk-devcloud-{name}',
             '-days', DAYS, '-addext',
             'keyUsage=critical,digitalSignature,keyCertSign,cRLSign'),
            self._log)
        Path(new).rename(self.crt(name))

    def _certificate(self, identity: Identity) -> None:
        if Path(self.crt(identity.name)).exists():
            return
        request = str(self._where.pki / f'{identity.name}.csr')
        extensions = self._where.pki / f'{identity.name}.ext'
        usage = 'clientAuth'
        lines = ['keyUsage=critical,digitalSignature',
                 'subjectKeyIdentifier=hash',
                 'authorityKeyIdentifier=keyid']
        if identity.names:
            usage = 'serverAuth,clientAuth'
            lines.append(f'subjectAltName={identity.names}')
        lines.append(f'extendedKeyUsage={usage}')
        extensions.write_text('\n'.join(lines) + '\n')
        self._run.run(
            ('openssl', 'req', '-new', *EC, '-keyout',
             self.key(identity.name), '-out', request,
             '-subj', identity.subject), self._log)
        new = self.crt(f'new-{identity.name}')
        self._run.run(
            ('openssl', 'x509', '-req', '-in', request, '-out', new,
             '-CA', self.crt(identity.ca), '-CAkey', self.key(identity.ca),
             '-set_serial', f'0x{secrets.token_hex(16)}', '-days', DAYS,
             '-extfile', extensions), self._log)
        Path(new).rename(self.crt(identity.name))

    def _service_account_key(self) -> None:
        public = self._where.pki / 'service-account.pub'
        if public.exists():
            return
        self._run.run(
            ('openssl', 'ecparam', '-genkey', '-noout', '-name',
             'prime256v1', '-out', self.key('service-account')), self._log)
        self._run.run(
            ('openssl', 'ec', '-in', self.key('service-account'), '-pubout',
             '-out', public), self._log)

    def _render(self, name: str) -> str:
        # JSON is YAML: no library is needed
        return json.dumps({
            'apiVersion': 'v1',
            'kind': 'Config',
            'clusters': [{'name': 'devcloud', 'cluster': {
                'server': settings.url('kube-apiserver', scheme='https'),
                'certificate-authority-data': encoded(self.crt('ca'))}}],
            'users': [{'name': name, 'user': {
                'client-certificate-data': encoded(self.crt(name)),
                'client-key-data': encoded(self.key(name))}}],
            'contexts': [{'name': 'devcloud', 'context': {
                'cluster': 'devcloud', 'user': name}}],
            'current-context': 'devcloud',
        }, indent=1)


def encoded(path: str) -> str:
    """A file in base64, as kubeconfigs carry it."""
    return base64.b64encode(Path(path).read_bytes()).decode()


def decoded(text: str) -> bytes:
    """What stands in base64 in an object of Kubernetes.

    :raises errors.DevcloudError: that is none
    """
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise errors.DevcloudError('it is no base64') from None
