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
import os
import signal
import subprocess
import sys
from unittest import mock

import fixtures

from devcloud import api
from devcloud import cli
from devcloud import hosts
from devcloud import packages
from devcloud import paths
from devcloud import settings
from zun_vk.tests.unit.devcloud import base


class CliTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.state = self.tmp / "it's a $tate"
        for name, value in (('DEVCLOUD_DIR', self.state),
                            ('XDG_CACHE_HOME', self.tmp / 'cache'),
                            ('KUBEBUILDER_ASSETS', ''), ('PATH', '/bin')):
            self.useFixture(fixtures.EnvironmentVariable(name, str(value)))
        self.addCleanup(os.umask, os.umask(0o022))
        self.addCleanup(signal.signal, signal.SIGTERM,
                        signal.getsignal(signal.SIGTERM))
        self.patch(paths, 'REGISTRY', self.tmp / 'run')
        self.where = paths.Paths(paths.CHECKOUT, self.state,
                                 self.tmp / 'cache', self.tmp / 'run')
        self.out, self.err = io.StringIO(), io.StringIO()
        self.patch(sys, 'stdout', self.out)
        self.patch(sys, 'stderr', self.err)

    def make_cloud(self):
        self.where.make()
        settings.passwords(self.where)

    def test_wrong_usage_is_exit_code_2(self):
        for words in ([], ['nosuch'], ['image', 'one'], ['env', 'root'],
                      ['agent', 'dance'], ['up', 'more']):
            error = self.assertRaises(SystemExit, cli.main, words)
            self.assertEqual(2, error.code)

    def test_env_without_a_cloud_says_how_to_make_one(self):
        self.assertEqual(1, cli.main(['env']))
        self.assertIn('devcloud/devcloud up', self.err.getvalue())
        self.assertEqual('', self.out.getvalue())

    def test_a_shell_understands_env_whatever_the_folder_is_named(self):
        self.make_cloud()
        self.assertEqual(0, cli.main(['env', 'demo']))
        shell = subprocess.run(
            ['/bin/sh', '-c', 'eval "$(cat)"; echo "$KUBECONFIG"; '
             'echo "$PATH"; echo "$OS_USERNAME $OS_PROJECT_NAME"; '
             'echo "$OS_PASSWORD"'], input=self.out.getvalue(),
            env={'PATH': '/bin'}, text=True, capture_output=True, check=True)
        self.assertEqual([
            f'{self.state}/etc/admin.kubeconfig', f'{self.state}/bin:/bin',
            'demo demo', settings.passwords(self.where)['demo']],
            shell.stdout.splitlines())

    def test_the_admin_and_the_tenant_are_two(self):
        self.make_cloud()
        admin, demo = (api.exports(self.where, user)
                       for user in ('admin', 'demo'))
        self.assertIn('OS_PROJECT_NAME=admin', admin)
        self.assertNotIn(settings.passwords(self.where)['admin'], demo)

    def test_a_log_is_printed(self):
        self.make_cloud()
        self.where.log('it').write_text('words\n')
        self.assertEqual(0, cli.main(['logs', 'it']))
        self.assertEqual('words\n', self.out.getvalue())

    def test_an_unknown_log_names_the_known_ones(self):
        self.make_cloud()
        self.where.log('it').write_text('words\n')
        self.assertEqual(1, cli.main(['logs', 'nosuch']))
        self.assertIn('there are: it', self.err.getvalue())

    def test_who_is_not_root_is_told(self):
        with mock.patch.object(os, 'geteuid', autospec=True,
                               return_value=1000):
            self.assertEqual(1, cli.main(['up']))
        self.assertIn('as root', self.err.getvalue())
        self.assertFalse(self.state.exists())

    def test_status_shows_the_drivers_that_hosts_have_of_their_own(self):
        self.make_cloud()
        hosts.add(self.where, 'two')
        hosts.add(self.where, 'three', driver='cri')
        cli.main(['status'])
        self.assertEqual(
            ['capsule driver: zun_vk', 'capsule driver on three: cri'],
            self.out.getvalue().splitlines()[-2:])

    def test_status_of_no_cloud_is_exit_code_1(self):
        self.assertEqual(1, cli.main(['status']))
        lines = self.out.getvalue().splitlines()
        self.assertEqual(['SERVER', 'PID', 'PORT', 'HEALTH', 'LOG'],
                         lines[0].split())
        self.assertIn('zun-api', self.out.getvalue())


class PackagesTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.policy = self.tmp / 'policy-rc.d'
        self.patch(packages, 'POLICY', self.policy)

    def test_services_are_kept_from_starting_during_an_installation(self):
        self.assertTrue(packages._forbid_services())
        done = subprocess.run([self.policy, 'mariadb', 'start'])
        self.assertEqual(101, done.returncode)

    def test_a_machines_own_policy_stays(self):
        self.policy.write_text('#!/bin/sh\nexit 0\n')
        self.assertFalse(packages._forbid_services())
        self.assertEqual('#!/bin/sh\nexit 0\n', self.policy.read_text())

    def test_what_an_interrupted_installation_left_is_ours_again(self):
        packages._forbid_services()
        self.assertTrue(packages._forbid_services())
