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

from zun_vk import quantity
from zun_vk.node import capacity

_AMOUNTS = st.builds(capacity.Amounts, *[st.integers(0, 10 ** 6)] * 3)
_INVENTORIES = st.fixed_dictionaries(
    {'total': st.integers(0, 1000)}, optional={
        'reserved': st.integers(0, 1200),
        'allocation_ratio': st.sampled_from([0.5, 1.0, 1.5, 16.0])})
_PROVIDERS = st.builds(
    capacity.Provider,
    st.dictionaries(
        st.sampled_from(['VCPU', 'MEMORY_MB', 'DISK_GB', 'PCI_DEVICE']),
        _INVENTORIES),
    st.dictionaries(st.sampled_from(['VCPU', 'MEMORY_MB', 'DISK_GB']),
                    st.integers(0, 2000)))


def _provider(used=0, total=8, **inventory):
    return capacity.Provider({'VCPU': {'total': total, **inventory}},
                             {'VCPU': used})


class ProviderTestCase(base.BaseTestCase):

    def test_free_is_total_less_reserved_by_ratio_less_used(self):
        for provider, free in (
                (_provider(), 8000), (_provider(3), 5000),
                (_provider(3, reserved=2), 3000),
                (_provider(3, reserved=2, allocation_ratio=2.0), 9000),
                (_provider(total=5, allocation_ratio=1.5), 7000),
                (_provider(9), 0), (_provider(reserved=9), 0)):
            self.assertEqual(free, provider.free().milli_cpu)

    def test_units_are_those_of_placement(self):
        provider = capacity.Provider(
            {'VCPU': {'total': 1}, 'MEMORY_MB': {'total': 1},
             'DISK_GB': {'total': 1}}, {})
        self.assertEqual(capacity.Amounts(1000, 2 ** 20, 2 ** 30),
                         provider.free())

    def test_a_class_without_inventory_has_nothing(self):
        self.assertEqual(capacity.Amounts(),
                         capacity.Provider({}, {'VCPU': 3}).free())

    @hypothesis.given(_PROVIDERS)
    def test_free_is_never_negative_nor_above_total(self, provider):
        free, total = provider.free(), provider.total()
        for name in ('milli_cpu', 'memory', 'disk'):
            self.assertTrue(0 <= getattr(free, name) <= getattr(total, name))


class AllocatableTestCase(base.BaseTestCase):

    def test_the_scheduler_sees_as_free_what_placement_has_free(self):
        """Also where Zun claims a whole CPU for a tenth of one."""
        pods = [100, 100, 1500]
        claimed_in_placement = 1 + 1 + 2
        nova = 3
        provider = _provider(claimed_in_placement + nova, total=16)
        offered = capacity.allocatable(
            [provider], capacity.Amounts(sum(pods)))
        self.assertEqual(provider.free().milli_cpu,
                         offered.milli_cpu - sum(pods))

    @hypothesis.given(st.lists(_PROVIDERS, max_size=4), _AMOUNTS)
    def test_allocatable_is_free_plus_our_own_requests(self, providers,
                                                       claimed):
        offered = capacity.allocatable(providers, claimed)
        for name in ('milli_cpu', 'memory', 'disk'):
            self.assertEqual(
                sum(getattr(each.free(), name) for each in providers),
                getattr(offered, name) - getattr(claimed, name))

    @hypothesis.given(st.lists(_PROVIDERS, max_size=4), _AMOUNTS)
    def test_capacity_is_never_below_allocatable(self, providers, claimed):
        offered = capacity.allocatable(providers, claimed)
        total = capacity.capacity(providers, offered)
        for name in ('milli_cpu', 'memory', 'disk'):
            self.assertGreaterEqual(getattr(total, name),
                                    getattr(offered, name))

    def test_without_hosts_there_is_nothing(self):
        nothing = capacity.Amounts()
        self.assertEqual(nothing, capacity.allocatable([], nothing))
        self.assertEqual(nothing, capacity.capacity([], nothing))


class ResourcesTestCase(base.BaseTestCase):

    def test_amounts_are_written_as_kubernetes_reads_them(self):
        self.assertEqual(
            {'cpu': '15500m', 'memory': '7936Mi',
             'ephemeral-storage': '100Gi', 'pods': '110'},
            capacity.resources(capacity.Amounts(
                15500, 7936 * 2 ** 20, 100 * 2 ** 30), 110))

    @hypothesis.given(_AMOUNTS, st.integers(0, 1000))
    def test_what_is_written_is_read_back(self, amounts, pods):
        written = capacity.resources(amounts, pods)
        self.assertEqual(
            (amounts.milli_cpu, amounts.memory, amounts.disk, pods),
            (quantity.parse_cpu(written['cpu']),
             quantity.parse_bytes(written['memory']),
             quantity.parse_bytes(written['ephemeral-storage']),
             int(written['pods'])))
