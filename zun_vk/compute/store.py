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
"""What must outlive the service: a record of each pod, in files on a tmpfs.

A record says which capsule the pod stands for, whether it is to end, and how
often its containers failed; beside it lies the resolved pod, so that its
containers can be started again while nobody answers. Both are root's alone,
for they hold secrets, and gone after a reboot of the host, as the pod is.
"""

import contextlib
import json
import os
from pathlib import Path
import re
import typing

from oslo_log import log as logging

LOG = logging.getLogger(__name__)

_UID = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]{0,127}')
_RECORD, _PAYLOAD, _KEPT = '.json', '.payload', '.kept'


class RecordStore:
    """The records in one directory.

    :param directory: below a directory that ``open`` may rely on
    """

    def __init__(self, directory: str):
        self._directory = Path(directory)

    def open(self) -> None:
        """Make the directory, for root alone; before anything is saved."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory.chmod(0o700)
        self._clean()

    def _clean(self) -> None:
        """Remove what a service that was killed has left half-made."""
        for path in self._directory.glob('.*.new'):
            path.unlink(missing_ok=True)
        for path in self._directory.glob(f'*{_PAYLOAD}'):
            if not path.with_suffix(_RECORD).exists():
                path.unlink(missing_ok=True)

    def save(self, uid: str, record: dict) -> None:
        """Keep the record of a pod, in one step."""
        self._write(uid, _RECORD, record)

    def save_payload(self, uid: str, payload: dict) -> None:
        """Keep the resolved pod, as it came over the bus."""
        self._write(uid, _PAYLOAD, payload)

    def keep(self, uid: str, remnant: dict) -> None:
        """Keep what is left to know of a pod that is gone."""
        self._write(uid, _KEPT, remnant)

    def records(self) -> dict[str, tuple[dict, dict | None]]:
        """Return all records by UID, each with the pod where it is there."""
        found = {}
        for path in sorted(self._directory.glob(f'*{_RECORD}')):
            record = self._read(path)
            if record is not None:
                found[path.name.removesuffix(_RECORD)] = (
                    record, self._read(path.with_suffix(_PAYLOAD)))
        return found

    def record(self, uid: str) -> dict | None:
        """Return one record, where it is there."""
        return self._read(self._path(uid, _RECORD)) if valid(uid) else None

    def kept(self) -> dict[str, dict]:
        """Return what is left to know of pods that are gone, by UID."""
        found = {}
        for path in sorted(self._directory.glob(f'*{_KEPT}')):
            remnant = self._read(path)
            if remnant is not None:
                found[path.name.removesuffix(_KEPT)] = remnant
        return found

    def remnant(self, uid: str) -> dict | None:
        """Return what is left to know of a pod that is gone."""
        return self._read(self._path(uid, _KEPT)) if valid(uid) else None

    def remove(self, uid: str) -> None:
        """Forget the record of a pod, but not what was kept."""
        for suffix in (_RECORD, _PAYLOAD):
            self._path(uid, suffix).unlink(missing_ok=True)

    def forget(self, uid: str) -> None:
        """Forget what was kept of a pod."""
        self._path(uid, _KEPT).unlink(missing_ok=True)

    def _path(self, uid: str, suffix: str) -> Path:
        if not valid(uid):
            raise ValueError('not the UID of a pod')
        return self._directory / f'{uid}{suffix}'

    def _write(self, uid: str, suffix: str, content: dict) -> None:
        path = self._path(uid, suffix)
        new = path.with_name(f'.{path.name}.new')
        with contextlib.suppress(FileNotFoundError):
            new.unlink()
        descriptor = os.open(
            new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, 'w') as stream:
            json.dump(content, stream)
        os.replace(new, path)

    @staticmethod
    def _read(path: Path) -> dict | None:
        try:
            content = json.loads(path.read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            LOG.error('The record %s cannot be read: %s', path.name,
                      type(error).__name__)
            return None
        return content if isinstance(content, dict) else None


def valid(uid: typing.Any) -> bool:
    """Tell whether a UID can be one, and the name of a file."""
    return isinstance(uid, str) and bool(_UID.fullmatch(uid))
