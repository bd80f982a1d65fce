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
"""Runs one probe of one container, once."""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import functools

from zun_vk import exceptions
from zun_vk.compute import netns
from zun_vk.compute.probes import command
from zun_vk.compute.probes import dial
from zun_vk.compute.probes import grpc_health
from zun_vk.compute.probes import http_get
from zun_vk.compute.probes import outcome
from zun_vk.compute.probes import spec

#: uid of a pod -> a process in its network namespace, 0 for none
NetnsPid = Callable[[str], int]


@dataclasses.dataclass(frozen=True)
class Target:
    """A container that runs.

    :param uid: of its pod
    :param container: as the pod's spec has it
    :param started_at: seconds since the epoch
    :param address: of the pod
    :param started: what was known of it before this service began
    :param ready: likewise
    :param path: of its field in the pod; '' where it is a regular one
    """

    uid: str
    namespace: str
    pod: str
    container: Mapping = dataclasses.field(repr=False)
    container_id: str
    started_at: float
    address: str
    started: bool | None = None
    ready: bool | None = None
    path: str = ''


class Prober:
    """Knows how to reach containers.

    :param exec_sync: runs a command in one
    :param netns_pid: finds the network of a pod
    """

    def __init__(self, exec_sync: command.ExecSync, netns_pid: NetnsPid):
        self._exec_sync = exec_sync
        self._netns_pid = netns_pid

    def run(self, target: Target, probe: spec.Probe) -> outcome.Outcome:
        """Probe a container; takes hardly longer than the probe's timeout.

        Whatever goes wrong is an outcome.
        """
        handler = probe.handler
        if isinstance(handler, spec.Exec):
            return command.probe(self._exec_sync, target.container_id,
                                 handler.command, probe.timeout)
        try:
            port = spec.port_of(handler.port, target.container)
            pid = self._netns_pid(target.uid)
            if not pid:
                return outcome.error('the pod has no network')
            return _ask(functools.partial(netns.socket_in, pid), target,
                        handler, port, probe.timeout)
        except (ValueError, exceptions.ZunVkError) as error:
            return outcome.error(str(error))


def _ask(connect: dial.Connect, target: Target,
         handler: spec.HttpGet | spec.TcpSocket | spec.Grpc, port: int,
         timeout: float) -> outcome.Outcome:
    if isinstance(handler, spec.HttpGet):
        return http_get.probe(connect, http_get.request(
            handler, target.address, port, http_get.PROBE_AGENT), timeout)
    if isinstance(handler, spec.Grpc):
        return grpc_health.probe(connect, target.address, port,
                                 handler.service, timeout)
    try:
        dial.dial(connect, handler.host or target.address, port,
                  dial.Deadline.after(timeout)).close()
    except dial.DialFailed as error:
        return outcome.failure(str(error))
    return outcome.success()
