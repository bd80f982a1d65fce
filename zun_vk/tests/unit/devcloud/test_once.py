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
import concurrent.futures

from devcloud import once
from zun_vk.tests.unit.devcloud import base


class OnceTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.target = self.tmp / 'cache' / 'thing'
        self.log = self.tmp / 'log'
        self.made = 0

    def build(self, there=None):
        once.build(self.target, self.log, there or self.target.exists,
                   self.make)

    def make(self, new):
        self.made += 1
        new.mkdir()
        (new / 'program').write_text(str(self.made))

    def test_many_at_once_build_once(self):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for each in [pool.submit(self.build) for _ in range(8)]:
                each.result(20)
        self.assertEqual(1, self.made)
        self.assertEqual('1', (self.target / 'program').read_text())

    def test_what_is_there_is_not_looked_after(self):
        self.build(lambda: True)
        self.assertFalse(self.target.parent.exists())

    def test_a_build_that_fails_leaves_nothing_and_is_tried_again(self):
        def fail(new):
            new.mkdir()
            (new / 'half').touch()
            raise ValueError

        self.assertRaises(ValueError, once.build, self.target, self.log,
                          self.target.exists, fail)
        self.assertFalse(self.target.exists())
        self.log.write_text('of the build before')
        self.build()
        self.assertFalse(self.log.exists())
        self.assertEqual(['program'],
                         [path.name for path in self.target.iterdir()])

    def test_what_is_no_good_any_more_goes_once_there_is_another(self):
        for old in ('a file', 'a folder'):
            if old == 'a file':
                self.target.parent.mkdir()
                self.target.write_text(old)
            else:
                (self.target / 'old').touch()
            self.build(lambda: False)
            self.assertEqual(['program'],
                             [path.name for path in self.target.iterdir()])
