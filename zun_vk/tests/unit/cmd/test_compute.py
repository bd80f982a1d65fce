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
import fixtures
from oslo_config import cfg
from oslotest import base
from vif_plug_ovs import ovs

from zun_vk.cmd import compute


class ConfigureTestCase(base.BaseTestCase):

    def test_the_plugins_of_os_vif_have_their_options(self):
        self.useFixture(fixtures.MockPatch(
            'zun_vk.cmd.program.logging.setup', autospec=True))
        self.addCleanup(cfg.CONF.reset)
        path, = self.create_tempfiles([(
            'zun-vk', '[os_vif_ovs]\novsdb_connection = unix:/run/db.sock\n')])

        compute.configure(cfg.ConfigOpts(), ['--config-file', path])

        # As os_vif.plugin has it.
        cfg.CONF.register_opts(ovs.OvsPlugin.CONFIG_OPTS, group='os_vif_ovs')
        self.assertEqual('unix:/run/db.sock',
                         cfg.CONF.os_vif_ovs.ovsdb_connection)
