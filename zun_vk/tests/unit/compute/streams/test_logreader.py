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
import contextlib
import os
import tempfile
import threading
import typing
from unittest import mock

import hypothesis
from hypothesis import strategies
from oslotest import base

from zun_vk import exceptions
from zun_vk.compute.streams import logfiles
from zun_vk.compute.streams import logreader
from zun_vk.rpc import streams
from zun_vk.tests.fixtures import wait
from zun_vk.tests.unit.compute.streams import speaker

_CONTENT = strategies.binary(max_size=40).map(
    lambda content: content.replace(b'\n', b'\r'))
_SAY = strategies.tuples(_CONTENT, strategies.booleans(),
                         strategies.sampled_from(('stdout', 'stderr')))
_STEPS = strategies.lists(
    strategies.one_of(_SAY, _SAY, _SAY, strategies.just('rotate')),
    max_size=30)
_OPTIONS = strategies.fixed_dictionaries({}, optional={
    'tail': strategies.integers(0, 12),
    'since': strategies.integers(-1, 31).map(
        lambda number: float(speaker.BEGIN + number)),
    'limit': strategies.integers(1, 400),
    'timestamps': strategies.booleans(),
    'streams': strategies.sampled_from(('', 'stdout', 'stderr'))})


@contextlib.contextmanager
def _container(**arguments) -> typing.Iterator[speaker.Container]:
    with tempfile.TemporaryDirectory() as root:
        container = speaker.Container(root, **arguments)
        try:
            yield container
        finally:
            container.close()


def _do(container: speaker.Container, steps) -> None:
    for step in steps:
        if step == 'rotate':
            container.rotate()
        else:
            container.say(*step)


class WholeTestCase(base.BaseTestCase):
    """Logs that are read, not followed."""

    @hypothesis.settings(deadline=None, max_examples=200)
    @hypothesis.given(_STEPS, _OPTIONS, strategies.sampled_from(
        (1, 7, 130, 65536)))
    def test_it_shows_what_was_said(self, steps, options, block):
        with _container() as container, mock.patch.object(
                logfiles, 'BLOCK', block):
            _do(container, steps)
            self.assertEqual(speaker.shown(container.said, **options),
                             container.read(**options))

    @hypothesis.settings(deadline=None, max_examples=200)
    @hypothesis.given(strategies.lists(
        strategies.tuples(strategies.sampled_from((b'', b'x', b'yy')),
                          strategies.booleans(), strategies.booleans()),
        max_size=15), strategies.integers(0, 8))
    def test_a_tail_begins_in_whatever_file(self, steps, tail):
        with _container() as container:
            for content, full, rotates in steps:
                container.say(content, full)
                if rotates:
                    container.rotate()
            self.assertEqual(speaker.shown(container.said, tail=tail),
                             container.read(tail=tail))

    def test_the_line_that_is_being_said_counts_in_a_compressed_file(self):
        with _container() as container:
            container.say(b'one')
            container.say(b'a', full=False)
            container.say(b'b')
            container.say(b'three', full=False)
            for _ in range(3):
                container.rotate()
            for tail in range(4):
                self.assertEqual(speaker.shown(container.said, tail=tail),
                                 container.read(tail=tail))

    def test_a_line_that_is_being_written_is_shown(self):
        with _container() as container:
            container.say(b'one')
            with open(container.path, 'ab') as file:
                file.write(speaker.Said(1, b'tw').raw[:-1])
            self.assertEqual(b'one\ntw', container.read())
            self.assertEqual(b'tw', container.read(tail=1))

    def test_what_is_no_line_is_passed_over(self):
        with _container() as container:
            container.say(b'one')
            with open(container.path, 'ab') as file:
                file.write(b'\0\0\0\n\nwhat is this\n2026 stdin F x\n')
            container.say(b'two')
            self.assertEqual(b'one\ntwo\n', container.read())
            self.assertEqual(b'one\ntwo\n', container.read(tail=2))

    def test_a_huge_line_passes_in_parts(self):
        with _container() as container:
            container.say(b'before')
            container.say(b'x' * 2_000_000)
            container.say(b'y' * 1_000_000, stream='stderr')
            container.say(b'after')
            for options in ({}, {'timestamps': True}, {'tail': 2},
                            {'tail': 3}, {'streams': 'stdout'}):
                self.assertEqual(speaker.shown(container.said, **options),
                                 container.read(**options), options)

    def test_a_huge_line_that_is_compressed_counts_once(self):
        with _container() as container:
            container.say(b'before')
            container.say(b'x' * 1_000_000)
            for each in range(3):
                container.rotate()
                container.say(b'%d' % each)
            self.assertEqual(
                speaker.shown(container.said, tail=4, limit=100),
                container.read(tail=4, limit=100))

    def test_it_ends_though_more_is_said_all_the_while(self):
        with _container() as container:
            container.say(b'one')
            sink = speaker.Sink()

            def write(data: bytes) -> None:
                container.say(b'more')
                sink.writes.append(data)

            with mock.patch.object(sink, 'write', write), mock.patch.object(
                    logfiles, 'BLOCK', 16):
                logreader.LogStream(container.open_directory,
                                    streams.LogOptions(),
                                    lambda: True)(sink)
            self.assertEqual(b'one\n', sink.all)

    def test_a_rotation_in_the_middle_neither_loses_nor_doubles(self):
        with _container() as container:
            for each in range(4):
                container.say(b'%d' % each * 20)
                if each < 3:
                    container.rotate()
            said = list(container.said)
            sink = speaker.Sink()

            def write(data: bytes) -> None:
                sink.writes.append(data)
                container.say(b'later')
                container.rotate()

            with mock.patch.object(sink, 'write', write):
                logreader.LogStream(container.open_directory,
                                    streams.LogOptions(),
                                    lambda: True)(sink)
            self.assertEqual(speaker.shown(said), sink.all)

    def test_a_rotation_while_the_files_are_opened_doubles_nothing(self):
        with _container() as container:
            container.say(b'one')
            container.rotate()
            container.say(b'two')
            rotated = logfiles.Directory.rotated

            def late(directory: logfiles.Directory) -> list[str]:
                container.rotate()
                return rotated(directory)

            with mock.patch.object(logfiles.Directory, 'rotated', late):
                self.assertEqual(b'one\ntwo\n', container.read())

    def test_a_tail_reads_no_more_than_it_has_to(self):
        with _container() as container:
            for each in range(20000):
                container.say(b'%d' % each)
            read = logfiles.Segment.read
            with mock.patch.object(logfiles.Segment, 'read', autospec=True,
                                   side_effect=read) as reads:
                self.assertEqual(b'19998\n19999\n', container.read(tail=2))
            self.assertLessEqual(reads.call_count, 2)

    def test_a_compressed_file_that_is_cut_does_not_hide_the_others(self):
        with _container() as container:
            for each in range(3):
                container.say(b'%d' % each)
                if each < 2:
                    container.rotate()
            packed = f'{container.path}.20260102-000001.gz'
            os.truncate(packed, os.path.getsize(packed) - 12)
            self.assertTrue(container.read().endswith(b'1\n2\n'))

    def test_no_link_is_followed(self):
        with _container() as container:
            container.say(b'secret')
            os.rename(container.path, container.root + '/elsewhere')
            os.symlink(container.root + '/elsewhere', container.path)
            self.assertEqual(b'', container.read())
            self.assertFalse(container.open_directory().exists())

    def test_a_pipe_is_no_log(self):
        with _container() as container:
            os.unlink(container.path)
            os.mkfifo(container.path)
            self.assertEqual(b'', container.read())

    def test_every_descriptor_is_closed(self):
        with _container() as container:
            for each in range(5):
                container.say(b'%d' % each)
                container.rotate()
            container.read()
            before = len(os.listdir('/proc/self/fd'))
            container.read()
            container.read(tail=3)
            self.assertEqual(before, len(os.listdir('/proc/self/fd')))


class FollowTestCase(base.BaseTestCase):
    """Logs that are followed, by a reader whose waits are steps."""

    def _follow(self, container, groups, **options) -> bytes:
        """Read while at each wait a group of steps is done."""
        rest, sink, now = list(groups), speaker.Sink(), [0.0]

        def wait(look: object, seconds: float) -> bool:
            now[0] += seconds
            if rest:
                _do(container, rest.pop(0))
            return False

        with mock.patch.object(logreader._Look, 'gone_within', wait):
            logreader.LogStream(
                container.open_directory,
                streams.LogOptions(follow=True, **options),
                lambda: bool(rest), clock=lambda: now[0])(sink)
        return sink.all

    @hypothesis.settings(deadline=None, max_examples=200)
    @hypothesis.given(_STEPS, strategies.lists(_STEPS, max_size=6),
                      _OPTIONS)
    def test_it_shows_all_that_was_said(self, before, groups, options):
        with _container() as container:
            _do(container, before)
            begun = len(container.said)
            shown = self._follow(container, groups, **options)
            said = list(container.said)
            tail = options.pop('tail', None)
            if tail is not None:
                said = _from_tail(said, begun, tail)
            self.assertEqual(speaker.shown(said, **options), shown)

    def test_what_is_said_late_into_the_file_before_is_shown(self):
        with _container() as container:
            container.say(b'one')
            shown = self._follow(container, [
                [(b'two', True), 'rotate'],
                [(b'three', True, 'stderr', True)],
                [(b'four', True)]])
            self.assertEqual(b'one\ntwo\nthree\nfour\n', shown)

    def test_a_slow_reader_misses_no_rotation(self):
        with _container() as container:
            container.say(b'one')
            shown = self._follow(container, [
                [(b'two', True), 'rotate', (b'three', True), 'rotate',
                 (b'four', True), 'rotate', (b'five', True)], [], []])
            self.assertEqual(b'one\ntwo\nthree\nfour\nfive\n', shown)

    def test_files_that_went_before_they_were_read_are_passed_over(self):
        with _container(max_files=3) as container:
            container.say(b'one')
            steps: list = []
            for each in range(5):
                steps += ['rotate', (b'%d' % each, True)]
            shown = self._follow(container, [steps, [], []])
            self.assertEqual(b'one\n2\n3\n4\n', shown)

    def test_files_that_were_read_are_let_go(self):
        # A follower of days would keep the disk of all that was deleted.
        with _container() as container:
            for each in range(5):
                container.say(b'%d' % each)
                container.rotate()
            sink = speaker.Sink()
            before, during = len(os.listdir('/proc/self/fd')), []

            def wait(look: object, seconds: float) -> bool:
                during.append(len(os.listdir('/proc/self/fd')))
                return True

            with mock.patch.object(logreader._Look, 'gone_within', wait):
                logreader.LogStream(
                    container.open_directory,
                    streams.LogOptions(follow=True), lambda: True)(sink)
            # The directory, and what is written now.
            self.assertEqual(before + 2, during[0])

    def test_a_log_that_could_not_be_rotated_is_not_told_twice(self):
        with _container() as container:
            container.say(b'one')
            looks = iter(range(9))

            def wait(look: object, seconds: float) -> bool:
                number = next(looks)
                if number == 0:
                    os.rename(container.path, container.path
                              + '.20260102-000001')
                elif number == 2:
                    os.rename(container.path + '.20260102-000001',
                              container.path)
                    container.say(b'two')
                return number > 4

            sink = speaker.Sink()
            with mock.patch.object(logreader._Look, 'gone_within', wait):
                logreader.LogStream(container.open_directory,
                                    streams.LogOptions(follow=True),
                                    lambda: True)(sink)
            self.assertEqual(b'one\ntwo\n', sink.all)

    def test_a_log_that_is_back_just_now_is_not_told_twice(self):
        with _container() as container:
            container.say(b'one')
            with mock.patch.object(logfiles.Directory, 'is_current',
                                   autospec=True, return_value=False):
                shown = self._follow(container, [[(b'two', True)], [], []])
            self.assertEqual(b'one\ntwo\n', shown)

    def test_last_words_are_shown(self):
        with _container() as container:
            container.say(b'one')
            sink = speaker.Sink()

            def runs() -> bool:
                container.say(b'bye')
                return False

            logreader.LogStream(container.open_directory,
                                streams.LogOptions(follow=True),
                                runs)(sink)
            self.assertEqual(speaker.shown(container.said), sink.all)

    def test_a_log_between_two_files_is_followed(self):
        with _container() as container:
            container.say(b'one')
            os.rename(container.path, container.path + '.20260102-000009')
            sink, looks = speaker.Sink(), iter(range(20))

            def wait(look: object, seconds: float) -> bool:
                number = next(looks)
                if number == 2:
                    container.say(b'two')
                    container.reopen()
                    container.say(b'three')
                return number > 15

            with mock.patch.object(logreader._Look, 'gone_within', wait):
                logreader.LogStream(container.open_directory,
                                    streams.LogOptions(follow=True),
                                    lambda: True, clock=lambda: next(
                                        looks) * 1.0)(sink)
            self.assertEqual(b'one\ntwo\nthree\n', sink.all)

    def test_a_line_is_shown_once_it_is_whole(self):
        with _container() as container:
            raw = speaker.Said(0, b'hello').raw
            with open(container.path, 'ab') as file:
                file.write(raw[:40])
            sink, rest = speaker.Sink(), [raw[40:]]

            def wait(look: object, seconds: float) -> bool:
                if rest:
                    self.assertEqual(b'', sink.all)
                    with open(container.path, 'ab') as file:
                        file.write(rest.pop())
                return False

            with mock.patch.object(logreader._Look, 'gone_within', wait):
                logreader.LogStream(
                    container.open_directory,
                    streams.LogOptions(follow=True),
                    lambda: not sink.all)(sink)
            self.assertEqual(b'hello\n', sink.all)


class ThreadedTestCase(base.BaseTestCase):
    """A log that is followed while it is written, as it really is."""

    def _start(self, container, runs, sink, **options) -> threading.Thread:
        stream = logreader.LogStream(
            container.open_directory,
            streams.LogOptions(follow=True, **options), runs)
        thread = threading.Thread(target=stream, args=(sink,), daemon=True)
        thread.start()
        return thread

    def test_a_log_is_followed_over_rotations_to_its_end(self):
        with _container() as container:
            runs, sink = threading.Event(), speaker.Sink()
            thread = self._start(container, lambda: not runs.is_set(), sink)
            for each in range(1500):
                container.say(b'line %d' % each, full=each % 7 != 0)
                if each in (250, 1250):
                    wait.wait_for(lambda: sink.all == speaker.shown(
                        container.said), 'all that was said')
                if each % 500 == 250:
                    container.rotate()
            runs.set()
            thread.join(10)
            self.assertFalse(thread.is_alive())
            self.assertEqual(speaker.shown(container.said), sink.all)

    def test_a_reader_that_goes_ends_it_at_once(self):
        with _container() as container:
            sink = speaker.Sink()
            thread = self._start(container, lambda: True, sink)
            self.assertTrue(thread.is_alive())
            sink.go()
            thread.join(1)
            self.assertFalse(thread.is_alive())

    def test_one_that_does_not_read_holds_no_more_than_a_block(self):
        with _container() as container:
            for each in range(20000):
                container.say(b'%d' % each * 10)
            reads, blocked = [], threading.Event()
            read = logfiles.Segment.read

            def count(segment, *args) -> bytes:
                reads.append(read(segment, *args))
                return reads[-1]

            sink, writes = speaker.Sink(), threading.Event()

            def write(data: bytes) -> None:
                writes.set()
                blocked.wait(10)
                raise exceptions.ReaderGone

            with mock.patch.object(sink, 'write', write), mock.patch.object(
                    logfiles.Segment, 'read', count):
                stream = logreader.LogStream(
                    container.open_directory, streams.LogOptions(),
                    lambda: True)
                thread = threading.Thread(
                    target=lambda: self.assertRaises(
                        exceptions.ReaderGone, stream, sink), daemon=True)
                thread.start()
                self.assertTrue(writes.wait(10))
                self.assertLessEqual(sum(map(len, reads)), logfiles.BLOCK)
                blocked.set()
                thread.join(5)
            self.assertFalse(thread.is_alive())


def _from_tail(said: list, begun: int, tail: int) -> list:
    """Return what is left of what was said, from the tail at a time on."""
    if not tail:
        return said[begun:]
    lines, first = 0, begun
    for number in range(begun - 1, -1, -1):
        if said[number].full or number == begun - 1:
            if lines == tail:
                break
            lines += 1
        first = number
    return said[first:]
