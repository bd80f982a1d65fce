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
"""What the devcloud's tests share: folders of a cloud that never runs."""

from pathlib import Path

import fixtures
from oslotest import base

from devcloud import paths


class TestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.tmp = Path(self.useFixture(fixtures.TempDir()).path)
        self.where = paths.Paths(
            paths.CHECKOUT, self.tmp / 'state', self.tmp / 'cache',
            self.tmp / 'run')

    def program(self, folder, name, text):
        """Make an executable script."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        path.write_text(f'#!/bin/sh\n{text}\n')
        path.chmod(0o755)
        return path
