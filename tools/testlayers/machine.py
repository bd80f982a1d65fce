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
"""What a machine must have for a layer to run there."""

import os
import pathlib

import steps


def lacks_for_devcloud(release: str = '/etc/os-release') -> str:
    """Return why this machine cannot run the cloud, empty if it can."""
    if os.geteuid():
        return 'it needs root'
    file = pathlib.Path(release)
    if not file.exists() or 'ID=debian' not in file.read_text().split():
        return 'it needs Debian'
    if not steps.succeeds('unshare', '--mount', '--net', '--pid', '--fork',
                          'true'):
        return 'this machine cannot run containers'
    return ''


def lacks_for_lint() -> str:
    """Return why the style cannot be checked, empty if it can."""
    if not steps.succeeds('git', 'rev-parse', 'HEAD'):
        return 'it checks the files git knows, and git knows none here'
    return ''
