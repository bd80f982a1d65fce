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
"""What the hosts of a node told of its pods, as its answers take it."""

from collections.abc import Mapping
import dataclasses
import typing

from zun_vk.rpc import stats


class Figures(typing.NamedTuple):
    """A pod and what it uses.

    :ivar pod: its object
    """

    pod: dict
    stats: stats.Pod


@dataclasses.dataclass(frozen=True)
class Gathered:
    """What the hosts of a node told.

    :param at: seconds since the epoch
    :param since: likewise, when ``cpu_total`` was begun
    :param cpu_total: nanoseconds that pods of the node used, those included
        that have ended since
    :param silent: hosts that told nothing
    """

    at: float
    since: float
    cpu_total: int
    pods: tuple[Figures, ...] = ()
    silent: frozenset[str] = frozenset()

    @property
    def deaf(self) -> bool:
        """Whether nothing was heard, so that nothing is known of the node."""
        return bool(self.silent) and not self.pods


def reference(pod: Mapping) -> dict[str, str]:
    """Return the labels by which Kubernetes' metrics name a pod."""
    return {'pod': pod['metadata']['name'],
            'namespace': pod['metadata']['namespace']}
