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
"""Keys and certificates of a node: how they are made, checked and kept.

Flows in: the node's name and what an API server signed. Flows out: signing
requests, and files that only their owner may read. A key never leaves this
host, and never stands in a log or an error.
"""

import dataclasses
import datetime
import hashlib
import ipaddress
import os
import pathlib
import typing

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.oid import NameOID

from zun_vk import state

OPTION = state.OPTION
_GROUP = 'system:nodes'
_STAMP = '%Y%m%dT%H%M%S.%fZ'


@dataclasses.dataclass(frozen=True)
class Profile:
    """What a certificate is for.

    :param name: of its files
    :param signer: signerName of the CertificateSigningRequest
    :param usages: Kubernetes: the signer refuses any other set
    :param purpose: extended key usage that it must have
    :param addresses: IP addresses and DNS names, for a server
    """

    name: str
    signer: str
    usages: tuple[str, ...]
    purpose: x509.ObjectIdentifier
    addresses: tuple[str, ...] = ()


CLIENT = Profile(
    'client', 'kubernetes.io/kube-apiserver-client-kubelet',
    ('digital signature', 'client auth'), ExtendedKeyUsageOID.CLIENT_AUTH)


def serving(*addresses: str) -> Profile:
    """Return the profile of a node's server.

    :param addresses: all of the node's; Kubernetes: an approver compares
        them with the Node's status
    """
    return Profile(
        'serving', 'kubernetes.io/kubelet-serving',
        ('digital signature', 'server auth'),
        ExtendedKeyUsageOID.SERVER_AUTH, addresses)


@dataclasses.dataclass(frozen=True)
class Credentials:
    """A certificate and its key, in one PEM file that never changes."""

    path: str
    not_before: datetime.datetime
    not_after: datetime.datetime


class Key:
    """A private key: ECDSA on P-256, as the kubelet's are."""

    def __init__(self, key: ec.EllipticCurvePrivateKey | None = None):
        self._key = key or ec.generate_private_key(ec.SECP256R1())

    @classmethod
    def read(cls, pem: bytes) -> typing.Self:
        """Return the key in ``pem``.

        :raises ValueError: there is none, or one of another kind
        """
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            # Without what the parser says: it may quote the file.
            raise ValueError('holds no private key') from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError('holds a key that is not ECDSA')
        return cls(key)

    def pem(self) -> bytes:
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption())

    def public(self) -> bytes:
        """Return the public key, encoded so that it can be compared."""
        return _encoded(self._key.public_key())

    def request_name(self, profile: Profile) -> str:
        """Return the name of this key's CertificateSigningRequest.

        From the key alone: an agent that died after it asked finds its
        request again instead of filing another.
        """
        digest = hashlib.sha256(self.public())
        digest.update(profile.signer.encode())
        return f'node-csr-{digest.hexdigest()[:40]}'

    def signing_request(self, node: str, profile: Profile) -> bytes:
        """Return the PKCS #10 request, PEM, to be ``system:node:<node>``."""
        builder = x509.CertificateSigningRequestBuilder().subject_name(
            x509.Name([
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, _GROUP),
                x509.NameAttribute(NameOID.COMMON_NAME, user(node))]))
        if profile.addresses:
            builder = builder.add_extension(x509.SubjectAlternativeName(
                [_general_name(one) for one in profile.addresses]),
                critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(
            serialization.Encoding.PEM)


def user(node: str) -> str:
    """Return the Kubernetes user that a node is."""
    return f'system:node:{node}'


def requested_key(request: bytes) -> bytes:
    """Return the public key of a signing request.

    :raises ValueError: it cannot be read
    """
    return _encoded(x509.load_pem_x509_csr(request).public_key())


def checked(pem: bytes, key: Key, node: str,
            profile: Profile) -> x509.Certificate:
    """Return the first certificate of ``pem``, if it is what it must be.

    Whether it is in time, and whether a server believes it, is another
    matter.

    :raises ValueError: it is of another key, subject, use or address
    """
    try:
        certificate = x509.load_pem_x509_certificates(pem)[0]
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError('holds no certificate') from None
    if _encoded(certificate.public_key()) != key.public():
        raise ValueError('is of another key')
    if (_subject(certificate, NameOID.COMMON_NAME) != {user(node)}
            or _subject(certificate, NameOID.ORGANIZATION_NAME) != {_GROUP}):
        raise ValueError(f'is not of {user(node)}')
    if profile.purpose not in _extension(certificate, x509.ExtendedKeyUsage):
        raise ValueError('is for another use')
    names = _extension(certificate, x509.SubjectAlternativeName)
    if set(names) != {_general_name(one) for one in profile.addresses}:
        raise ValueError('is of other addresses')
    return certificate


def _encoded(public_key: typing.Any) -> bytes:
    return public_key.public_bytes(
        serialization.Encoding.DER,
        serialization.PublicFormat.SubjectPublicKeyInfo)


def _subject(certificate: x509.Certificate,
             oid: x509.ObjectIdentifier) -> set:
    return {one.value for one in
            certificate.subject.get_attributes_for_oid(oid)}


def _extension(certificate: x509.Certificate, kind: type) -> list:
    try:
        return list(certificate.extensions.get_extension_for_class(
            kind).value)
    except x509.ExtensionNotFound:
        return []


def _general_name(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)


class Store:
    """The files of one certificate of one node.

    ``<name>-current.pem`` is a link to the pair in use, as the kubelet has
    it; a pair's file is written once and never changed, so that nobody reads
    a certificate with another one's key.

    :param directory: of the node; made where it is missing
    :raises ConfigError: the directory is open to others, or cannot be made
    """

    def __init__(self, directory: pathlib.Path, name: str):
        self._directory = directory
        self._name = name
        self._link = directory / f'{name}-current.pem'
        self._pending = directory / f'{name}-pending.key'
        state.make_private(directory)

    def current(self) -> pathlib.Path | None:
        """Return the pair in use, None where there is none."""
        try:
            path = self._link.resolve(strict=True)
        except OSError:
            return None
        return path

    def save(self, pem: bytes) -> pathlib.Path:
        """Keep a pair and make it the one in use.

        The one before stays: connections may still be opened with it.

        :raises OSError: the disk is full or broken
        """
        before = self.current()
        stamp = datetime.datetime.now(datetime.UTC).strftime(_STAMP)
        path = self._directory / f'{self._name}-{stamp}.pem'
        _write(path, pem)
        link = self._directory / f'.{self._name}-link'
        link.unlink(missing_ok=True)
        link.symlink_to(path.name)
        link.replace(self._link)
        _sync(self._directory)
        for old in self._directory.glob(f'{self._name}-[0-9]*.pem'):
            if old not in (path, before):
                old.unlink(missing_ok=True)
        return path

    def pending(self) -> Key | None:
        """Return the key that a certificate was asked for."""
        try:
            return Key.read(read_private(self._pending))
        except (OSError, ValueError):
            return None

    def save_pending(self, key: Key) -> None:
        """Keep a key before it is used; raise OSError."""
        _write(self._pending, key.pem())

    def drop_pending(self) -> None:
        self._pending.unlink(missing_ok=True)


def read_private(path: pathlib.Path) -> bytes:
    """Return what is in a file that only we may read.

    :raises OSError: there is no such file
    :raises ValueError: others could have read or written it
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(handle, 'rb') as file:
        found = os.fstat(handle)
        if found.st_uid != os.geteuid() or found.st_mode & state.OTHERS:
            raise ValueError('is open to others')
        return file.read(1 << 20)


def _write(path: pathlib.Path, content: bytes) -> None:
    temporary = path.with_name(f'.{path.name}.new')
    temporary.unlink(missing_ok=True)
    # Never wider than 0600, not even for a moment.
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL
                     | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, 'wb') as file:
        file.write(content)
        file.flush()
        os.fsync(handle)
    temporary.replace(path)
    _sync(path.parent)


def _sync(directory: pathlib.Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
