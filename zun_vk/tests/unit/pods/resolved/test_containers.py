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

import copy

import hypothesis
from hypothesis import strategies as st
from oslotest import base

from zun_vk import exceptions
from zun_vk.pods import environment
from zun_vk.pods.resolved import containers
from zun_vk.tests.unit.pods import strategies


def _mount(expression):
    return {'name': 'v', 'mountPath': '/v', 'subPathExpr': expression}


class ResolvedTestCase(base.BaseTestCase):

    VARIABLES = {'A': 'a b', 'B': '$(A)', 'EMPTY': '', 'UP': '../x',
                 'ROOT': '/x'}

    def _resolved(self, **fields):
        container = strategies.container(**fields)
        before = copy.deepcopy(container)
        try:
            return containers.resolved(container, self.VARIABLES)
        finally:
            self.assertEqual(before, container)

    def _error(self, **fields):
        return self.assertRaises(exceptions.NotYetResolvable,
                                 self._resolved, **fields).message

    def test_variables_have_values_only(self):
        made = self._resolved(env=[{'name': 'A', 'valueFrom': {}}],
                              envFrom=[{'secretRef': {'name': 's'}}])
        self.assertEqual(
            [{'name': name, 'value': value}
             for name, value in self.VARIABLES.items()], made['env'])
        self.assertNotIn('envFrom', made)
        self.assertEqual('busybox', made['image'])

    def test_commands_and_arguments_are_expanded_once(self):
        made = self._resolved(command=['$(A)', '$$(A)'],
                              args=['-x=$(B)', '$(NONE)'])
        self.assertEqual(['a b', '$(A)'], made['command'])
        self.assertEqual(['-x=$(A)', '$(NONE)'], made['args'])
        self.assertNotIn('command', self._resolved(args=['x']))

    def test_an_expression_becomes_a_path(self):
        plain = {'name': 'w', 'mountPath': '/w', 'subPath': '$(A)'}
        made = self._resolved(volumeMounts=[_mount('x/$(A)/$$(B)'), plain])
        self.assertEqual(
            [{'name': 'v', 'mountPath': '/v', 'subPath': 'x/a b/$(B)'},
             plain], made['volumeMounts'])

    def test_a_path_without_its_variables_cannot_be(self):
        self.assertEqual(
            'missing value for EMPTY, NONE',
            self._error(volumeMounts=[_mount('$(NONE)/$(EMPTY)/$(A)')]))

    def test_a_path_that_leads_out_cannot_be_and_is_not_shown(self):
        for expression in ('$(ROOT)', 'a/$(UP)', '$(UP)'):
            message = self._error(volumeMounts=[_mount(expression)])
            self.assertIn('SubPath', message)
            self.assertNotIn('/x', message)

    def test_arguments_that_grow_without_end_are_not_made(self):
        self.VARIABLES = {'X': 'x' * (environment.MAX_BYTES // 4)}
        self._resolved(args=['$(X)'] * 3)
        for arguments in (['$(X)'] * 9, ['$(X)' * 9]):
            self.assertIn('args of container main',
                          self._error(args=arguments))

    def test_one_that_cannot_be_made_refers_to_nothing(self):
        made = containers.unresolved(strategies.container(
            env=[{'name': 'A', 'valueFrom': {'secretKeyRef': {}}}],
            envFrom=[{'secretRef': {'name': 's'}}]))
        self.assertEqual([], made['env'])
        self.assertNotIn('envFrom', made)

    @hypothesis.given(
        st.lists(st.text(st.sampled_from('$()AB/.'), max_size=12),
                 max_size=3),
        st.dictionaries(st.sampled_from('AB'),
                        st.text(st.sampled_from('$()A/.'), max_size=4)))
    def test_any_path_stays_within_its_volume(self, expressions, variables):
        container = strategies.container(
            volumeMounts=[_mount(each) for each in expressions])
        try:
            made = containers.resolved(container, variables)
        except exceptions.NotYetResolvable:
            return
        for mount in made['volumeMounts']:
            path = mount.get('subPath', '')
            self.assertFalse(path.startswith('/'))
            self.assertNotIn('..', path.split('/'))
