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
"""Who was turned away at the port for streams: told in bounded words.

Anybody who reaches the port can cause a line of the log; so there are some
in each second, and the next one says how many are missing.
"""

from collections.abc import Callable
import time

from oslo_log import log as logging

from zun_vk import metrics
from zun_vk import pace

LOG = logging.getLogger(__name__)

TOKEN, FULL = 'token', 'full'


class TurnedAway:
    """Counts them and logs them; any thread may tell.

    :param clock: seconds, monotonic
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._pace = pace.Pace(clock)

    def tell(self, kind: str, peer: str, why: object) -> None:
        """Tell of one connection that gets nothing.

        :param kind: ``TOKEN`` or ``FULL``
        :param peer: address it came from
        :param why: without anything that it sent
        """
        metrics.STREAMS_REFUSED.labels(kind).inc()
        missing = self._pace.may_pass()
        if missing is not None:
            LOG.warning('A connection of %s gets nothing: %s%s', peer, why,
                        f'; {missing} more of late' if missing else '')
