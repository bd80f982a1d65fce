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
import subprocess
import tarfile

from devcloud import commands
from devcloud import errors
from devcloud import own_images
from devcloud import references
from devcloud.conformance import images
from devcloud.conformance import programs
from zun_vk.tests.unit.devcloud.conformance import base


class ImagesTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.built = programs.Programs(self.where, commands.Commands(), {})
        self.built.folder.mkdir(parents=True)
        for name in (*programs.PACKAGES, *programs.CERTIFICATES):
            self.built.path(name).write_text(name)

    def recipe(self, part):
        return next(each for each in images.RECIPES
                    if part in each.names[0])

    def members(self, part):
        data = images.layer(self.recipe(part), self.built)
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            return {member.name: member for member in tar}

    def test_every_name_is_whole_and_has_one_recipe(self):
        names = [name for each in images.RECIPES for name in each.names]
        self.assertEqual(len(names), len(set(names)))
        for name in names:
            self.assertEqual(name, str(references.parse(name)))

    def test_agnhost_is_found_under_both_its_names(self):
        found = self.members('agnhost')
        self.assertEqual(0o755, found['agnhost'].mode)
        self.assertEqual('agnhost', found['agnhost-2'].linkname)
        self.assertEqual(0o1777, found['uploads'].mode)

    def test_the_setuid_program_is_setuid(self):
        self.assertEqual(0o6755,
                         self.members('nonewprivs')['usr/local/bin/nnp'].mode)

    def test_a_layer_is_always_the_same_bytes(self):
        recipe = self.recipe('agnhost')
        self.assertEqual(images.layer(recipe, self.built),
                         images.layer(recipe, self.built))

    def test_an_archive_has_its_layers_in_order(self):
        data = images.archive('registry.k8s.io/it:v1', [b'one', b'two'],
                              {'User': '1234'})
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            def read(name):
                return tar.extractfile(name).read()
            [manifest] = json.loads(read('manifest.json'))
            config = json.loads(read(manifest['Config']))
            layers = [read(name) for name in manifest['Layers']]
        self.assertEqual([b'one', b'two'], layers)
        self.assertEqual([own_images.digest(data) for data in layers],
                         config['rootfs']['diff_ids'])
        self.assertEqual('1234', config['config']['User'])

    def test_curl_takes_the_options_that_the_tests_give(self):
        wget = self.program(self.tmp / 'bin', 'wget', 'echo "$@"')
        script = self.tmp / 'curl'
        script.write_bytes(images.CURL)
        done = subprocess.run(
            ['sh', script, '-g', '-q', '-s', '--max-time', '15',
             '--connect-timeout', '1', 'http://1.2.3.4:80/x?y=1&z=2'],
            env={'PATH': f'{wget.parent}:/bin:/usr/bin'}, text=True,
            capture_output=True, check=True)
        self.assertEqual('-q -O - -T 15 http://1.2.3.4:80/x?y=1&z=2\n',
                         done.stdout)


class ProgramsTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.porter = self.tmp / 'porter'
        self.porter.mkdir()
        for name in programs.CERTIFICATES:
            (self.porter / name).write_text(name)
        # Makes what -o names; tells where files are
        self.go = self.program(self.tmp / 'bin', 'go', f'''
case $1 in
version) echo go version go1.26.8 linux/amd64; exit ;;
list) echo {self.porter}; exit ;;
esac
echo "$@" >>{self.tmp}/calls
while [ "$1" != -o ]; do shift; done
echo "$3" >"$2"''')
        self.built = programs.Programs(
            self.where, commands.Commands(),
            {'PATH': f'{self.go.parent}:/usr/bin:/bin'})

    def calls(self):
        return (self.tmp / 'calls').read_text().splitlines()

    def test_all_are_built_once(self):
        self.built.ensure()
        self.built.ensure()
        self.assertEqual(len(programs.PACKAGES), len(self.calls()))
        self.assertEqual('k8s.io/kubernetes/test/e2e\n',
                         self.built.path('e2e.test').read_text())
        self.assertEqual('localhost.key',
                         self.built.path('localhost.key').read_text())

    def test_a_failed_build_leaves_nothing(self):
        self.program(self.go.parent, 'go', '''
[ "$1" = version ] && echo go version go1.26.8 && exit
echo no such package; exit 1''')
        error = self.assertRaises(errors.LoggedFailure, self.built.ensure)
        self.assertIn('no such package', error.report())
        self.assertFalse(self.built.complete())
