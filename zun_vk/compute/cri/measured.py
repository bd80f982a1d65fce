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
"""What a container runtime has measured, in this project's own words. Pure.

In: messages of cri_pb2. Out: the plain data of zun_vk.rpc.stats. Runtimes
measure more or less: what a message does not have is not known.
"""

import typing

from zun_vk.rpc import stats

_NANO = 1e9


def cpu(message: typing.Any) -> stats.Cpu | None:
    """Return the CPU time in a message that has a field ``cpu``.

    Without its rate: see ``rates``.
    """
    if not message.HasField('cpu'):
        return None
    found = message.cpu
    return stats.Cpu(seconds(found.timestamp),
                     _value(found, 'usage_core_nano_seconds'))


def memory(message: typing.Any) -> stats.Memory | None:
    """Return the memory in a message that has a field ``memory``."""
    if not message.HasField('memory'):
        return None
    found = message.memory
    return stats.Memory(
        seconds(found.timestamp), _value(found, 'usage_bytes'),
        _value(found, 'working_set_bytes'), _value(found, 'rss_bytes'),
        # Without a limit runtimes tell 0, which would mean: nothing left.
        _value(found, 'available_bytes') or None,
        _value(found, 'page_faults'), _value(found, 'major_page_faults'))


def swap(message: typing.Any) -> stats.Swap | None:
    """Return the swap in a message ContainerStats."""
    if not message.HasField('swap'):
        return None
    found = message.swap
    return stats.Swap(seconds(found.timestamp),
                      _value(found, 'swap_usage_bytes'),
                      _value(found, 'swap_available_bytes'))


def rootfs(message: typing.Any) -> stats.Disk | None:
    """Return what the writable layer in a ContainerStats takes."""
    found = message.writable_layer
    # containerd measures it every 10 s: before, it tells 0 bytes at time 0.
    if not found.timestamp:
        return None
    return stats.Disk(seconds(found.timestamp), _value(found, 'used_bytes'),
                      inodes_used=_value(found, 'inodes_used'))


def network(message: typing.Any, now: float) -> stats.Network | None:
    """Return the interfaces in a message LinuxPodSandboxStats.

    :param now: seconds since the epoch: containerd does not tell when
    """
    if not message.HasField('network'):
        return None
    found = message.network
    default = found.default_interface
    by_name = {each.name: _interface(each)
               for each in (default, *found.interfaces) if each.name}
    if not by_name:
        return None
    return stats.Network(seconds(found.timestamp) or now, default.name,
                         tuple(by_name.values()))


def processes(message: typing.Any) -> int | None:
    """Return how many run, by a message LinuxPodSandboxStats."""
    return (_value(message.process, 'process_count')
            if message.HasField('process') else None)


def seconds(nanoseconds: int) -> float:
    """Return a time of CRI as seconds since the epoch."""
    return max(0, nanoseconds) / _NANO


def _interface(message: typing.Any) -> stats.Interface:
    return stats.Interface(message.name, *(
        _value(message, name)
        for name in ('rx_bytes', 'rx_errors', 'tx_bytes', 'tx_errors')))


def _value(message: typing.Any, name: str) -> int | None:
    return getattr(message, name).value if message.HasField(name) else None
