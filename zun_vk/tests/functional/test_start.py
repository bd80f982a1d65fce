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
"""Starting: what is wrong is said in one line, or waited for."""

import pathlib
import subprocess
import sys

from oslotest import base as oslotest_base

from zun_vk.tests.fixtures import kubernetes
from zun_vk.tests.fixtures import pods
from zun_vk.tests.fixtures import process
from zun_vk.tests.fixtures.openstack import cloud
from zun_vk.tests.fixtures.wait import hold_for
from zun_vk.tests.functional import base


class TestBadOptions(base.OwnAgentTestCase):

    def refused(self, options):
        """Start with these options; return the one line of complaint."""
        self.agent.write_config(options)
        self.agent.start()

        self.assertEqual(1, self.agent.wait(), self.agent.tail())

        text = self.agent.text()
        self.assertNotIn('Traceback', text)
        self.assertFalse(self.agent.notified)
        lines = [line for line in text.splitlines()
                 if 'ERROR' in line or 'CRITICAL' in line
                 or line.startswith('zun-vk-agent')]
        self.assertEqual(1, len(lines), text)
        return lines[0]

    def test_a_wrong_password_of_zun(self):
        line = self.refused({'zun': {'password': 'wr0ng-passw0rd'}})

        self.assertIn('[zun]', line)
        self.assertIn('password', line)
        self.assertNotIn('wr0ng-passw0rd', self.agent.text())

    def test_a_wrong_password_of_placement(self):
        line = self.refused({'placement': {'password': 'wrong'}})

        self.assertIn('[placement]', line)

    def test_a_wrong_password_of_neutron(self):
        line = self.refused({'neutron': {'password': 'wrong'}})

        self.assertIn('[neutron]', line)

    def test_a_project_that_is_not_there(self):
        line = self.refused({'tenants': {'default_project': 'f' * 32}})

        self.assertIn('default_project', line)

    def test_no_auth_url(self):
        line = self.refused({'zun': {'auth_url': None}})

        self.assertIn('[zun]', line)
        self.assertIn('auth_url', line)

    def test_no_auth_type(self):
        line = self.refused({'zun': {'auth_type': None}})

        self.assertIn('[zun] auth_type', line)

    def test_a_region_that_is_not_in_the_catalog(self):
        line = self.refused({'zun': {'region_name': 'Atlantis'}})

        self.assertIn('[zun]', line)
        self.assertIn('region_name', line)

    def test_a_number_that_is_none(self):
        line = self.refused({'node': {'capacity_interval': 'often'}})

        self.assertIn('capacity_interval', line)

    def test_a_name_that_kubernetes_would_not_take(self):
        line = self.refused({'node': {'name': 'Not_A_Name'}})

        self.assertIn('name', line)

    def test_a_taint_that_makes_no_sense(self):
        line = self.refused({'node': {'taint': 'a=b:Sometimes'}})

        self.assertIn('taint', line)

    def test_a_kubeconfig_that_is_not_there(self):
        line = self.refused({'kubernetes': {'kubeconfig': '/no/such/file'}})

        self.assertIn('[kubernetes] kubeconfig', line)

    def test_a_kubeconfig_that_is_none(self):
        path = self.agent.directory / 'bad-kubeconfig'
        path.write_text('just: [words\n')

        line = self.refused({'kubernetes': {'kubeconfig': path}})

        self.assertIn('[kubernetes] kubeconfig', line)

    def test_a_context_that_is_not_in_it(self):
        line = self.refused({'kubernetes': {'context': 'mars'}})

        self.assertIn('[kubernetes]', line)
        self.assertIn('mars', line)

    def test_a_runtime_nobody_provides(self):
        line = self.refused({'pods': {'capsule_runtime': 'imagination'}})

        self.assertIn('capsule_runtime', line)

    def test_a_configuration_file_that_is_not_there(self):
        self.agent.config = pathlib.Path('/no/such/zun-vk.conf')
        self.agent.start()

        self.assertEqual(1, self.agent.wait())

        self.assertIn('/no/such/zun-vk.conf', self.agent.text())
        self.assertNotIn('Traceback', self.agent.text())


class TestStart(base.OwnAgentTestCase):

    def check_waits(self, service):
        service.stop()
        self.agent.start()
        hold_for(lambda: self.agent.alive, 'the agent stays up', 4)
        # four credentials that are not checked, and what begins to fail
        self.assertLessEqual(len(self.agent.loud()), 7, self.agent.loud())

        service.start()

        self.agent.wait_ready(40)
        self.wait_node_ready(40)
        self.running_pod()

    def test_it_waits_for_keystone(self):
        self.check_waits(self.cloud.keystone)

    def test_it_waits_for_zun(self):
        self.check_waits(self.cloud.zun)

    def test_it_waits_for_placement(self):
        self.check_waits(self.cloud.placement)

    def test_it_does_not_wait_for_neutron(self):
        self.cloud.neutron.stop()
        self.addCleanup(self.cloud.neutron.start)

        self.agent.start_ready()

        self.wait_node_ready()

    def test_an_identity_without_rights_is_said_and_waited_for(self):
        powerless = self.kube.issue_kubeconfig('nobody')
        self.agent.write_config({'kubernetes': {'kubeconfig': powerless}})

        self.agent.start()

        hold_for(lambda: not self.agent.notified, 'not ready', 3)
        self.assertIn('orbidden', self.agent.text())

    def test_an_application_credential_will_do(self):
        ident = self.cloud.keystone.add_application_credential(
            self.cloud.user_id, self.cloud.service_project, 'open-sesame')
        login = {'auth_type': 'v3applicationcredential',
                 'application_credential_id': ident,
                 'application_credential_secret': 'open-sesame',
                 'username': None, 'password': None, 'project_name': None,
                 'user_domain_name': None, 'project_domain_name': None}
        self.agent.write_config({
            'zun': login, 'placement': login, 'neutron': login,
            'tenants': {'default_project': None}})

        self.agent.start_ready()

        self.wait_node_ready()
        pod = self.running_pod()
        self.assertEqual(self.cloud.service_project,
                         self.capsule(pod).project_id)

    def test_no_secret_is_in_the_log_at_debug_level(self):
        self.agent.start_ready()
        self.running_pod(pods.container(
            env=[{'name': 'DB_PASSWORD', 'value': 'hunter2-hunter2'}]))
        self.run_pod(name='refused', hostPID=True)
        self.cloud.keystone.revoke_all()
        self.running_pod(name='after')

        self.agent.stop()

        text = self.agent.text()
        self.assertIn('DEBUG', text)
        self.assertNotIn(cloud.PASSWORD, text)
        self.assertNotIn('hunter2-hunter2', text)
        self.assertNotIn('PRIVATE KEY', text)
        for token in self.cloud.keystone.secrets():
            self.assertNotIn(token, text)

    def test_the_programs_version_is_that_of_the_node(self):
        self.agent.start_ready()

        self.assertTrue(self.node['status']['nodeInfo']['kubeletVersion'])


WITHOUT_EVENTLET = '''
import sys
sys.modules['eventlet'] = None
import zun_vk.cmd.agent
import zun_vk.cmd.status
'''


class TestPrograms(oslotest_base.BaseTestCase):

    def test_nothing_of_the_agent_imports_eventlet(self):
        done = subprocess.run(
            [sys.executable, '-c', WITHOUT_EVENTLET], capture_output=True,
            env=process.with_path({'PYTHONPATH': str(kubernetes.CHECKOUT)}),
            text=True, timeout=60)

        self.assertEqual((0, ''), (done.returncode, done.stderr))

    def test_kubernetes_programs_are_at_hand(self):
        for name in ('etcd', 'kube-apiserver', 'kubectl'):
            self.assertTrue(pathlib.Path(kubernetes.program(name)).exists())
