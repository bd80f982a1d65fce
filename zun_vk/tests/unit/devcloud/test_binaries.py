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
import re

from devcloud import binaries
from devcloud import commands
from devcloud import errors
from zun_vk.tests.unit.devcloud import base


class VersionTestCase(base.TestCase):

    def test_programs_tell_their_version_in_their_own_ways(self):
        for text, version in (
                ('Kubernetes v1.36.3', (1, 36, 3)),
                ('etcd Version: 3.6.8\nGit SHA: 0\nGo Version: go1.26.8',
                 (3, 6, 8)),
                ('Client Version: v1.36.10-rc.1\nKustomize Version: v5.8.1',
                 (1, 36, 10)),
                ('1.36', (1, 36, 0)), ('', None), ('unknown', None)):
            self.assertEqual(version, binaries.version_in(text))

    def test_any_patch_release_of_the_minor_version_fits(self):
        self.assertTrue(binaries.fits('Kubernetes v1.36.0', '1.36'))
        self.assertFalse(binaries.fits('Kubernetes v1.35.9', '1.36'))
        self.assertFalse(binaries.fits('Kubernetes v1.360.0', '1.36'))
        self.assertFalse(binaries.fits('', '1.36'))

    def test_go_mod_pins_the_version_that_is_looked_for(self):
        text = (binaries.MODULE / 'go.mod').read_text()
        found = re.search(r'k8s\.io/kubernetes v(\S+)', text)
        self.assertEqual(binaries.VERSION, found[1])


class BinariesTestCase(base.TestCase):

    def programs(self, name, server='Kubernetes v1.36.1', leave_out=()):
        folder = self.tmp / name
        for program in binaries.PROGRAMS:
            text = 'etcd Version: 3.6.1' if program == 'etcd' else server
            if program not in leave_out:
                self.program(folder, program, f'echo {text}')
        return folder

    def found(self, **environ):
        environ.setdefault('PATH', '')
        return binaries.Binaries(self.where, commands.Commands(),
                                 environ).find()

    def test_programs_in_kubebuilder_assets_are_used(self):
        folder = self.programs('assets')
        self.assertEqual(folder, self.found(KUBEBUILDER_ASSETS=str(folder)))

    def test_programs_on_path_are_used(self):
        folder = self.programs('bin')
        self.assertEqual(folder, self.found(PATH=f'/nowhere:{folder}'))

    def test_programs_of_another_version_are_not_used(self):
        folder = self.programs('assets', 'Kubernetes v1.34.1')
        self.assertIsNone(self.found(KUBEBUILDER_ASSETS=str(folder)))

    def test_an_incomplete_set_is_not_used(self):
        folder = self.programs('assets', leave_out=('kube-scheduler',))
        self.assertIsNone(self.found(KUBEBUILDER_ASSETS=str(folder)))

    def test_what_was_built_before_is_used(self):
        self.programs(f'cache/kubernetes/{binaries.VERSION}')
        self.assertEqual(self.where.cache / 'kubernetes' / binaries.VERSION,
                         self.found())

    def test_a_build_that_fails_tells_its_log_and_leaves_nothing(self):
        go = self.program(self.tmp / 'go', 'go', 'case $1 in version) '
                          'echo go version go1.26.0 linux/amd64;; '
                          '*) echo it broke; exit 1;; esac')
        made = binaries.Binaries(self.where, commands.Commands(),
                                 {'PATH': str(go.parent)})
        failure = self.assertRaises(errors.LoggedFailure, made.ensure)
        self.assertIn('it broke', failure.report())
        self.assertFalse(made.built.exists())

    def test_a_build_is_kept_for_the_next_time(self):
        fake = ('case $1 in version) echo go version go1.26.0 linux/amd64;; '
                '*) while [ "$1" != -o ]; do shift; done; '
                'for p in server kube-apiserver kube-controller-manager '
                'kube-scheduler kubectl; do v="Kubernetes v1.36.3"; '
                'test $p != server || v="etcd Version: 3.6.8"; '
                'printf "#!/bin/sh\\necho $v\\n" >$2/$p; chmod +x $2/$p; '
                'done;; esac')
        go = self.program(self.tmp / 'go', 'go', fake)
        made = binaries.Binaries(self.where, commands.Commands(),
                                 {'PATH': str(go.parent)})
        self.assertEqual(made.built, made.ensure())
        go.unlink()
        self.assertEqual(made.built, made.ensure())
