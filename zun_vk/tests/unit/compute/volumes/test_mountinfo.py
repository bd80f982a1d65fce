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
from oslotest import base

from zun_vk.compute.volumes import mountinfo

_TEXT = r'''22 27 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw
30 27 0:26 / /run rw - tmpfs tmpfs rw,size=1k
31 30 0:40 / /run/a rw shared:1 master:2 - tmpfs tmpfs rw
32 31 0:41 / /run/a/b\040c\134d rw - tmpfs tmpfs rw
33 31 0:41 / /run/a/b\040c\134d rw - tmpfs tmpfs rw
34 30 0:42 / /run/ab rw - tmpfs tmpfs rw
broken line
'''


class MountinfoTestCase(base.BaseTestCase):

    def test_mounts_are_read(self):
        found = mountinfo.parse(_TEXT)
        self.assertEqual(6, len(found))
        self.assertEqual(
            mountinfo.Mounted('0:20', '/sys', 'sysfs'), found[0])
        self.assertEqual('/run/a/b c\\d', found[3].path)

    def test_the_deepest_come_first_and_neighbours_do_not(self):
        self.assertEqual(
            ['/run/a/b c\\d', '/run/a/b c\\d', '/run/a'],
            mountinfo.beneath(mountinfo.parse(_TEXT), '/run/a'))

    def test_this_machines_own_are_read(self):
        self.assertIn('/proc', [each.path for each in mountinfo.read()])
        self.assertEqual(
            'proc', mountinfo.kind_of('/proc', mountinfo.read()))

    @hypothesis.given(strategies.text(max_size=60))
    def test_no_text_whatsoever_is_an_error(self, text):
        mountinfo.parse(text)
