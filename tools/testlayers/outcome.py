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
"""How a layer went, and what the summary says of all."""

import dataclasses
import json
import pathlib
import typing

COUNTED = ('passed', 'failed', 'skipped')


@dataclasses.dataclass
class Outcome:
    """How one layer went.

    :ivar tests: it runs tests, so their numbers are shown
    :ivar problem: what went wrong beside failed tests
    :ivar left_out: why it could not run on this machine
    """

    layer: str
    tests: bool = True
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    problem: str = ''
    left_out: str = ''

    @property
    def bad(self) -> bool:
        return bool(self.failed or self.problem)

    def __str__(self) -> str:
        if self.left_out:
            return f'{self.layer:<11}left out: {self.left_out}'
        parts = [f'{self.seconds:.0f} s']
        if self.tests:
            parts.insert(0, totals([self]))
        if self.problem:
            parts.append(self.problem)
        verdict = 'FAILED' if self.bad else 'ok'
        return f'{self.layer:<11}{verdict:<8}{", ".join(parts)}'

    def take(self, counts: pathlib.Path) -> None:
        """Take the numbers that count.py wrote; some test must have run."""
        if not counts.exists():
            self.problem = self.problem or 'its tests could not be counted'
            return
        for name, number in json.loads(counts.read_text()).items():
            setattr(self, name, number)
        if not self.passed + self.failed:
            self.problem = self.problem or 'no test ran'


def totals(outcomes: typing.Iterable[Outcome]) -> str:
    """Return the numbers of all outcomes together."""
    outcomes = list(outcomes)
    return ', '.join(
        f'{sum(getattr(outcome, name) for outcome in outcomes)} {name}'
        for name in COUNTED)


def exit_code(outcomes: typing.Sequence[Outcome], wanted: int) -> int:
    """Return 0 where all is well, 1 where not, 2 where nothing could run.

    :param wanted: number of layers asked for
    """
    if any(outcome.bad for outcome in outcomes) or len(outcomes) < wanted:
        return 1
    return 2 if all(outcome.left_out for outcome in outcomes) else 0
