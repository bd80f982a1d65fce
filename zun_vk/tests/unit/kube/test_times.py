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
"""The present, as Kubernetes reads it."""

from oslotest import base as test_base

from zun_vk.kube import times


class TimesTestCase(test_base.BaseTestCase):

    def test_a_time_is_rfc_3339_to_the_second(self):
        self.assertRegex(times.now(),
                         r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$')

    def test_a_micro_time_is_rfc_3339_to_the_microsecond(self):
        self.assertRegex(times.now_micro(),
                         r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$')
