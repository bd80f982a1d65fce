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
"""What every service of ours does with signals and its threads.

Flows in: the configuration. Flows out: ``_main`` in a thread of its own, a
configuration that is read again on SIGHUP, and an end that names whoever did
not end in time.
"""

import abc
import signal

from oslo_config import cfg
from oslo_log import log as logging
from oslo_service import service

from zun_vk import threads

LOG = logging.getLogger(__name__)


class Process(service.ServiceBase):
    """A service that oslo.service runs in the main process.

    :param conf: all sections registered and parsed
    """

    def __init__(self, conf: cfg.ConfigOpts):
        self._conf = conf
        self._threads = threads.Threads()
        self._stop = self._threads.stop

    def start(self) -> None:
        """Start all threads; does not wait for them."""
        # oslo.service ends a service that runs in the main process on
        # SIGHUP; what can be changed at run time is read anew instead.
        signal.signal(signal.SIGHUP, self._reload)
        self._threads.spawn('main', self._main)

    def wait(self) -> None:
        """Block until a signal ends the process."""
        # Not an Event: stop() runs in a signal handler of this thread and
        # must not need a lock that this thread may hold.
        while not self._stop.is_set():
            signal.pause()

    def reset(self) -> None:
        """Nothing to do: see _reload."""

    @abc.abstractmethod
    def _main(self) -> None:
        """Start what does the work; begun again where it crashes."""

    def _join(self, seconds: float) -> None:
        """Wait for the threads, which were told to end."""
        for name in self._threads.join(seconds):
            LOG.warning('Thread %s is cut off', name)

    def _reload(self, *_signal) -> None:
        LOG.info('Reading the configuration again')
        try:
            self._conf.mutate_config_files()
        except (cfg.Error, ValueError) as error:
            LOG.error('The configuration stays as it was: %s', error)
