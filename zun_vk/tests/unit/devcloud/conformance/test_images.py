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
from devcloud import commands
from devcloud import errors
from devcloud import own_images
from devcloud import references
from devcloud.conformance import images
from devcloud.conformance import programs
from zun_vk.tests.unit.devcloud.conformance import base


class ImagesTestCase(base.TestCase):

    def test_no_image_is_also_the_devclouds_own(self):
        names = [image.name for image in (
            *images.IMAGES, *own_images.PLAIN,
            *own_images.for_kubernetes(self.tmp))]
        self.assertEqual(len(names), len(set(names)))
        for name in names:
            self.assertTrue(references.parse(name))


class ProgramsTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        # Makes what -o names
        self.go = self.program(self.tmp / 'bin', 'go', f'''
case $1 in
version) echo go version go1.26.8 linux/amd64; exit ;;
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

    def test_a_failed_build_leaves_nothing(self):
        self.program(self.go.parent, 'go', '''
[ "$1" = version ] && echo go version go1.26.8 && exit
echo no such package; exit 1''')
        error = self.assertRaises(errors.LoggedFailure, self.built.ensure)
        self.assertIn('no such package', error.report())
        self.assertFalse(self.built.complete())
