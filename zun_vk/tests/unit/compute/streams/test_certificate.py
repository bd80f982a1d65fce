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
import os
import pathlib
import ssl
from unittest import mock

import fixtures
from oslotest import base

from zun_vk import exceptions
from zun_vk.compute.streams import certificate


class CertificateTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def write(self, name):
        path = self.path / name
        path.write_bytes(certificate.made())
        return str(path)

    def given(self):
        return certificate.Certificate(self.write('given.pem'), '',
                                       str(self.path))

    def test_one_is_made_that_only_its_owner_can_read(self):
        os.umask(os.umask(0))
        made = certificate.Certificate('', '', str(self.path))
        made.open()
        mode = (self.path / 'streams.pem').stat().st_mode
        self.assertEqual(0o600, mode & 0o777)
        self.assertRegex(made.current().fingerprint, '^[0-9a-f]{64}$')
        self.assertIs(made.current().context, made.current().context)

    def test_every_start_makes_another(self):
        found = set()
        for _ in range(2):
            made = certificate.Certificate('', '', str(self.path))
            made.open()
            found.add(made.current().fingerprint)
        self.assertEqual(2, len(found))

    def test_no_old_tls_is_spoken(self):
        made = self.given()
        made.open()
        self.assertEqual(ssl.TLSVersion.TLSv1_2,
                         made.current().context.minimum_version)

    def test_files_that_change_are_read_again(self):
        given = self.given()
        given.open()
        before = given.current()
        self.assertEqual(before, given.current())
        os.replace(self.write('new.pem'), self.path / 'given.pem')
        self.assertNotEqual(before.fingerprint, given.current().fingerprint)

    def test_files_that_break_change_nothing(self):
        given = self.given()
        given.open()
        before = given.current()
        (self.path / 'given.pem').write_text('broken')
        self.assertEqual(before, given.current())
        (self.path / 'given.pem').unlink()
        self.assertEqual(before, given.current())
        self.write('given.pem')
        self.assertNotEqual(before, given.current())

    def test_what_breaks_is_said_once_and_tried_again(self):
        given = self.given()
        given.open()
        before = given.current()
        self.write('given.pem')
        with mock.patch.object(
                ssl.SSLContext, 'load_cert_chain', autospec=True,
                side_effect=OSError(24, 'Too many open files')), \
                mock.patch.object(certificate, 'LOG', autospec=True) as log:
            for _ in range(3):
                self.assertEqual(before, given.current())
        self.assertEqual(1, log.error.call_count)
        self.assertNotEqual(before, given.current())

        (self.path / 'given.pem').unlink()
        with mock.patch.object(certificate, 'LOG', autospec=True) as log:
            for _ in range(3):
                given.current()
        self.assertEqual(1, log.error.call_count)

    def test_files_that_are_none_stop_the_start(self):
        (self.path / 'x.pem').write_text('secret')
        for name in ('x.pem', 'missing.pem'):
            broken = certificate.Certificate(str(self.path / name), '', '')
            error = self.assertRaises(exceptions.ConfigError, broken.open)
            self.assertNotIn('secret', str(error))
