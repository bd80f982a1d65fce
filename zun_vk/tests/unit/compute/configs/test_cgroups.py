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

from oslotest import base

from zun_vk import exceptions
from zun_vk.compute.configs import cgroups
from zun_vk.compute.configs import settings as configs
from zun_vk.tests.fixtures import pods as plain
from zun_vk.tests.unit.compute.configs import pods

_WHOLE = plain.requests('500m', '1Gi')


class PodCgroupTestCase(base.BaseTestCase):

    def _limits(self, *resources, pids=0, **spec):
        settings = configs.Settings(cgroup_parent='/zun-vk', pids_limit=pids)
        pod = pods.pod(*(plain.container(resources=each)
                         for each in resources), **spec)
        return cgroups.pod_cgroup(settings, pods.UID, pod)[1]

    def test_all_containers_together_are_bounded(self):
        self.assertEqual(
            cgroups.Limits(1024, 100000, 2 * 1024 ** 3, 99),
            self._limits(_WHOLE, _WHOLE, pids=99))

    def test_a_container_without_limit_leaves_the_pod_without(self):
        self.assertEqual(cgroups.Limits(512), self._limits(_WHOLE, {}))
        self.assertEqual(
            cgroups.Limits(512, memory=2 * 1024 ** 3),
            self._limits(_WHOLE, {'limits': {'memory': '1Gi'}}))

    def test_init_containers_count(self):
        self.assertEqual(cgroups.Limits(512), self._limits(
            _WHOLE, initContainers=[plain.container('init')]))

    def test_a_pod_that_asks_for_nothing_has_the_least_share(self):
        self.assertEqual(cgroups.Limits(2), self._limits({}))

    def test_a_quantity_that_is_none_is_refused(self):
        refusal = self.assertRaises(exceptions.ConfigRefused, self._limits,
                                    {'limits': {'cpu': 'two'}})
        self.assertEqual('FailedCreatePodSandBox', refusal.reason)

    def test_without_a_parent_or_in_a_slice_it_is_not_ours(self):
        for parent in ('', '/zun-vk.slice'):
            settings = configs.Settings(cgroup_parent=parent)
            self.assertEqual(
                (parent, None),
                cgroups.pod_cgroup(settings, pods.UID, pods.pod()))

    def test_the_path_is_below_the_parent(self):
        for parent in ('/a/b', '/a/b/'):
            self.assertEqual('/a/b/podx', cgroups.pod_path(
                configs.Settings(cgroup_parent=parent), 'x'))
