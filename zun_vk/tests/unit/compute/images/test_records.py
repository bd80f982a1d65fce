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

import json
import pathlib

import fixtures
from oslotest import base

from zun_vk.compute.images import records
from zun_vk.rpc import payload as rpc

_NAME = 'a.b/app:1'


class PullRecordsTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path) / 'images'
        self.file = self.directory / 'images.json'
        self.records = records.PullRecords(self.directory)

    def _pull(self, password=None, name=_NAME, image='1'):
        credential = password and rpc.Credential('a.b', 'me', password)
        self.records.begin(name)
        self.records.finish(name, image, credential)

    def _may(self, *passwords, name=_NAME, image='1'):
        return self.records.may_use(name, image, [
            rpc.Credential('a.b', 'me', password) for password in passwords])

    def test_the_file_is_roots_alone_and_holds_no_secret(self):
        self._pull('my-password')
        self.assertEqual(0o700, self.directory.stat().st_mode & 0o777)
        self.assertEqual(0o600, self.file.stat().st_mode & 0o777)
        self.assertNotIn('my-password', self.file.read_text())
        self.assertNotIn('"me"', self.file.read_text())
        self.assertEqual([self.file], list(self.directory.iterdir()))

    def test_the_same_credential_looks_different_on_another_host(self):
        self._pull('my-password')
        other = records.PullRecords(self.directory / 'other')
        other.begin(_NAME)
        other.finish(_NAME, '1', rpc.Credential('a.b', 'me', 'my-password'))
        first, second = (
            json.loads(path.read_text())['pulled']['1']['a.b/app']
            for path in (self.file, self.directory / 'other/images.json'))
        self.assertNotEqual(first, second)

    def test_pulled_by_anyone_it_is_everyones_and_stays_so(self):
        self._pull('one')
        self._pull()
        self._pull('two')
        self.assertTrue(self._may())

    def test_the_oldest_of_many_credentials_is_forgotten(self):
        for number in range(65):
            self._pull(f'password-{number}')
        self.assertFalse(self._may('password-0'))
        self.assertTrue(self._may('password-1'))
        self.assertTrue(self._may('password-64'))

    def test_while_something_is_pulled_its_repository_is_nobodys(self):
        self.records.begin(_NAME)
        self.assertFalse(self._may(name='a.b/app:2'))
        self.assertTrue(self._may(name='a.b/other:1'))
        self.records.fail(_NAME, certain=True)
        self.assertTrue(self._may(name='a.b/app:2'))

    def test_an_unreadable_file_is_no_permission(self):
        for text in ('', '{', '[]', '\udcff'):
            self.file.write_text(text, errors='surrogateescape')
            self.records = records.PullRecords(self.directory)
            self.assertFalse(self._may())
            self._pull('one')
            self.assertTrue(self._may('one'))
            # It is remembered that it was.
            self.records = records.PullRecords(self.directory)
            self.assertFalse(self._may(image='2'))
            self.assertTrue(self._may('one'))

    def test_what_is_pulled_while_images_are_listed_stays_private(self):
        self._pull('old', name='a.b/old:1', image='2')

        def listed():
            self._pull('my-password')
            return []
        self.records.prune(listed)
        self.assertFalse(self._may())
        self.assertTrue(self._may('my-password'))
        # It is forgotten when it has gone since.
        self.assertTrue(self._may(name='a.b/old:1', image='2'))
        self.records.prune(list)
        self.assertTrue(self._may())
