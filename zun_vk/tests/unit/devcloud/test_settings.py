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
import configparser
import os
import stat

from oslo_config import cfg

from devcloud import paths
from devcloud import settings
from zun_vk.tests.unit.devcloud import base


class PasswordsTestCase(base.TestCase):

    def test_every_account_has_a_password_of_its_own_that_stays(self):
        self.where.make()
        found = settings.passwords(self.where)
        self.assertEqual(set(settings.ACCOUNTS), set(found))
        self.assertEqual(len(found), len(set(found.values())))
        self.assertEqual(found, settings.passwords(self.where))

    def test_only_the_owner_can_read_them(self):
        self.where.make()
        settings.passwords(self.where)
        mode = (self.where.state / 'passwords.json').stat().st_mode
        self.assertEqual(0o600, stat.S_IMODE(mode))

    def test_two_clouds_have_different_passwords(self):
        other = paths.Paths(self.tmp, self.tmp / 'b', self.tmp / 'c',
                            self.tmp / 'r')
        for where in (self.where, other):
            where.make()
        self.assertFalse(set(settings.passwords(self.where).values())
                         & set(settings.passwords(other).values()))


class IniTestCase(base.TestCase):

    def test_oslo_config_reads_back_what_was_written(self):
        text = settings.ini({'DEFAULT': {'a': 'x$y$$z'}, 'b': {'c': 5}})
        path = self.tmp / 'it.conf'
        path.write_text(text)
        conf = cfg.ConfigOpts()
        conf.register_opt(cfg.StrOpt('a'))
        conf.register_opt(cfg.IntOpt('c'), 'b')
        conf(['--config-file', str(path)], default_config_files=[])
        self.assertEqual('x$y$$z', conf.a)
        self.assertEqual(5, conf.b.c)

    def test_a_value_cannot_smuggle_in_another_option(self):
        self.assertRaises(ValueError, settings.ini,
                          {'DEFAULT': {'a': 'x\nb = y'}})

    def test_sections_are_ini(self):
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string(settings.ini({'one': {'a': 1}, 'two': {}}))
        self.assertEqual(['one', 'two'], parser.sections())


class PathsTestCase(base.TestCase):

    def test_folders_come_from_the_environment(self):
        found = paths.Paths.from_environment(
            {'DEVCLOUD_DIR': '/a/b', 'XDG_CACHE_HOME': '/c'})
        self.assertEqual('/a/b', str(found.state))
        self.assertEqual('/c/zun-vk-devcloud', str(found.cache))

    def test_folders_have_defaults(self):
        found = paths.Paths.from_environment({'HOME': '/h'})
        self.assertEqual(paths.CHECKOUT / '.devcloud', found.state)
        self.assertEqual('/h/.cache/zun-vk-devcloud', str(found.cache))

    def test_clouds_of_different_folders_have_different_ids(self):
        self.assertNotEqual(paths.cloud_id(self.tmp / 'a'),
                            paths.cloud_id(self.tmp / 'b'))

    def test_a_private_file_is_private_from_the_start_and_replaced(self):
        path = self.tmp / 'key'
        old = os.umask(0)
        self.addCleanup(os.umask, old)
        for text in ('one', 'two'):
            paths.write_private(path, text)
            self.assertEqual(text, path.read_text())
            self.assertEqual(0o600, stat.S_IMODE(path.stat().st_mode))
