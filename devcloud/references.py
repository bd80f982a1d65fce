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
"""Names of images, complete: registry, path and tag."""

from dataclasses import dataclass
import re

from devcloud import errors

PART = r'[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*'
NAME = re.compile(r'(?:[a-zA-Z0-9][a-zA-Z0-9-]*\.)*[a-zA-Z0-9][a-zA-Z0-9-]*'
                  rf'(?::[0-9]+)?(?:/{PART})+'
                  r':\w[\w.-]{0,127}', re.ASCII)


@dataclass(frozen=True)
class Reference:
    """An image's name, complete: registry, path and tag."""

    registry: str
    path: str
    tag: str

    def __str__(self) -> str:
        return f'{self.registry}/{self.path}:{self.tag}'

    @property
    def repository(self) -> str:
        """Where the devcloud's registry keeps it."""
        return f'{self.prefix}/{self.path}'.lstrip('/')

    @property
    def prefix(self) -> str:
        """Where the devcloud's registry keeps those of the same registry."""
        if self.registry == 'docker.io':
            return ''
        return self.registry.replace(':', '-')


def parse(name: str) -> Reference:
    """Complete a name as docker does.

    :raises errors.DevcloudError: no name, or one with a digest
    """
    rest, tag = name, 'latest'
    if ':' in name.rsplit('/', 1)[-1]:
        rest, tag = name.rsplit(':', 1)
    first, slash, path = rest.partition('/')
    if not slash or not (first == 'localhost' or set(first) & set('.:')):
        first, path = 'docker.io', rest
    if first == 'docker.io' and '/' not in path:
        path = f'library/{path}'
    reference = Reference(first, path, tag)
    if not NAME.fullmatch(str(reference)):
        raise errors.DevcloudError(f'{name!r} is not an image name')
    return reference
