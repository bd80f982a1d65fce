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
"""A cluster that signs: CertificateSigningRequests over HTTP.

The rules are Kubernetes': a name is taken once, the request's subject and
usages must fit its signer, and what was decided stays decided.
"""

import base64
import datetime
import pathlib
import threading

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.oid import NameOID
import fixtures

from zun_vk.tests.fixtures import pki
from zun_vk.tests.fixtures.openstack import http
from zun_vk.tests.unit.kube import api

PATH = '/apis/certificates.k8s.io/v1/certificatesigningrequests'
SIGNERS = {
    'kubernetes.io/kube-apiserver-client-kubelet':
        ({'digital signature', 'client auth'},
         ExtendedKeyUsageOID.CLIENT_AUTH),
    'kubernetes.io/kubelet-serving':
        ({'digital signature', 'server auth'},
         ExtendedKeyUsageOID.SERVER_AUTH)}


class Signer(api.Api):
    """Signs what it is asked to.

    ``decision``: what becomes of new requests: 'sign', 'wait', 'Denied' or
    'Failed'. ``begin``, ``life``: of a certificate, from now. ``refused``:
    bearer tokens that are answered with 403.
    """

    def __init__(self, lock, directory):
        super().__init__(lock)
        self.authority = pki.Authority(pathlib.Path(directory))
        self.decision = 'sign'
        self.begin = -pki.HOUR
        self.life = pki.DAY
        self.refused = set()
        self.known = {}
        self.asked_by = []

    def answer(self, request):
        self.seen.append(request)
        fault = self._take_fault(request)
        if fault is not None:
            return None if fault.drop else http.Response(fault.status, {})
        if _token(request) in self.refused:
            return _failure(403, 'forbidden')
        if not request.path.startswith(PATH):
            return _failure(404, 'not found')
        if request.method == 'POST':
            return self._create(request)
        found = self.known.get(request.path.rpartition('/')[2])
        return (http.Response(200, found) if found
                else _failure(404, 'not found'))

    def decide(self, decision):
        """Decide on the requests that wait, and on those to come."""
        self.decision = decision
        for request in self.known.values():
            if not request['status']:
                self._decide(request)

    def _create(self, request):
        body = request.json
        name = body['metadata']['name']
        if name in self.known:
            return _failure(409, 'exists')
        self.asked_by.append(_token(request))
        _check(body['spec'])
        self.known[name] = body | {'status': {}}
        self._decide(self.known[name])
        return http.Response(201, self.known[name])

    def _decide(self, request):
        if self.decision == 'sign':
            now = datetime.datetime.now(datetime.UTC)
            pem = self.authority.sign(
                base64.b64decode(request['spec']['request']),
                SIGNERS[request['spec']['signerName']][1],
                now + self.begin, now + self.life)
            request['status'] = {
                'conditions': [{'type': 'Approved', 'status': 'True'}],
                'certificate': base64.b64encode(pem).decode()}
        elif self.decision != 'wait':
            request['status'] = {'conditions': [{
                'type': self.decision, 'status': 'True',
                'message': 'not today'}]}


def _check(spec):
    asked = x509.load_pem_x509_csr(base64.b64decode(spec['request']))
    group, = asked.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    name, = asked.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    usages, _purpose = SIGNERS[spec['signerName']]
    assert asked.is_signature_valid
    assert set(spec['usages']) == usages
    assert group.value == 'system:nodes'
    assert name.value.startswith('system:node:')
    assert bool(len(asked.extensions)) == (
        spec['signerName'] == 'kubernetes.io/kubelet-serving')


def _failure(status, message):
    return http.Response(status, {'kind': 'Status', 'message': message})


class SignerFixture(fixtures.Fixture):
    """A Signer that runs, and ``folder``, a directory of the test's own."""

    def _setUp(self):
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.signer = Signer(threading.RLock(), self.folder)
        self.signer.start()
        self.addCleanup(self.signer.stop)


def _token(request):
    """Return the bearer token, '' for who calls by certificate."""
    return request.headers.get('Authorization', '').partition(' ')[2]
