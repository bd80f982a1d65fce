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
import gzip
import io
import json
import subprocess
import tarfile

from devcloud import errors
from devcloud import images
from devcloud import own_images
from devcloud import references
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
            self.assertEqual(full, str(references.parse(name)))

    def test_what_is_no_name_is_refused(self):
        for name in ('', ':', 'a b', 'UPPER', 'it:', 'it@sha256:00', '/it',
                     'it/', 'a//b', '../it', 'it:a/b:', 'it\n'):
            self.assertRaises(errors.DevcloudError, references.parse, name)

    def test_the_registry_stands_in_for_docker_io(self):
        self.assertEqual('library/busybox',
                         references.parse('busybox').repository)

    def test_foreign_registries_have_a_folder_of_their_own(self):
        self.assertEqual('quay.io/me/it',
                         references.parse('quay.io/me/it').repository)
        self.assertEqual('registry-5000/it',
                         references.parse('registry:5000/it').repository)


class ArchiveTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        program = self.tmp / 'busybox'
        program.write_bytes(b'program')
        self.files = own_images.busybox_files(
            program, ['sh', 'busybox', 'httpd'])
        self.rootfs = own_images.layer(self.files, own_images.FOLDERS)
        self.image = own_images.Image('it:v1', ('sh',), ('/it',), '1234')
        self.data = own_images.archive(self.image, [self.rootfs, b'more'])

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

    def test_the_manifest_names_image_configuration_and_layers(self):
        files = self.read(self.data)
        manifest, = json.loads(files['manifest.json'][1])
        self.assertEqual(['docker.io/library/it:v1'], manifest['RepoTags'])
        config = json.loads(files[manifest['Config']][1])
        self.assertEqual(['sh'], config['config']['Cmd'])
        self.assertEqual(['/it'], config['config']['Entrypoint'])
        self.assertEqual('1234', config['config']['User'])
        layers = [gzip.decompress(files[name][1])
                  for name in manifest['Layers']]
        self.assertEqual([self.rootfs, b'more'], layers)
        self.assertEqual([own_images.digest(each) for each in layers],
                         config['rootfs']['diff_ids'])

    def test_the_same_input_gives_the_same_bytes(self):
        again = own_images.archive(self.image, [
            own_images.layer(own_images.busybox_files(
                self.tmp / 'busybox', ['httpd', 'sh']), own_images.FOLDERS),
            b'more'])
        self.assertEqual(self.data, again)

    def test_an_archive_is_made_anew_when_a_program_in_it_changes(self):
        program = self.tmp / 'program'
        program.write_bytes(b'one')
        self.patch(own_images, 'BUSYBOX', self.tmp / 'busybox')
        image = own_images.Image('it:v1', files={
            'it': own_images.File(program, 0o4755)}, busybox=False)
        first = own_images.make(self.where, [image])['it:v1']
        self.assertEqual(first, own_images.make(self.where, [image])['it:v1'])
        program.write_bytes(b'another')
        self.assertNotEqual(
            first, own_images.make(self.where, [image])['it:v1'])

    def test_what_the_e2e_tests_name_is_a_complete_name(self):
        made = own_images.for_kubernetes(self.tmp)
        names = [image.name for image in made]
        self.assertEqual(len(names), len(set(names)))
        for name in names:
            self.assertEqual(name, str(references.parse(name)))

    def test_agnhost_is_found_under_both_its_names(self):
        image = next(each for each in own_images.for_kubernetes(self.tmp)
                     if each.name == own_images.AGNHOST)
        self.assertEqual('agnhost', image.files['agnhost-2'].source)
        files = self.read(own_images.layer(
            {}, [*image.folders, 'other']))
        self.assertEqual(0o1777, files['uploads'][0].mode)
        self.assertEqual(0o755, files['other'][0].mode)

    def test_what_is_no_archive_is_refused_by_name(self):
        path = self.tmp / 'it.tar'
        store = images.Images(self.where)
        reference = references.parse('it')
        for data in (b'', b'not a tar', self.rootfs):
            path.write_bytes(data)
            error = self.assertRaises(errors.DevcloudError, store.push,
                                      reference, path)
            self.assertIn(str(path), str(error))
        self.assertRaises(errors.DevcloudError, store.push, reference,
                          self.tmp / 'missing')

    def test_curl_takes_the_options_that_the_tests_give(self):
        timeout = self.program(self.tmp / 'bin', 'timeout', 'echo "$@"')
        script = self.tmp / 'curl'
        script.write_bytes(own_images.CURL)
        done = subprocess.run(
            ['sh', script, '-g', '-q', '-s', '--max-time', '15',
             '--connect-timeout', '1', 'http://1.2.3.4:80/x?y=1&z=2'],
            env={'PATH': f'{timeout.parent}:/bin:/usr/bin'}, text=True,
            capture_output=True, check=True)
        self.assertEqual('15 wget -q -O - http://1.2.3.4:80/x?y=1&z=2\n',
                         done.stdout)
