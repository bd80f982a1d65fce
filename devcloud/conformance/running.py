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
alone at the end. What it prints goes into a log, and is watched for results;
what counts is its report, when it has ended. It is asked to end before it
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
import threading
import time
from typing import IO

from devcloud import errors
from devcloud import progress
from devcloud.conformance import listing
from devcloud.conformance import programs
from devcloud.conformance import results
from devcloud.conformance import watching

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
            options: Options, kubeconfig: Path) -> list[str]:
    """What is run."""
    return [
        str(built.path('ginkgo')), f'--procs={options.procs}', '--no-color',
        '-v', '--silence-skips', f'--timeout={options.minutes * 60:.0f}s',
        f'--output-dir={options.folder}', '--json-report=ginkgo.json',
        *(f'--focus={focus(test)}' for test in tests),
        str(built.path('e2e.test')), '--', f'--kubeconfig={kubeconfig}',
        '--provider=skeleton',
        # The virtual node has no daemons of the cluster
        '--minStartupPods=0', '--allowed-not-ready-nodes=0']


class Run:
    """One run of some tests."""

    def __init__(self, built: programs.Programs, tests: list[listing.Test],
                 options: Options, screen: progress.Screen):
        self._built = built
        self._tests = tests
        self._options = options
        self._screen = screen
        # Whether a test passed, by name; written by the watching thread
        self._seen: dict[str, bool] = {}

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
        self._follow(command(self._built, self._tests, self._options,
                             kubeconfig), environment)
        found, problem = self._read()
        for test in self._tests:
            if test.name not in found:
                found[test.name] = self._guess(test)
        if all(each.outcome == results.NOT_RUN for each in found.values()):
            raise errors.LoggedFailure(problem or 'no test ran', self.log)
        return found

    def _follow(self, words: list[str],
                environment: Mapping[str, str]) -> None:
        deadline = time.monotonic() + self._options.minutes * 60 + GRACE
        child = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, cwd=self._options.folder,
            env={**os.environ, **environment}, start_new_session=True)
        # It ends when the last process that writes has ended
        watcher = threading.Thread(target=self._watch, args=(child.stdout,),
                                   name='ginkgo output', daemon=True)
        watcher.start()
        try:
            child.wait(deadline - time.monotonic())
        except subprocess.TimeoutExpired:
            self._screen.say('the limit is over, and ginkgo did not end')
        except KeyboardInterrupt:
            self._screen.say('interrupted: the running tests clean up')
        finally:
            end(child)
            watcher.join(GRACE)

    def _watch(self, output: IO[bytes]) -> None:
        watcher = watching.Watcher(self._tests)
        with open(self.log, 'wb') as log, output:
            for line in output:
                log.write(line)
                log.flush()
                if seen := watcher.take(line.decode(errors='replace')):
                    self._tell(*seen)

    def _tell(self, test: listing.Test, passed: bool) -> None:
        self._seen[test.name] = passed
        failed = list(self._seen.values()).count(False)
        self._screen.say(
            f'{len(self._seen)}/{len(self._tests)} ({failed} failed) '
            f'{"passed" if passed else "FAILED"}: {test.title}')

    def _read(self) -> tuple[dict[str, results.Result], str]:
        try:
            report = listing.read(self.report)
        except errors.DevcloudError as error:
            return {}, str(error)
        return results.of_report(report), results.suite_problem(report)

    def _guess(self, test: listing.Test) -> results.Result:
        """What is known of a test that the report does not have."""
        passed = self._seen.get(test.name)
        outcome = {None: results.NOT_RUN, True: results.PASSED,
                   False: results.FAILED}[passed]
        cause = (f'see {self.log}',) if passed is False else ()
        return results.Result(test.name, test.area, test.where, outcome,
                              cause=cause)


def end(child: subprocess.Popen) -> None:
    """End ginkgo and its processes: it is its own group's leader."""
    for number in (signal.SIGINT, signal.SIGKILL):
        if child.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(GRACE)
