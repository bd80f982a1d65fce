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
"""A helper process that is spoken to in JSON lines.

Its standard input takes one command a line, its standard output gives one
JSON object for each; it ends when its input does.
"""

import json
import pathlib
import subprocess
import sys
import typing

from benchmarks import accounting
from benchmarks import common


class Child:
    """One ``python -m MODULE ARGUMENTS``; usable as a context.

    :param log: file for its standard error
    """

    def __init__(self, module: str, *arguments: str, log: pathlib.Path):
        self._log = log
        with log.open('ab') as errors:
            self._process = subprocess.Popen(
                [sys.executable, '-m', module, *arguments], cwd=common.ROOT,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=errors, text=True)
        self.usage = accounting.Usage(self._process.pid)

    def __enter__(self) -> 'Child':
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def ask(self, command: str) -> dict:
        """Send a command and return its answer.

        :raises RuntimeError: the process ended instead
        """
        self._process.stdin.write(f'{command}\n')
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f'{command}: no answer\n'
                               f'{self._log.read_text()[-3000:]}')
        return json.loads(line)


def serve(answer: typing.Callable[[str], dict]) -> None:
    """Be a child: answer each command until there are no more."""
    for line in sys.stdin:
        print(json.dumps(answer(line.strip())), flush=True)
