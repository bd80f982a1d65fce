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
"""The Kubernetes control plane: etcd, API server, scheduler, controllers."""

from pathlib import Path

from devcloud import errors
from devcloud import paths
from devcloud import pki
from devcloud import servers
from devcloud import settings
from devcloud import web

ETCD = settings.url('etcd', scheme='https')
API = settings.url('kube-apiserver', scheme='https')


def api(keys: pki.Pki, identity: str = 'admin') -> web.Peer:
    """The API server, called as one of the PKI's identities."""
    return web.Peer(API, tls=keys.tls(identity))


def table(where: paths.Paths, keys: pki.Pki,
          binaries: Path) -> list[servers.Server]:
    """The four servers.

    :param binaries: the folder the programs are in
    """
    return [
        _etcd(where, keys, binaries),
        _api_server(where, keys, binaries),
        _controllers(keys, binaries),
        _scheduler(keys, binaries),
    ]


def _etcd(where, keys, binaries) -> servers.Server:
    peer = settings.url('etcd-peer')

    def well() -> web.Peer:
        tls = keys.tls()
        tls.load_verify_locations(keys.crt('etcd-ca'))
        tls.load_cert_chain(keys.crt('etcd-client'), keys.key('etcd-client'))
        return web.Peer(ETCD, tls=tls)

    return servers.Server(
        'etcd',
        (str(binaries / 'etcd'), '--name=devcloud',
         f'--data-dir={where.data / "etcd"}',
         f'--listen-client-urls={ETCD}', f'--advertise-client-urls={ETCD}',
         f'--listen-peer-urls={peer}',
         f'--initial-advertise-peer-urls={peer}',
         f'--initial-cluster=devcloud={peer}',
         '--client-cert-auth', f'--trusted-ca-file={keys.crt("etcd-ca")}',
         f'--cert-file={keys.crt("etcd")}',
         f'--key-file={keys.key("etcd")}', '--log-level=warn'),
        servers.http_health(well, '/health'),
        after=('keys',), ports=('etcd', 'etcd-peer'))


def _api_server(where, keys, binaries) -> servers.Server:
    return servers.Server(
        'kube-apiserver',
        (str(binaries / 'kube-apiserver'),
         f'--bind-address={settings.HOST}',
         f'--secure-port={settings.PORTS["kube-apiserver"]}',
         # There is no address to put into the endpoints of the kubernetes
         # service: a loopback address is not allowed there.
         '--endpoint-reconciler-type=none',
         f'--etcd-servers={ETCD}',
         f'--etcd-cafile={keys.crt("etcd-ca")}',
         f'--etcd-certfile={keys.crt("etcd-client")}',
         f'--etcd-keyfile={keys.key("etcd-client")}',
         f'--client-ca-file={keys.crt("ca")}',
         f'--tls-cert-file={keys.crt("apiserver")}',
         f'--tls-private-key-file={keys.key("apiserver")}',
         '--authorization-mode=Node,RBAC', '--anonymous-auth=false',
         # Whether a host runs such pods is the host's own option
         '--allow-privileged=true',
         '--enable-admission-plugins=NodeRestriction',
         f'--kubelet-certificate-authority={keys.crt("ca")}',
         f'--kubelet-client-certificate={keys.crt("kubelet-client")}',
         f'--kubelet-client-key={keys.key("kubelet-client")}',
         '--kubelet-preferred-address-types=InternalIP,Hostname',
         *_passing_on(keys),
         '--service-account-issuer=https://kubernetes.default.svc',
         f'--service-account-key-file={where.pki / "service-account.pub"}',
         '--service-account-signing-key-file='
         f'{keys.key("service-account")}',
         f'--service-cluster-ip-range={settings.SERVICE_CIDR}'),
        servers.http_health(lambda: api(keys), '/readyz'),
        after=('etcd',), ports=('kube-apiserver',), stop_seconds=5)


def _passing_on(keys: pki.Pki) -> tuple[str, ...]:
    """How other servers know the API server when it passes requests on."""
    return (
        f'--proxy-client-cert-file={keys.crt("front-proxy")}',
        f'--proxy-client-key-file={keys.key("front-proxy")}',
        f'--requestheader-client-ca-file={keys.crt("front-proxy-ca")}',
        '--requestheader-allowed-names=front-proxy',
        '--requestheader-username-headers=X-Remote-User',
        '--requestheader-group-headers=X-Remote-Group',
        '--requestheader-extra-headers-prefix=X-Remote-Extra-')


def _controllers(keys, binaries) -> servers.Server:
    name = 'kube-controller-manager'
    kubeconfig = keys.kubeconfig('controller-manager')
    return servers.Server(
        name,
        (str(binaries / name), f'--bind-address={settings.HOST}',
         f'--secure-port={settings.PORTS[name]}',
         f'--tls-cert-file={keys.crt("controller-manager")}',
         f'--tls-private-key-file={keys.key("controller-manager")}',
         f'--kubeconfig={kubeconfig}',
         f'--authentication-kubeconfig={kubeconfig}',
         f'--authorization-kubeconfig={kubeconfig}',
         '--leader-elect=false', '--use-service-account-credentials',
         f'--root-ca-file={keys.crt("ca")}',
         '--service-account-private-key-file='
         f'{keys.key("service-account")}',
         f'--cluster-signing-cert-file={keys.crt("ca")}',
         f'--cluster-signing-key-file={keys.key("ca")}'),
        servers.http_health(lambda: _peer(name, keys), '/healthz'),
        after=('kube-apiserver',), ports=(name,), stop_seconds=3)


def _scheduler(keys, binaries) -> servers.Server:
    name = 'kube-scheduler'
    kubeconfig = keys.kubeconfig('scheduler')
    return servers.Server(
        name,
        (str(binaries / name), f'--bind-address={settings.HOST}',
         f'--secure-port={settings.PORTS[name]}',
         f'--tls-cert-file={keys.crt("scheduler")}',
         f'--tls-private-key-file={keys.key("scheduler")}',
         f'--kubeconfig={kubeconfig}',
         f'--authentication-kubeconfig={kubeconfig}',
         f'--authorization-kubeconfig={kubeconfig}',
         '--leader-elect=false'),
        servers.http_health(lambda: _peer(name, keys), '/healthz'),
        after=('kube-apiserver',), ports=(name,), stop_seconds=3)


def _peer(name: str, keys: pki.Pki) -> web.Peer:
    return web.Peer(settings.url(name, scheme='https'), tls=keys.tls())


def can_run_pods(keys: pki.Pki) -> str:
    """'' once pods can be made: they need the default service account."""
    try:
        reply = api(keys).call(
            'GET', '/api/v1/namespaces/default/serviceaccounts/default')
    except web.UNREACHABLE as error:
        return f'no answer ({type(error).__name__})'
    if reply.status in (401, 403):
        raise errors.DevcloudError(
            'the API server refuses the admin certificate')
    return '' if reply.ok else 'no default service account yet'
