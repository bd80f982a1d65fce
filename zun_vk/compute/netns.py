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
"""Sockets within a pod's network: tenants' are not reachable from here.

A socket belongs to the network namespace that its thread was in when it was
made, for good. So a thread that lives for nothing else enters the pod's
namespace, makes the socket, and ends: none ever has to find back.
"""

import ctypes
import os
import socket
import threading
import time
import typing

from zun_vk import exceptions

_CLONE_NEWNET = 0x40000000


def socket_in(pid: int, address: str, port: int,
              timeout: float) -> socket.socket:
    """Return a TCP socket that is connected from within a pod's network.

    :param pid: of a process in the pod's network namespace
    :param address: an IP address
    :param timeout: seconds, for the connection; it stays set on the socket
    :raises exceptions.NoNetwork: there is no such process, or we are not root
    :raises OSError: nobody accepts the connection, TimeoutError included
    """
    deadline = time.monotonic() + timeout
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    made = unconnected(pid, family)
    try:
        made.settimeout(max(deadline - time.monotonic(), 0.001))
        made.connect((address, port))
    except BaseException:
        made.close()
        raise
    return made


def unconnected(pid: int, family: int) -> socket.socket:
    """Return a TCP socket that belongs to the namespace of a process.

    :raises exceptions.NoNetwork: it cannot be entered
    """
    made: list[typing.Any] = []
    visitor = threading.Thread(
        target=_visit, args=(pid, family, made), daemon=True,
        name=f'netns-{pid}')
    visitor.start()
    visitor.join()
    if isinstance(made[0], OSError):
        raise exceptions.NoNetwork(
            f'network namespace of process {pid}: {made[0].strerror}')
    return made[0]


def _visit(pid: int, family: int, made: list[typing.Any]) -> None:
    """The thread: it is of no use to anyone once it has entered."""
    try:
        namespace = os.open(f'/proc/{pid}/ns/net', os.O_RDONLY)
        try:
            # A pid that is another process's by now is most likely of the
            # host, whose network is never a pod's.
            if os.path.samestat(os.fstat(namespace),
                                os.stat('/proc/thread-self/ns/net')):
                raise OSError(0, 'it is the one of the host')
            _enter(namespace)
        finally:
            os.close(namespace)
        made.append(socket.socket(family, socket.SOCK_STREAM))
    except OSError as error:
        made.append(error)


def _enter(namespace: int) -> None:
    if hasattr(os, 'setns'):  # Python 3.12
        os.setns(namespace, _CLONE_NEWNET)
        return
    if ctypes.CDLL(None, use_errno=True).setns(namespace, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
