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
"""The systemd units: what they allow, what they keep, and that they come."""

import configparser
import pathlib

from oslo_config import cfg
from oslotest import base

from zun_vk.conf import opts

ROOT = pathlib.Path(__file__).parents[3]
UNITS = ROOT / 'etc' / 'systemd'
ROOTS = {'RuntimeDirectory': '/run', 'StateDirectory': '/var/lib',
         'LogsDirectory': '/var/log'}


def lines(parser, section, option):
    return [line.strip() for line in parser[section][option].splitlines()
            if line.strip()]


class TestUnits(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.setup_cfg = configparser.ConfigParser(interpolation=None)
        self.setup_cfg.read(ROOT / 'setup.cfg')
        self.conf = cfg.ConfigOpts()
        opts.register_all(self.conf)
        self.conf([], default_config_files=[], default_config_dirs=[])

    def service(self, name):
        """Return the options of a unit's [Service]; the last value wins."""
        unit = configparser.ConfigParser(interpolation=None, strict=False)
        unit.optionxform = str  # type: ignore[assignment,method-assign]
        unit.read(UNITS / f'zun-vk-{name}.service')
        return unit['Service']

    def directories(self, service):
        return {f'{ROOTS[option]}/{service[option]}'
                for option in ROOTS if option in service}

    def test_every_unit_and_manifest_is_installed(self):
        installed = ' '.join(lines(self.setup_cfg, 'files', 'data_files'))
        for kind in ('systemd', 'kubernetes'):
            for file in (ROOT / 'etc' / kind).iterdir():
                self.assertIn(f'etc/{kind}/{file.name}', installed)

    def test_the_host_is_not_restarted_for_the_bus_to_come(self):
        self.assertEqual('infinity',
                         self.service('compute')['TimeoutStartSec'])

    def test_each_unit_starts_a_program_that_is_installed(self):
        programs = [line.split(' = ')[0] for line in lines(
            self.setup_cfg, 'entry_points', 'console_scripts')]
        for unit in UNITS.iterdir():
            program = self.service(unit.stem.removeprefix('zun-vk-'))[
                'ExecStart'].split()[0]
            self.assertIn(program, programs)

    def test_the_host_keeps_things_where_its_unit_makes_room(self):
        made = self.directories(self.service('compute'))
        options = self.conf.compute
        for path in (options.pod_root, options.log_root,
                     f'{options.run_root}/pods'):
            self.assertIn(str(pathlib.Path(path).parent), made)

    def test_agent_and_host_share_no_directory(self):
        agent, host = (self.directories(self.service(name))
                       for name in ('agent', 'compute'))
        self.assertIn(self.conf.agent.state_path, agent)
        self.assertEqual(set(), agent & host)

    def test_the_hosts_mounts_show_in_the_runtime(self):
        service = self.service('compute')
        # systemd.exec(5): what gives a service a mount namespace of its own.
        prefixes = ('Private', 'Protect', 'ReadOnly', 'ReadWrite', 'Bind',
                    'Inaccessible', 'ExecPaths', 'NoExecPaths', 'Root',
                    'TemporaryFileSystem', 'DynamicUser', 'MountFlags')
        for option in service:
            self.assertFalse(option.startswith(prefixes), option)

    def test_the_host_may_do_what_it_does(self):
        service = self.service('compute')
        allowed = service['CapabilityBoundingSet'].split()
        for needed in ('CAP_SYS_ADMIN', 'CAP_SYS_PTRACE', 'CAP_CHOWN'):
            self.assertIn(needed, allowed)
        for option in ('RestrictNamespaces', 'RestrictSUIDSGID',
                       'SystemCallFilter'):
            self.assertNotIn(option, service)
