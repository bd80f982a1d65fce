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
import resource
from unittest import mock

from oslotest import base

from zun_vk.cmd import limits

ANY = resource.RLIM_INFINITY


class DescriptorsTestCase(base.BaseTestCase):

    def raised(self, soft, hard):
        with mock.patch.object(resource, 'getrlimit', autospec=True,
                               return_value=(soft, hard)), \
                mock.patch.object(resource, 'setrlimit',
                                  autospec=True) as setrlimit:
            limits.raise_descriptors()
        return [call.args[1] for call in setrlimit.call_args_list]

    def test_what_systemd_begins_with_is_raised(self):
        self.assertEqual([(65536, 524288)], self.raised(1024, 524288))
        self.assertEqual([(65536, ANY)], self.raised(1024, ANY))

    def test_no_more_is_taken_than_is_allowed(self):
        self.assertEqual([(4096, 4096)], self.raised(1024, 4096))

    def test_what_is_enough_stays(self):
        self.assertEqual([], self.raised(65536, 65536))
        self.assertEqual([], self.raised(ANY, ANY))
        self.assertEqual([], self.raised(1000000, ANY))
