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

from collections.abc import Callable
import ctypes
import os
import socket
import threading
import time
import typing

from zun_vk import exceptions

_CLONE_NEWNET = 0x40000000
_Result = typing.TypeVar('_Result')


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
    return run_in(f'/proc/{pid}/ns/net',
                  lambda: socket.socket(family, socket.SOCK_STREAM))


def run_in(path: str, work: Callable[[], _Result]) -> _Result:
    """Return what ``work`` does within a network namespace.

    :param path: of the namespace
    :raises exceptions.NoNetwork: it cannot be entered
    :raises OSError: by ``work``, and whatever else it raises
    """
    made: list[_Result] = []
    failed: list[Exception] = []

    def visit() -> None:
        # The thread: it is of no use to anyone once it has entered.
        try:
            _enter(path)
            made.append(work())
        except Exception as error:  # raised anew by who waits
            failed.append(error)

    visitor = threading.Thread(target=visit, daemon=True, name='netns')
    visitor.start()
    visitor.join()
    if failed:
        raise failed[0]
    return made[0]


def _enter(path: str) -> None:
    try:
        namespace = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            # A pid that is another process's by now is most likely of the
            # host, whose network is never a pod's.
            if os.path.samestat(os.fstat(namespace),
                                os.stat('/proc/thread-self/ns/net')):
                raise OSError(0, 'it is the one of the host')
            _set(namespace)
        finally:
            os.close(namespace)
    except OSError as error:
        raise exceptions.NoNetwork(
            f'network namespace {path}: {error.strerror}') from None


def _set(namespace: int) -> None:
    if hasattr(os, 'setns'):  # Python 3.12
        os.setns(namespace, _CLONE_NEWNET)
        return
    if ctypes.CDLL(None, use_errno=True).setns(namespace, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
