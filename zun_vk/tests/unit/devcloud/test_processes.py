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
import os
import signal
import subprocess

from devcloud import processes
from zun_vk.tests.unit.devcloud import base

SLEEP = ['sleep', '60']
STUBBORN = ['sh', '-c', 'trap "" TERM; echo ready; while :; do sleep 60; done']


class StatTestCase(base.TestCase):

    def test_a_command_name_may_look_like_more_fields(self):
        fields = ' '.join(['S', '7', '8', '9', *['0'] * 15, '4711', '0'])
        found = processes.parse_stat(f'42 (a) b (c) {fields}')
        self.assertEqual(processes.Stat('S', 7, 9, 4711), found)

    def test_a_zombie_counts_as_ended(self):
        child = subprocess.Popen(['true'])
        self.addCleanup(child.wait)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        self.assertIsNone(processes.stat(child.pid))


class RecordTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.child = subprocess.Popen(SLEEP, start_new_session=True)
        self.addCleanup(self.child.wait)
        self.addCleanup(self.child.kill)
        self.start = processes.stat(self.child.pid).start

    def test_a_process_is_known_by_pid_start_and_boot(self):
        record = processes.Record(self.child.pid, self.start,
                                  processes.boot_id())
        self.assertTrue(record.alive())
        self.assertEqual([self.child.pid], record.session())

    def test_a_recycled_pid_is_not_ours(self):
        record = processes.Record(self.child.pid, self.start - 1,
                                  processes.boot_id())
        self.assertFalse(record.alive())
        self.assertEqual([], record.session())

    def test_a_record_from_before_a_reboot_is_not_ours(self):
        record = processes.Record(self.child.pid, self.start, 'other boot')
        self.assertFalse(record.alive())
        self.assertEqual([], record.session())

    def test_a_recycled_pid_is_not_signalled(self):
        self.assertIsNone(processes.send(self.child.pid, self.start - 1,
                                         signal.SIGKILL))
        self.assertIsNone(self.child.poll())


class ProcessesTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.where.make()
        self.processes = processes.Processes(self.where.run, 'mark')
        self.log = self.where.log('it')

    def start(self, command, name='it'):
        record = self.processes.start(
            name, command, self.log, {'PATH': os.environ['PATH']},
            self.where.state)
        self.addCleanup(self.processes.stop, name, 1)
        return record

    def test_a_process_is_found_by_name_until_it_is_stopped(self):
        record = self.start(SLEEP)
        self.assertEqual(record.pid, self.processes.pid('it'))
        self.assertEqual(['it'], self.processes.names())
        self.assertTrue(self.processes.stop('it', 5))
        self.assertIsNone(self.processes.pid('it'))
        self.assertEqual([], self.processes.names())

    def test_who_ignores_sigterm_is_killed_after_the_deadline(self):
        record = self.start(STUBBORN)
        self.wait_for_log('ready')
        self.assertFalse(self.processes.stop('it', 0.2))
        self.assertFalse(record.alive())

    def test_what_a_process_leaves_in_its_session_ends_with_it(self):
        record = self.start(['sh', '-c', 'sleep 60 & echo $!; exec sleep 60'])
        child = int(self.wait_for_log('\n'))
        self.assertEqual({record.pid, child}, set(record.session()))
        self.processes.stop('it', 5)
        self.assertIsNone(processes.stat(child))

    def test_containers_outlive_their_runtime(self):
        for command in ('sleep 60 & echo $!; exec sleep 60',
                        'trap "" TERM; sleep 60 & echo $!; sleep 61'):
            self.log.unlink(missing_ok=True)
            record = self.start(['sh', '-c', command])
            child = int(self.wait_for_log('\n'))
            self.addCleanup(processes.kill_all, record.session())
            self.processes.stop('it', 0.2, outlived=True)
            self.assertFalse(record.alive())
            self.assertIsNotNone(processes.stat(child))

    def test_a_recycled_pid_is_left_alone_by_stop(self):
        record = self.start(SLEEP, 'bystander')
        text = (self.where.run / 'bystander.pid').read_text()
        (self.where.run / 'it.pid').write_text(
            text.replace(str(record.start), str(record.start - 1)))
        self.assertTrue(self.processes.stop('it', 5))
        self.assertTrue(record.alive())
        self.assertFalse((self.where.run / 'it.pid').exists())

    def test_a_broken_record_is_no_record(self):
        (self.where.run / 'it.pid').write_text('{"pid": 1')
        self.assertIsNone(self.processes.record('it'))
        self.assertTrue(self.processes.stop('it', 1))

    def test_a_process_carries_the_mark_and_nothing_of_our_environment(self):
        self.start(['sh', '-c', 'env; echo end'])
        lines = self.wait_for_log('end').splitlines()
        self.assertIn(f'{processes.MARKER}=mark', lines)
        self.assertNotIn('HOME', {line.partition('=')[0] for line in lines})

    def wait_for_log(self, text):
        """What is in the log once this text is."""
        follow = subprocess.run(
            ['timeout', '10', 'sh', '-c', 'until grep -q "$1" "$0"; '
             'do sleep 0.05; done; cat "$0"', str(self.log),
             text.strip() or '.'],
            capture_output=True, text=True, check=True)
        return follow.stdout
