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
"""Which Zun hosts the devcloud has, and when one counts as well."""

import configparser
from unittest import mock

from oslotest import base as test_base

from devcloud import errors
from devcloud import hosts
from devcloud import identity
from devcloud import zun_hosts
from zun_vk.tests.unit.devcloud import base


class WellTestCase(test_base.BaseTestCase):

    SINCE = 1767225600.0        # 2026-01-01 00:00:00 UTC

    def _well(self, last_seen_up):
        admin = mock.Mock()
        admin.zun.must.return_value.json.return_value = {'services': [
            {'host': 'vm', 'state': 'up', 'last_seen_up': last_seen_up}]}
        with mock.patch.object(hosts, 'provider', autospec=True,
                               return_value={'uuid': 'u'}):
            return hosts.well(admin, 'vm', self.SINCE)

    def test_a_host_that_reported_after_its_start_is_well(self):
        self.assertEqual('', self._well('2026-01-01 00:00:05+00:00'))

    def test_a_report_from_before_its_start_does_not_count(self):
        self.assertEqual('no report to Zun yet',
                         self._well('2025-12-31 23:59:00+00:00'))

    def test_a_host_registered_just_now_has_not_reported_yet(self):
        # Zun shows it with no time at all: seen once in many starts.
        self.assertEqual('no report to Zun yet', self._well(None))


class AddTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.where.make()

    def _zone_in_configuration(self, host):
        zun_hosts.write_configuration(self.where, self.tmp / 'venv')
        parser = configparser.ConfigParser(interpolation=None)
        parser.read(self.where.etc / f'zun-compute-{host}.conf')
        return parser.get('DEFAULT', 'default_availability_zone',
                          fallback=None)

    def _forget(self, name):
        with mock.patch.object(identity, 'OpenStack',
                               autospec=True) as cloud:
            zun = cloud.return_value.zun.must.return_value
            zun.json.return_value = {'services': []}
            placement = cloud.return_value.placement.must.return_value
            placement.json.return_value = {'resource_providers': []}
            hosts.forget(self.where, name)

    def test_at_first_there_is_the_machine(self):
        self.assertEqual([hosts.first()], hosts.names(self.where))
        self.assertIsNone(self._zone_in_configuration(hosts.first()))

    def test_a_host_is_in_the_zone_it_was_added_to(self):
        hosts.add(self.where, 'plain')
        hosts.add(self.where, 'zoned', 'Az_2.b')
        self.assertEqual([hosts.first(), 'plain', 'zoned'],
                         hosts.names(self.where))
        self.assertEqual('Az_2.b', self._zone_in_configuration('zoned'))
        self.assertIsNone(self._zone_in_configuration('plain'))
        self.assertIsNone(self._zone_in_configuration(hosts.first()))

    def test_a_host_may_be_added_again_but_not_to_another_zone(self):
        hosts.add(self.where, 'zoned', 'one')
        hosts.add(self.where, 'zoned', 'one')
        hosts.add(self.where, 'zoned')
        self.assertRaises(errors.DevcloudError, hosts.add, self.where,
                          'zoned', 'two')
        self.assertEqual([hosts.first(), 'zoned'], hosts.names(self.where))
        self.assertEqual('one', self._zone_in_configuration('zoned'))

    def test_a_host_that_went_leaves_no_zone_and_no_driver(self):
        hosts.add(self.where, 'other', 'kept', 'docker')
        hosts.add(self.where, 'zoned', 'one', 'cri')
        self._forget('zoned')
        hosts.add(self.where, 'zoned')
        self.assertEqual({'other': 'kept'}, hosts.zones(self.where))
        self.assertEqual({'other': 'docker'}, hosts.drivers(self.where))

    def test_a_host_may_be_added_again_but_not_with_another_driver(self):
        hosts.add(self.where, 'own', driver='cri')
        hosts.add(self.where, 'own', driver='cri')
        hosts.add(self.where, 'own')
        self.assertRaises(errors.DevcloudError, hosts.add, self.where,
                          'own', driver='docker')
        self.assertEqual({'own': 'cri'}, hosts.drivers(self.where))

    def test_hosts_added_before_there_were_zones_are_kept(self):
        (self.where.state / 'hosts.json').write_text('["old"]')
        hosts.add(self.where, 'new', 'one')
        self.assertEqual([hosts.first(), 'old', 'new'],
                         hosts.names(self.where))
        self.assertIsNone(self._zone_in_configuration('old'))

    def test_what_is_no_name_is_refused(self):
        for name, zone in (('-x', ''), ('a b', ''), (hosts.first(), ''),
                           ('host', 'a\nb'), ('host', '-'), ('host', 'a b'),
                           ('host', 'x' * 64)):
            self.assertRaises(errors.DevcloudError, hosts.add, self.where,
                              name, zone)
        self.assertEqual([hosts.first()], hosts.names(self.where))
