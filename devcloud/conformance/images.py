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
"""Images that only these tests name, beside those that the devcloud has.

own_images.py makes the others: agnhost, busybox, nonewprivs, nonroot and
pause. These are busybox by other names: the tests that run nginx or the libc
of another system bring their own command for the shell. What of the
published images is no program of Go is not here; the tests that need such a
thing are seen in the report.
"""

from pathlib import Path

from devcloud import own_images
from devcloud import paths

IMAGES = tuple(own_images.Image(f'{own_images.E2E}/{name}', ('sh',))
               for name in ('nginx:1.15-4', 'nginx:1.27-0',
                            'glibc-dns-testing:2.0.0'))


def make(where: paths.Paths) -> dict[str, Path]:
    """Have all of them as archives in the cache, by name."""
    return own_images.make(where, IMAGES)
