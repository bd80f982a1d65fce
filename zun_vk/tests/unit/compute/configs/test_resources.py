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
from zun_vk.compute.configs import resources
from zun_vk.compute.configs import settings as configs
from zun_vk.tests.fixtures import pods as plain
from zun_vk.tests.unit.compute.configs import pods

_GI = 1024 ** 3


def _of(given, settings=pods.SETTINGS, **spec):
    made = pods.container_of(plain.container(resources=given),
                             settings=settings, **spec)
    return made.linux.resources


class ContainerTestCase(base.BaseTestCase):

    def test_nothing_asked_for_gets_the_least_share_and_no_bound(self):
        made = _of({})
        self.assertEqual((2, 100000, 0, 0), (
            made.cpu_shares, made.cpu_period, made.cpu_quota,
            made.memory_limit_in_bytes))

    def test_requests_are_shares_and_limits_are_bounds(self):
        made = _of({'requests': {'cpu': '250m', 'memory': '1Gi'},
                    'limits': {'cpu': '1500m', 'memory': '2Gi'}})
        self.assertEqual((256, 150000, 2 * _GI), (
            made.cpu_shares, made.cpu_quota, made.memory_limit_in_bytes))

    def test_a_limit_is_the_request_where_there_is_none(self):
        self.assertEqual(512, _of({'limits': {'cpu': '500m'}}).cpu_shares)

    def test_small_and_large_amounts_stay_within_what_the_kernel_takes(self):
        made = _of({'requests': {'cpu': '1m'}, 'limits': {'cpu': '1m'}})
        self.assertEqual((2, 1000), (made.cpu_shares, made.cpu_quota))
        self.assertEqual(262144, _of({
            'requests': {'cpu': '1000'}}).cpu_shares)

    def test_the_pods_limit_bounds_a_container_without_one(self):
        made = _of({'limits': {'cpu': '1'}}, resources={
            'limits': {'cpu': '2', 'memory': '1Gi'}})
        self.assertEqual((100000, _GI), (
            made.cpu_quota, made.memory_limit_in_bytes))

    def test_a_quantity_that_is_none_is_refused(self):
        refusal = self.assertRaises(exceptions.ConfigRefused, _of,
                                    {'limits': {'memory': '1 GB'}})
        self.assertEqual('CreateContainerConfigError', refusal.reason)
        self.assertIn('not a quantity', refusal.message)

    def test_there_is_no_swap_above_the_limit(self):
        limits = {'limits': {'memory': '1Gi'}}
        first = configs.Settings(swap_limits=True)
        self.assertEqual(_GI, _of(limits, first).memory_swap_limit_in_bytes)
        second = configs.Settings(swap_limits=True, cgroup_v2=True)
        made = _of(limits, second)
        self.assertEqual({'memory.swap.max': '0'}, dict(made.unified))
        self.assertEqual(0, made.memory_swap_limit_in_bytes)
        self.assertEqual({}, dict(_of(limits).unified))

    def test_processes_are_bounded_where_the_pod_has_no_cgroup(self):
        bounded = {'pids_limit': 64, 'cgroup_v2': True}
        made = _of({}, configs.Settings(cgroup_parent='', **bounded))
        self.assertEqual({'pids.max': '64'}, dict(made.unified))
        made = _of({}, configs.Settings(cgroup_parent='/x', **bounded))
        self.assertEqual({}, dict(made.unified))


class OomScoreTestCase(base.BaseTestCase):

    def _score(self, given, capacity=4 * _GI, others=(), **spec):
        member = plain.container(resources=given)
        return resources.oom_score(pods.pod(member, *others, **spec), member,
                                   capacity)

    def test_guaranteed_pods_are_killed_last_and_best_effort_first(self):
        self.assertEqual(-997, self._score(plain.requests('1', '1Gi')))
        self.assertEqual(1000, self._score({}))

    def test_burstable_ones_by_what_they_ask_for(self):
        self.assertEqual(750, self._score({'requests': {'memory': '1Gi'}}))
        self.assertEqual(999, self._score({'requests': {'cpu': '1'}}))
        self.assertEqual(3, self._score({'requests': {'memory': '4Gi'}}))
        self.assertEqual(3, self._score({'requests': {'memory': '9Gi'}}))

    def test_a_sidecar_is_not_killed_before_the_containers(self):
        sidecar = plain.container('side', restartPolicy='Always')
        pod = pods.pod(plain.container(
            resources={'requests': {'memory': '1Gi'}}),
            initContainers=[sidecar])
        self.assertEqual(750, resources.oom_score(pod, sidecar, 4 * _GI))

    def test_what_only_the_pod_asks_for_is_divided(self):
        self.assertEqual(500, self._score(
            {'requests': {'memory': '1Gi'}}, others=[plain.container('b')],
            resources={'requests': {'memory': '3Gi'}}))
