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
"""An image that is on the host."""

import dataclasses
import typing


@dataclasses.dataclass(frozen=True)
class Image:
    """What the runtime tells of an image.

    :param id: what a container is made from
    :param ref: its repository and digest; its id where it has none
    :param uid: the user that it runs as; None where it names one, or none
    :param username: the user's name, where it gives no number
    :param size: bytes
    """

    id: str
    ref: str = ''
    uid: int | None = None
    username: str = ''
    size: int = 0


def from_status(status: typing.Any) -> Image:
    """Return the image of a message Image."""
    return Image(
        id=status.id, ref=next(iter(status.repo_digests), status.id),
        uid=status.uid.value if status.HasField('uid') else None,
        username=status.username, size=status.size)
