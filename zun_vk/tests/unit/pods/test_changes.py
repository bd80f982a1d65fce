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
import copy

from oslotest import base

from zun_vk.pods import changes
from zun_vk.tests.unit.pods import strategies


class ChangesTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.pod = strategies.pod(
            strategies.container(), strategies.container('b', 'nginx:1'))
        self.made = changes.as_made(self.pod)

    def _ignored(self, change):
        pod = copy.deepcopy(self.pod)
        change(pod, pod['spec'], pod['spec']['containers'])
        return changes.ignored(self.made, pod)

    def test_a_pod_as_it_was_made_has_no_changes(self):
        self.assertEqual([], self._ignored(lambda pod, spec, each: None))
        self.assertEqual([], self._ignored(
            lambda pod, spec, each: each[0].pop('resources')))

    def test_each_change_is_named_with_its_path_and_value(self):
        for change, words in (
                (lambda pod, spec, each: each[1].update(image='nginx:2'),
                 'spec.containers[1].image (nginx:2)'),
                (lambda pod, spec, each: each[0].update(
                    resources={'limits': {'cpu': '2'}}),
                 'spec.containers[0].resources ({"limits": {"cpu": "2"}})'),
                (lambda pod, spec, each: spec.update(ephemeralContainers=[
                    {'name': 'debugger', 'image': 'busybox'}]),
                 'spec.ephemeralContainers[0] (debugger)')):
            self.assertEqual([words], self._ignored(change))

    def test_several_changes_are_all_named(self):
        def change(pod, spec, each):
            for container in each:
                container['image'] = 'other:1'

        self.assertEqual(['spec.containers[0].image (other:1)',
                          'spec.containers[1].image (other:1)'],
                         self._ignored(change))

    def test_what_takes_effect_is_no_change(self):
        def change(pod, spec, each):
            pod['metadata']['labels'] = {'a': 'b'}
            spec.update(activeDeadlineSeconds=5, tolerations=[{}])

        self.assertEqual([], self._ignored(change))
