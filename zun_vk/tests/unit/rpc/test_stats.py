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
from hypothesis import strategies
import oslotest.base

from zun_vk.rpc import fields
from zun_vk.rpc import stats

DISK = stats.Disk(4.5, 1, 2, 3, 4, 5, 6)
FULL = stats.Pod(
    'u', 's', 1.5, (stats.Container(
        'c', 'id', 2.5, 'image', stats.Cpu(3.0, 10, 20),
        stats.Memory(3.0, 1, 2, 3, 4, 5, 6), stats.Swap(3.0, 0, 9),
        DISK, DISK),),
    stats.Cpu(3.0, 0, 1), stats.Memory(3.0, 7),
    stats.Network(3.0, 'eth0', (stats.Interface('eth0', 1, 2, 3, 4),)),
    12, (stats.Volume('v', DISK),), DISK,
    (stats.Probed('c', 'liveness', 'failed', 3),))
JSON = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers()
    | strategies.floats() | strategies.text(),
    lambda inner: strategies.lists(inner)
    | strategies.dictionaries(strategies.text(), inner), max_leaves=20)


class StatsTestCase(oslotest.base.BaseTestCase):

    def test_all_of_it_arrives(self):
        self.assertEqual(FULL, stats.from_wire(FULL.to_wire()))

    def test_what_was_not_measured_stays_unknown(self):
        bare = stats.Pod('u', containers=(stats.Container('c', 'id', 1),))
        wire = bare.to_wire()
        self.assertEqual({'name': 'c', 'id': 'id', 'started_at': 1,
                          'image': ''}, wire['containers'][0])
        self.assertNotIn('volumes', wire)
        self.assertEqual(bare, stats.from_wire(wire))

    def test_no_volumes_are_not_unknown_volumes(self):
        pod = stats.Pod('u', volumes=())
        self.assertEqual((), stats.from_wire(pod.to_wire()).volumes)

    def test_an_error_names_its_field(self):
        for where, name, value in (
                ('containers', 'started_at', -1),
                ('containers', 'name', ''), ('containers', 'id', 7),
                ('volumes', 'disk', None), ('volumes', 'name', ''),
                ('probed', 'count', 1.5), ('probed', 'result', '')):
            wire = FULL.to_wire()
            wire[where][0][name] = value
            self.assertRaisesRegex(fields.Malformed, name, stats.from_wire,
                                   wire)

    def test_amounts_beyond_what_readers_can_hold_are_refused(self):
        for field, value in (('total', 2 ** 64), ('total', 1.5),
                             ('rate', -1), ('at', 10 ** 12),
                             ('at', float('nan')), ('total', True)):
            wire = FULL.to_wire()
            wire['cpu'][field] = value
            self.assertRaisesRegex(fields.Malformed, field,
                                   stats.from_wire, wire)

    def test_lists_are_bounded(self):
        for name, most in (('containers', stats.MAX_CONTAINERS),
                           ('volumes', 1024)):
            wire = FULL.to_wire()
            wire[name] = wire[name] * (most + 1)
            self.assertRaisesRegex(fields.Malformed, name, stats.from_wire,
                                   wire)

    @hypothesis.given(strategies.data())
    def test_whatever_comes_is_read_or_refused(self, data):
        wire = FULL.to_wire()
        name = data.draw(strategies.sampled_from(sorted(wire)))
        wire[name] = data.draw(JSON)
        try:
            found = stats.from_wire(wire)
        except fields.Malformed:
            return
        self.assertEqual(found, stats.from_wire(found.to_wire()))
