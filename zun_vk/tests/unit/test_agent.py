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


class AgentBase(cloud_base.CloudTestCase):

    def setUp(self):
        super().setUp()
        self.kube = self.useFixture(api.ApiFixture(threading.RLock()))
        self.kube.conf(api.kubeconfig(server=self.kube.api.url))
        for section, name, value in (
                ('kubernetes', 'kubeconfig',
                 f'{self.kube.directory}/kubeconfig'),
                ('kubernetes', 'timeout', 2),
                ('tenants', 'default_project', self.cloud.project),
                ('pods', 'workers', 3)):
            self.conf.set_override(name, value, group=section)
        handler = signal.getsignal(signal.SIGHUP)
        self.addCleanup(signal.signal, signal.SIGHUP, handler)
        self.agent = agent.Agent(self.conf)

    def _start(self):
        self.agent.start()
        self.addCleanup(self.agent.stop)

    def _names(self):
        return {thread.name for thread in self.agent._threads
                if thread.is_alive()}

    def _until(self, condition, what):
        return wait.wait_for(condition, what, timeout=10, interval=0.005)


class AgentTestCase(AgentBase):

    def test_it_starts_and_stops_with_everything_away(self):
        for service in (self.cloud.keystone, self.cloud.zun,
                        self.cloud.placement, self.kube.api):
            service.stop()
        self._start()
        self._until(lambda: self.agent._health.problems(), 'a problem')
        self.agent.stop()
        self.assertEqual(set(), self._names())

    def test_every_part_runs_in_a_thread_of_its_name_and_ends(self):
        self.kube.api.answers.append(
            http.Response(200, {'metadata': {'uid': 'cluster'}}))
        self._start()
        names = {'events', 'main', 'node', 'capsules', 'status', 'pods',
                 'worker-0', 'worker-1', 'worker-2'}
        self._until(lambda: names <= self._names(), 'the threads')
        self.agent.stop()
        self.assertEqual(set(), self._names())

    def test_stopping_deletes_nothing(self):
        labels = {'zun.openstack.org/cluster': 'cluster',
                  'zun.openstack.org/node': 'zun-vk',
                  'zun.openstack.org/uid': 'u'}
        capsule = self.cloud.add_capsule(labels)
        self.kube.api.answers.append(
            http.Response(200, {'metadata': {'uid': 'cluster'}}))
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


class KeepUpTestCase(AgentBase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            agent.backoff.Backoff, 'next', lambda self: 0.001))

    def test_a_part_that_crashes_is_begun_again(self):
        runs, done = [], threading.Event()

        def part():
            runs.append(True)
            if len(runs) < 3:
                raise ZeroDivisionError('bug')
            done.set()

        self.agent._spawn('part', part)
        self.addCleanup(self.agent.stop)
        self.assertTrue(done.wait(10))
        self.assertEqual(3, len(runs))

    def test_a_part_that_ends_stays_ended(self):
        runs = []
        self.agent._spawn('part', runs.append, True)
        self.addCleanup(self.agent.stop)
        self._until(lambda: not self._names(), 'the end')
        self.assertEqual([True], runs)

    def test_a_crash_of_the_resync_starts_nothing_twice(self):
        crashed = threading.Event()

        def crash(controller):
            crashed.set()
            raise ZeroDivisionError('bug')

        self.useFixture(fixtures.MockPatchObject(
            agent, '_RESYNC_INTERVAL', 0.02))
        self.useFixture(fixtures.MockPatchObject(
            agent.pod_controller.PodController, 'resync', crash))
        for _ in range(5):
            self.kube.api.answers.append(
                http.Response(200, {'metadata': {'uid': 'cluster'}}))
        self._start()
        self.assertTrue(crashed.wait(10))
        wait.hold_for(
            lambda: [thread.name for thread in
                     self.agent._threads].count('worker-0') <= 1,
            'one worker of a name', 0.3)


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
