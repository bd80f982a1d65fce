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
"""When a Zun host of the devcloud counts as well."""

from unittest import mock

from oslotest import base as test_base

from devcloud import hosts


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
