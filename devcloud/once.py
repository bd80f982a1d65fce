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
"""What is built once into the cache, and is there whole or not at all."""

from collections.abc import Callable
import fcntl
from pathlib import Path
import shutil


def build(target: Path, log: Path, there: Callable[[], bool],
          make: Callable[[Path], None]) -> None:
    """Build a file or a folder unless it is there.

    :param target: where it appears, in one piece
    :param log: of ``make``; what an earlier one left in it goes
    :param there: tells whether nothing has to be built
    :param make: makes it at the path that it is given, where nothing is;
        what it raises passes, and nothing appears
    """
    if there():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(f'.{target.name}.new')
    # Two commands at once build once
    with open(target.with_name(f'.{target.name}.lock'), 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if there():
            return
        _remove(new)
        log.unlink(missing_ok=True)
        make(new)
        _remove(target)
        new.rename(target)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
