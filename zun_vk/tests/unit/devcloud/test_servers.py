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
import socket
import sys
import threading

from devcloud import errors
from devcloud import servers
from devcloud import settings
from zun_vk.tests.unit.devcloud import base


class SupervisorTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.where.make()
        self.abort = threading.Event()
        self.supervisor = servers.Supervisor(self.where, self.abort)
        self.addCleanup(self.supervisor.processes.stop, 'it', 0)

    def server(self, text, health=lambda: '', **more):
        return servers.Server('it', ('sh', '-c', text), health, **more)

    def test_a_server_is_started_once(self):
        server = self.server('exec sleep 60')
        self.supervisor.start(server)
        pid = self.supervisor.processes.pid('it')
        self.supervisor.start(server)
        self.assertEqual(pid, self.supervisor.processes.pid('it'))
        self.assertTrue(self.supervisor.stop(server))

    def test_a_server_that_ends_is_an_error_with_its_last_words(self):
        error = self.assertRaises(
            errors.LoggedFailure, self.supervisor.start,
            self.server('echo no such luck; exit 3', lambda: 'not yet'))
        self.assertIn('it ended', error.report())
        self.assertIn('no such luck', error.report())

    def test_a_server_that_does_not_get_well_is_an_error(self):
        error = self.assertRaises(
            errors.LoggedFailure, self.supervisor.start,
            self.server('exec sleep 60', lambda: 'feels bad', seconds=0.3))
        self.assertIn('feels bad', str(error))

    def test_who_tells_systemd_is_well_once_it_has_told(self):
        script = ('import os, socket, time; '
                  's = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); '
                  's.connect(os.environ["NOTIFY_SOCKET"]); '
                  's.send(b"STATUS=soon\\nREADY=1"[:{}]); time.sleep(60)')
        command = f"exec {sys.executable} -c '{script}'"
        self.assertRaises(
            errors.LoggedFailure, self.supervisor.start,
            self.server(command.format(5), notifies=True, seconds=1))
        self.supervisor.stop(self.server(''))
        self.supervisor.start(self.server(command.format(99), notifies=True))
        self.assertEqual([], list(self.where.run.glob('*.sock')))

    def test_a_server_has_its_umask(self):
        made = self.where.run / 'made'
        server = self.server(f'touch {made}; exec sleep 60',
                             lambda: '' if made.exists() else 'not yet',
                             umask=0o027)
        self.supervisor.start(server)
        self.assertEqual(0o640, made.stat().st_mode & 0o777)

    def test_waiting_ends_when_all_is_given_up(self):
        self.abort.set()
        self.assertRaises(
            errors.Aborted, self.supervisor.start,
            self.server('exec sleep 60', lambda: 'not yet'))

    def test_a_port_of_another_program_is_named_and_left_alone(self):
        with socket.socket() as other:
            other.bind((settings.HOST, 0))
            other.listen()
            port = other.getsockname()[1]
            self.assertTrue(servers.port_taken(port))
            server = self.server('exec sleep 60', ports=('mariadb',))
            taken = {**settings.PORTS, 'mariadb': port}
            self.patch(settings, 'PORTS', taken)
            error = self.assertRaises(errors.DevcloudError,
                                      self.supervisor.start, server)
        self.assertIn(str(port), str(error))
        self.assertFalse(servers.port_taken(port))


class EnvironmentTestCase(base.TestCase):

    def test_servers_do_not_see_what_would_lead_them_astray(self):
        strange = {'OS_PASSWORD': 'x', 'PYTHONPATH': '/x', 'HTTPS_PROXY': 'x',
                   'KUBECONFIG': '/x', 'DOCKER_HOST': 'x'}
        self.patch(os, 'environ', {**strange, 'LANG': 'C', 'PATH': '/bin'})
        found = servers.base_environment()
        self.assertEqual({'LANG', 'PATH'}, set(found))
        self.assertIn('/usr/sbin', found['PATH'].split(':'))
