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

import hypothesis
from hypothesis import strategies as st
from oslotest import base

from zun_vk.compute.configs import amounts
from zun_vk.tests.fixtures import pods as plain
from zun_vk.tests.unit.compute.configs import pods

_MI = 1024 ** 2
_RESOURCES = st.fixed_dictionaries({}, optional={
    kind: st.fixed_dictionaries({}, optional={
        'cpu': st.integers(0, 4).map(str),
        'memory': st.integers(0, 4).map('{}Mi'.format)})
    for kind in ('requests', 'limits')})
_CONTAINERS = st.lists(_RESOURCES.map(
    lambda resources: plain.container(resources=resources)), min_size=1,
    max_size=3)


def _container(cpu=None, memory=None, kind='requests', **fields):
    asked = {name: amount for name, amount in (
        ('cpu', cpu), ('memory', memory)) if amount is not None}
    return plain.container(resources={kind: asked}, **fields)


class TotalTestCase(base.BaseTestCase):

    def test_containers_run_together(self):
        spec = {'containers': [_container('100m', '1Mi'), _container('1')]}
        self.assertEqual({'cpu': 1100, 'memory': _MI},
                         amounts.total(spec, 'requests'))

    def test_init_containers_run_one_after_the_other(self):
        spec = {'containers': [_container('1')],
                'initContainers': [_container('2'), _container('3', '1Mi')]}
        self.assertEqual({'cpu': 3000, 'memory': _MI},
                         amounts.total(spec, 'requests'))

    def test_sidecars_run_beside_all_that_starts_later(self):
        sidecar = {'restartPolicy': 'Always'}
        spec = {'containers': [_container('1')], 'initContainers': [
            _container('4'), _container('1', **sidecar), _container('5'),
            _container('2', **sidecar)]}
        # 5 + the first sidecar; 1 + both sidecars are less.
        self.assertEqual({'cpu': 6000}, amounts.total(spec, 'requests'))
        spec['containers'] = [_container('4')]
        self.assertEqual({'cpu': 7000}, amounts.total(spec, 'requests'))

    def test_overhead_is_added_to_limits_only_where_there_are_some(self):
        spec = {'containers': [_container('1', kind='limits')],
                'overhead': {'cpu': '1', 'memory': '1Mi'}}
        self.assertEqual({'cpu': 2000}, amounts.total(spec, 'limits'))
        self.assertEqual({'cpu': 1000, 'memory': _MI},
                         amounts.total(spec, 'requests'))
        self.assertEqual({'cpu': 1000},
                         amounts.total(spec, 'limits', overhead=False))

    def test_what_the_pod_says_of_itself_counts(self):
        spec = {'containers': [_container('1', '1Mi')],
                'resources': {'requests': {'cpu': '3'}}}
        self.assertEqual({'cpu': 3000, 'memory': _MI},
                         amounts.total(spec, 'requests'))

    def test_a_limit_counts_for_all_only_if_all_have_one(self):
        spec = {'containers': [_container('1', kind='limits')],
                'initContainers': [_container(memory='1Mi', kind='limits')]}
        self.assertFalse(amounts.all_limited(spec, 'cpu'))
        spec['resources'] = {'limits': {'cpu': '2'}}
        self.assertTrue(amounts.all_limited(spec, 'cpu'))


class QualityTestCase(base.BaseTestCase):

    def _quality(self, *resources, **spec):
        return amounts.quality(pods.pod(*(
            plain.container(resources=each) for each in resources), **spec))

    def test_nothing_asked_for_is_best_effort(self):
        self.assertEqual('BestEffort', self._quality({}))
        self.assertEqual('BestEffort', self._quality(
            {'requests': {'cpu': '0'}}))

    def test_all_bounded_by_what_they_ask_for_is_guaranteed(self):
        whole = plain.requests('1', '1Gi')
        self.assertEqual('Guaranteed', self._quality(whole, whole))
        self.assertEqual('Guaranteed', self._quality(
            {'requests': {'cpu': '1000m', 'memory': '1Gi'},
             'limits': {'cpu': '1', 'memory': '1024Mi'}}))

    def test_anything_else_is_burstable(self):
        whole = plain.requests('1', '1Gi')
        for other in ({}, {'limits': {'cpu': '1'}},
                      {'requests': {'cpu': '1', 'memory': '1Gi'}},
                      {**whole, 'requests': {'cpu': '1', 'memory': '1Mi'}}):
            self.assertEqual('Burstable', self._quality(whole, other), other)
        self.assertEqual('Burstable', self._quality(whole, initContainers=[
            plain.container('init')]))

    def test_the_pods_own_resources_decide_where_it_has_some(self):
        self.assertEqual('Guaranteed', self._quality(
            {}, resources=plain.requests('1', '1Gi')))
        self.assertEqual('Burstable', self._quality(
            plain.requests('1', '1Gi'), resources={'requests': {'cpu': '1'}}))

    def test_what_the_api_server_found_is_believed(self):
        pod = pods.pod()
        pod['status'] = {'qosClass': 'Burstable'}
        self.assertEqual('Burstable', amounts.quality(pod))

    @hypothesis.given(_CONTAINERS, _CONTAINERS)
    def test_totals_bound_every_container(self, members, initial):
        spec = {'containers': members, 'initContainers': initial}
        for kind in ('requests', 'limits'):
            total = amounts.total(spec, kind)
            for container in amounts.containers(spec):
                for name, amount in amounts.of(container, kind).items():
                    self.assertLessEqual(amount, total[name])
