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
from unittest import mock

from oslotest import base

from zun_vk.compute import model
from zun_vk.compute.probes import events
from zun_vk.compute.probes import manager
from zun_vk.compute.probes import outcome
from zun_vk.compute.work import pod as pod_module
from zun_vk.compute.work import probing
from zun_vk.rpc import payload

PROBE = {'exec': {'command': ['true']}}
CONTAINER = {'name': 'web', 'startupProbe': PROBE, 'readinessProbe': PROBE}


class ProbingTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        # Never started: what it is told of is all that it knows.
        self.manager = manager.ProbeManager(None, None, None, None)
        self.probing = probing.Probing(self.manager)
        self.pod = pod_module.Pod(
            pod_module.Capsule('cap-1', 'uid-1', 'node', 'ns', 'web'))
        self.pod.payload = payload.PodPayload('1', {
            'metadata': {'uid': 'uid-1', 'name': 'web', 'namespace': 'ns'},
            'spec': {'containers': [CONTAINER]}})

    def _look(self, *ids):
        self.probing.look(self.pod, model.Seen(containers=tuple(
            model.SeenContainer(each, 'web') for each in ids)))
        return self.pod.memory.probes

    def _report(self, identity):
        self.pod.memory.reported = {'web': {
            'name': 'web', 'containerID': f'containerd://{identity}',
            'started': True, 'ready': True}}

    def test_a_restart_of_the_service_leaves_a_pod_ready(self):
        self._report('c-1')
        self.assertEqual({'c-1': model.Probed(True, True)},
                         self._look('c-1'))

    def test_another_container_of_that_name_has_to_become_ready(self):
        self._report('c-1')
        self.assertEqual({'c-2': model.Probed(False, False)},
                         self._look('c-2'))

    def test_what_does_not_run_is_not_probed(self):
        self._look('c-1')
        self.assertEqual({}, self._look())
        self.assertIsNone(self.manager.result('c-1', 'startup'))

    def test_a_failure_is_told_by_its_kind(self):
        self._look('c-1')
        failed = mock.Mock(spec=['kind'], kind='liveness')
        with mock.patch.object(self.manager, 'failed', autospec=True,
                               return_value=failed):
            self.assertEqual(model.Failure('Liveness'),
                             self._look('c-1')['c-1'].failed)

    def test_events_name_the_container_by_where_it_is_in_the_pod(self):
        spec = self.pod.payload.pod['spec']
        spec['containers'] = [CONTAINER | {'restartPolicy': 'OnFailure'}]
        for spec['initContainers'], path in (
                ([], 'spec.containers{web}'),
                ([CONTAINER], 'spec.initContainers{web}')):
            with mock.patch.object(self.manager, 'sync',
                                   autospec=True) as sync:
                self._look('c-1')
            [target] = sync.call_args.args[1]
            failed = events.event(
                target, mock.Mock(spec=['kind'], kind='liveness'),
                outcome.failure('no'), 1.0)
            self.assertEqual(path, failed.container)
