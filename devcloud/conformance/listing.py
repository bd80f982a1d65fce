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
"""Which tests there are: read from what a dry run of e2e.test reports.

In: Ginkgo's JSON report. Out: one Test for each that the label picks.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from dataclasses import dataclass
import json
from pathlib import Path
import re
import tempfile

from devcloud import commands
from devcloud import errors
from devcloud.conformance import programs

LABEL = 'NodeConformance'
# [Such] words of a test's text are labels; but [sig-node], who keeps it,
# tells areas of one name apart
_WORD = re.compile(r'\s*\[(?!sig-)[^\]]*\]')


@dataclass(frozen=True)
class Test:
    """One test.

    :param name: its whole text, as Ginkgo matches it with a focus
    :param area: its outermost container: "[sig-node] Container Runtime"
    :param where: file and line, below the Kubernetes tree
    """

    name: str
    area: str
    where: str
    labels: frozenset[str] = frozenset()

    @property
    def serial(self) -> bool:
        """Whether Ginkgo runs it alone."""
        return 'Serial' in self.labels

    @property
    def title(self) -> str:
        """Its name without labels, for people."""
        return _WORD.sub('', self.name).strip()


def specs(report: list[dict]) -> Iterator[dict]:
    """The tests of a JSON report; suite set-up is left out."""
    for suite in report:
        for spec in suite.get('SpecReports') or ():
            if spec.get('LeafNodeType') == 'It':
                yield spec


def name_of(spec: dict) -> str:
    """A spec's whole text."""
    texts = [*(spec.get('ContainerHierarchyTexts') or ()),
             spec['LeafNodeText']]
    return ' '.join(text for text in texts if text)


def test_of(spec: dict) -> Test:
    """A spec as a Test."""
    hierarchy = spec.get('ContainerHierarchyTexts') or ['']
    location = spec.get('LeafNodeLocation') or {}
    labels = set(spec.get('LeafNodeLabels') or ())
    for some in spec.get('ContainerHierarchyLabels') or ():
        labels.update(some or ())
    return Test(name_of(spec), _WORD.sub('', hierarchy[0]).strip(),
                place(location), frozenset(labels))


def place(location: dict) -> str:
    """file:line of a code location, below the Kubernetes tree."""
    file = location.get('FileName', '').rpartition('k8s.io/kubernetes')[2]
    # -trimpath leaves k8s.io/kubernetes@v1.2.3/test/e2e/...
    return f'{file.partition("/")[2]}:{location.get("LineNumber", 0)}'


def picked(report: list[dict]) -> list[Test]:
    """The tests that a dry run would have run, by name.

    :raises errors.DevcloudError: none, or two of one name
    """
    found: dict[str, Test] = {}
    for spec in specs(report):
        if spec.get('State') != 'passed':
            continue
        test = test_of(spec)
        if test.name in found:
            raise errors.DevcloudError(f'two tests are named {test.name!r}')
        found[test.name] = test
    if not found:
        raise errors.DevcloudError('no test has these labels')
    return [found[name] for name in sorted(found)]


def focused(tests: Iterable[Test], focus: str) -> list[Test]:
    """Those whose name a regular expression is found in; '' is all.

    :raises errors.DevcloudError: no expression, or it finds nothing
    """
    try:
        pattern = re.compile(focus)
    except re.error as error:
        raise errors.DevcloudError(
            f'{focus!r} is no regular expression: {error}') from error
    found = [test for test in tests if pattern.search(test.name)]
    if not found:
        raise errors.DevcloudError(f'no test matches {focus!r}')
    return found


def read(path: Path) -> list[dict]:
    """A JSON report of Ginkgo.

    :raises errors.DevcloudError: there is none, or it is something else
    """
    try:
        report = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise errors.DevcloudError(f'no report in {path}: {error}') from error
    if not isinstance(report, list):
        raise errors.DevcloudError(f'{path} is no report of Ginkgo')
    return report


def list_tests(built: programs.Programs, runner: commands.Commands,
               label: str, log: Path) -> list[Test]:
    """Ask e2e.test which tests have labels; no cluster is needed.

    :param label: a label filter of Ginkgo
    :raises errors.DevcloudError: it did not tell, or there is none
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / 'dry.json'
        runner.run(
            (built.path('e2e.test'), '--ginkgo.dry-run',
             '--ginkgo.silence-skips', f'--ginkgo.label-filter={label}',
             '--provider=skeleton',
             f'--ginkgo.json-report={report}'), log, cwd=Path(folder),
            env={'KUBECONFIG': ''})
        return picked(read(report))
