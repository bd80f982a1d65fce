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
import io
import json
import tarfile

from devcloud import errors
from devcloud import images
from zun_vk.tests.unit.devcloud import base


class ReferenceTestCase(base.TestCase):

    def test_names_are_completed_as_docker_does(self):
        for name, full in (
                ('busybox', 'docker.io/library/busybox:latest'),
                ('busybox:1.36', 'docker.io/library/busybox:1.36'),
                ('docker.io/busybox', 'docker.io/library/busybox:latest'),
                ('docker.io/library/busybox',
                 'docker.io/library/busybox:latest'),
                ('me/it', 'docker.io/me/it:latest'),
                ('quay.io/me/it:v1', 'quay.io/me/it:v1'),
                ('localhost/it', 'localhost/it:latest'),
                ('registry:5000/it:2', 'registry:5000/it:2')):
            self.assertEqual(full, str(images.parse(name)))

    def test_what_is_no_name_is_refused(self):
        for name in ('', ':', 'a b', 'UPPER', 'it:', 'it@sha256:00', '/it',
                     'it/', 'a//b', '../it', 'it:a/b:', 'it\n'):
            self.assertRaises(errors.DevcloudError, images.parse, name)

    def test_the_registry_stands_in_for_docker_io(self):
        self.assertEqual('library/busybox',
                         images.parse('busybox').repository)

    def test_foreign_registries_have_a_folder_of_their_own(self):
        self.assertEqual('quay.io/me/it',
                         images.parse('quay.io/me/it').repository)
        self.assertEqual('registry-5000/it',
                         images.parse('registry:5000/it').repository)


class ArchiveTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.rootfs = images.layer(b'program', ['sh', 'busybox', 'httpd'])
        self.data = images.archive(images.parse('it:v1'), self.rootfs,
                                   ['sh'])

    def read(self, data):
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            return {member.name: (member, tar.extractfile(member).read()
                                  if member.isfile() else None)
                    for member in tar}

    def test_the_file_system_has_busybox_and_its_applets(self):
        files = self.read(self.rootfs)
        self.assertEqual(b'program', files['bin/busybox'][1])
        self.assertEqual(0o755, files['bin/busybox'][0].mode)
        for applet in ('bin/sh', 'bin/httpd'):
            self.assertEqual('busybox', files[applet][0].linkname)
        self.assertEqual(0o1777, files['tmp'][0].mode)
        self.assertIn(b'root:x:0:0:', files['etc/passwd'][1])

    def test_the_manifest_names_image_configuration_and_layer(self):
        files = self.read(self.data)
        manifest, = json.loads(files['manifest.json'][1])
        self.assertEqual(['docker.io/library/it:v1'], manifest['RepoTags'])
        config = json.loads(files[manifest['Config']][1])
        self.assertEqual(['sh'], config['config']['Cmd'])
        layer = files[manifest['Layers'][0]][1]
        self.assertEqual([images.digest(layer)],
                         config['rootfs']['diff_ids'])

    def test_the_same_input_gives_the_same_bytes(self):
        again = images.archive(
            images.parse('it:v1'),
            images.layer(b'program', ['httpd', 'sh']), ['sh'])
        self.assertEqual(self.data, again)

    def test_what_is_no_archive_is_refused_by_name(self):
        path = self.tmp / 'it.tar'
        store = images.Images(self.where)
        reference = images.parse('it')
        for data in (b'', b'not a tar', self.rootfs):
            path.write_bytes(data)
            error = self.assertRaises(errors.DevcloudError, store.push,
                                      reference, path)
            self.assertIn(str(path), str(error))
        self.assertRaises(errors.DevcloudError, store.push, reference,
                          self.tmp / 'missing')
