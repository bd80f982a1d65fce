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
"""The certificate that makes us a node, and its renewal.

Flows in: what the cluster signs. Flows out: Credentials, anew before they
end. As the kubelet has it: a CertificateSigningRequest, at most one at a
time, polled until someone signs or denies it; renewed at a random point of
70 to 90 % of its life, with the identity that it gives. A certificate that
ended, or that the API server does not believe, is asked for anew with the
identity of the agent.
"""

import base64
import binascii
import datetime
import pathlib
import random
import threading
import time
import typing

from oslo_log import log as logging

from zun_vk import backoff
from zun_vk import exceptions
from zun_vk import health as health_module
from zun_vk import metrics
from zun_vk.kube import client as kube_client
from zun_vk.kube import keypair

LOG = logging.getLogger(__name__)

# Seconds after which a request that nobody signs is a problem.
_PATIENCE = 30.0
# Looks at the clock while it is not yet time: it may jump, or stand still
# with the machine.
_LOOK_INTERVAL = 60.0
_RENEW_FROM, _RENEW_TO = 0.7, 0.9
Connect = typing.Callable[[keypair.Credentials], kube_client.KubeClient]


def wall_clock() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class NodeCertificate:
    """One certificate of one node. One thread at a time may call it.

    :param client: the identity that asks for the first certificate
    :param directory: of all nodes
    :param connect: makes a client of the certificate itself, which then
        renews it; None: ``client`` does (serving certificates)
    :param clock: the present, with a time zone
    :param chance: uniform numbers in [0, 1)
    :raises ConfigError: the directory cannot be used
    """

    def __init__(self, client: kube_client.KubeClient,
                 directory: pathlib.Path, node: str,
                 health: health_module.Health,
                 profile: keypair.Profile = keypair.CLIENT,
                 connect: Connect | None = None, *,
                 clock: typing.Callable[[], datetime.datetime] = wall_clock,
                 chance: typing.Callable[[], float] = random.random):
        self._client = client
        self._node = node
        self._health = health
        self._profile = profile
        self._connect = connect
        self._clock = clock
        self._chance = chance
        self._store = keypair.Store(directory / node, profile.name)
        self._check = f'get the {profile.name} certificate of {node}'
        self._current: keypair.Credentials | None = None
        self._due = datetime.datetime.min.replace(tzinfo=datetime.UTC)

    def ensure(self, stop: threading.Event) -> keypair.Credentials | None:
        """Return the kept pair if it is good, else a new one.

        Blocks until there is one.

        :returns: None if ``stop`` is set
        """
        stored = self._stored()
        if stored is None:
            return self._obtain(stop)
        self._use(stored, stored.not_before)
        return stored

    def run(self, stop: threading.Event,
            on_rotated: typing.Callable[[keypair.Credentials], None]) -> None:
        """Renew the certificate, again and again, until ``stop`` is set.

        :param on_rotated: gets each new pair; new connections must use it
        """
        while not stop.wait(self._pause()):
            if self._pause() > 0:
                continue
            renewed = self._obtain(stop)
            if renewed is not None:
                on_rotated(renewed)

    def _pause(self) -> float:
        left = (self._due - self._clock()).total_seconds()
        return max(0.0, min(left, _LOOK_INTERVAL))

    def _use(self, credentials: keypair.Credentials,
             since: datetime.datetime) -> None:
        self._current = credentials
        self._due = renewal_time(since, credentials.not_after,
                                 self._chance())
        metrics.CERTIFICATE_END.labels(self._node, self._profile.name).set(
            credentials.not_after.timestamp())

    # the pair that is kept

    def _stored(self) -> keypair.Credentials | None:
        path = self._store.current()
        if path is None:
            return None
        try:
            credentials = self._read(path)
        except (OSError, ValueError) as error:
            LOG.warning('%s is not used: it %s', path, error)
            return None
        if credentials.not_after <= self._clock():
            LOG.info('%s has ended', path)
            return None
        return credentials if self._is_believed(credentials) else None

    def _read(self, path: pathlib.Path) -> keypair.Credentials:
        pem = keypair.read_private(path)
        certificate = keypair.checked(pem, keypair.Key.read(pem), self._node,
                                      self._profile)
        return keypair.Credentials(
            str(path), certificate.not_valid_before_utc,
            certificate.not_valid_after_utc)

    def _is_believed(self, credentials: keypair.Credentials) -> bool:
        """Ask the API server: only it knows which authority it trusts."""
        if self._connect is None:
            return True
        try:
            self._connect(credentials).get_node(self._node)
        except exceptions.AccessDenied as error:
            LOG.warning('%s is not used: the API server does not accept it: '
                        '%s', credentials.path, error.message)
            return False
        except exceptions.RemoteError as error:
            # No node yet, or no answer: that is found out by its user.
            LOG.debug('%s: %s', credentials.path, error)
        return True

    # a new one

    def _obtain(self, stop: threading.Event) -> keypair.Credentials | None:
        soon = backoff.Backoff(1.0, 30.0)
        late = backoff.Backoff(60.0, 900.0)
        while not stop.is_set():
            try:
                credentials = self._ask(stop)
            except OSError as error:
                self._failed(exceptions.Unavailable(
                    'disk', f'a key cannot be kept: {error.strerror}'))
                stop.wait(soon.next())
            except exceptions.Rejected as error:
                self._failed(error)
                stop.wait(late.next())
            except exceptions.RemoteError as error:
                self._failed(error)
                stop.wait(soon.next())
            else:
                return credentials
        return None

    def _failed(self, error: exceptions.RemoteError) -> None:
        metrics.CERTIFICATE_REQUESTS.labels(self._profile.name,
                                            'failed').inc()
        self._tell(error)

    def _tell(self, error: exceptions.RemoteError) -> None:
        if self._is_good():
            # No problem yet: the certificate in use still has time.
            LOG.warning('%s: failed, will be tried until it works: %s',
                        self._check, error)
        else:
            self._health.failed(self._check, error)

    def _is_good(self) -> bool:
        return (self._current is not None
                and self._clock() < self._current.not_after)

    def _ask(self, stop: threading.Event) -> keypair.Credentials | None:
        """Request once, with the best identity there is."""
        if self._connect and self._current and self._is_good():
            try:
                return self._request(self._connect(self._current), stop)
            except exceptions.AccessDenied as error:
                LOG.warning('%s: node %s may not renew it, asking as the '
                            'agent: %s', self._check, self._node,
                            error.message)
        return self._request(self._client, stop)

    def _request(self, client: kube_client.KubeClient,
                 stop: threading.Event) -> keypair.Credentials | None:
        key = self._pending_key()
        name = key.request_name(self._profile)
        try:
            request = self._submit(client, name, key)
            pem = self._wait_for(client, name, request, stop)
            if pem is None:
                return None
            credentials = self._keep(key, pem)
        except exceptions.Rejected:
            # It can come to nothing any more: the next one is of a new key.
            self._store.drop_pending()
            raise
        self._health.ok(self._check)
        metrics.CERTIFICATE_REQUESTS.labels(self._profile.name, 'ok').inc()
        LOG.info('Node %s has a new %s certificate, good until %s',
                 self._node, self._profile.name,
                 credentials.not_after.isoformat())
        return credentials

    def _pending_key(self) -> keypair.Key:
        key = self._store.pending()
        if key is None or self._is_in_use(key):
            key = keypair.Key()
            self._store.save_pending(key)
        return key

    def _is_in_use(self, key: keypair.Key) -> bool:
        """Tell whether an agent died between keeping a pair and this."""
        path = self._store.current()
        try:
            return path is not None and key.public() == keypair.Key.read(
                keypair.read_private(path)).public()
        except (OSError, ValueError):
            return False

    def _submit(self, client: kube_client.KubeClient, name: str,
                key: keypair.Key) -> dict:
        body = {
            'apiVersion': 'certificates.k8s.io/v1',
            'kind': 'CertificateSigningRequest',
            'metadata': {'name': name},
            'spec': {
                'request': base64.b64encode(key.signing_request(
                    self._node, self._profile)).decode(),
                'signerName': self._profile.signer,
                'usages': list(self._profile.usages)}}
        try:
            return client.create_signing_request(body)
        except exceptions.Conflict:
            found = client.get_signing_request(name)
        if not is_for(found, key, self._profile):
            raise exceptions.Rejected(
                kube_client.SERVICE, f'certificate request {name} exists and '
                'is not of this key')
        return found

    def _wait_for(self, client: kube_client.KubeClient, name: str,
                  request: dict, stop: threading.Event) -> bytes | None:
        pause = backoff.Backoff(0.2, 15.0)
        patience = time.monotonic() + _PATIENCE
        while (pem := issued(request)) is None:
            if time.monotonic() > patience:
                patience = float('inf')
                self._tell(exceptions.Unavailable(
                    kube_client.SERVICE, f'certificate request {name} waits '
                    'for an approval or a signature'))
            if stop.wait(pause.next()):
                return None
            request = client.get_signing_request(name)
        return pem

    def _keep(self, key: keypair.Key, pem: bytes) -> keypair.Credentials:
        now = self._clock()
        try:
            certificate = keypair.checked(pem, key, self._node,
                                          self._profile)
        except ValueError as error:
            raise exceptions.Rejected(
                kube_client.SERVICE,
                f'the issued certificate {error}') from error
        if certificate.not_valid_after_utc <= now:
            raise exceptions.Rejected(
                kube_client.SERVICE, 'the issued certificate has ended '
                "already: compare this host's clock with the cluster's")
        if certificate.not_valid_before_utc > now:
            LOG.warning('The new certificate begins at %s only: compare this '
                        "host's clock with the cluster's",
                        certificate.not_valid_before_utc.isoformat())
        path = self._store.save(pem.rstrip() + b'\n' + key.pem())
        self._store.drop_pending()
        credentials = keypair.Credentials(
            str(path), certificate.not_valid_before_utc,
            certificate.not_valid_after_utc)
        # Signers date certificates back; what counts is the time that is
        # left.
        self._use(credentials, max(now, credentials.not_before))
        return credentials


def renewal_time(since: datetime.datetime, end: datetime.datetime,
                 chance: float) -> datetime.datetime:
    """Return when to renew: at 70 to 90 % of a life, not all at once."""
    part = _RENEW_FROM + (_RENEW_TO - _RENEW_FROM) * chance
    return since + (end - since) * part


def issued(request: dict) -> bytes | None:
    """Return the certificate of a CertificateSigningRequest.

    :returns: None while nobody has decided or signed
    :raises Rejected: it was denied, or the signer failed
    """
    status = request.get('status') or {}
    name = request['metadata']['name']
    for condition in status.get('conditions') or []:
        if condition['type'] in ('Denied', 'Failed'):
            raise exceptions.Rejected(
                kube_client.SERVICE,
                f'certificate request {name}: {condition["type"]}: '
                f'{condition.get("message") or condition.get("reason")}')
    if not status.get('certificate'):
        return None
    return _decoded(status['certificate'])


def is_for(request: dict, key: keypair.Key,
           profile: keypair.Profile) -> bool:
    """Tell whether a CertificateSigningRequest is of our key and use."""
    spec = request['spec']
    try:
        asked = keypair.requested_key(_decoded(spec['request']))
    except ValueError:
        return False
    return asked == key.public() and spec['signerName'] == profile.signer


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise exceptions.Rejected(
            kube_client.SERVICE, 'a certificate that is not base64'
        ) from None
