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
"""Who makes a request to the kubelet's API.

Flows in: the certificate that TLS has verified, and the headers. Flows out:
a user, or nobody; nobody gets no further. As on a kubelet with webhook
authentication and without anonymous access: a client certificate, else a
bearer token, of which the API server is asked (TokenReview). Whatever is
not certain is nobody: an API server that does not answer, too.

A token stands in no log, no error, and not in memory longer than its
request: what is kept for it is found by a keyed hash.
"""

from collections.abc import Callable
import datetime
import email.message
import hashlib
import hmac
import re
import secrets
import time
import typing

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.oid import NameOID
from oslo_log import log as logging

from zun_vk import exceptions
from zun_vk import pace
from zun_vk.kube import client as kube_client
from zun_vk.kubelet import context
from zun_vk.kubelet import decisions
from zun_vk.kubelet import websocket

LOG = logging.getLogger(__name__)

# kubelet: authentication.webhook.cacheTTL.
_SECONDS = 120.0
_LONGEST_TOKEN = 16384
# Visible ASCII.
_TOKEN = re.compile('[!-~]+')
# One, and nothing after it.
_BEARER = re.compile(f' *bearer +({_TOKEN.pattern}) *', re.IGNORECASE)
_AUTHENTICATED = 'system:authenticated'
_ANONYMOUS = 'system:anonymous'
# Kubernetes: AllowParsingUserUIDFromCertAuth.
_UID = x509.ObjectIdentifier('1.3.6.1.4.1.57683.2')
_CREDENTIAL_ID = 'authentication.kubernetes.io/credential-id'
_CLIENT_PURPOSES = frozenset({ExtendedKeyUsageOID.CLIENT_AUTH,
                              ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})


def _utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class Authenticator:
    """Finds the user of each request; safe to share by threads.

    :param client: asks as the node, with ``decisions.TIMEOUT``
    :param clock: monotonic seconds
    :param now: the time, for the end of certificates
    """

    def __init__(self, client: kube_client.KubeClient, *,
                 clock: Callable[[], float] = time.monotonic,
                 now: Callable[[], datetime.datetime] = _utc_now):
        self._client = client
        self._clock = clock
        self._now = now
        self._ask = decisions.Asking(clock=clock)
        self._pace = pace.Pace(clock)
        self._key = secrets.token_bytes(32)
        # Apart: tokens that are none must not push out those of users.
        self._users: decisions.Decisions[context.User] = (
            decisions.Decisions(clock))
        self._nobodies: decisions.Decisions[bool] = (
            decisions.Decisions(clock))

    def authenticate(self, certificate: bytes | None,
                     headers: email.message.Message) -> context.User | None:
        """Return the user, None for nobody: to be answered 401.

        :param certificate: the client's, DER, verified by TLS to be of the
            cluster's CA; None: it sent none
        """
        if certificate:
            user = of_certificate(certificate, self._now())
            if user:
                return user
        for token in bearer_tokens(headers):
            user = self._of_token(token)
            if user:
                return user
        return None

    def _of_token(self, token: str) -> context.User | None:
        key = hmac.digest(self._key, token.encode(), hashlib.sha256)
        user = self._users.get(key)
        if user or self._nobodies.get(key):
            return user
        # What is kept counts from when it was asked, not answered.
        until = self._clock() + _SECONDS
        try:
            user, certain = reviewed(self._ask(
                self._client.create_token_review, _review(token)))
        except exceptions.RemoteError as error:
            if self._pace.may_pass() is not None:
                LOG.warning('A token could not be reviewed: %s',
                            str(error).replace(token, '***'))
            return None
        if user:
            self._users.put(key, user, until)
        elif certain:
            self._nobodies.put(key, True, until)
        return user


def bearer_tokens(headers: email.message.Message) -> list[str]:
    """Return the bearer tokens of a request that are to be asked of.

    One of its Authorization, then one among the subprotocols of a WebSocket:
    as a kubelet looks for them.
    """
    values = headers.get_all('Authorization') or []
    found = len(values) == 1 and _BEARER.fullmatch(values[0])
    return [token for token in (
        found[1] if found else '', websocket.bearer_token(headers) or '')
        if len(token) <= _LONGEST_TOKEN and _TOKEN.fullmatch(token)]


def of_certificate(certificate: bytes, now: datetime.datetime
                   ) -> context.User | None:
    """Return the user that a client certificate names, None for nobody.

    As Kubernetes: authentication/request/x509. A certificate that says
    nothing of its purposes has all; that of a server is no user. A
    connection may outlive its certificate, which then is nobody's.

    :param certificate: DER; its signature is not looked at
    """
    try:
        read = x509.load_der_x509_certificate(certificate)
        names = _subject(read, NameOID.COMMON_NAME)
        uids = _subject(read, _UID)
        groups = _subject(read, NameOID.ORGANIZATION_NAME)
        fit = _is_for_clients(read) and (
            read.not_valid_before_utc <= now <= read.not_valid_after_utc)
    except (ValueError, TypeError, KeyError, x509.InvalidVersion,
            x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        # cryptography (43): KeyError, TypeError for kinds of text.
        return None
    # The last name counts, as for Go.
    if not fit or not names or len(uids) > 1 or '' in uids:
        return None
    return _user(names[-1], uids[0] if uids else '', groups, {
        _CREDENTIAL_ID: [
            f'X509SHA256={hashlib.sha256(certificate).hexdigest()}']})


def _subject(certificate: x509.Certificate, kind: x509.ObjectIdentifier
             ) -> list[str]:
    values = [attribute.value for attribute
              in certificate.subject.get_attributes_for_oid(kind)]
    if not all(isinstance(value, str) for value in values):
        raise ValueError('a name that is no text')
    return [str(value) for value in values]


def _is_for_clients(certificate: x509.Certificate) -> bool:
    try:
        purposes = certificate.extensions.get_extension_for_class(
            x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return not _CLIENT_PURPOSES.isdisjoint(purposes)


def reviewed(review: dict) -> tuple[context.User | None, bool]:
    """Return the user in an answered TokenReview, and if that is certain.

    It is not where the API server says that it met an error.

    :raises Unavailable: it is no answer to a TokenReview
    """
    status = review.get('status')
    if not isinstance(status, dict):
        raise _broken('a token review without status')
    if status.get('authenticated') is not True:
        return None, not status.get('error')
    user: typing.Any = status.get('user')
    try:
        return _user(_text(user['username']), _text(user.get('uid') or ''),
                     _texts(user.get('groups') or []),
                     {_text(name): _texts(values) for name, values
                      in (user.get('extra') or {}).items()}), True
    except (TypeError, KeyError, AttributeError) as error:
        raise _broken('a token review without a user') from error


def _user(name: str, uid: str, groups: list[str],
          extra: dict[str, list[str]]) -> context.User | None:
    """Return a user; None for no name, and for that of nobody."""
    if name in ('', _ANONYMOUS):
        return None
    if _AUTHENTICATED not in groups:
        groups = [*groups, _AUTHENTICATED]
    return context.User(name, uid, tuple(groups), extra)


def _review(token: str) -> dict:
    return {'apiVersion': 'authentication.k8s.io/v1', 'kind': 'TokenReview',
            'spec': {'token': token}}


def _text(value: typing.Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _texts(values: typing.Any) -> list[str]:
    if not isinstance(values, list):
        raise TypeError
    return [_text(value) for value in values]


def _broken(words: str) -> exceptions.Unavailable:
    return exceptions.Unavailable(kube_client.SERVICE, words)
