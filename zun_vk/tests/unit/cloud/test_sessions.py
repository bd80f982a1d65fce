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
import time
from unittest import mock

import fixtures
from keystoneauth1 import exceptions as ks_exceptions
from keystoneauth1.exceptions import connection
from oslotest import base as test_base
import requests

from zun_vk import exceptions
from zun_vk.cloud import sessions
from zun_vk.tests.fixtures.openstack import cloud as cloud_module
from zun_vk.tests.unit.cloud import base


class ServiceAccessTestCase(base.CloudTestCase):

    def test_the_catalog_names_the_endpoint(self):
        adapter = self.access().adapter()
        self.assertEqual(f'{self.cloud.zun.url}/v1',
                         adapter.endpoint_override)

    def test_an_endpoint_override_wins_over_the_catalog(self):
        adapter = self.access(
            endpoint_override='http://127.0.0.1:1/v1').adapter()
        self.assertEqual('http://127.0.0.1:1/v1', adapter.endpoint_override)

    def test_one_token_serves_many_calls(self):
        access = self.access()
        for _ in range(5):
            access.adapter()
        self.assertEqual(
            1, self.cloud.keystone.count('POST', '/v3/auth/tokens'))

    def test_a_token_that_is_good_is_not_looked_at_for_each_call(self):
        access = self.access()
        access.adapter()
        with mock.patch.object(access.session, 'get_token',
                               autospec=True) as get_token:
            access.adapter()
            self.assertEqual([], get_token.mock_calls)
            with mock.patch('time.monotonic', autospec=True,
                            return_value=time.monotonic() + 6):
                access.adapter()
            self.assertEqual(1, len(get_token.mock_calls))

    def test_each_server_has_the_proxy_that_the_environment_says(self):
        for name, value in (('http_proxy', 'http://proxy.example:1'),
                            ('https_proxy', ''),
                            ('no_proxy', 'near.example')):
            self.useFixture(fixtures.EnvironmentVariable(name, value))
        transport = self.access().session.session
        for _ in range(2):
            for url, proxy in (
                    ('http://far.example/a', 'http://proxy.example:1'),
                    ('http://far.example:8/b', 'http://proxy.example:1'),
                    ('http://near.example/', None),
                    ('https://far.example/', None)):
                found = transport.merge_environment_settings(
                    url, {}, False, True, None)
                self.assertEqual(
                    proxy, requests.utils.select_proxy(url, found['proxies']))

    def test_a_token_of_another_project_can_be_had(self):
        access = self.access(project_id=self.cloud.project)
        access.adapter()
        self.assertEqual(self.cloud.project, access.session.get_project_id())

    def test_wrong_credentials_are_denied(self):
        for login in ({'password': 'wrong'}, {'username': 'nobody'}):
            self.assertRaises(exceptions.AccessDenied,
                              self.access(**login).adapter)

    def test_a_keystone_that_does_not_answer_is_unreachable(self):
        access = self.access()
        self.cloud.keystone.stop()
        error = self.assertRaises(exceptions.Unreachable, access.adapter)
        self.assertEqual('keystone', error.service)

    def test_a_keystone_that_fails_is_unavailable(self):
        self.cloud.keystone.fail_next('POST', status=503, times=9)
        error = self.assertRaises(exceptions.Unavailable,
                                  self.access().adapter)
        self.assertEqual('keystone', error.service)

    def test_a_missing_endpoint_is_not_taken_for_a_missing_capsule(self):
        for login in ({'region_name': 'Nowhere'},
                      {'service_type': 'nothing'}):
            error = self.assertRaises(exceptions.RemoteError,
                                      self.access(**login).adapter)
            self.assertEqual('keystone', error.service)
            self.assertNotIsInstance(error, exceptions.NotFound)

    def test_keystones_404_is_not_taken_for_a_missing_capsule(self):
        self.cloud.keystone.fail_next('POST', status=404, times=9)
        error = self.assertRaises(exceptions.RemoteError,
                                  self.access().adapter)
        self.assertNotIsInstance(error, exceptions.NotFound)

    def test_no_error_holds_the_password(self):
        access = self.access(username='nobody')
        error = self.assertRaises(exceptions.AccessDenied, access.adapter)
        self.assertNotIn(cloud_module.PASSWORD, str(error))

    def test_missing_options_are_named(self):
        for missing, named in (({'auth_type': None}, '[zun] auth_type'),
                               ({'auth_url': None}, '[zun] auth_url'),
                               ({'auth_type': 'mail'}, '[zun] auth_type')):
            error = self.assertRaises(
                exceptions.ConfigError, lambda m=missing: self.access(**m))
            self.assertTrue(str(error).startswith(named), error)


class CheckTestCase(base.CloudTestCase):

    def _check(self, **login):
        sessions.check(self.access(**login))

    def test_right_credentials_pass(self):
        self._check()

    def test_wrong_options_are_named(self):
        for login, named in (
                ({'password': 'wrong'}, 'password'),
                ({'username': 'nobody'}, 'username'),
                ({'project_name': 'none'}, 'project_name'),
                ({'region_name': 'Nowhere'}, 'region_name'),
                ({'service_type': 'nothing'}, 'service_type')):
            error = self.assertRaises(
                exceptions.ConfigError, self._check, **login)
            self.assertIn('[zun]', str(error))
            self.assertIn(named, error.option)
            self.assertNotIn('\n', str(error))

    def test_a_keystone_that_is_away_is_no_configuration_error(self):
        access = self.access()
        self.cloud.keystone.stop()
        self.assertRaises(exceptions.Unreachable, sessions.check, access)

    def test_an_auth_url_that_is_no_keystone_is_named(self):
        error = self.assertRaises(
            exceptions.ConfigError, self._check,
            auth_url=f'{self.cloud.neutron.url}/v3')
        self.assertIn('auth_url', str(error))


class TranslatedTestCase(test_base.BaseTestCase):

    def _translate(self, error):
        with sessions.translated('zun'):
            raise error

    def test_each_error_of_keystoneauth_has_its_class(self):
        for error, expected in (
                (ks_exceptions.BadRequest, exceptions.Rejected),
                (ks_exceptions.Unauthorized, exceptions.AccessDenied),
                (ks_exceptions.Forbidden, exceptions.AccessDenied),
                (ks_exceptions.NotFound, exceptions.NotFound),
                (ks_exceptions.Conflict, exceptions.Conflict),
                (ks_exceptions.InternalServerError, exceptions.Unavailable),
                (ks_exceptions.ServiceUnavailable, exceptions.Unavailable),
                (connection.ConnectFailure, exceptions.Unreachable),
                (connection.ConnectTimeout, exceptions.Unreachable),
                (connection.SSLError, exceptions.Unreachable),
                (connection.UnknownConnectionError,
                 exceptions.Unreachable),
                (ks_exceptions.EndpointNotFound, exceptions.Rejected)):
            failure = (error('words', None)
                       if error is connection.UnknownConnectionError
                       else error('words'))
            raised = self.assertRaises(expected, self._translate, failure)
            self.assertEqual('zun', raised.service)
            self.assertIn('words', raised.message)

    def test_other_exceptions_pass(self):
        self.assertRaises(ZeroDivisionError, self._translate,
                          ZeroDivisionError())
