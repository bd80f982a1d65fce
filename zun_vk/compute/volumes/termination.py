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
"""What a container says of its end.

It writes a file that is mounted at its terminationMessagePath; with the
policy FallbackToLogsOnError, the last of its log counts where that is empty.
"""

import errno
import os
import stat

from zun_vk.compute import logs

#: Kubernetes: of one container, and of all containers of a pod together.
MAX_BYTES = 4096
MAX_POD_BYTES = 12 * 1024
LOG_BYTES = 2048
LOG_LINES = 80
DEFAULT_PATH = '/dev/termination-log'
FALLBACK = 'FallbackToLogsOnError'


def message(path: str, policy: str, log_path: str, exit_code: int,
            containers: int) -> str:
    """Return a container's message, '' for none.

    :param path: of the file that the container may have written
    :param policy: terminationMessagePolicy
    :param containers: that share the pod's bound
    """
    said = _tail(path, MAX_BYTES)
    if not said and policy == FALLBACK and exit_code != 0:
        said = logs.last_lines(log_path, LOG_LINES, LOG_BYTES)
    bound = MAX_POD_BYTES // max(containers, 1)
    # A character that was cut in two is lost, not made into another.
    return said[:bound].decode('utf-8', 'ignore')


def make(path: str) -> None:
    """Make the file of a container that is about to be created.

    :raises OSError: it cannot be made
    """
    descriptor = os.open(
        path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        # Whoever the container runs as has to write to it.
        os.fchmod(descriptor, 0o666)
    finally:
        os.close(descriptor)


def _tail(path: str, size: int) -> bytes:
    """Return the last bytes of a file; b'' where there is none."""
    try:
        # A container cannot make its mounted file anything but a file.
        descriptor = os.open(
            path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return b''
        raise
    with open(descriptor, 'rb') as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return b''
        file.seek(max(0, status.st_size - size))
        return file.read(size)
