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
import socket
import tempfile
import threading
from unittest import mock

import fixtures
from oslotest import base
import yaml

from zun_vk.cmd import agent
from zun_vk.cmd import program
from zun_vk.tests.fixtures import openstack
from zun_vk.tests.fixtures.openstack import cloud as cloud_module
from zun_vk.tests.fixtures.openstack import http
from zun_vk.tests.unit.kube import api


class AgentProgramTestCase(base.BaseTestCase):
    """main() up to the point where the service would be launched."""

    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(openstack.FakeCloud())
        self.kube = self.useFixture(api.ApiFixture(threading.RLock()))
        self.kube.conf(api.kubeconfig(server=self.kube.api.url))
        self.kubeconfig = f'{self.kube.directory}/kubeconfig'
        for name in ('limits.raise_descriptors', 'logging.setup',
                     'service.launch',
                     'gmr.TextGuruMeditation.setup_autorun'):
            self.useFixture(fixtures.MockPatch(
                f'zun_vk.cmd.program.{name}', autospec=True))
        self.errors = io.StringIO()
        self.useFixture(fixtures.MonkeyPatch('sys.stderr', self.errors))

    def _options(self):
        login = {
            'auth_type': 'password', 'timeout': '5',
            'auth_url': f'{self.cloud.keystone.url}/v3',
            'username': cloud_module.USER,
            'password': cloud_module.PASSWORD, 'project_name': 'service',
            'user_domain_name': 'Default',
            'project_domain_name': 'Default', 'region_name': 'RegionOne'}
        return {'agent': {'state_path': tempfile.mkdtemp(
                    dir=self.kube.directory)},
                'kubernetes': {'kubeconfig': self.kubeconfig,
                               'timeout': '2'},
                'DEFAULT': {'transport_url': 'rabbit://bus:5672/'},
                'node': {}, 'pods': {}, 'metrics': {},
                'tenants': {'default_project': self.cloud.project},
                'zun': dict(login), 'placement': dict(login),
                'neutron': dict(login)}

    def _main(self, **changes):
        """Run with options; None leaves one out."""
        options = self._options()
        for section, values in changes.items():
            options[section].update(values)
        lines = []
        for section, values in options.items():
            lines.append(f'[{section}]')
            lines += [f'{name} = {value}' for name, value in values.items()
                      if value is not None]
        path = self.create_tempfiles([('zun-vk', '\n'.join(lines))])[0]
        return agent.main(['--config-file', path])

    def _fails(self, *words, **changes):
        """Check for exit code 1 and one line with these words."""
        self.errors.truncate(0)
        self.errors.seek(0)
        self.assertEqual(1, self._main(**changes))
        said = self.errors.getvalue()
        self.assertEqual(1, said.count('\n'), said)
        self.assertTrue(said.startswith('zun-vk-agent: '), said)
        self.assertNotIn(cloud_module.PASSWORD, said)
        for word in words:
            self.assertIn(word, said)

    def test_right_options_start_the_service(self):
        self.kube.api.answers.append(
            http.Response(200, {'metadata': {'uid': 'u'}}))
        self.assertEqual(0, self._main())
        self.assertEqual(1, program.service.launch.call_count)
        program.limits.raise_descriptors.assert_called_once_with()

    def test_values_that_make_no_sense_are_named(self):
        self._fails('capacity_interval', node={'capacity_interval': 'often'})
        self._fails('name', node={'name': 'No_Name'})
        self._fails('workers', pods={'workers': '0'})

    def test_missing_credentials_are_named(self):
        self._fails('[zun] auth_type', zun={'auth_type': None})
        self._fails('[placement] auth_url', placement={'auth_url': None})
        self._fails('[neutron] auth_type', neutron={'auth_type': None})

    def test_wrong_credentials_are_named(self):
        self._fails('[zun]', 'password', zun={'password': 'wrong'})
        self._fails('[placement]', 'username',
                    placement={'username': 'nobody'})
        self._fails('[neutron]', 'password', neutron={'password': 'wrong'})

    def test_a_project_without_a_role_is_named(self):
        self._fails('[tenants] default_project',
                    tenants={'default_project': 'nowhere'})

    def test_a_kubeconfig_that_cannot_be_used_is_named(self):
        self._fails('[kubernetes] kubeconfig',
                    kubernetes={'kubeconfig': '/nonexistent'})
        for text in ('[]', 'a: [', 'text'):
            with open(self.kubeconfig, 'w', encoding='utf-8') as file:
                file.write(text)
            self._fails('[kubernetes] kubeconfig')

    def test_a_context_that_is_not_there_is_named(self):
        self._fails('[kubernetes]', 'nowhere',
                    kubernetes={'context': 'nowhere'})

    def test_credentials_kubernetes_refuses_are_named(self):
        for status in (401, 403):
            self.kube.api.answers.append(http.Response(
                status, {'message': 'Unauthorized'}))
            self._fails('[kubernetes] kubeconfig', 'Unauthorized')

    def test_a_server_that_is_no_kubernetes_is_named(self):
        for status in (404, 405, 301):
            self.kube.api.answers.append(http.Response(status, '<html>'))
            self._fails('[kubernetes] kubeconfig')

    def test_an_unknown_runtime_is_named(self):
        self._fails('[pods] capsule_runtime', 'nothing',
                    pods={'capsule_runtime': 'nothing'})

    def test_a_bus_that_is_missing_or_is_none_is_named(self):
        for url in (None, 'no-bus://'):
            self._fails('[DEFAULT] transport_url',
                        DEFAULT={'transport_url': url})

    def test_who_has_stock_zun_needs_no_bus(self):
        self.kube.api.answers.append(
            http.Response(200, {'metadata': {'uid': 'u'}}))
        self.assertEqual(0, self._main(
            pods={'capsule_runtime': 'rest'},
            DEFAULT={'transport_url': None}))

    def test_a_metrics_port_in_use_is_named(self):
        taken = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(taken.close)
        self.kube.api.answers.append(
            http.Response(200, {'metadata': {'uid': 'u'}}))
        self._fails('[metrics]',
                    metrics={'port': str(taken.getsockname()[1])})

    def test_a_configuration_file_that_is_not_there_is_named(self):
        self.assertEqual(1, agent.main(['--config-file', '/nonexistent/x']))
        self.assertIn('/nonexistent/x', self.errors.getvalue())

    def test_a_configuration_file_that_cannot_be_read_is_named(self):
        path = self.create_tempfiles([('broken', '[zun\nx\n')])[0]
        self.assertEqual(1, agent.main(['--config-file', path]))
        self.assertIn(path, self.errors.getvalue())

    def test_services_that_are_away_do_not_keep_it_from_starting(self):
        for service in (self.cloud.keystone, self.cloud.zun,
                        self.cloud.placement, self.cloud.neutron,
                        self.kube.api):
            service.stop()
        self.assertEqual(0, self._main())

    def test_the_options_are_logged_without_secrets(self):
        with mock.patch.object(program.LOG, 'log', autospec=True) as log:
            self.kube.api.answers.append(
                http.Response(200, {'metadata': {'uid': 'u'}}))
            self.assertEqual(0, self._main())
        self.assertTrue(log.called)
        self.assertNotIn(cloud_module.PASSWORD, str(log.call_args_list))

    def test_the_kubeconfigs_token_is_in_no_message(self):
        with open(self.kubeconfig, encoding='utf-8') as file:
            self.assertIn('s3cret-token', yaml.safe_dump(
                yaml.safe_load(file)))
        self.kube.api.answers.append(http.Response(401, {}))
        self._fails('[kubernetes]')
        self.assertNotIn('s3cret-token', self.errors.getvalue())
