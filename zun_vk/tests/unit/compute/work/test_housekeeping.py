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
import dataclasses
import threading
from unittest import mock

import fixtures
from oslo_config import cfg
import oslotest.base

from zun_vk.compute import logs
from zun_vk.compute import model
from zun_vk.compute import pods
from zun_vk.compute.cri import client as cri
from zun_vk.compute.cri import cri_pb2
from zun_vk.compute.volumes import volumes
from zun_vk.compute.work import housekeeping
from zun_vk.compute.work import pod as pod_module
from zun_vk.conf import compute as options
from zun_vk.rpc import payload

POD = {'metadata': {'uid': 'uid-1', 'name': 'web', 'namespace': 'ns'},
       'spec': {'containers': [{'name': 'c', 'image': 'i'}]}}


class HousekeepingTestCase(oslotest.base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            housekeeping, '_INTERVAL', 0.02))
        conf = cfg.ConfigOpts()
        options.register_opts(conf)
        conf([])
        self.pods = mock.create_autospec(pods.Pods, instance=True)
        self.pods.all.return_value = [pod_module.Pod(
            pod_module.Capsule('cap-1', 'uid-1', 'node', 'ns', 'web'),
            payload=payload.PodPayload('1', POD))]
        self.pods.get.return_value = self.pods.all.return_value[0]
        self.runtime = mock.create_autospec(cri.Runtime, instance=True)
        self.runtime.containers.return_value = [cri_pb2.Container(
            id='c-1', state=cri_pb2.CONTAINER_RUNNING,
            labels={model.LABEL_UID: 'uid-1'})]
        self.volumes = mock.create_autospec(volumes.PodVolumes,
                                            instance=True)
        self.keeping = housekeeping.Housekeeping(
            self.pods, self.runtime, self.volumes, conf.compute)
        self.stop = threading.Event()

    def start(self):
        for run in self.keeping.runs():
            thread = threading.Thread(target=run, args=(self.stop,),
                                      daemon=True)
            thread.start()
            self.addCleanup(thread.join, 10)
        self.addCleanup(self.stop.set)

    def test_volumes_that_take_long_to_measure_hold_up_no_log(self):
        gate, looked = threading.Event(), threading.Event()
        self.volumes.over_limit.side_effect = (
            lambda payload: gate.wait(10) and [])
        with mock.patch.object(logs.Rotator, 'look', autospec=True,
                               side_effect=lambda *args: looked.set()):
            self.start()
            self.addCleanup(gate.set)
            self.assertTrue(looked.wait(5))

    def test_a_pod_over_the_size_of_a_volume_is_evicted(self):
        evicted = threading.Event()
        self.pods.end.side_effect = lambda *args: evicted.set()
        self.volumes.over_limit.return_value = [
            volumes.OverLimit('v', 2, 1)]
        self.start()
        self.assertTrue(evicted.wait(5))
        self.assertEqual(('uid-1', 0, 'Evicted'),
                         self.pods.end.call_args.args[:3])

    def test_volumes_of_a_pod_that_has_ended_are_not_measured(self):
        ended, looked = self.pods.all.return_value[0], threading.Event()
        ended.memory.ended = True
        other = dataclasses.replace(ended, memory=model.PodMemory(),
                                    payload=payload.PodPayload('2', POD))
        self.pods.all.return_value.append(other)
        self.volumes.over_limit.side_effect = (
            lambda payload: looked.set() or [])
        self.start()
        self.assertTrue(looked.wait(5))
        self.assertEqual([mock.call(other.payload)],
                         self.volumes.over_limit.call_args_list[:1])
