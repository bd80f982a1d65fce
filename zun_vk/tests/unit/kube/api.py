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
"""A Kubernetes API server for unit tests: it answers what a test says."""

import fixtures
from oslo_config import cfg
import yaml

from zun_vk.conf import opts
from zun_vk.kube import client
from zun_vk.tests.fixtures.openstack import http


class Api(http.Service):
    """Keeps every request and answers with ``answers``, then with 200 {}."""

    def __init__(self, lock):
        super().__init__('kubernetes', lock)
        self.seen = []
        self.answers = []

    def answer(self, request):
        self.seen.append(request)
        fault = self._take_fault(request)
        if fault is not None and fault.drop:
            return None
        if self.answers:
            return self.answers.pop(0)
        return http.Response(200, {})


class ApiFixture(fixtures.Fixture):
    """An Api that runs, and clients for it."""

    def __init__(self, lock):
        super().__init__()
        self.api = Api(lock)

    def _setUp(self):
        self.directory = self.useFixture(fixtures.TempDir()).path
        self.api.start()
        self.addCleanup(self.api.stop)

    def client(self, **fields):
        """Return a client.

        :param fields: over those of the kubeconfig's cluster
        """
        return client.KubeClient(self.conf(kubeconfig(
            server=self.api.url, **fields)))

    def conf(self, config):
        """Return options whose kubeconfig file holds ``config``."""
        path = f'{self.directory}/kubeconfig'
        with open(path, 'w', encoding='utf-8') as file:
            file.write(config if isinstance(config, str)
                       else yaml.safe_dump(config))
        return make_conf(path)


def make_conf(path):
    """Return options with the path of a kubeconfig file."""
    conf = cfg.ConfigOpts()
    opts.register_all(conf)
    conf([], project='zun-vk', default_config_files=[])
    conf.set_override('kubeconfig', path, group='kubernetes')
    conf.set_override('timeout', 2, group='kubernetes')
    return conf


def kubeconfig(user=None, **cluster):
    """Return a kubeconfig of one context."""
    return {
        'apiVersion': 'v1', 'kind': 'Config', 'current-context': 'c',
        'clusters': [{'name': 'k', 'cluster': cluster}],
        'users': [{'name': 'u', 'user': user or {'token': 's3cret-token'}}],
        'contexts': [{'name': 'c', 'context': {'cluster': 'k',
                                               'user': 'u'}}]}
