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
"""zun-vk-status upgrade check: each check can fail, and says why."""

import contextlib
import io
import json
import os
import pathlib
import shutil
import tempfile

from oslotest import base

from zun_vk.cmd import status
from zun_vk.tests.fixtures import pki

KUBECONFIG = {
    'apiVersion': 'v1', 'kind': 'Config', 'current-context': 'c',
    'clusters': [{'name': 'c', 'cluster': {'server': 'https://192.0.2.1'}}],
    'users': [{'name': 'u', 'user': {'token': 'not-for-logs'}}],
    'contexts': [{'name': 'c', 'context': {'cluster': 'c', 'user': 'u'}}],
}
AUTH = {'auth_type': 'password', 'auth_url': 'http://192.0.2.2/identity',
        'username': 'zun-vk', 'password': 'not-for-logs',
        'user_domain_name': 'Default', 'project_name': 'service',
        'project_domain_name': 'Default'}
SUCCESS, WARNING, FAILURE = 0, 1, 2


class StatusTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        self.kubeconfig = self.directory / 'kubeconfig'
        self.kubeconfig.write_text(json.dumps(KUBECONFIG))
        self.kubeconfig.chmod(0o600)
        self.sections = {
            'DEFAULT': {'transport_url': 'rabbit://u:not-for-logs@bus/'},
            'kubernetes': {'kubeconfig': self.kubeconfig},
            'kubelet_api': {'client_ca_file': pki.Authority(
                self.directory).certificate},
            'zun': dict(AUTH), 'placement': dict(AUTH),
            'neutron': dict(AUTH)}

    def check(self):
        """Return the exit code and {check: (code, details)}."""
        file = self.directory / 'zun-vk.conf'
        file.write_text(''.join(
            f'[{section}]\n' + ''.join(
                f'{name} = {value}\n' for name, value in options.items())
            for section, options in self.sections.items()))
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = status.main(['--config-file', str(file),
                                'upgrade', 'check', '--json'])
        self.assertNotIn('not-for-logs', out.getvalue())
        return code, {one['check']: (one['result'], one['details'] or '')
                      for one in json.loads(out.getvalue())['checks']}

    def assert_fails(self, name, expected, words):
        code, checks = self.check()
        self.assertEqual(expected, code)
        self.assertEqual(expected, checks[name][0])
        self.assertIn(words, checks[name][1])

    def test_a_good_configuration_passes(self):
        code, checks = self.check()
        self.assertEqual(SUCCESS, code, checks)
        self.assertEqual(7, len(checks))

    def test_a_value_of_the_wrong_type_fails(self):
        self.sections['pods'] = {'workers': 'many'}
        self.assert_fails('Options', FAILURE, 'workers')

    def test_a_missing_kubeconfig_fails(self):
        self.kubeconfig.unlink()
        self.assert_fails('Kubernetes credentials', FAILURE,
                          '[kubernetes] kubeconfig')

    def test_an_unknown_context_fails(self):
        self.sections['kubernetes']['context'] = 'other'
        self.assert_fails('Kubernetes credentials', FAILURE, 'other')

    def test_a_kubeconfig_others_may_read_is_warned_of(self):
        os.chmod(self.kubeconfig, 0o640)
        self.assert_fails('Kubernetes credentials are private', WARNING,
                          'chmod 0600')

    def test_a_section_without_credentials_fails(self):
        for section in ('placement', 'neutron'):
            del self.sections[section]['auth_type']
            self.assert_fails('OpenStack credentials', FAILURE,
                              f'[{section}] auth_type')
            self.sections[section] = dict(AUTH)

    def test_a_runtime_that_is_not_installed_fails(self):
        self.sections['pods'] = {'capsule_runtime': 'other'}
        self.assert_fails('Capsule runtime', FAILURE, 'other')

    def test_a_bus_that_is_none_fails(self):
        for url in ('amqp-like://u:not-for-logs@bus/',
                    'rabbit://u:not-for-logs@bus:port/'):
            self.sections['DEFAULT']['transport_url'] = url
            self.assert_fails('Message bus', FAILURE,
                              '[DEFAULT] transport_url')

    def test_a_bus_that_nobody_named_fails(self):
        self.sections['DEFAULT'] = {}
        self.assert_fails('Message bus', FAILURE, 'transport_url is not set')

    def test_files_of_the_kubelet_api_that_cannot_be_used_fail(self):
        for name in ('client_ca_file', 'cert_file'):
            self.sections['kubelet_api'] = {name: '/nonexistent'}
            self.assert_fails('Kubelet API', FAILURE,
                              f'[kubelet_api] {name}')

    def test_an_api_server_that_will_not_be_let_in_is_a_warning(self):
        self.sections['kubelet_api'] = {}
        self.assert_fails('Kubelet API', WARNING, 'client_ca_file')
        self.sections['kubelet_api'] = {'port': 0}
        self.assertEqual(SUCCESS, self.check()[0])

    def test_the_runtime_rest_needs_no_bus(self):
        self.sections['DEFAULT'] = {}
        self.sections['pods'] = {'capsule_runtime': 'rest'}
        self.assertEqual(SUCCESS, self.check()[0])

    def test_a_missing_file_is_one_line(self):
        error = io.StringIO()
        with contextlib.redirect_stderr(error):
            code = status.main(['--config-file', '/nonexistent/zun-vk.conf',
                                'upgrade', 'check'])
        self.assertEqual(255, code)
        self.assertEqual(1, error.getvalue().count('\n'))
        self.assertIn('/nonexistent/zun-vk.conf', error.getvalue())
