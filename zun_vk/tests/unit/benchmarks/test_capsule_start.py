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
"""How starts of capsules are told, compared and set out."""

import json
from unittest import mock

from oslotest import base

from benchmarks import began
from benchmarks import capsule_start
from devcloud import capsule_driver
from devcloud import hosts
from devcloud import paths
from devcloud import web
from zun_vk.compute.cri import client
from zun_vk.compute.cri import cri_pb2

_CAPSULE = {'uuid': 'cap', 'containers': [{'uuid': 'con'}]}


class InCriTestCase(base.BaseTestCase):

    def _runtime(self, state):
        runtime = mock.create_autospec(client.Runtime, instance=True)
        runtime.sandboxes.return_value = [
            self._sandbox('s0', 'other', 5), self._sandbox('s1', 'cap', 10)]
        runtime.containers.return_value = [
            cri_pb2.Container(id='c0', pod_sandbox_id='s0',
                              state=cri_pb2.CONTAINER_RUNNING),
            cri_pb2.Container(id='c1', pod_sandbox_id='s1', state=state)]
        runtime.container_status.side_effect = {
            'c1': cri_pb2.ContainerStatus(started_at=12_500_000_000)
        }.__getitem__
        return runtime

    @staticmethod
    def _sandbox(identity, name, seconds):
        return cri_pb2.PodSandbox(
            id=identity, created_at=seconds * 10**9,
            metadata=cri_pb2.PodSandboxMetadata(name=name))

    def test_a_capsule_is_found_among_others(self):
        self.assertEqual((10.0, 12.5), began.in_cri(
            self._runtime(cri_pb2.CONTAINER_RUNNING), _CAPSULE))

    def test_one_that_only_zun_calls_running_does_not_count(self):
        for state in (cri_pb2.CONTAINER_CREATED, cri_pb2.CONTAINER_EXITED):
            self.assertRaises(RuntimeError, began.in_cri,
                              self._runtime(state), _CAPSULE)


class InDockerTestCase(base.BaseTestCase):

    def _began(self, running):
        states = {
            '/containers/zun-cap/json': {
                'Running': True, 'StartedAt': '2026-01-01T00:00:01.5Z'},
            '/containers/zun-con/json': {
                'Running': running, 'StartedAt':
                '2026-01-01T00:00:02.123456789Z'}}
        peer = mock.create_autospec(web.Peer, instance=True)
        peer.must.side_effect = lambda method, path: web.Reply(
            200, {}, json.dumps({'State': states[path]}).encode())
        where = mock.create_autospec(paths.Paths, instance=True)
        with mock.patch.object(hosts, 'docker', autospec=True,
                               return_value=peer) as docker:
            found = began.began(where, 'host', 'docker', _CAPSULE)
        docker.assert_called_once_with(where, 'host')
        return found

    def test_docker_tells_of_the_sandbox_and_of_the_container(self):
        start = 1767225600.0        # 2026-01-01 00:00:00 UTC
        found = self._began(running=True)
        self.assertAlmostEqual(1.5, found.sandbox - start)
        self.assertAlmostEqual(2.123457, found.container - start, places=5)

    def test_a_container_that_does_not_run_does_not_count(self):
        self.assertRaises(RuntimeError, self._began, running=False)

    def test_a_time_without_a_fraction_is_a_time(self):
        self.assertEqual(1767225600.0,
                         began.timestamp('2026-01-01T00:00:00Z'))


class RoundsTestCase(base.BaseTestCase):

    def test_no_driver_is_always_first(self):
        turns = [capsule_start.turn(number) for number in range(3)]
        self.assertEqual(set(capsule_driver.NAMES),
                         {names[0] for names in turns})
        for names in turns:
            self.assertEqual(sorted(capsule_driver.NAMES), sorted(names))

    def test_drivers_get_the_same_but_for_the_zone(self):
        asked = [capsule_start.template('c', driver)
                 for driver in capsule_driver.NAMES]
        zones = [one.pop('availabilityZone') for one in asked]
        self.assertEqual(3, len(set(zones)))
        self.assertEqual([asked[0]] * 3, asked)

    def test_hosts_have_names_that_hosts_may_have(self):
        for driver in capsule_driver.NAMES:
            name = capsule_start.host_of(driver)
            self.assertTrue(hosts.NAME.fullmatch(name), name)


class ResultTestCase(base.BaseTestCase):

    def _result(self, ours):
        start = capsule_start.Start
        return capsule_start.result({
            'zun_vk': [start(1.0, 1.5, 1.75, each)
                       for each in (ours, ours, 99.0)],
            'cri': [start(1.0, 4.0, 5.25, 6.0)] * 3,
            'docker': [start(1.0, 2.0, 3.5, 4.0)] * 3})

    def test_drivers_are_compared_by_their_medians(self):
        found = self._result(2.0)
        self.assertEqual({'median': 2.0, 'min': 2.0, 'max': 99.0},
                         found['seconds']['zun_vk']['running'])
        self.assertEqual({'cri': {'container': 3.0, 'running': 3.0},
                          'docker': {'container': 2.0, 'running': 2.0}},
                         found['times_faster'])

    def test_the_goal_is_three_times_as_fast_as_cri(self):
        self.assertEqual({'measured': 3.0, 'bound': 3.0, 'met': True},
                         self._result(2.0)['goal'])
        self.assertFalse(self._result(2.5)['goal']['met'])
