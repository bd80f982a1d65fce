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
"""The log files of containers: where they are, rotated, and their end.

The runtime writes them, in CRI's format; each line is a time, a stream, P or
F (whether the line goes on in the next or is full), and what was said::

    2026-01-02T03:04:05.678901234Z stdout F hello
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
import dataclasses
import gzip
import os
import shutil
import time

#: Read of a log's end; 2,048 bytes said in single bytes take less.
_WINDOW = 256 * 1024
# Kubernetes: those who collect logs need not be root. Whatever the umask of
# the service is.
_DIRECTORY_MODE = 0o755
_GZIP = '.gz'
_TEMPORARY = '.tmp'


def pod_dir(log_root: str, namespace: str, name: str, uid: str) -> str:
    """Return where the logs of a pod are: Kubernetes' own scheme.

    :raises ValueError: a part of it would lead elsewhere
    """
    for part in (namespace, name, uid):
        if not part or '/' in part or '_' in part or part.startswith('.'):
            raise ValueError('not the name of a pod')
    return os.path.join(log_root, f'{namespace}_{name}_{uid}')


def container_log(container: str, attempt: int) -> str:
    """Return a container's log, relative to its pod's directory."""
    return f'{container}/{attempt}.log'


def make_dirs(pod: str, containers: Iterable[str]) -> None:
    """Make the directories, which collectors of logs may read.

    :raises OSError: they cannot be made
    """
    os.makedirs(os.path.dirname(pod), exist_ok=True)
    for path in (os.path.dirname(pod), pod,
                 *(os.path.join(pod, name) for name in containers)):
        os.makedirs(path, exist_ok=True)
        os.chmod(path, _DIRECTORY_MODE)


def remove(pod: str) -> None:
    """Remove all logs of a pod; none is fine."""
    shutil.rmtree(pod, ignore_errors=True)


@dataclasses.dataclass(frozen=True)
class Rotation:
    """What has to be done, in this order; names are in the log's directory.

    :param remove: files to delete
    :param compress: files to compress
    """

    remove: tuple[str, ...]
    compress: tuple[str, ...]


def rotation(log: str, names: Collection[str], max_files: int) -> Rotation:
    """Decide what becomes of the files before a log is rotated once more.

    Kubernetes: left-overs of a crash go, then the oldest files, until there
    is room for the log and for the file that it becomes; the rest is
    compressed. The newest stays as it is until the next time: whoever reads
    it can go on.

    :param log: name of the log itself
    :param names: in its directory
    """
    old = sorted(name for name in names if name.startswith(log + '.'))
    unused = [name for name in old if name.endswith(_TEMPORARY)
              or name + _GZIP in names]
    kept = [name for name in old if name not in unused]
    excess = kept[:max(0, len(kept) - max(0, max_files - 2))]
    return Rotation(tuple(unused + excess), tuple(
        name for name in kept
        if name not in excess and not name.endswith(_GZIP)))


class Rotator:
    """Rotates logs that became too large.

    :param max_size: bytes
    :param max_files: of one container, the log itself included
    """

    def __init__(self, max_size: int, max_files: int):
        self._max_size = max_size
        self._max_files = max_files

    def look(self, path: str, reopen: Callable[[], None]) -> bool:
        """Rotate the log of a running container; return whether it was.

        :param path: of the log
        :param reopen: asks the runtime to write to a new file
        :raises OSError: the disk refuses; look again later
        """
        try:
            if os.stat(path).st_size < self._max_size:
                return False
        except FileNotFoundError:
            # A crash between our renaming and the runtime's reopening.
            reopen()
            return False
        rotated = time.strftime(f'{path}.%Y%m%d-%H%M%S', time.gmtime())
        if os.path.exists(rotated) or os.path.exists(rotated + _GZIP):
            return False
        directory, log = os.path.split(path)
        todo = rotation(log, os.listdir(directory), self._max_files)
        for name in todo.remove:
            os.unlink(os.path.join(directory, name))
        for name in todo.compress:
            _compress(os.path.join(directory, name))
        _switch(path, rotated, reopen)
        return True


def _switch(path: str, rotated: str, reopen: Callable[[], None]) -> None:
    os.rename(path, rotated)
    try:
        reopen()
    except BaseException:
        # The runtime still writes there: it is still the log.
        os.rename(rotated, path)
        raise


def _compress(path: str) -> None:
    temporary = path + _TEMPORARY
    mode = os.stat(path).st_mode & 0o777
    descriptor = os.open(
        temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.fchmod(descriptor, mode)
    with (open(path, 'rb') as plain, open(descriptor, 'wb') as target,
          gzip.GzipFile('', 'wb', fileobj=target) as packed):
        shutil.copyfileobj(plain, packed, 64 * 1024)
    os.rename(temporary, path + _GZIP)
    os.unlink(path)


def last_lines(path: str, lines: int, size: int) -> bytes:
    """Return the end of what a container said, over both streams.

    :param path: of its log
    :param lines: at most
    :param size: bytes at most
    :return: b'' where there is no log
    """
    try:
        with open(path, 'rb') as file:
            start = max(0, file.seek(0, os.SEEK_END) - _WINDOW)
            file.seek(start)
            block = file.read(_WINDOW)
    except OSError:
        return b''
    raw = block.split(b'\n')
    if start and len(raw) > 2:
        # The first of them is cut.
        raw = raw[1:]
    return _joined(raw, lines)[-size:] if size else b''


def _joined(raw: list[bytes], lines: int) -> bytes:
    """Return what the last lines said, partial ones joined."""
    said: list[bytes] = []
    full = 0
    for line in reversed(raw):
        if not line:
            continue
        content, is_full = _content(line)
        if is_full:
            if full == lines:
                break
            full += 1
            content += b'\n'
        said.append(content)
    return b''.join(reversed(said))


def _content(line: bytes) -> tuple[bytes, bool]:
    parts = line.split(b' ', 3)
    # Tags may grow by fields after a colon; the first one is P or F.
    tag = parts[2].split(b':')[0] if len(parts) == 4 else b''
    if parts[1:2] not in ([b'stdout'], [b'stderr']) or tag not in (
            b'P', b'F'):
        return line, True
    return parts[3], tag == b'F'
