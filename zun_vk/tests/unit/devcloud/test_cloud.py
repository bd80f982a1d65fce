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
from pathlib import Path
import socket

from devcloud import agent
from devcloud import cloud as clouds
from devcloud import errors
from devcloud import hosts
from devcloud import openstack
from devcloud import progress
from devcloud import settings
from devcloud import status
from devcloud import zun_hosts
from zun_vk.tests.unit.devcloud import base

VENV = Path('/venv')


class CloudTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.where.make()
        self.cloud = clouds.Cloud(self.where, progress.Screen(io.StringIO()))
        self.cloud.binaries = Path('/kubernetes')
        settings.passwords(self.where)

    def test_everything_a_step_waits_for_is_a_step(self):
        steps = self.cloud._all_steps()
        names = [step.name for step in steps]
        self.assertEqual(len(names), len(set(names)))
        for step in steps:
            self.assertLessEqual(set(step.after), set(names), step.name)

    def test_no_step_waits_for_itself(self):
        before = clouds.start_order(self.cloud._all_steps())
        for name, needed in before.items():
            self.assertNotIn(name, needed)

    def test_servers_end_before_what_they_use(self):
        before = clouds.start_order(self.cloud._all_steps())
        for name, used in (('zun-compute', 'rabbitmq'),
                           ('zun-compute', 'mariadb'),
                           ('zun-compute', 'dockerd'),
                           ('zun-api', 'keystone'), ('keystone', 'mariadb'),
                           ('kube-scheduler', 'kube-apiserver'),
                           ('kube-apiserver', 'etcd'),
                           ('rabbitmq', 'epmd')):
            self.assertIn(used, before[name], name)

    def test_no_password_is_on_a_command_line_or_in_an_environment(self):
        secrets = settings.passwords(self.where).values()
        for server in [*self.cloud.all_servers(), *self.cloud._others()]:
            shown = ' '.join((*server.command, *server.env.values()))
            for secret in secrets:
                self.assertNotIn(secret, shown, server.name)

    def test_no_password_is_on_the_command_line_of_an_initialisation(self):
        secrets = settings.passwords(self.where).values()
        todo = openstack.initialisations(self.where, VENV, None)
        for command in [one for each in todo.values() for one, _ in each]:
            for secret in secrets:
                self.assertNotIn(secret, ' '.join(map(str, command)))

    def test_no_two_servers_share_a_port_or_a_name(self):
        listed = self.cloud.all_servers()
        ports = [settings.PORTS[port] for server in listed
                 for port in server.ports]
        self.assertEqual(len(ports), len(set(ports)))
        names = [server.name for server in listed]
        self.assertEqual(len(names), len(set(names)))

    def test_ports_are_below_the_ephemeral_ones(self):
        self.assertLess(max(settings.PORTS.values()), 32768)

    def test_nobody_waits_for_what_only_some_need(self):
        self.assertNotIn('metrics-server', {
            step.name for step in self.cloud._all_steps()})
        self.assertEqual('metrics-server',
                         self.cloud.server('metrics-server').name)

    def test_an_unknown_server_is_named_with_the_known_ones(self):
        error = self.assertRaises(errors.DevcloudError, self.cloud.server,
                                  'nosuch')
        self.assertIn('nosuch', str(error))
        self.assertIn('zun-api', str(error))

    def test_a_cloud_that_is_down_is_shown_as_such(self):
        rows, well = status.rows(self.cloud)
        self.assertFalse(well)
        self.assertEqual({'not running'}, {row[3] for row in rows})
        self.assertEqual('agent', rows[-1][0])


class HostsTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.where.make()
        hosts.add(self.where, 'two')

    def test_hosts_are_remembered_once(self):
        hosts.add(self.where, 'two')
        self.assertEqual([socket.gethostname(), 'two'],
                         hosts.names(self.where))

    def test_what_is_no_host_name_is_refused(self):
        for name in ('', 'Two', 'a_b', '-a', 'a' * 33, 'a.b', 'a b',
                     socket.gethostname()):
            self.assertRaises(errors.DevcloudError, hosts.add, self.where,
                              name)

    def test_zun_compute_bears_the_name_that_its_dockerd_reports(self):
        zun_hosts.write_configuration(self.where, VENV)
        for host in hosts.names(self.where):
            path = self.where.etc / f'zun-compute-{host}.conf'
            lines = path.read_text().splitlines()
            self.assertIn(f'host = {host}', lines)
            self.assertIn(f'api_url = unix://{self.where.run}/docker-{host}'
                          '.sock', lines)
            self.assertEqual(0o600, path.stat().st_mode & 0o777)

    def test_another_host_runs_in_a_uts_namespace_of_its_own(self):
        commands = {server.name: server.command
                    for server in zun_hosts.table(self.where, VENV)}
        self.assertEqual('dockerd', commands['dockerd'][0])
        self.assertEqual(('unshare', '--uts'), commands['dockerd-two'][:2])
        self.assertIn('zun-compute-two', commands)

    def test_a_report_from_before_a_restart_does_not_count(self):
        self.assertEqual(hosts.reported('2026-11-23T09:41:10.000000'),
                         hosts.reported('2026-11-23T10:41:10+01:00'))


class AgentTestCase(base.TestCase):

    def test_the_configuration_names_the_tenants_project(self):
        self.where.make()
        cloud = clouds.Cloud(self.where, progress.Screen(io.StringIO()))
        sections = agent.configuration(self.where, cloud.keys, 'abc')
        self.assertEqual('abc', sections['tenants']['default_project'])
        self.assertEqual('zun-vk', sections['zun']['username'])
        self.assertEqual(settings.passwords(self.where)['zun-vk'],
                         sections['zun']['password'])

    def test_extra_configuration_is_read_last(self):
        cloud = clouds.Cloud(self.where, progress.Screen(io.StringIO()))
        command = cloud.agent.server([Path('/extra.conf')]).command
        self.assertEqual('--config-file=/extra.conf', command[-1])
        self.assertEqual(f'--config-file={self.where.etc}/zun-vk.conf',
                         command[-2])
