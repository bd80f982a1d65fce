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
"""Certificates of a test's own: by the cluster's authority, and by another."""

import datetime
import ipaddress
import pathlib
import tempfile

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.oid import NameOID
import fixtures

_HOUR = datetime.timedelta(hours=1)


class Authority(fixtures.Fixture):
    """Signs certificates; they go with the test.

    :param folder: that has the authority's ca.crt and ca.key; None: it is
        one that nobody knows
    """

    def __init__(self, folder: pathlib.Path | None = None):
        super().__init__()
        self._of = folder

    def _setUp(self) -> None:
        self._folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        if self._of is not None:
            self._key = serialization.load_pem_private_key(
                (self._of / 'ca.key').read_bytes(), None)
            self._issuer = x509.load_pem_x509_certificate(
                (self._of / 'ca.crt').read_bytes()).subject
        else:
            self._key = ec.generate_private_key(ec.SECP256R1())
            self._issuer = _name('nobody-knows-it')

    def client(self, user: str, *groups: str) -> pathlib.Path:
        """Return a file with a user's certificate and key."""
        return self._make(_name(user, *groups),
                          ExtendedKeyUsageOID.CLIENT_AUTH)

    def server(self, address: str) -> pathlib.Path:
        """Return a file with a server's certificate and key."""
        return self._make(
            _name('server'), ExtendedKeyUsageOID.SERVER_AUTH,
            x509.SubjectAlternativeName(
                [x509.IPAddress(ipaddress.ip_address(address))]))

    def _make(self, subject, purpose, *extensions):
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(
            self._issuer).public_key(key.public_key()).serial_number(
            x509.random_serial_number()).not_valid_before(
            now - _HOUR).not_valid_after(now + _HOUR)
        for extension in (x509.ExtendedKeyUsage([purpose]), *extensions):
            builder = builder.add_extension(extension, critical=False)
        signed = builder.sign(self._key, hashes.SHA256())
        with tempfile.NamedTemporaryFile(
                dir=self._folder, suffix='.pem', delete=False) as file:
            file.write(signed.public_bytes(serialization.Encoding.PEM))
            file.write(key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption()))
        return pathlib.Path(file.name)


def _name(user, *groups):
    return x509.Name([
        *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)
          for group in groups),
        x509.NameAttribute(NameOID.COMMON_NAME, user)])
