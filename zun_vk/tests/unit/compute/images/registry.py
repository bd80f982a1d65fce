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
"""A runtime and a registry that remember, for the tests of pulls."""

from unittest import mock

from zun_vk import exceptions
from zun_vk.compute.cri import client
from zun_vk.compute.cri import cri_pb2


class FakeHost:
    """Images of a registry, and of them those that are on the host.

    :ivar runtime: answers as a container runtime does
    :ivar registry: by name: the identity of the image, and the passwords
        that it is given to; none: everyone
    :ivar pulls: what was asked of the registry: name and password
    """

    def __init__(self):
        self.registry: dict[str, tuple[str, tuple[str, ...]]] = {}
        self.present: dict[str, cri_pb2.Image] = {}
        self.pulls: list[tuple[str, str]] = []
        self.runtime = mock.create_autospec(client.Runtime, instance=True)
        self.runtime.image_status.side_effect = self.status
        self.runtime.pull_image.side_effect = self.pull

    def offer(self, name, *passwords, identity=None):
        self.registry[name] = (identity or f'sha256:{name}', passwords)

    def add(self, name, identity=None, **fields):
        """Have an image on the host that was not pulled."""
        image = cri_pb2.Image(id=identity or f'sha256:{name}',
                              repo_tags=[name], size=1234, **fields)
        self.present[name] = self.present[image.id] = image

    def status(self, image):
        return self.present.get(image)

    def pull(self, image, auth=None, sandbox_config=None):
        password = auth.password if auth is not None else ''
        self.pulls.append((image, password))
        if image not in self.registry:
            raise exceptions.RuntimeNotFound(
                f'PullImage: failed to resolve reference "{image}": {image}: '
                'not found')
        identity, passwords = self.registry[image]
        if passwords and password not in passwords:
            raise exceptions.RuntimeRefused(
                f'PullImage: unexpected status for {password}: 401')
        self.add(image, identity)
        return identity
