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
"""Which tests are left out, and why: the rules of skips.toml.

A rule that matches no test is an error: it would hide that a test was
renamed, or that its reason is gone.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
import re
import tomllib

from devcloud import errors
from devcloud.conformance import listing

FILE = Path(__file__).with_name('skips.toml')


@dataclass(frozen=True)
class Rule:
    """Tests that cannot work here.

    :param pattern: found in their names
    :param reason: for people, in one line
    """

    pattern: re.Pattern
    reason: str

    def matches(self, test: listing.Test) -> bool:
        return bool(self.pattern.search(test.name))


def parse(text: str) -> list[Rule]:
    """The rules of a skip file.

    :raises errors.DevcloudError: it is not a list of [[skip]] with pattern
        and reason
    """
    try:
        tables = tomllib.loads(text).get('skip', [])
        if not isinstance(tables, list):
            raise ValueError('skip is not a list of tables')
        return [_rule(number, table)
                for number, table in enumerate(tables, 1)]
    except ValueError as error:
        raise errors.DevcloudError(f'skip file: {error}') from error


def _rule(number: int, table: object) -> Rule:
    if not isinstance(table, dict) or set(table) != {'pattern', 'reason'}:
        raise ValueError(f'rule {number}: needs a pattern and a reason')
    for key, value in table.items():
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f'rule {number}: {key} is no text')
    try:
        return Rule(re.compile(table['pattern']),
                    ' '.join(table['reason'].split()))
    except re.error as error:
        raise ValueError(f'rule {number}: {error}') from error


def reasons(tests: Iterable[listing.Test],
            rules: list[Rule]) -> dict[str, str]:
    """Why each test that is left out is left out, by name.

    :param tests: all there are, not only those that somebody asked for
    :raises errors.DevcloudError: a rule matches none of them
    """
    left_out: dict[str, str] = {}
    idle = set(rules)
    for test in tests:
        for rule in rules:
            if rule.matches(test):
                left_out.setdefault(test.name, rule.reason)
                idle.discard(rule)
    if idle:
        patterns = ', '.join(sorted(repr(rule.pattern.pattern)
                                    for rule in idle))
        raise errors.DevcloudError(f'skip rules match no test: {patterns}')
    return left_out
