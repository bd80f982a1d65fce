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
"""What the tests of the OpenStack side share: a cloud and its options."""

from keystoneauth1 import loading as ks_loading
from oslo_config import cfg
from oslotest import base

from zun_vk.cloud import sessions
from zun_vk.conf import opts
from zun_vk.tests.fixtures import openstack
from zun_vk.tests.fixtures.openstack import cloud as cloud_module


class CloudTestCase(base.BaseTestCase):
    """A test with a cloud of its own, over HTTP on the loopback address."""

    HOSTS = 1

    def setUp(self):
        super().setUp()
        self.cloud = self.useFixture(openstack.FakeCloud(self.HOSTS))
        self.conf = self.make_conf()

    def make_conf(self, group='', **login):
        """Return options as an operator sets them.

        :param login: over those of section ``group``
        """
        conf = cfg.ConfigOpts()
        opts.register_all(conf)
        conf([], project='zun-vk', default_config_files=[])
        for section in ('zun', 'placement', 'neutron'):
            options = {
                'auth_type': 'password',
                'auth_url': f'{self.cloud.keystone.url}/v3',
                'username': cloud_module.USER,
                'password': cloud_module.PASSWORD,
                'project_name': 'service', 'user_domain_name': 'Default',
                'project_domain_name': 'Default',
                'region_name': 'RegionOne', 'timeout': 5}
            if section == group:
                options.update(login)
            self._register_auth(conf, section)
            for name, value in options.items():
                conf.set_override(name, value, group=section)
        return conf

    def _register_auth(self, conf, section):
        conf.register_opts(
            ks_loading.get_auth_plugin_conf_options('password'),
            group=section)

    def access(self, group='zun', project_id=None, **login):
        """Return access to a service.

        :param login: options over the right ones
        """
        conf = self.make_conf(group, **login) if login else self.conf
        return sessions.ServiceAccess(conf, group, project_id)
