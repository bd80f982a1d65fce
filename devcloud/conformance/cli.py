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
"""tools/conformance: parse, run, say how it went."""

import argparse
from collections.abc import Sequence
import datetime
import json
from pathlib import Path
import signal
import sys

from devcloud import api
from devcloud import binaries
from devcloud import commands
from devcloud import errors
from devcloud import paths
from devcloud import progress
from devcloud.conformance import listing
from devcloud.conformance import programs
from devcloud.conformance import results
from devcloud.conformance import running
from devcloud.conformance import session
from devcloud.conformance import skips

BUILD = "Kubernetes' tests"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog='tools/conformance',
        description="Kubernetes' own tests of nodes, on the devcloud's "
        'virtual node. The last line is "N passed, N failed, N skipped".')
    made.add_argument('focus', nargs='?', default='', metavar='FOCUS',
                      help='only tests whose name this regular expression '
                      'is found in')
    made.add_argument('--label', default=listing.LABEL, metavar='FILTER',
                      help="Ginkgo's label filter; %(default)s")
    made.add_argument('--procs', type=int, default=8, metavar='N',
                      help='how many tests run at once; %(default)s')
    made.add_argument('--minutes', type=float, default=120, metavar='N',
                      help='after which the run is ended; %(default)s')
    made.add_argument('--report', type=Path, metavar='PATH',
                      help='where the results go, as JSON')
    made.add_argument('--resume', action='store_true',
                      help='run only what the report does not have as '
                      'passed, and add to it')
    made.add_argument('--list', action='store_true',
                      help='list the tests, and why some are left out; run '
                      'nothing')
    return made


class Conformance:
    """One call of the command."""

    def __init__(self, args: argparse.Namespace, screen: progress.Screen):
        self._args = args
        self._screen = screen
        self._cloud = api.Devcloud()
        self._folder = self._cloud.paths.state / 'conformance'
        self._runner = commands.Commands()
        self._built = programs.Programs(self._cloud.paths, self._runner)
        self._path = (args.report or self._folder / 'report.json').absolute()

    def go(self) -> int:
        """Do what the command line says; the exit code.

        :raises errors.DevcloudError: it could not be done
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._build()
        tests, left_out = self._tests()
        if self._args.list:
            return show(tests, left_out)
        before = self._before() if self._args.resume else {}
        due = [test for test in tests if test.name not in left_out
               and not passed(before.get(test.name))]
        found = {test.name: results.Result(
            test.name, test.area, test.where, results.LEFT_OUT,
            reason=left_out[test.name])
            for test in tests if test.name in left_out}
        begun = datetime.datetime.now(datetime.UTC)
        if due:
            found |= self._run(due)
        merged = results.merge(before, found)
        self._write(merged, begun)
        for line in results.summary(merged):
            print(line)
        number = results.counts(merged.values())
        return int(bool(number[results.FAILED] or number[results.NOT_RUN]))

    def _build(self) -> None:
        if self._built.complete():
            return
        progress.Runner(self._screen, self._runner.abort).run([
            progress.Step(BUILD, self._built.ensure, log=self._built.log)])

    def _tests(self) -> tuple[list[listing.Test], dict[str, str]]:
        """Those that were asked for, and why some of all are left out."""
        every = listing.list_tests(
            self._built, self._runner, listing.LABEL, self._log('listing'))
        rules = skips.parse(skips.FILE.read_text())
        left_out = skips.reasons(every, rules)
        if self._args.label != listing.LABEL:
            every = listing.list_tests(self._built, self._runner,
                                       self._args.label,
                                       self._log('listing'))
        return listing.focused(every, self._args.focus), left_out

    def _log(self, name: str) -> Path:
        return self._folder / f'{name}.log'

    def _before(self) -> dict[str, results.Result]:
        try:
            return results.from_json(json.loads(self._path.read_text()))
        except (OSError, ValueError) as error:
            raise errors.DevcloudError(
                f'nothing to resume: {error}') from error

    def _run(self, due: list[listing.Test]) -> dict[str, results.Result]:
        cloud, args = self._cloud, self._args
        if cloud.pid('kube-apiserver') is None:
            cloud.up()
        session.provide_images(cloud, self._screen)
        options = running.Options(args.procs, args.minutes, self._folder)
        run = running.Run(self._built, due, options, self._screen)
        with session.agent(cloud, self._folder):
            self._screen.say(f'{len(due)} tests, {args.procs} at once; '
                             f'log: {run.log}')
            return run.go(cloud.kubeconfig, cloud.environment())

    def _write(self, found: dict[str, results.Result],
               begun: datetime.datetime) -> None:
        ended = datetime.datetime.now(datetime.UTC)
        about = {
            'kubernetes': binaries.VERSION, 'label': self._args.label,
            'focus': self._args.focus, 'procs': self._args.procs,
            'begun': begun.isoformat(timespec='seconds'),
            'seconds': round((ended - begun).total_seconds(), 1)}
        paths.write_private(self._path, json.dumps(
            results.to_json(found, about), indent=1) + '\n')
        self._screen.say(f'report: {self._path}')


def passed(result: results.Result | None) -> bool:
    return result is not None and result.outcome == results.PASSED


def show(tests: list[listing.Test], left_out: dict[str, str]) -> int:
    """Print the tests; 0."""
    for test in tests:
        reason = left_out.get(test.name)
        print(f'{test.name} ({test.where})'
              + (f'\n    left out: {reason}' if reason else ''))
    number = sum(test.name in left_out for test in tests)
    print(f'{len(tests)} tests, {number} left out')
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The program.

    :returns: 0; 1 when a test failed or did not run, 2 when none could,
        130 on Ctrl-C
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    args = parser().parse_args(argv)
    screen = progress.Screen()
    try:
        return Conformance(args, screen).go()
    except errors.LoggedFailure as error:
        print(f'conformance: {error.report()}', file=sys.stderr)
    except errors.DevcloudError as error:
        print(f'conformance: {error}', file=sys.stderr)
    except KeyboardInterrupt:
        print('conformance: interrupted', file=sys.stderr)
        return 130
    return 2
