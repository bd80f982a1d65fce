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

import pathlib

import fixtures
from oslo_config import cfg
from oslotest import base

from zun_vk.compute.configs import settings as configs
from zun_vk.conf import compute


class SettingsTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.conf = cfg.ConfigOpts()
        compute.register_opts(self.conf)
        self.conf([])

    def _settings(self):
        return configs.from_conf(self.conf, self.root)

    def test_options_are_taken(self):
        self.conf.set_override('cgroup_parent', '/x', 'compute')
        self.conf.set_override('allow_privileged', True, 'compute')
        self.conf.set_override('pids_limit', 7, 'compute')
        made = self._settings()
        self.assertEqual(('/x', True, 7), (
            made.cgroup_parent, made.allow_privileged, made.pids_limit))
        self.assertGreater(made.memory_capacity, 2 ** 20)

    def test_nothing_is_allowed_that_no_option_allows(self):
        self.assertFalse(self._settings().allow_privileged)
        self.assertFalse(configs.Settings().allow_privileged)

    def test_the_unified_hierarchy_is_seen(self):
        self.assertEqual((False, False), (
            self._settings().cgroup_v2, self._settings().swap_limits))
        (self.root / 'cgroup.controllers').touch()
        self.assertEqual((True, False), (
            self._settings().cgroup_v2, self._settings().swap_limits))
        (self.root / 'system').mkdir()
        (self.root / 'system/memory.swap.max').touch()
        self.assertTrue(self._settings().swap_limits)

    def test_swap_limits_of_the_first_version_are_seen(self):
        (self.root / 'memory').mkdir()
        (self.root / 'memory/memory.memsw.limit_in_bytes').touch()
        self.assertEqual((False, True), (
            self._settings().cgroup_v2, self._settings().swap_limits))
