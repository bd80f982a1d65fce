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
"""The certificate that agents know this host's streams by.

Agents are told its fingerprint over the bus with every stream, so nobody has
to sign it: one is made at every start. Its key is root's alone, on a tmpfs.
Where the operator has files, those are used, and read again when they
change.
"""

import datetime
import hashlib
import os
import pathlib
import ssl
import threading
import typing

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from oslo_log import log as logging

from zun_vk import exceptions
from zun_vk import tls

LOG = logging.getLogger(__name__)

_OPTION = '[compute] stream_cert_file'
_FILE = 'streams.pem'
_DAYS = 3650


class Served(typing.NamedTuple):
    """What a connection is accepted with, and what agents know it by.

    :ivar fingerprint: SHA-256 of the certificate (DER), in hexadecimal
    """

    context: ssl.SSLContext
    fingerprint: str


class Certificate:
    """The certificate in use.

    :param cert_file: PEM, with what is above it; '': one is made
    :param key_file: '': it is in ``cert_file``
    :param directory: where one that is made is kept
    """

    def __init__(self, cert_file: str, key_file: str, directory: str):
        self._given = bool(cert_file)
        self._cert_file = cert_file or os.path.join(directory, _FILE)
        self._key_file = key_file or self._cert_file
        self._lock = threading.Lock()  # guards the three below
        self._served: Served | None = None
        self._version: tls.Version = ()
        # Of what could not be used, and was said.
        self._failed: tls.Version | None = None

    def open(self) -> None:
        """Make it, or read it.

        :raises ConfigError: the files cannot be used
        """
        try:
            if not self._given:
                _write(pathlib.Path(self._cert_file), made())
            with self._lock:
                self._version = tls.version(self._cert_file, self._key_file)
                self._served = _loaded(self._cert_file, self._key_file)
        except (OSError, ValueError) as error:
            # Not the words of a parser: they may quote the file.
            raise exceptions.ConfigError(
                _OPTION, 'the certificate or its key cannot be used: '
                f'{getattr(error, "strerror", None) or type(error).__name__}'
            ) from None

    def current(self) -> Served:
        """Return what is served now; after files changed, the new one."""
        with self._lock:
            if self._given:
                self._refresh()
            if self._served is None:
                raise ValueError('the certificate is not open')
            return self._served

    def _refresh(self) -> None:
        # Before they are read: a change while they are is seen next time.
        version = tls.version(self._cert_file, self._key_file)
        if version == self._version:
            return
        try:
            self._served = _loaded(self._cert_file, self._key_file)
        except (OSError, ValueError) as error:
            # Tried again: it may pass without a change of the files.
            if version != self._failed:
                LOG.error('The certificate of streams stays as it was: %s',
                          type(error).__name__)
            self._failed = version
        else:
            self._version, self._failed = version, None
            LOG.info('The certificate of streams was read again')


def made() -> bytes:
    """Return a new key and a certificate that it signed itself, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([
        x509.NameAttribute(NameOID.COMMON_NAME, 'zun-vk-compute')])
    now = datetime.datetime.now(datetime.UTC)
    certificate = x509.CertificateBuilder().subject_name(name).issuer_name(
        name).public_key(key.public_key()).serial_number(
            x509.random_serial_number()).not_valid_before(
                now - datetime.timedelta(days=1)).not_valid_after(
                    now + datetime.timedelta(days=_DAYS)).sign(
                        key, hashes.SHA256())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()) + certificate.public_bytes(
            serialization.Encoding.PEM)


def _loaded(cert_file: str, key_file: str) -> Served:
    context = tls.server_context()
    context.load_cert_chain(cert_file, key_file)
    first = x509.load_pem_x509_certificates(
        pathlib.Path(cert_file).read_bytes())[0]
    return Served(context, hashlib.sha256(first.public_bytes(
        serialization.Encoding.DER)).hexdigest())


def _write(path: pathlib.Path, content: bytes) -> None:
    new = path.with_name(f'.{path.name}.new')
    new.unlink(missing_ok=True)
    # Never wider than 0600, not even for a moment.
    descriptor = os.open(
        new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, 'wb') as file:
        file.write(content)
    new.replace(path)
