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
import signal
import threading

import fixtures

from zun_vk import agent
from zun_vk import exceptions
from zun_vk.tests.fixtures import wait
from zun_vk.tests.fixtures.openstack import http
from zun_vk.tests.unit.cloud import base as cloud_base
from zun_vk.tests.unit.kube import api

_NAMES = {'main', 'nodes', 'lease', 'events', 'node', 'capsules', 'pods',
          'status-0', 'status-1', 'status-2', 'status-3',
          'worker-0', 'worker-1', 'worker-2', 'resync'}


class AgentBase(cloud_base.CloudTestCase):

    def setUp(self):
        super().setUp()
        self.kube = self.useFixture(api.ApiFixture(threading.RLock()))
        self.kube.conf(api.kubeconfig(server=self.kube.api.url))
        for section, name, value in (
                ('kubernetes', 'kubeconfig',
                 f'{self.kube.directory}/kubeconfig'),
                ('kubernetes', 'timeout', 2),
                ('agent', 'state_path', f'{self.kube.directory}/state'),
                ('kubernetes', 'node_identity', 'kubeconfig'),
                ('tenants', 'default_project', self.cloud.project),
                ('pods', 'workers', 3), ('pods', 'capsule_runtime', 'rest')):
            self.conf.set_override(name, value, group=section)
        handler = signal.getsignal(signal.SIGHUP)
        self.addCleanup(signal.signal, signal.SIGHUP, handler)
        self.agent = agent.Agent(self.conf)
        self.addCleanup(self.agent.stop)

    def _start(self):
        self.agent.start()
        self.addCleanup(self.agent.stop)

    def _answer(self):
        """Let the API server show a cluster without agents and leases."""
        for status, body in (
                (200, {'metadata': {'uid': 'cluster'}}),
                (200, {'metadata': {'resourceVersion': '1'}}),  # presence
                (200, {'items': []}),                           # of others
                (404, {}),                                      # the lease
                (200, {'metadata': {'name': 'zun-vk',
                                    'resourceVersion': '1'}})):
            self.kube.api.answers.append(http.Response(status, body))

    def _names(self):
        return {thread.name for thread in threading.enumerate()
                if thread.name.partition(':')[0] in _NAMES}

    def _until(self, condition, what):
        return wait.wait_for(condition, what, timeout=10, interval=0.005)


class AgentTestCase(AgentBase):

    def test_it_starts_and_stops_with_everything_away(self):
        for service in (self.cloud.keystone, self.cloud.zun,
                        self.cloud.placement, self.cloud.neutron,
                        self.kube.api):
            service.stop()
        self._start()
        self._until(lambda: self.agent._health.problems(), 'a problem')
        self.agent.stop()
        self.assertEqual(set(), self._names())

    def test_every_part_runs_in_a_thread_of_its_name_and_ends(self):
        self._answer()
        self._start()
        own = {'main', 'nodes'}
        names = own | {f'{name}:zun-vk' for name in _NAMES - own}
        self._until(lambda: names == self._names(), 'the threads')
        self.agent.stop()
        self.assertEqual(set(), self._names())

    def test_stopping_deletes_nothing(self):
        labels = {'zun.openstack.org/cluster': 'cluster',
                  'zun.openstack.org/node': 'zun-vk',
                  'zun.openstack.org/uid': 'u'}
        capsule = self.cloud.add_capsule(labels)
        self._answer()
        self._start()
        self._until(lambda: self.cloud.zun.count('GET', '/v1/capsules'),
                    'a list')
        self.agent.stop()
        self.assertIn(capsule.uuid, self.cloud.zun.capsules)

    def test_stopping_before_the_start_is_no_error(self):
        self.agent.stop()

    def test_a_broken_file_at_a_reload_is_survived(self):
        path = self.create_tempfiles([('zun-vk', '[node]\n')])[0]
        self.conf(['--config-file', path], project='zun-vk')
        for text in ('[node\nx', '[node]\nname = \n'):
            with open(path, 'w', encoding='utf-8') as file:
                file.write(text)
            self.agent._reload(signal.SIGHUP, None)
        with open(path, 'w', encoding='utf-8') as file:
            file.write('[node]\n')
        self.agent._reload(signal.SIGHUP, None)

    def test_sighup_reloads_and_does_not_end_it(self):
        self._start()
        reloaded = threading.Event()
        self.useFixture(fixtures.MockPatchObject(
            self.conf, 'mutate_config_files', reloaded.set))
        signal.raise_signal(signal.SIGHUP)
        self.assertTrue(reloaded.is_set())


class PreflightTestCase(AgentBase):

    def test_a_cloud_and_a_cluster_that_answer_pass(self):
        self.kube.api.answers.append(
            http.Response(200, {'metadata': {'uid': 'cluster'}}))
        self.agent.preflight()

    def test_nothing_that_is_away_is_an_error(self):
        for service in (self.cloud.keystone, self.kube.api):
            service.stop()
        self.agent.preflight()

    def test_a_project_without_a_role_is_named(self):
        self.conf.set_override('default_project', 'nowhere',
                               group='tenants')
        error = self.assertRaises(exceptions.ConfigError,
                                  self.agent.preflight)
        self.assertEqual('[tenants] default_project', error.option)
