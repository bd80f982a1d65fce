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
import stat
from unittest import mock

import fixtures
from oslo_config import cfg
from oslotest import base

from zun_vk import exceptions
from zun_vk import state
from zun_vk.conf import opts


class AgentStateTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path) / 'state'
        self.conf = cfg.ConfigOpts()
        opts.register_all(self.conf)
        self.conf([], project='zun-vk', default_config_files=[])
        self.conf.set_override('state_path', str(self.path), group='agent')

    def _state(self):
        made = state.AgentState(self.conf)
        self.addCleanup(made.close)
        return made

    def test_an_agent_keeps_its_name(self):
        first = self._state()
        first.close()
        self.assertEqual(first.name, self._state().name)

    def test_agents_of_one_host_have_names_of_their_own(self):
        first = self._state()
        self.conf.set_override('state_path', f'{self.path}-2', group='agent')
        self.assertNotEqual(first.name, self._state().name)

    def test_two_agents_cannot_share_a_directory(self):
        self._state()
        error = self.assertRaises(exceptions.ConfigError, self._state)
        self.assertEqual('[agent] state_path', error.option)
        self.assertIn('another agent', str(error))

    def test_a_garbled_file_is_written_anew(self):
        self._state().close()
        for garbage in ('', 'x' * 5000, '../../etc\n'):
            (self.path / 'agent-id').write_text(garbage)
            one = self._state()
            one.close()
            self.assertRegex(one.name, r'_[0-9a-f]{8}$')
            self.assertEqual(one.name, self._state_name())

    def _state_name(self):
        one = self._state()
        one.close()
        return one.name

    def test_it_is_private(self):
        self._state()
        modes = [stat.S_IMODE(os.stat(path).st_mode)
                 for path in (self.path, self.path / 'agent-id')]
        self.assertEqual([0o700, 0o600], modes)

    def _refused(self):
        error = self.assertRaises(exceptions.ConfigError, self._state)
        self.assertEqual('[agent] state_path', error.option)
        return str(error)

    def test_a_directory_that_others_may_use_is_refused(self):
        self.path.mkdir()
        for mode in (0o755, 0o770, 0o701):
            self.path.chmod(mode)
            self.assertIn('chmod 0700', self._refused())

    def test_a_directory_of_another_user_is_refused(self):
        self.path.mkdir(mode=0o700)
        with mock.patch.object(state.os, 'geteuid', autospec=True,
                               return_value=os.geteuid() + 1):
            self.assertIn('another user', self._refused())

    def test_a_path_that_cannot_be_used_names_the_option(self):
        self.path.write_text('a file')
        error = self.assertRaises(exceptions.ConfigError, self._state)
        self.assertEqual('[agent] state_path', error.option)
