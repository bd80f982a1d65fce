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
"""Run the test layers one after the other and say honestly how they went.

In: names of layers. Out: progress with elapsed time, then a summary of one
line per layer and last the totals, which come from the tests' own subunit
streams. Standard library only: this runs before .venv exists. It takes the
cloud down only when it brought it up.
"""

import argparse
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

from devcloud import api
from devcloud import preconditions
from tools.testlayers import steps
from tools.testlayers.outcome import exit_code
from tools.testlayers.outcome import Outcome
from tools.testlayers.outcome import totals
from tools.testlayers.steps import say

BIN = steps.ROOT / '.venv' / 'bin'
# By this interpreter: python3 may be an older one.
DEVCLOUD = (sys.executable, steps.ROOT / 'devcloud' / 'devcloud')
# How stestr runs a layer: the functional one starts an API server per
# class, the cloud is one for all, the long forms load a machine by themselves.
STESTR = {'unit': [], 'functional': ['--concurrency', '2'],
          'devcloud': ['--serial'], 'stock': ['--serial'],
          'soak': ['--serial']}
# Which capsule driver the cloud has in the layers that need one.
CLOUDS = {'devcloud': 'zun_vk', 'stock': 'docker'}
LAYERS = ('lint', *STESTR)
# What runs where no layer is named. The long forms do not: the functional
# layer has the short ones.
DEFAULT = tuple(layer for layer in LAYERS if layer != 'soak')
# Those that run Kubernetes.
WITH_BINARIES = ('functional', *CLOUDS, 'soak')
# Minutes after which a step is ended: one that hangs must not take the
# summary with it.
MINUTES = {'lint': 10, 'unit': 10, 'functional': 20, 'devcloud': 45,
           'stock': 20, 'soak': 60, 'venv': 20, 'binaries': 40, 'up': 40,
           'down': 5}
NOISE = 60  # lines shown of a failed stestr's standard error


class Binaries:
    """The Kubernetes binaries, made while other steps run."""

    def __init__(self):
        # Open as long as this object lives.
        self._out = tempfile.TemporaryFile('w+')  # noqa: SIM115
        self._log = tempfile.TemporaryFile('w+')  # noqa: SIM115
        self._child = steps.start([*DEVCLOUD, 'binaries'],
                                  stdout=self._out, stderr=self._log)

    def directory(self) -> str:
        """Wait for them and return where they are.

        :raises StepFailed: there are none
        """
        if self._child.poll() is None:
            say('== waiting for the Kubernetes binaries')
        code = steps.wait(self._child, 'binaries', MINUTES['binaries'])
        self._out.seek(0)
        lines = self._out.read().split()
        if code or not lines:
            self._log.seek(0)
            say(''.join(self._log.readlines()[-20:]))
            raise steps.StepFailed('no Kubernetes binaries')
        return lines[-1]

    def stop(self) -> None:
        if self._child.poll() is None:
            steps.end(self._child)


def run_tests(layer: str, filters: list[str], env: dict[str, str],
              counts: pathlib.Path) -> Outcome:
    """Run one layer with stestr and count what its stream says."""
    # What code under test prints is of interest only where stestr failed.
    with tempfile.TemporaryFile('w+') as noise:
        stestr = steps.start(
            [BIN / 'stestr', '--test-path', f'zun_vk/tests/{layer}', 'run',
             '--subunit', *STESTR[layer], *filters],
            env=env, stdout=subprocess.PIPE, stderr=noise)
        outcome = follow(layer, stestr, counts)
        if outcome.problem:
            noise.seek(0)
            say(''.join(noise.readlines()[-NOISE:]))
    outcome.take(counts)
    return outcome


def follow(layer: str, stestr: subprocess.Popen,
           counts: pathlib.Path) -> Outcome:
    """Count a running stestr's stream until both have ended."""
    each = ['--each'] if layer in (*CLOUDS, 'soak') else []
    counter = steps.start(
        [BIN / 'python', '-m', 'tools.testlayers.count', *each, layer, counts],
        stdin=stestr.stdout)
    stestr.stdout.close()
    outcome = Outcome(layer)
    try:
        code = steps.wait(stestr, layer, MINUTES[layer], quiet=True)
        if code:
            outcome.problem = f'stestr ended with exit code {code}'
    except steps.StepFailed as error:
        outcome.problem = str(error)
    finally:
        # It ends by itself once the last writer of the stream is gone.
        steps.wait(counter, 'counting', 1, quiet=True)
    return outcome


class Run:
    """One run of some layers.

    :param keep: leave the cloud running
    :param filters: only tests whose names match one of these
    """

    def __init__(self, layers: list[str], keep: bool, filters: list[str]):
        self.outcomes: list[Outcome] = []
        self._layers = layers
        self._keep = keep
        self._filters = filters
        # Captured logs are shown with the test that failed, and only then.
        self._env = {'OS_LOG_CAPTURE': '1', 'OS_STDOUT_CAPTURE': '1',
                     'OS_STDERR_CAPTURE': '1', 'PYTHONUNBUFFERED': '1',
                     **os.environ, 'PATH': f'{BIN}:{os.environ["PATH"]}',
                     # stestr runs tests by this, tools/venv was told by it.
                     'PYTHON': str(BIN / 'python')}
        self._binaries: Binaries | None = None

    def go(self) -> None:
        """Run the layers in order; each adds its outcome."""
        if set(WITH_BINARIES) & set(self._layers):
            self._binaries = Binaries()
        try:
            steps.step('venv', ['tools/venv'], MINUTES['venv'])
            for layer in self._layers:
                self._layer(layer)
        except steps.StepFailed as error:
            self.outcomes.append(Outcome(self._layers[0], False,
                                         problem=str(error)))
        finally:
            if self._binaries is not None:
                self._binaries.stop()

    def _layer(self, layer: str) -> None:
        began = time.monotonic()
        try:
            outcome = self._run(layer)
        except steps.StepFailed as error:
            outcome = Outcome(layer, layer in STESTR, problem=str(error))
        outcome.seconds = time.monotonic() - began
        self.outcomes.append(outcome)
        say(str(outcome))

    def _run(self, layer: str) -> Outcome:
        if layer == 'lint':
            return self._lint()
        return self._devcloud(layer) if layer in CLOUDS \
            else self._tests(layer)

    def _lint(self) -> Outcome:
        if not steps.succeeds('git', 'rev-parse', 'HEAD'):
            return Outcome('lint', False, left_out='it checks the files git '
                           'knows, and git knows none here')
        steps.step('lint', [BIN / 'pre-commit', 'run', '--all-files',
                            '--color', 'never'], MINUTES['lint'], self._env)
        return Outcome('lint', False)

    def _devcloud(self, layer: str) -> Outcome:
        reason = preconditions.missing()
        if reason:
            return Outcome(layer, left_out=reason)
        # The cloud needs them too, before its tests.
        self._find_binaries()
        was_up = steps.succeeds(*DEVCLOUD, 'status')
        cloud = api.Devcloud()
        before = cloud.capsule_driver
        try:
            self._up(CLOUDS[layer])
            return self._tests(layer)
        finally:
            if not was_up and not self._keep:
                steps.step('down', [*DEVCLOUD, 'down'], MINUTES['down'],
                           self._env)
                cloud.choose_capsule_driver(before)
            elif was_up and before != CLOUDS[layer]:
                self._up(before)

    def _up(self, driver: str) -> None:
        steps.step(f'up with {driver}',
                   [*DEVCLOUD, 'up', '--capsule-driver', driver],
                   MINUTES['up'], self._env)

    def _find_binaries(self) -> None:
        if self._binaries is not None:
            self._env['KUBEBUILDER_ASSETS'] = self._binaries.directory()
            self._binaries = None

    def _tests(self, layer: str) -> Outcome:
        if layer in WITH_BINARIES:
            self._find_binaries()
        say(f'== {layer}')
        with tempfile.TemporaryDirectory() as directory:
            return run_tests(layer, self._filters, self._env,
                             pathlib.Path(directory) / 'counts')

    def summary(self) -> int:
        """Print the summary and return the exit code."""
        say('== summary')
        done = {outcome.layer: str(outcome) for outcome in self.outcomes}
        for layer in self._layers:
            say(done.get(layer, f'{layer:<11}did not run'))
        say(totals(self.outcomes))
        return exit_code(self.outcomes, len(self._layers))


def arguments(argv: list[str]) -> argparse.Namespace:
    """Read the command line; what follows ``--`` are filters."""
    at = argv.index('--') if '--' in argv else len(argv)
    parser = argparse.ArgumentParser(
        prog='tools/test', description='Run test layers.',
        epilog='After "--": only tests whose names match one of these.')
    parser.add_argument('layers', nargs='*', metavar='layer',
                        help=f'{", ".join(LAYERS)}; default: '
                             f'{", ".join(DEFAULT)}')
    parser.add_argument('--keep', action='store_true',
                        help='leave the cloud running afterwards')
    args = parser.parse_args(argv[:at])
    unknown = sorted(set(args.layers) - set(LAYERS))
    if unknown:
        parser.error(f'no such layer: {", ".join(unknown)}')
    args.layers = [layer for layer in LAYERS
                   if layer in (args.layers or DEFAULT)]
    args.filters = argv[at + 1:]
    return args


def interrupt(*_signal: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    args = arguments(sys.argv[1:])
    signal.signal(signal.SIGTERM, interrupt)
    run = Run(args.layers, args.keep, args.filters)
    try:
        run.go()
    except KeyboardInterrupt:
        say('interrupted')
    return run.summary()


if __name__ == '__main__':
    sys.exit(main())
