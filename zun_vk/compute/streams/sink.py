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
"""What a stream of one direction, such as a log, is written to."""

from collections.abc import Callable
import typing

from zun_vk.rpc import streams


class Sink(typing.Protocol):
    """Where a stream goes: an agent's connection."""

    def write(self, data: bytes) -> None:
        """Write all of it; waits while the reader does not read.

        :raises ReaderGone: nobody reads any more, or the service stops
        """

    def gone(self) -> bool:
        """Tell whether nobody reads any more, or the service stops."""

    def fileno(self) -> int:
        """Return a descriptor that is readable when ``gone`` may be true.

        For ``select``, beside what the writer itself waits for.
        """


#: Writes one stream. Returning completes it; an exception breaks it, which
#: the agent can tell.
Writer: typing.TypeAlias = Callable[[Sink], None]
#: Makes the writer of a request, on the bus's thread: quickly. Raises
#: StreamRefused where there is no such stream.
Prepare: typing.TypeAlias = Callable[[streams.StreamRequest], Writer]
