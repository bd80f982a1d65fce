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
"""A command within a container, as a probe."""

from collections.abc import Callable
from collections.abc import Sequence

from zun_vk import exceptions
from zun_vk.compute.probes import outcome

#: (container id, command, timeout) -> standard output, error, exit code
ExecSync = Callable[[str, Sequence[str], float], tuple[bytes, bytes, int]]


def probe(exec_sync: ExecSync, container_id: str, command: Sequence[str],
          timeout: float) -> outcome.Outcome:
    """Run it once; return what a probe makes of it."""
    try:
        stdout, stderr, code = exec_sync(container_id, command, timeout)
    except exceptions.CommandTimedOut:
        return outcome.failure(
            f'command timed out: "{" ".join(command)}" timed out after '
            f'{timeout:g}s')
    except exceptions.ZunVkError as error:
        return outcome.error(str(error))
    said = text(stdout, stderr)
    return outcome.success(said) if code == 0 else outcome.failure(said)


def text(stdout: bytes, stderr: bytes) -> str:
    """Return what a command printed, bounded."""
    return (stdout[:outcome.MAX_OUTPUT] + stderr)[:outcome.MAX_OUTPUT].decode(
        'utf-8', 'replace')
