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

from zun_vk.pods import admission

_GIB = 2 ** 30
_AMOUNTS = st.integers(0, 10 ** 6).flatmap(lambda total: st.builds(
    admission.Amount, st.just(total), st.integers(0, total)))
_ROOMS = st.builds(
    admission.Room, st.lists(st.builds(admission.Host, _AMOUNTS, _AMOUNTS),
                             max_size=4).map(tuple), st.integers(0, 10))


def _host(cpu_free, memory_free):
    return admission.Host(admission.Amount(8000, cpu_free),
                          admission.Amount(16 * _GIB, memory_free))


def _shortage(requested, *hosts, bound=3, pods=110):
    return admission.shortage(requested, bound,
                              admission.Room(tuple(hosts), pods))


class ShortageTestCase(base.BaseTestCase):

    def test_a_pod_must_fit_one_host_not_all_together(self):
        found = _shortage((4000, _GIB), _host(3000, _GIB), _host(3000, _GIB))
        self.assertEqual('OutOfcpu', found.reason)

    def test_the_figures_are_those_of_the_host_with_the_most_room(self):
        found = _shortage((4000, _GIB), _host(1000, _GIB), _host(3000, _GIB))
        self.assertEqual(admission.Shortage('cpu', 4000, 5000, 8000), found)

    def test_memory(self):
        found = _shortage((1000, 4 * _GIB), _host(3000, _GIB),
                          _host(1000, 3 * _GIB))
        self.assertEqual(
            admission.Shortage('memory', 4 * _GIB, 13 * _GIB, 16 * _GIB),
            found)

    def test_cpu_here_and_memory_there_is_a_lack_of_memory(self):
        found = _shortage((3000, 2 * _GIB), _host(3000, _GIB),
                          _host(1000, 3 * _GIB))
        self.assertEqual('OutOfmemory', found.reason)

    def test_zun_claims_whole_cpus(self):
        self.assertEqual(
            'OutOfcpu', _shortage((100, 0), _host(900, _GIB)).reason)
        self.assertEqual(
            1000, _shortage((0, 0), _host(900, _GIB)).requested)

    def test_without_hosts_and_with_too_many_pods_it_is_the_pods(self):
        for found in (_shortage((1000, 0), pods=0),
                      _shortage((1000, 0), _host(0, 0), bound=4, pods=4)):
            self.assertEqual('OutOfpods', found.reason)
            self.assertEqual(found.used, found.capacity or found.used)

    def test_the_words_are_the_kubelets(self):
        self.assertEqual(
            "Node didn't have enough resource: cpu, requested: 4000, "
            'used: 5000, capacity: 8000',
            str(_shortage((4000, _GIB), _host(3000, _GIB))))

    @hypothesis.given(st.tuples(st.integers(0, 10 ** 6),
                                st.integers(0, 10 ** 6)),
                      st.integers(0, 20), _ROOMS)
    def test_there_is_always_a_reason_and_its_figures_bear_it_out(
            self, requested, bound, room):
        found = admission.shortage(requested, bound, room)
        self.assertIn(found.resource, ('cpu', 'memory', 'pods'))
        self.assertGreater(found.used + found.requested, found.capacity)
