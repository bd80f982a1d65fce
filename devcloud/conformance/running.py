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
"""Runs the tests: ginkgo with several processes, and a limit to its time.

Ginkgo shares the tests out among its processes and runs those that must be
alone at the end. What it prints goes into a log; results are heard while it
runs and read from its report when it has ended. It is asked to end before it
is forced: a test that is interrupted cleans up.
"""

from collections.abc import Iterable
from collections.abc import Mapping
import contextlib
from dataclasses import dataclass
import os
from pathlib import Path
import signal
import subprocess
import time

from devcloud import errors
from devcloud import progress
from devcloud.conformance import listener
from devcloud.conformance import listing
from devcloud.conformance import programs
from devcloud.conformance import results

SUITE = 'Kubernetes e2e suite'
# Seconds that ginkgo has after its limit, and after a signal, to clean up
GRACE = 90.0


@dataclass(frozen=True)
class Options:
    """How to run.

    :param procs: how many tests run at once
    :param minutes: after which tests are interrupted
    :param folder: for the log and Ginkgo's report
    """

    procs: int
    minutes: float
    folder: Path


def focus(test: listing.Test) -> str:
    """A regular expression of Go that only this test matches."""
    return rf'^{SUITE} \Q{test.name}\E$'


def command(built: programs.Programs, tests: Iterable[listing.Test],
            options: Options, kubeconfig: Path, url: str) -> list[str]:
    """What is run.

    :param url: where results are posted to
    """
    return [
        str(built.path('ginkgo')), f'--procs={options.procs}', '--no-color',
        '--silence-skips', f'--timeout={options.minutes * 60:.0f}s',
        f'--output-dir={options.folder}', '--json-report=ginkgo.json',
        '--poll-progress-after=0',
        *(f'--focus={focus(test)}' for test in tests),
        str(built.path('e2e.test')), '--', f'--kubeconfig={kubeconfig}',
        '--provider=skeleton', f'--progress-report-url={url}',
        # The virtual node has no daemons of the cluster
        '--minStartupPods=0', '--allowed-not-ready-nodes=0']


class Run:
    """One run of some tests."""

    def __init__(self, built: programs.Programs, tests: list[listing.Test],
                 options: Options, screen: progress.Screen):
        self._built = built
        self._tests = {flat(test.name): test for test in tests}
        self._options = options
        self._screen = screen
        # Results that were heard; written by the listener's one callback
        self._heard: dict[str, bool] = {}

    @property
    def log(self) -> Path:
        return self._options.folder / 'ginkgo.log'

    @property
    def report(self) -> Path:
        return self._options.folder / 'ginkgo.json'

    def go(self, kubeconfig: Path,
           environment: Mapping[str, str]) -> dict[str, results.Result]:
        """Run them; a result for every one of them, by name.

        :param environment: added to this process's own for the tests
        :raises errors.LoggedFailure: not one ran
        """
        self.report.unlink(missing_ok=True)
        with listener.Listener(self._hear) as posts:
            words = command(self._built, self._tests.values(),
                            self._options, kubeconfig, posts.url)
            self._follow(words, environment)
        found, problem = self._read()
        for test in self._tests.values():
            if test.name not in found:
                found[test.name] = self._guess(test)
        if all(each.outcome == results.NOT_RUN for each in found.values()):
            raise errors.LoggedFailure(problem or 'no test ran', self.log)
        return found

    def _hear(self, name: str, passed: bool) -> None:
        if not (test := self._tests.get(flat(name))):
            return
        self._heard[test.name] = passed
        done, failed = len(self._heard), list(
            self._heard.values()).count(False)
        self._screen.say(f'{done}/{len(self._tests)} ({failed} failed) '
                         f'{"passed" if passed else "FAILED"}: {test.title}')

    def _follow(self, words: list[str],
                environment: Mapping[str, str]) -> None:
        deadline = time.monotonic() + self._options.minutes * 60 + GRACE
        with open(self.log, 'wb') as output:
            child = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, cwd=self._options.folder,
                env={**os.environ, **environment}, start_new_session=True)
        try:
            child.wait(deadline - time.monotonic())
        except subprocess.TimeoutExpired:
            self._screen.say('the limit is over, and ginkgo did not end')
        except KeyboardInterrupt:
            self._screen.say('interrupted: the running tests clean up')
        finally:
            end(child)

    def _read(self) -> tuple[dict[str, results.Result], str]:
        try:
            report = listing.read(self.report)
        except errors.DevcloudError as error:
            return {}, str(error)
        return results.of_report(report), results.suite_problem(report)

    def _guess(self, test: listing.Test) -> results.Result:
        """What is known of a test that the report does not have."""
        passed = self._heard.get(test.name)
        outcome = {None: results.NOT_RUN, True: results.PASSED,
                   False: results.FAILED}[passed]
        cause = (f'see {self.log}',) if passed is False else ()
        return results.Result(test.name, test.area, test.where, outcome,
                              cause=cause)


def flat(name: str) -> str:
    """A name with single spaces: posted ones may have more."""
    return ' '.join(name.split())


def end(child: subprocess.Popen) -> None:
    """End ginkgo and its processes: it is its own group's leader."""
    for number in (signal.SIGINT, signal.SIGKILL):
        if child.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(GRACE)
