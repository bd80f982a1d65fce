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
"""Count the tests of one layer from its subunit stream.

In: a subunit v2 stream on standard input, as ``stestr run --subunit`` writes
it. Out: progress and the text of every failure on standard output, and the
counts as JSON in the file named on the command line. A test that began and
never ended (its worker died) counts as failed: nothing is counted that the
stream does not say.
"""

import argparse
import dataclasses
import json
import sys
import threading
import time
import typing

import subunit
import testtools

PASSED = ('success', 'xfail')
FAILED = ('fail', 'uxsuccess', 'inprogress', 'unknown')
BEAT = 15  # seconds between two lines of progress


@dataclasses.dataclass
class Counts:
    """What one stream says: numbers of tests by outcome."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __str__(self) -> str:
        return (f'{self.passed} passed, {self.failed} failed, '
                f'{self.skipped} skipped')


class Counter:
    """Adds up finished tests and shows them.

    :param layer: name for the lines of progress
    :param each: one line for every test, not for failures only
    :param out: where the lines go
    """

    def __init__(self, layer: str, each: bool, out: typing.TextIO):
        self.counts = Counts()
        self._layer = layer
        self._each = each
        self._out = out
        self._began = time.monotonic()

    def on_test(self, test: dict[str, typing.Any]) -> None:
        """Take one finished test, as testtools.StreamToDict gives it."""
        status = test['status']
        if status in PASSED:
            self.counts.passed += 1
        elif status == 'skip':
            self.counts.skipped += 1
        elif status in FAILED:
            self.counts.failed += 1
        else:
            return
        self._show(test)

    def beat(self) -> None:
        """Write one line of progress."""
        self._write(f'{self.counts}, {time.monotonic() - self._began:.0f} s')

    def _show(self, test: dict[str, typing.Any]) -> None:
        status, name = test['status'], test['id']
        if status in FAILED:
            verdict = 'did not end' if status == 'inprogress' else 'FAILED'
            self._write(f'{verdict}: {name}')
            for title, detail in sorted(test['details'].items()):
                if detail.content_type.type != 'text':
                    continue
                text = detail.as_text().strip()
                if text:
                    print(f'--- {title}\n{text}', file=self._out, flush=True)
        elif self._each:
            self._write(f'{status}: {name} ({seconds(test):.1f} s)')

    def _write(self, line: str) -> None:
        print(f'{self._layer}: {line}', file=self._out, flush=True)


def seconds(test: dict[str, typing.Any]) -> float:
    """Return how long a test took; 0 where the stream has no times."""
    began, ended = test['timestamps']
    if began is None or ended is None:
        return 0.0
    return (ended - began).total_seconds()


def count(stream: typing.BinaryIO, counter: Counter) -> Counts:
    """Read the stream to its end and return the counts."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT):
            counter.beat()

    threading.Thread(target=beat, name='beat', daemon=True).start()
    result = testtools.StreamToDict(counter.on_test)
    reader = subunit.ByteStreamToStreamResult(
        stream, non_subunit_name='stdout')
    result.startTestRun()
    try:
        reader.run(testtools.CopyStreamResult([result, Stray(counter)]))
    finally:
        result.stopTestRun()
        ended.set()
    return counter.counts


class Stray(testtools.StreamResult):
    """Shows what a worker printed beside the stream, such as import errors."""

    def __init__(self, counter: Counter):
        super().__init__()
        self._counter = counter

    def status(self, test_id=None, file_bytes=None, **_ignored):
        if test_id is None and file_bytes:
            sys.stdout.write(bytes(file_bytes).decode(errors='replace'))
            sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('layer')
    parser.add_argument('counts', help='file to write the counts to')
    parser.add_argument('--each', action='store_true',
                        help='show every test, not failures only')
    args = parser.parse_args()
    counter = Counter(args.layer, args.each, sys.stdout)
    counts = count(sys.stdin.buffer, counter)
    with open(args.counts, 'w') as file:
        json.dump(dataclasses.asdict(counts), file)
    return 0


if __name__ == '__main__':
    sys.exit(main())
