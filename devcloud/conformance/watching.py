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
"""Sees each result when it is there: reads what ginkgo prints. Pure.

Ginkgo writes its report at the end only; this is for the eyes, and for what
is known where a run was cut short. (e2e.test can post its progress, but in
1.36 it posts no single test.)
"""

from collections.abc import Iterable
import re

from devcloud.conformance import listing

# "• [1.234 seconds]", "• [FAILED] [1.234 seconds]", "S [SKIPPED] [...]"
_RESULT = re.compile(r'^[•SP]( \[[A-Z! ]+\])? \[[0-9.]+ seconds\]$')
# All labels, after a test's text
_LABELS = re.compile(r' \[[^\[\]]*\]$')


class Watcher:
    """Takes lines, knows which test a result is of.

    With several processes Ginkgo tells a test's text after its result, with
    one before it begins.

    :param tests: those that run
    """

    def __init__(self, tests: Iterable[listing.Test]):
        self._tests = {test.name: test for test in tests}
        self._result: bool | None = None
        self._begun: listing.Test | None = None

    def take(self, line: str) -> tuple[listing.Test, bool] | None:
        """Take the next line; a test and whether it passed, once known."""
        line = line.rstrip()
        if found := _RESULT.match(line):
            # Without a word it passed; one that skipped itself has no result
            word = (found[1] or '').strip()
            self._result = None if 'SKIPPED' in word else not word
            return None
        test = self.test_of(line)
        if self._result is None:
            self._begun = test or self._begun
            return None
        known, passed = test or self._begun, self._result
        self._result = None
        return (known, passed) if known else None

    def test_of(self, line: str) -> listing.Test | None:
        """The test whose text and labels a line is."""
        if not line.startswith('['):
            return None
        # Marks the part that failed
        text = line.replace('[It] ', '', 1)
        return self._tests.get(_LABELS.sub('', text))
