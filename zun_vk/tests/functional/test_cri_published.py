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
"""What is checked in of the container runtime interface can be made again."""

import subprocess

from oslotest import base

from zun_vk.tests.fixtures import cri_published


class PublishedTestCase(base.BaseTestCase):

    def test_the_extract_is_what_the_module_says(self):
        self.assertEqual(cri_published.current(),
                         cri_published.EXTRACT.read_text())

    def test_the_generator_makes_what_is_checked_in(self):
        done = subprocess.run(
            ['tools/generate-cri', '--check'], cwd=cri_published.ROOT,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=600)
        self.assertEqual(0, done.returncode, done.stdout)
