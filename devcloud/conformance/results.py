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
"""What came out of a run: read, merged, counted, written down. Pure.

In: Ginkgo's JSON report. Out: one Result a test, with the first lines of why
it failed, for people and as JSON.
"""

from collections.abc import Iterable
import dataclasses
import itertools
import re

from devcloud import errors
from devcloud.conformance import listing

PASSED, FAILED = 'passed', 'failed'
# By the test itself, while it ran; by a rule of ours; not reached in time
SKIPPED, LEFT_OUT, NOT_RUN = 'skipped', 'left out', 'not run'
OUTCOMES = (PASSED, FAILED, SKIPPED, LEFT_OUT, NOT_RUN)

CAUSE_LINES, EVENT_LINES, LINE = 12, 12, 300
# What e2e's framework logs of a namespace whose test failed:
# "At <time> - event for <object>: {<source>} <reason>: <message>"
_EVENT = re.compile(r' - event for ([^:]+): \{[^}]*\} (.*)')
# Words of failures of what goes through the kubelet's HTTPS API. Every
# failure logs that the node could not be asked for its pods; only these
# routes are a test's own.
_KUBELET_API = re.compile(
    r':10250/(containerLogs|exec|attach|portForward|run)/'
    r'|failed to get output for container|GetPodLogs for pod'
    r'|unable to upgrade connection|error dialing backend')


@dataclasses.dataclass(frozen=True)
class Result:
    """What came of one test.

    :param outcome: one of OUTCOMES
    :param reason: why it was skipped or left out
    :param cause: first lines of why it failed
    :param events: last events of its namespace, when it failed
    :param kubelet_api: its failure names a route of the kubelet's API
    """

    name: str
    area: str
    where: str
    outcome: str
    seconds: float = 0.0
    reason: str = ''
    cause: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    kubelet_api: bool = False

    @property
    def title(self) -> str:
        return listing.Test(self.name, self.area, self.where).title


def lines_of(text: str, count: int) -> tuple[str, ...]:
    """The first lines that say something, each cut to a length."""
    lines = (line.strip()[:LINE] for line in text.splitlines())
    return tuple(itertools.islice((line for line in lines if line), count))


def events_of(log: str) -> tuple[str, ...]:
    """The last events that a failed test logged, without repeats."""
    found = {f'{where}: {what}'[:LINE]: None
             for where, what in _EVENT.findall(log)}
    return tuple(found)[-EVENT_LINES:]


def of_spec(spec: dict) -> Result | None:
    """The result of one spec of a report; None if it was not to run."""
    test = listing.test_of(spec)
    state = spec.get('State', '')
    message = (spec.get('Failure') or {}).get('Message', '')
    seconds = round(spec.get('RunTime', 0) / 1e9, 1)
    common = {'name': test.name, 'area': test.area, 'where': test.where,
              'seconds': seconds}
    if state == 'passed':
        return Result(**common, outcome=PASSED)
    if state in ('skipped', 'pending'):
        # Filtered out when it has no words of its own
        if not message:
            return None
        return Result(**common, outcome=SKIPPED,
                      reason=' '.join(lines_of(message, 2)))
    if state == 'interrupted':
        return Result(**common, outcome=NOT_RUN, reason='interrupted')
    log = spec.get('CapturedGinkgoWriterOutput') or ''
    return Result(
        **common, outcome=FAILED, cause=lines_of(message or state,
                                                 CAUSE_LINES),
        events=events_of(log),
        kubelet_api=bool(_KUBELET_API.search(message)
                         or _KUBELET_API.search(log)))


def of_report(report: list[dict]) -> dict[str, Result]:
    """The results of Ginkgo's report, by name."""
    found = {}
    for spec in listing.specs(report):
        if result := of_spec(spec):
            found[result.name] = result
    return found


def suite_problem(report: list[dict]) -> str:
    """Why the suite's set-up failed, in a line; '' if it did not."""
    for suite in report:
        for spec in suite.get('SpecReports') or ():
            message = (spec.get('Failure') or {}).get('Message', '')
            if spec.get('LeafNodeType') != 'It' and message:
                return ' '.join(lines_of(message, 2))
    return ''


def merge(old: dict[str, Result], new: dict[str, Result]) -> \
        dict[str, Result]:
    """Results after one more run: what was not reached keeps the old."""
    reached = {name: result for name, result in new.items()
               if result.outcome != NOT_RUN or name not in old}
    return {**old, **reached}


def to_json(found: dict[str, Result], about: dict) -> dict:
    """The machine-readable report.

    :param about: what else belongs into it: version, options, times
    """
    return {**about, 'counts': counts(found.values()),
            'tests': [dataclasses.asdict(found[name])
                      for name in sorted(found)]}


def from_json(data: object) -> dict[str, Result]:
    """The results of a report that to_json made.

    :raises errors.DevcloudError: it is something else
    """
    try:
        results = [Result(**{**table, 'cause': tuple(table['cause']),
                             'events': tuple(table['events'])})
                   for table in data['tests']]    # type: ignore[index]
        unknown = {result.outcome for result in results} - set(OUTCOMES)
    except (KeyError, TypeError) as error:
        raise errors.DevcloudError(
            f'this is no report of tools/conformance: {error!r}') from error
    if unknown:
        raise errors.DevcloudError(f'no such outcome: {sorted(unknown)}')
    return {result.name: result for result in results}


def counts(results: Iterable[Result]) -> dict[str, int]:
    """How many there are of each outcome."""
    found = dict.fromkeys(OUTCOMES, 0)
    for result in results:
        found[result.outcome] += 1
    return found


def totals(found: Iterable[Result]) -> str:
    """One line: "N passed, N failed, N skipped"."""
    number = counts(found)
    skipped = number[SKIPPED] + number[LEFT_OUT]
    line = (f'{number[PASSED]} passed, {number[FAILED]} failed, '
            f'{skipped} skipped')
    if number[NOT_RUN]:
        line += f', {number[NOT_RUN]} not run'
    due = number[PASSED] + number[FAILED] + number[NOT_RUN]
    if due:
        line += f' ({100 * number[PASSED] / due:.1f} % of {due})'
    return line


def summary(found: dict[str, Result]) -> list[str]:
    """For people: areas, failures with their causes, skips with reasons."""
    results = sorted(found.values(), key=lambda each: (each.area, each.name))
    lines = ['== areas']
    for area, some in itertools.groupby(results, lambda each: each.area):
        lines.append(f'{area}: {totals(some)}')
    lines += _failures(results)
    for outcome, title in ((LEFT_OUT, 'left out by skips.toml'),
                           (SKIPPED, 'skipped by themselves')):
        lines += _reasons([each for each in results
                           if each.outcome == outcome], title)
    return [*lines, totals(results)]


def _failures(results: list[Result]) -> list[str]:
    lines = []
    for result in results:
        if result.outcome != FAILED:
            continue
        mark = ' (kubelet API)' if result.kubelet_api else ''
        lines.append(f'{result.title}{mark}')
        lines += [f'    {line}' for line in result.cause[:3]]
    return ['== failed', *lines] if lines else []


def _reasons(results: list[Result], title: str) -> list[str]:
    if not results:
        return []
    by_reason: dict[str, list[Result]] = {}
    for result in results:
        by_reason.setdefault(result.reason, []).append(result)
    lines = [f'== {title}']
    for reason, some in by_reason.items():
        lines.append(f'{len(some)}: {reason}')
        lines += [f'    {result.title}' for result in some]
    return lines
