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
import dataclasses
import threading
import time

from oslotest import base

from zun_vk import exceptions
from zun_vk.compute.probes import manager
from zun_vk.compute.probes import spec
from zun_vk.tests.fixtures import wait

SUCCESS, FAILURE, UNKNOWN = manager.Result
FAST = 0.02


def _probe(command, **fields):
    return {'exec': {'command': [command]}, 'periodSeconds': FAST,
            'failureThreshold': 1, **fields}


def _target(identity='id', uid='u', name='web', started=None, ready=None,
            **probes):
    return manager.Target(
        uid, 'ns', 'pod', {'name': name, **probes}, identity,
        time.time(), '10.0.0.5', started, ready)


class ManagerTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.codes = {}
        self.ran = []
        self.events = []
        self.changes = []
        self.manager = manager.ProbeManager(
            self._exec, lambda uid: 0, self.events.append,
            self.changes.append, bound=50, chance=lambda: 0)
        self.manager.start()
        self.addCleanup(self._end)

    def _end(self):
        self.manager.stop()
        self.assertEqual([], self.manager.join(10))

    def _exec(self, container_id, command, timeout):
        self.ran.append((container_id, command[0]))
        found = self.codes.get(command[0], 0)
        if isinstance(found, Exception):
            raise found
        if isinstance(found, threading.Event):
            found.wait(10)
            found = 0
        return b'out', b'err', found

    def _wait(self, condition, what):
        wait.wait_for(condition, what, 10)

    def _result(self, kind, identity='id'):
        return self.manager.result(identity, kind)

    def test_a_container_becomes_ready_and_its_pod_is_told_of(self):
        target = _target(readinessProbe=_probe('r'))
        self.manager.sync('u', [target])
        self._wait(lambda: self.changes == ['u'], 'the change')
        self.assertTrue(self.manager.ready('id', target.container))
        self.assertEqual([], self.events)

    def test_a_container_without_probes_is_ready(self):
        target = _target()
        self.manager.sync('u', [target])
        self.assertTrue(self.manager.ready('id', target.container))
        self.assertTrue(self.manager.started('id', target.container))
        self.assertIsNone(self.manager.failed('id'))
        self.assertIsNone(self._result(spec.LIVENESS))

    def test_a_liveness_failure_is_told_and_then_left_alone(self):
        self.codes['l'] = 1
        self.manager.sync('u', [_target(livenessProbe=_probe(
            'l', terminationGracePeriodSeconds=7))])
        self._wait(lambda: self.changes, 'the change')
        self.assertEqual(7, self.manager.failed('id').grace)
        event, = self.events
        self.assertEqual(
            ('Warning', 'Unhealthy', 'Liveness probe failed: outerr',
             'spec.containers{web}', 'u', 'ns', 'pod'),
            (event.kind, event.reason, event.message, event.container,
             event.uid, event.namespace, event.pod))
        runs = len(self.ran)
        threading.Event().wait(FAST * 3)
        self.assertEqual(runs, len(self.ran))

    def test_nothing_else_is_probed_before_the_start(self):
        gate = threading.Event()
        self.addCleanup(gate.set)
        self.codes['s'] = gate
        target = _target(startupProbe=_probe('s'), livenessProbe=_probe('l'),
                         readinessProbe=_probe('r'))
        self.manager.sync('u', [target])
        self._wait(lambda: self.ran, 'the startup probe')
        threading.Event().wait(FAST * 3)
        self.assertEqual({('id', 's')}, set(self.ran))
        self.assertFalse(self.manager.started('id', target.container))
        self.assertFalse(self.manager.ready('id', target.container))
        gate.set()
        self._wait(lambda: self.manager.ready('id', target.container),
                   'readiness')
        self._wait(lambda: ('id', 'l') in self.ran, 'the liveness probe')
        self.assertTrue(self.manager.started('id', target.container))
        self.assertEqual(1, self.ran.count(('id', 's')))

    def test_a_container_that_does_not_start_fails(self):
        self.codes['s'] = 1
        target = _target(startupProbe=_probe('s', failureThreshold=3),
                         livenessProbe=_probe('l'))
        self.manager.sync('u', [target])
        self._wait(lambda: self.manager.failed('id'), 'the failure')
        self.assertEqual(spec.STARTUP, self.manager.failed('id').kind)
        self.assertEqual([('id', 's')] * 3, self.ran)

    def test_a_new_container_is_judged_anew(self):
        self.codes['l'] = 1
        self.manager.sync('u', [_target(livenessProbe=_probe('l'))])
        self._wait(lambda: self.manager.failed('id'), 'the failure')
        self.manager.sync('u', [])
        self.assertIsNone(self.manager.failed('id'))
        self.codes['l'] = 0
        self.manager.sync('u', [_target('id2', livenessProbe=_probe('l'))])
        self._wait(lambda: ('id2', 'l') in self.ran, 'the probe')
        self.assertIs(SUCCESS, self._result(spec.LIVENESS, 'id2'))

    def test_the_result_of_a_container_that_is_gone_changes_nothing(self):
        gate = threading.Event()
        self.codes['r'] = gate
        self.manager.sync('u', [_target(readinessProbe=_probe('r'))])
        self._wait(lambda: self.ran, 'the probe')
        self.manager.forget('u')
        gate.set()
        self.manager.sync('v', [_target('id2', 'v',
                                        readinessProbe=_probe('x'))])
        self._wait(lambda: self.changes, 'the other')
        self.assertEqual(['v'], self.changes)

    def test_a_pod_that_ends_is_probed_for_readiness_alone(self):
        self.codes.update(l=1, s=1)
        target = _target(livenessProbe=_probe('l'),
                         readinessProbe=_probe('r'))
        self.manager.sync('u', [target], ending=True)
        self._wait(lambda: ('id', 'r') in self.ran, 'the readiness probe')
        self.assertNotIn(('id', 'l'), self.ran)
        self.assertIsNone(self.manager.failed('id'))
        self.assertEqual([], self.events)

    def test_a_failure_is_forgiven_when_the_pod_ends(self):
        self.codes['l'] = 1
        target = _target(livenessProbe=_probe('l'))
        self.manager.sync('u', [target])
        self._wait(lambda: self.manager.failed('id'), 'the failure')
        self.manager.sync('u', [target], ending=True)
        self.assertIsNone(self.manager.failed('id'))

    def test_an_error_of_the_runtime_says_nothing_of_the_container(self):
        self.codes['l'] = exceptions.RuntimeRefused('not now')
        self.manager.sync('u', [_target(livenessProbe=_probe('l'))])
        self._wait(lambda: self.events, 'the event')
        self.assertEqual(
            'Liveness probe errored and resulted in unknown state: '
            'cri: not now', self.events[0].message)
        self.assertIsNone(self.manager.failed('id'))

    def test_a_bug_says_nothing_of_the_container_either(self):
        self.codes['l'] = ZeroDivisionError()
        self.manager.sync('u', [_target(livenessProbe=_probe('l'))])
        self._wait(lambda: len(self.ran) > 1, 'another run')
        self.assertIsNone(self.manager.failed('id'))

    def test_a_command_that_takes_too_long_fails(self):
        self.codes['l'] = exceptions.CommandTimedOut('late')
        self.manager.sync('u', [_target(livenessProbe=_probe(
            'l', timeoutSeconds=2))])
        self._wait(lambda: self.events, 'the event')
        self.assertEqual('Liveness probe failed: command timed out: "l" '
                         'timed out after 2s', self.events[0].message)

    def test_a_pod_without_a_network_says_nothing_of_its_containers(self):
        self.manager.sync('u', [_target(livenessProbe={
            'tcpSocket': {'port': 80}, 'periodSeconds': FAST})])
        self._wait(lambda: self.events, 'the event')
        self.assertIn('the pod has no network', self.events[0].message)

    def test_what_was_known_before_a_restart_is_believed(self):
        self.codes['s'] = 1
        target = _target(started=True, ready=True, startupProbe=_probe('s'),
                         readinessProbe=_probe('r', periodSeconds=100))
        self.manager.sync('u', [target])
        self.assertTrue(self.manager.ready('id', target.container))
        self._wait(lambda: self.ran, 'the probe')
        self.assertEqual([('id', 'r')], self.ran)

    def test_the_same_again_changes_nothing(self):
        target = _target(readinessProbe=_probe('r', periodSeconds=100))
        for _ in range(20):
            self.manager.sync('u', [target])
        self._wait(lambda: self.changes, 'the change')
        for _ in range(20):
            self.manager.sync('u', [target])
        threading.Event().wait(FAST)
        self.assertEqual([('id', 'r')], self.ran)

    def test_a_pod_that_hangs_does_not_hold_up_others(self):
        gate = threading.Event()
        self.addCleanup(gate.set)
        self.codes['hang'] = gate
        self.manager.sync('u', [
            _target(f'id{each}', readinessProbe=_probe('hang'))
            for each in range(50)])
        self._wait(lambda: len(self.ran) == manager.POD_BOUND, 'the bound')
        self.manager.sync('v', [_target('other', 'v',
                                        readinessProbe=_probe('r'))])
        self._wait(lambda: self.changes == ['v'], 'the other pod')
        self.assertEqual(manager.POD_BOUND, len(
            [each for each in self.ran if each[1] == 'hang']))
        gate.set()
        self._wait(lambda: self.changes.count('u') == 50, 'the rest')

    def test_several_pods_whose_probes_hang_hold_up_no_other(self):
        gate = self.codes['hang'] = threading.Event()
        self.addCleanup(gate.set)
        pods = [f'u{each}' for each in range(8)]
        for uid in pods:
            self.manager.sync(uid, [
                _target(f'{uid}-{each}', uid,
                        readinessProbe=_probe('hang', periodSeconds=100))
                for each in range(manager.POD_BOUND)])
        self.manager.sync('v', [_target('other', 'v',
                                        readinessProbe=_probe('r'))])
        self._wait(lambda: self.changes == ['v'], 'the other pod')
        gate.set()
        self._wait(lambda: len(self.changes) >= 65, 'the rest')

    def test_a_thousand_containers_cost_few_threads(self):
        self.manager.sync('u', [])
        before = threading.active_count()
        for each in range(1000):
            self.manager.sync(f'u{each}', [_target(
                f'id{each}', f'u{each}', readinessProbe=_probe(
                    'r', periodSeconds=100))])
        self._wait(lambda: len(self.changes) == 1000, 'all of them')
        self.assertLessEqual(threading.active_count() - before, 50)

    def test_a_delay_is_kept(self):
        self.manager.sync('u', [_target(readinessProbe=_probe(
            'r', initialDelaySeconds=0.2))])
        threading.Event().wait(0.05)
        self.assertEqual([], self.ran)
        self._wait(lambda: self.ran, 'the probe')

    def test_probes_of_sidecars_name_init_containers(self):
        self.codes['l'] = 1
        target = dataclasses.replace(
            _target(livenessProbe=_probe('l')),
            path='spec.initContainers{web}')
        self.manager.sync('u', [target])
        self._wait(lambda: self.events, 'the event')
        self.assertEqual('spec.initContainers{web}',
                         self.events[0].container)

    def test_runs_are_counted_until_the_pod_is_gone(self):
        self.codes['l'] = 1
        self.manager.sync('u', [_target(
            readinessProbe=_probe('r'), livenessProbe=_probe('l'))])
        self._wait(lambda: self.manager.counts('u').get(
            ('web', 'readiness', 'successful'), 0) > 1, 'two successes')
        self._wait(lambda: self.manager.counts('u').get(
            ('web', 'liveness', 'failed')) == 1, 'the failure')
        self.manager.sync('u', [])
        self.assertIn(('web', 'liveness', 'failed'),
                      self.manager.counts('u'))
        self.manager.forget('u')
        self.assertEqual({}, self.manager.counts('u'))

    def test_a_probe_that_could_not_be_run_says_nothing(self):
        self.codes['r'] = exceptions.RuntimeUnavailable('gone')
        self.manager.sync('u', [_target(readinessProbe=_probe('r'))])
        self._wait(lambda: self.manager.counts('u').get(
            ('web', 'readiness', 'unknown')), 'the error')


class JitterTestCase(base.BaseTestCase):

    def test_after_a_restart_probes_are_spread(self):
        ran = []
        probes = manager.ProbeManager(
            lambda *args: ran.append(args) or (b'', b'', 0), lambda uid: 0,
            ran.append, ran.append, chance=lambda: 0.99)
        probes.start()
        self.addCleanup(probes.join, 10)
        self.addCleanup(probes.stop)
        probes.sync('u', [_target(readinessProbe=_probe(
            'r', periodSeconds=100))])
        threading.Event().wait(0.05)
        self.assertEqual([], ran)
