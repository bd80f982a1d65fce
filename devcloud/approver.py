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
"""Approves the certificates that nodes serve with.

Kubernetes leaves those of kubernetes.io/kubelet-serving to an admin, or to a
program such as this one: it approves what a node asked for itself, for no
other addresses than those of its Node. Whatever else there is stays as it
is, and is told of once.

>>> python -m devcloud.approver CA CERTIFICATE KEY
"""

from collections.abc import Mapping
from dataclasses import dataclass
import ipaddress
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
from typing import Any
import urllib.parse

from devcloud import errors
from devcloud import paths
from devcloud import pki
from devcloud import servers
from devcloud import settings
from devcloud import web

NAME = 'csr-approver'
SIGNER = 'kubernetes.io/kubelet-serving'
USAGES = {'digital signature', 'key encipherment', 'server auth'}
REQUESTS = '/apis/certificates.k8s.io/v1/certificatesigningrequests'
_OURS = urllib.parse.urlencode({'fieldSelector': f'spec.signerName={SIGNER}'})
_SUBJECT = re.compile(r'^ *Subject: ?(.*)$', re.MULTILINE)
_NAMES = re.compile(r'Subject Alternative Name:[^\n]*\n *([^\n]+)')
# Seconds that a watch lasts; the short one where a Node is waited for
_WATCH = 60
_SOON = 1


@dataclass(frozen=True)
class Request:
    """What a signing request asks for.

    :ivar subject: as RFC 2253 writes it
    :ivar names: ``DNS:name``, ``IP Address:address`` and the like
    """

    subject: str
    names: tuple[str, ...]


def server(keys: pki.Pki) -> servers.Server:
    """It as one of the cloud's servers."""
    return servers.Server(
        NAME,
        (sys.executable, '-m', 'devcloud.approver', keys.crt('ca'),
         keys.crt('admin'), keys.key('admin')),
        lambda: '', after=('kube-apiserver',), stop_seconds=3, notifies=True,
        env={'PYTHONPATH': str(paths.CHECKOUT)})


def read(request: bytes) -> Request:
    """Return what a request, PEM, asks for.

    :raises errors.DevcloudError: it cannot be read
    """
    done = subprocess.run(
        ('openssl', 'req', '-noout', '-text', '-nameopt', 'RFC2253',
         '-reqopt', 'no_pubkey,no_sigdump'), input=request,
        capture_output=True, timeout=10)
    text = done.stdout.decode(errors='replace')
    subject = _SUBJECT.search(text)
    if done.returncode or not subject:
        raise errors.DevcloudError('it is no signing request')
    names = _NAMES.search(text)
    return Request(subject[1].strip(), tuple(
        names[1].strip().split(', ') if names else ()))


def objection(spec: Mapping[str, Any], asked: Request) -> str:
    """Why this is never approved; '' if nothing is against it."""
    user = spec.get('username', '')
    if not user.startswith('system:node:') or \
            'system:nodes' not in spec.get('groups', ()):
        return f'{user!r} is not a node'
    if asked.subject != f'CN={user},O=system:nodes':
        return f'{user} asks to be {asked.subject!r}'
    if not set(spec.get('usages', ())) <= USAGES:
        return f'it is for {spec["usages"]}'
    if not asked.names:
        return 'it has no address'
    return ''


def foreign(node: Mapping[str, Any], asked: Request) -> list[str]:
    """The names asked for that are not the node's."""
    own = set()
    for each in node.get('status', {}).get('addresses', ()):
        kind = 'IP Address' if each['type'].endswith('IP') else 'DNS'
        own.add(f'{kind}:{each["address"]}')
    return [name for name in asked.names if _plain(name) not in own]


def _plain(name: str) -> str:
    """A name as a Node's status has it."""
    kind, _, value = name.partition(':')
    if kind == 'IP Address':
        try:
            return f'{kind}:{ipaddress.ip_address(value)}'
        except ValueError:
            pass
    return name


class Approver:
    """Approves what is to be approved.

    :param api: the API server, called as one who may
    """

    def __init__(self, api: web.Peer):
        self._api = api
        self._told: set[tuple[str, str]] = set()

    def look(self) -> tuple[str, bool]:
        """Approve what there is.

        :returns: the version of what was seen, and whether something waits
            for its Node
        """
        found = self._api.must('GET', f'{REQUESTS}?{_OURS}').json()
        waits = [self._judge(each) for each in found['items']
                 if not each.get('status', {}).get('conditions')]
        return found['metadata']['resourceVersion'], any(waits)

    def wait(self, version: str, seconds: int) -> None:
        """Wait until something has changed since a version, or so long."""
        query = urllib.parse.urlencode({
            'watch': 'true', 'resourceVersion': version,
            'timeoutSeconds': seconds})
        self._api.first_line(f'{REQUESTS}?{_OURS}&{query}', seconds + 10)

    def _judge(self, found: dict) -> bool:
        """Approve one; True if it has to wait."""
        spec, name = found['spec'], found['metadata']['name']
        try:
            asked = read(pki.decoded(spec['request']))
            why = objection(spec, asked)
        except errors.DevcloudError as error:
            why = str(error)
        if why:
            self._tell(name, why)
            return False
        node = spec['username'].removeprefix('system:node:')
        answer = self._api.call(
            'GET', f'/api/v1/nodes/{urllib.parse.quote(node, safe="")}')
        strange = foreign(answer.json() if answer.ok else {}, asked)
        if strange:
            self._tell(name, f'{strange} are not addresses of {node}')
            return True
        self._approve(found, node)
        return False

    def _approve(self, found: dict, node: str) -> None:
        found.setdefault('status', {})['conditions'] = [{
            'type': 'Approved', 'status': 'True', 'reason': 'OwnAddresses',
            'message': 'A node asked for its own addresses.'}]
        name = found['metadata']['name']
        answer = self._api.call('PUT', f'{REQUESTS}/{name}/approval', found)
        self._tell(name, f'of {node}: HTTP {answer.status}')

    def _tell(self, name: str, words: str) -> None:
        if (name, words) not in self._told:
            self._told.add((name, words))
            print(f'{name}: {words}', flush=True)


def notify(word: bytes) -> None:
    """Tell who started us."""
    path = os.environ.get('NOTIFY_SOCKET')
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
            ours.sendto(word, path)


def main(ca: str, certificate: str, key: str) -> None:
    """Approve until the end of the process."""
    tls = ssl.create_default_context(cafile=ca)
    tls.load_cert_chain(certificate, key)
    approver = Approver(web.Peer(
        settings.url('kube-apiserver', scheme='https'), tls=tls))
    pace = threading.Event()    # never set
    notify(servers.READY)
    while True:
        try:
            version, waits = approver.look()
            approver.wait(version, _SOON if waits else _WATCH)
        except (errors.DevcloudError, *web.UNREACHABLE) as error:
            print(error, flush=True)
            pace.wait(_SOON)


if __name__ == '__main__':
    main(*sys.argv[1:])
