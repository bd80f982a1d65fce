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

import threading
from unittest import mock

from oslotest import base

from zun_vk.kube import events
from zun_vk.kube import reflector
from zun_vk.pods import hosted
from zun_vk.pods import hostlink
from zun_vk.pods import payload
from zun_vk.pods.runtimes import compute
from zun_vk.rpc import states
from zun_vk.tests.unit.pods import capsules
from zun_vk.tests.unit.pods import strategies

_UID = '0a1b2c3d-0000-4000-8000-000000000001'


class HostLinkTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        pods, self.runtime, self.maker, self.hears, self.recorder = (
            mock.create_autospec(kind, instance=True) for kind in (
                reflector.Reflector, compute.ComputeRuntime,
                payload.PayloadMaker, hosted.Hosts, events.EventRecorder))
        pods.synced = threading.Event()
        pods.synced.set()
        pod = strategies.pod()
        pods.get.side_effect = {_UID: pod}.get
        self.runtime.listed_at.return_value = 1.0
        self.capsule = capsules.read(pod, host='')
        self.runtime.located.return_value = self.capsule
        self.runtime.of_pod.return_value = [self.capsule]
        self.link = hostlink.HostLink(
            'zun-vk', lambda: None, pods, self.runtime, self.maker,
            self.hears, self.recorder)

    def test_nobody_is_believed_about_capsules_without_a_host(self):
        told = states.PodState(_UID, self.capsule.uuid, 'zun-vk', 1)
        event = states.PodEvent(_UID, 'shop', 'web', 'Normal', 'Pulled', 'x')
        for host in ('', None, 'host-1'):
            self.link.pod_states({}, host=host, states=[told.to_wire()],
                                 full=False)
            self.link.pod_events({}, host=host, events=[event.to_wire()])
        self.hears.told.assert_not_called()
        self.recorder.container.assert_not_called()
        self.hears.heard.assert_called_once_with('host-1')

    def test_the_states_of_one_message_cost_zun_one_look_at_most(self):
        told = [states.PodState(_UID, f'c{number}', 'zun-vk', 1).to_wire()
                for number in range(3)]
        event = states.PodEvent(_UID, 'shop', 'web', 'Normal', 'Pulled', 'x')
        self.link.pod_states({}, host='host-1', states=told, full=False)
        self.link.pod_events({}, host='host-1',
                             events=[event.to_wire()] * 3)
        asked = [call.args[1] for call
                 in self.runtime.located.call_args_list]
        self.assertEqual([3, 3], [asked.count(at) for at in
                                  sorted(set(asked))])

    def test_a_host_learns_which_of_its_states_is_the_newest_here(self):
        self.runtime.located.return_value = capsules.read(
            strategies.pod(), host='host-1')
        self.hears.newest.return_value = 9
        self.maker.make.return_value = None
        self.assertEqual({'unchanged': True, 'generation': 9},
                         self.link.get_pod(
                             {}, uid=_UID, capsule=self.capsule.uuid,
                             host='host-1', addresses=[], known='1'))
        self.hears.newest.assert_called_once_with(self.capsule.uuid)
