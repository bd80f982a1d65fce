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

import importlib.util
import sys
import types
from unittest import mock

import fixtures
from oslotest import base

from devcloud import openstack

WSGI = openstack.DRIVERS / 'devcloud_drivers' / 'wsgi.py'


class ApplicationTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MonkeyPatch('sys.argv', ['gunicorn']))
        self.application = object()
        self._module('an_api', application=self.application)

    def _module(self, name, **contents):
        module = types.ModuleType(name)
        vars(module).update(contents)
        patch = mock.patch.dict(sys.modules, {name: module})
        patch.start()
        self.addCleanup(patch.stop)

    def _run(self, policies=''):
        for name, value in (('MODULE', 'an_api'),
                            ('ARGV', 'an-api --a "b c"'),
                            ('POLICIES', policies)):
            self.useFixture(fixtures.EnvironmentVariable(
                f'DEVCLOUD_WSGI_{name}', value))
        spec = importlib.util.spec_from_file_location('wsgi', WSGI)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def test_the_api_is_served_and_has_its_own_command_line(self):
        self.assertIs(self.application, self._run().application)
        self.assertEqual(['an-api', '--a', 'b c'], sys.argv)

    def test_policies_are_loaded_before_the_first_request(self):
        loads = mock.Mock(return_value=None)
        makes = mock.Mock()
        self._module('loads', init=loads)
        self._module('makes', init=makes)
        self._run('loads makes')
        loads.assert_called_once_with()
        makes.return_value.load_rules.assert_called_once_with()
