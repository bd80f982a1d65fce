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

from oslotest import base

from zun_vk.compute import model
from zun_vk.compute import upkeep
from zun_vk.tests.unit.compute import tinyruntime as tiny

_UNKNOWN = model.ContainerState.UNKNOWN


def _host(*regulars, **fields):
    """Return a host whose pod has started."""
    host = tiny.Host(tiny.pod(*(regulars or [tiny.container('main')]),
                              **fields))
    host.settle()
    return host


def _kills(host):
    return [action for action in host.plan.actions
            if isinstance(action, model.KillContainer)]


class TestStart(base.BaseTestCase):
    def test_a_sandbox_comes_before_any_container(self):
        host = tiny.Host(tiny.pod(tiny.container('main')))
        self.assertEqual((model.NewSandbox(0),), host.look().actions)
        self.assertEqual(
            (model.StartContainer('main', 0, model.Kind.REGULAR),),
            host.look().actions)
        self.assertEqual(model.Plan(), host.look())

    def test_nothing_starts_before_the_volumes_are_there(self):
        host = tiny.Host(tiny.pod(tiny.container('main')))
        host.memory.volumes_ready = False
        self.assertEqual(model.Plan(), host.look())
        host.memory.volumes_ready = True
        host.look()
        host.memory.volumes_ready = False
        self.assertEqual(model.Plan(), host.look())

    def test_a_sandbox_that_failed_is_tried_when_it_is_time(self):
        host = tiny.Host(tiny.pod(tiny.container('main')))
        host.memory.sandbox_retry_at = host.now + 5
        self.assertEqual(model.Plan(look_at=host.now + 5), host.look())
        host.wait(5)
        self.assertEqual((model.NewSandbox(0),), host.look().actions)

    def test_a_start_that_failed_is_tried_when_it_is_time(self):
        host = tiny.Host(tiny.pod(tiny.container('a'), tiny.container('b')))
        host.fates = ['none']
        host.settle()
        self.assertEqual(['b'], host.running())
        self.assertEqual(host.now + 10, host.plan.look_at)
        host.wait(10)
        host.settle()
        self.assertEqual(['b', 'a'], host.running())
        self.assertEqual(0, host.newest('a').attempt)

    def test_a_container_that_was_only_created_is_made_again(self):
        host = tiny.Host(tiny.pod(tiny.container('main'), policy='Never'))
        host.fates = ['created']
        host.settle()
        host.wait(10)
        host.settle()
        self.assertEqual(['main'], host.running())
        self.assertEqual(1, host.newest('main').attempt)

    def test_what_is_being_started_is_not_started_again(self):
        host = tiny.Host(tiny.pod(tiny.container('main')))
        host.look()
        host.memory.starting.add('main')
        self.assertEqual(model.Plan(), host.look())

    def test_a_post_start_hook_holds_up_the_containers_after_it(self):
        host = _host(tiny.container('a'), tiny.hooked('b'),
                     tiny.container('c'))
        self.assertEqual(['a', 'b'], host.running())
        host.hook('b')
        host.settle()
        self.assertEqual(['a', 'b', 'c'], host.running())

    def test_containers_after_one_that_is_being_started_with_a_hook_wait(
            self):
        host = tiny.Host(tiny.pod(tiny.hooked('a'), tiny.container('b')))
        host.look()
        host.memory.starting.add('a')
        self.assertEqual(model.Plan(), host.look())

    def test_a_hook_that_is_not_known_of_yet_holds_up_as_well(self):
        for fields in ({'inits': ()}, {'inits': [tiny.sidecar(
                's', lifecycle={'postStart': {'exec': {}}})]}):
            host = _host(tiny.hooked('a'), tiny.container('b'), **fields)
            # It runs, but the worker has not been told so.
            host.memory.hooks.clear()
            host.memory.starting.update(host.running())
            self.assertEqual(model.Plan(), host.look())

    def test_a_hook_of_one_that_cannot_start_holds_up_nothing(self):
        host = tiny.Host(tiny.pod(tiny.hooked('a'), tiny.container('b')))
        host.fates = ['none']
        host.settle()
        self.assertEqual(['b'], host.running())


class TestRestart(base.BaseTestCase):
    def _restarts(self, policy, code, **fields):
        host = _host(tiny.container('main', **fields), policy=policy)
        host.exit('main', code)
        host.settle()
        return host.running() == ['main']

    def test_the_policy_of_the_pod_says_what_starts_again(self):
        self.assertEqual(
            [True, True, False, True, False, False],
            [self._restarts(policy, code)
             for policy in ('Always', 'OnFailure', 'Never')
             for code in (0, 1)])

    def test_the_policy_of_a_container_comes_before_the_pods(self):
        self.assertTrue(self._restarts('Never', 0, restartPolicy='Always'))
        self.assertFalse(self._restarts('Always', 1, restartPolicy='Never'))
        self.assertTrue(self._restarts(
            'Never', 1, restartPolicy='OnFailure'))

    def test_the_rules_of_a_container_come_first(self):
        rules = [{'action': 'Restart', 'exitCodes': {
            'operator': 'In', 'values': [42]}}]
        self.assertTrue(self._restarts(
            'Never', 42, restartPolicy='Never', restartPolicyRules=rules))
        self.assertFalse(self._restarts(
            'Never', 1, restartPolicy='Never', restartPolicyRules=rules))
        rules[0]['exitCodes']['operator'] = 'NotIn'
        self.assertTrue(self._restarts(
            'Never', 1, restartPolicy='Never', restartPolicyRules=rules))

    def test_a_crash_loop_waits_longer_each_time(self):
        host = _host()
        waits = []
        for _ in range(8):
            host.exit('main', 1)
            before = host.now
            while not host.running():
                if not host.look().actions:
                    host.wait(host.plan.look_at - host.now)
            waits.append(host.now - before)
        self.assertEqual([0, 10, 20, 40, 80, 160, 300, 300], waits)
        self.assertEqual(8, host.newest('main').attempt)

    def test_a_container_that_ran_long_enough_restarts_at_once(self):
        host = _host()
        host.exit('main', 1)
        host.settle()
        host.wait(601)
        host.exit('main', 1)
        host.settle()
        self.assertEqual(['main'], host.running())

    def test_back_offs_of_containers_are_their_own(self):
        host = _host(tiny.container('a'), tiny.container('b'))
        for _ in range(2):
            host.exit('a', 1)
            host.settle()
        host.exit('b', 1)
        host.settle()
        self.assertEqual(['b'], host.running())
        self.assertEqual(host.now + 10, host.plan.look_at)

    def test_a_container_of_an_unknown_state_is_killed_before_it_restarts(
            self):
        host = _host()
        host.exit('main', 0, _UNKNOWN)
        host.look()
        self.assertEqual([('main', upkeep.UNKNOWN, True)], [
            (kill.name, kill.reason, kill.restart) for kill in _kills(host)])
        host.settle()
        self.assertEqual(['main'], host.started())
        host.obey()
        host.settle()
        self.assertEqual(['main'], host.running())

    def test_what_is_unknown_of_a_pod_that_never_restarts_does_not(self):
        host = _host(policy='Never')
        host.exit('main', 0, _UNKNOWN)
        host.settle()
        host.obey()
        host.settle()
        self.assertTrue(host.plan.ended)
        self.assertEqual(['main'], host.started())

    def test_one_that_vanished_counts_as_failed(self):
        for policy, starts in (('Always', 2), ('OnFailure', 2),
                               ('Never', 1)):
            host = _host(policy=policy)
            _vanish(host, 'main')
            host.settle()
            self.assertEqual(starts, len(host.started()))
            self.assertEqual(starts - 1, host.log[-1].attempt
                             if policy != 'Never' else 0)

    def test_an_older_one_that_still_runs_is_killed(self):
        for policy in ('Always', 'Never'):
            host = _host(policy=policy)
            host.containers.append(dataclasses.replace(
                host.newest('main'), id='newer',
                state=model.ContainerState.EXITED))
            host.look()
            self.assertEqual(['c2'], [kill.id for kill in _kills(host)])
            self.assertFalse(host.settle().ended)

    def test_one_that_vanished_waits_longer_the_next_time(self):
        host = _host()
        for _ in range(2):
            _vanish(host, 'main')
            host.settle()
        self.assertEqual(20, host.memory.backoff['main'].delay)

    def test_a_new_image_replaces_the_container_whatever_the_policy(self):
        for policy in ('Always', 'Never'):
            host = _host(policy=policy)
            host.pod['spec']['containers'][0]['image'] = 'busybox:2'
            host.look()
            self.assertEqual(
                ['Container main definition changed, will be restarted'],
                [kill.message for kill in _kills(host)])
            self.assertEqual((), host.look().actions)
            host.obey()
            host.settle()
            self.assertEqual(['main'], host.running())
            self.assertEqual(1, host.newest('main').attempt)

    def test_a_new_image_does_not_start_what_has_ended(self):
        host = _host(policy='Never')
        host.exit('main', 1)
        host.pod['spec']['containers'][0]['image'] = 'busybox:2'
        host.settle()
        self.assertTrue(host.plan.ended)

    def test_a_new_image_need_not_wait_for_the_old_ones_back_off(self):
        host = _host()
        for _ in range(2):
            host.exit('main', 1)
            host.settle()
        self.assertEqual([], host.running())
        host.pod['spec']['containers'][0]['image'] = 'busybox:2'
        host.settle()
        self.assertEqual(['main'], host.running())
        self.assertEqual(10, host.memory.backoff['main'].delay)


class TestProbes(base.BaseTestCase):
    def _failed(self, kind, policy='Always', **fields):
        host = _host(tiny.container('main', **fields), policy=policy)
        host.wait(20)
        host.probe('main', failed=model.Failure(kind))
        host.look()
        return host

    def test_a_failed_probe_kills_and_restarts(self):
        host = self._failed('Liveness')
        [kill] = _kills(host)
        self.assertEqual(30, kill.grace)
        self.assertEqual(upkeep.LIVENESS, kill.reason)
        self.assertEqual('Container main failed liveness probe, will be '
                         'restarted', kill.message)
        self.assertEqual((), host.look().actions)
        host.obey()
        host.settle()
        self.assertEqual(['main'], host.running())

    def test_the_probe_may_have_a_grace_of_its_own(self):
        for kind, field in (('Liveness', 'livenessProbe'),
                            ('Startup', 'startupProbe')):
            host = self._failed(
                kind, **{field: {'terminationGracePeriodSeconds': 5}})
            self.assertEqual([5], [kill.grace for kill in _kills(host)])

    def test_one_that_ends_well_when_killed_restarts_as_well(self):
        host = self._failed('Liveness', 'OnFailure')
        host.exit('main', 0)
        host.settle()
        self.assertEqual(['main'], host.running())

    def test_it_does_not_restart_where_nothing_does(self):
        host = self._failed('Startup', 'Never')
        self.assertEqual(['Container main failed startup probe'],
                         [kill.message for kill in _kills(host)])
        host.obey()
        host.settle()
        self.assertTrue(host.plan.ended)

    def test_a_kill_that_failed_is_tried_when_it_is_time(self):
        host = _host()
        host.memory.retry_at['c2'] = host.now + 5
        host.probe('main', failed=model.Failure('Liveness'))
        self.assertEqual(model.Plan(look_at=host.now + 5), host.look())
        host.wait(5)
        host.look()
        self.assertEqual(['main'], [kill.name for kill in _kills(host)])

    def test_one_that_runs_for_longer_than_its_back_off_restarts_at_once(
            self):
        host = self._failed('Liveness')
        for _ in range(3):
            host.obey()
            host.settle()
            self.assertEqual(['main'], host.running())
            host.wait(30)
            host.probe('main', failed=model.Failure('Liveness'))
            host.look()
        # Now it has to wait for 40 seconds, of which it ran for 30.
        host.obey()
        host.settle()
        self.assertEqual([], host.running())
        self.assertEqual(host.now + 40, host.plan.look_at)

    def test_a_failed_post_start_hook_kills_as_well(self):
        host = _host(tiny.hooked('main'))
        host.hook('main', failed='no such file')
        host.look()
        self.assertEqual([upkeep.HOOK],
                         [kill.reason for kill in _kills(host)])
        host.obey()
        host.settle()
        self.assertEqual(['main'], host.running())


class TestInitialization(base.BaseTestCase):
    def test_init_containers_run_one_after_the_other(self):
        host = _host(inits=[tiny.container('i1'), tiny.container('i2')])
        self.assertEqual(['i1'], host.started())
        host.exit('i1')
        host.settle()
        self.assertEqual(['i1', 'i2'], host.started())
        host.exit('i2')
        host.settle()
        self.assertEqual(['i1', 'i2', 'main'], host.started())

    def test_one_that_fails_is_tried_again_after_a_while(self):
        host = _host(inits=[tiny.container('i1')], policy='OnFailure')
        for _ in range(2):
            host.exit('i1', 1)
            host.settle()
        self.assertEqual(['i1', 'i1'], host.started())
        self.assertEqual(host.now + 10, host.plan.look_at)

    def test_one_that_fails_ends_a_pod_that_never_restarts(self):
        host = _host(inits=[tiny.container('i1')], policy='Never')
        host.exit('i1', 1)
        host.settle()
        self.assertTrue(host.plan.ended)
        self.assertIsNone(host.plan.failed)
        self.assertEqual(['i1'], host.started())

    def test_its_own_policy_may_let_it_try_again(self):
        host = _host(inits=[tiny.container('i1', restartPolicy='OnFailure')],
                     policy='Never')
        host.exit('i1', 1)
        host.settle()
        self.assertEqual(['i1'], host.running())

    def test_an_init_container_that_only_was_created_is_made_again(self):
        host = tiny.Host(tiny.pod(tiny.container('main'),
                                  inits=[tiny.container('i1')]))
        host.fates = ['created']
        host.settle()
        host.wait(10)
        host.settle()
        self.assertEqual(['i1'], host.running())

    def test_done_ones_may_be_collected(self):
        host = _host(inits=[tiny.container('i1'), tiny.container('i2')])
        for name in ('i1', 'i2'):
            host.exit(name)
            host.settle()
        host.containers = [each for each in host.containers
                           if each.name == 'main']
        self.assertEqual((), host.look().actions)
        host.exit('main', 1)
        host.settle()
        self.assertEqual(['i1', 'i2', 'main', 'main'], host.started())

    def test_one_that_is_done_may_be_collected_before_the_next_is(self):
        host = _host(inits=[tiny.container('i1'), tiny.container('i2')])
        host.exit('i1')
        host.settle()
        del host.containers[0]
        self.assertEqual((), host.look().actions)

    def test_one_that_vanished_ends_a_pod_that_never_restarts(self):
        for policy, starts in (('Never', 1), ('OnFailure', 2)):
            host = _host(inits=[tiny.container('i1')], policy=policy)
            _vanish(host, 'i1')
            host.settle()
            self.assertEqual(starts, len(host.started()))
            self.assertEqual(policy == 'Never', host.plan.ended)

    def test_one_that_vanished_after_it_was_done_ends_nothing(self):
        host = _host(inits=[tiny.container('i1')], policy='Never')
        told = host.report()['i1']
        host.exit('i1')
        host.settle()
        del host.containers[0]
        host.memory.reported['i1'] = told
        self.assertEqual(model.Plan(), host.look())

    def test_a_sidecar_lets_the_next_start_once_its_probe_passed(self):
        host = _host(inits=[tiny.sidecar('s1', startupProbe={})])
        self.assertEqual(['s1'], host.started())
        host.begin_anew()
        self.assertEqual((), host.look().actions)
        host.probe('s1', started=True)
        host.settle()
        self.assertEqual(['s1', 'main'], host.running())

    def test_a_sidecar_that_had_started_has_so_for_a_new_service(self):
        host = _host(inits=[tiny.sidecar('s1', startupProbe={})])
        host.probe('s1', started=True)
        host.report()
        host.begin_anew()
        host.settle()
        self.assertEqual(['s1', 'main'], host.running())

    def test_a_sidecar_lets_the_next_start_once_its_hook_ended(self):
        host = _host(inits=[
            tiny.sidecar('s1', lifecycle={'postStart': {'exec': {}}})])
        self.assertEqual(['s1'], host.started())
        host.hook('s1')
        host.settle()
        self.assertEqual(['s1', 'main'], host.running())

    def test_sidecars_restart_while_init_containers_run(self):
        host = _host(inits=[tiny.sidecar('s1'), tiny.container('i1')],
                     policy='OnFailure')
        host.exit('s1', 0)
        host.settle()
        self.assertEqual(['i1', 's1'], host.running())

    def test_sidecars_restart_whatever_the_policy_of_the_pod(self):
        host = _host(inits=[tiny.sidecar('s1'), tiny.sidecar('s2')],
                     policy='Never')
        self.assertEqual(['s1', 's2', 'main'], host.running())
        host.exit('s1', 0)
        host.settle()
        self.assertEqual(['s2', 'main', 's1'], host.running())

    def test_a_sidecar_that_failed_its_probe_restarts(self):
        host = _host(inits=[tiny.sidecar('s1')], policy='Never')
        host.probe('s1', failed=model.Failure('Liveness'))
        host.look()
        self.assertEqual(['Init container s1 failed liveness probe, will '
                          'be restarted'],
                         [kill.message for kill in _kills(host)])
        host.obey()
        host.settle()
        self.assertEqual(['main', 's1'], host.running())


class TestSandbox(base.BaseTestCase):
    def test_everything_begins_anew_in_a_new_sandbox(self):
        host = _host(inits=[tiny.container('i1'), tiny.sidecar('s1')])
        host.exit('i1')
        host.settle()
        host.log.clear()
        host.lose_sandbox()
        self.assertEqual(
            (model.StopSandbox('s1', 'The sandbox changed'),
             model.NewSandbox(1, changed=True)), host.look().actions)
        host.settle()
        self.assertEqual(['i1'], host.started())
        host.exit('i1')
        host.settle()
        self.assertEqual(['i1', 's1', 'main'], host.started())

    def test_what_still_runs_in_the_old_one_is_killed_first(self):
        host = _host()
        host.lose_sandbox(_UNKNOWN)
        host.look()
        self.assertEqual(['main'], [kill.name for kill in _kills(host)])
        self.assertEqual((), host.look().actions)
        host.obey()
        host.settle()
        self.assertEqual(['main'], host.running())

    def test_what_ends_well_when_it_is_killed_for_that_starts_again(self):
        host = _host(tiny.container('a'), tiny.container(
            'b', restartPolicy='Never'), policy='OnFailure')
        host.sandboxes[-1:] = [dataclasses.replace(
            host.sandboxes[-1], ready=False)]
        host.look()
        host.exit('a', 0)
        host.exit('b', 0)
        host.settle()
        self.assertEqual(['a'], host.running())
        self.assertFalse(host.plan.finishing)

    def test_two_sandboxes_that_are_ready_are_one_too_many(self):
        host = _host()
        host.sandboxes.insert(0, model.SeenSandbox('old', 0))
        host.look()
        self.assertEqual(['main'], [kill.name for kill in _kills(host)])
        host.obey()
        host.settle()
        self.assertEqual(1, sum(each.ready for each in host.sandboxes))
        self.assertEqual(['main'], host.running())

    def test_what_succeeded_does_not_run_again(self):
        host = _host(tiny.container('a'), tiny.container('b'),
                     policy='OnFailure')
        host.exit('a', 0)
        host.settle()
        host.lose_sandbox()
        host.settle()
        self.assertEqual(['b'], host.running())

    def test_no_sandbox_is_made_where_all_succeeded(self):
        host = _host(policy='OnFailure')
        host.exit('main', 0)
        host.lose_sandbox()
        host.settle()
        self.assertTrue(host.plan.ended)
        self.assertEqual(1, len(host.sandboxes))

    def test_a_pod_that_never_restarts_ends_with_its_sandbox(self):
        host = _host(policy='Never')
        host.lose_sandbox()
        host.settle()
        self.assertTrue(host.plan.ended)
        self.assertIsNone(host.plan.failed)
        self.assertEqual(1, len(host.sandboxes))

    def test_it_has_failed_where_not_all_of_its_containers_ran(self):
        host = tiny.Host(tiny.pod(tiny.container('a'), tiny.container('b'),
                                  policy='Never'))
        host.fates = ['ok', 'none']
        host.settle()
        host.lose_sandbox()
        host.settle()
        self.assertTrue(host.plan.ended)
        self.assertEqual('PodSandboxLost', host.plan.failed.reason)
        self.assertIn('b', host.plan.failed.message)

    def test_another_is_tried_while_no_container_was_made(self):
        host = tiny.Host(tiny.pod(tiny.container('main'), policy='Never'))
        host.look()
        host.lose_sandbox()
        host.settle()
        self.assertEqual(['main'], host.running())

    def test_no_new_one_comes_before_the_old_one_can_be_stopped(self):
        host = _host()
        host.lose_sandbox()
        host.memory.retry_at['s1'] = host.now + 5
        self.assertEqual(model.Plan(look_at=host.now + 5), host.look())
        host.wait(5)
        host.settle()
        self.assertEqual(['main'], host.running())

    def test_no_new_one_comes_while_a_start_in_the_old_one_is_under_way(
            self):
        host = _host()
        host.lose_sandbox()
        host.memory.starting.add('main')
        self.assertEqual(model.Plan(), host.look())


class TestEnding(base.BaseTestCase):
    def test_all_is_killed_within_the_grace_then_the_sandbox_stops(self):
        host = _host(tiny.container('a'), tiny.container('b'))
        host.end(20)
        host.look()
        self.assertEqual([('b', 20), ('a', 20)], [
            (kill.name, kill.grace) for kill in _kills(host)])
        self.assertFalse(host.plan.ended)
        self.assertEqual((), host.look().actions)
        host.obey()
        self.assertEqual((model.StopSandbox('s1', 'The pod ended'),),
                         host.look().actions)
        self.assertFalse(host.plan.ended)
        self.assertEqual(model.Plan(ended=True), host.look())

    def test_nothing_starts_again(self):
        host = _host()
        host.end(20)
        host.exit('main', 1)
        host.settle()
        self.assertTrue(host.plan.ended)
        self.assertEqual(['main'], host.started())

    def test_a_stop_that_failed_is_tried_when_it_is_time(self):
        host = _host()
        host.end(20)
        host.memory.retry_at = {'c2': host.now + 1, 's1': host.now + 3}
        self.assertEqual(model.Plan(look_at=host.now + 1), host.look())
        host.wait(1)
        host.settle()
        host.obey()
        self.assertEqual(model.Plan(look_at=host.now + 2), host.look())
        host.wait(2)
        host.settle()
        self.assertTrue(host.plan.ended)

    def test_a_pod_without_anything_has_ended_at_once(self):
        host = tiny.Host(tiny.pod(tiny.container('main')))
        host.end(20)
        self.assertEqual(model.Plan(ended=True), host.look())

    def test_what_is_being_started_is_waited_for(self):
        host = tiny.Host(tiny.pod(tiny.container('main')))
        host.look()
        host.memory.starting.add('main')
        host.end(20)
        self.assertEqual(model.Plan(), host.look())

    def test_a_shorter_grace_reaches_what_is_being_killed(self):
        host = _host()
        host.end(60)
        host.look()
        host.end(5)
        host.look()
        self.assertEqual([5], [kill.grace for kill in _kills(host)])
        self.assertEqual((), host.look().actions)

    def test_no_grace_at_all_is_told_once_as_well(self):
        host = _host()
        host.end(0)
        host.look()
        self.assertEqual([0], [kill.grace for kill in _kills(host)])
        self.assertEqual((), host.look().actions)
        host.wait(1)
        self.assertEqual((), host.look().actions)

    def test_sidecars_end_after_the_others_in_reverse_order(self):
        host = _host(inits=[tiny.sidecar('s1'), tiny.sidecar('s2')])
        host.end(20)
        ended = []
        while not host.settle().ended:
            ended.append([each.name for each in host.containers
                          if each.id in host.memory.killing])
            host.wait(1)
            host.obey()
        self.assertEqual([['main'], ['s2'], ['s1']], ended)

    def test_a_sidecars_hook_does_not_wait_for_its_turn(self):
        host = _host(inits=[tiny.sidecar(
            's1', lifecycle={'preStop': {'exec': {}}})])
        host.end(20)
        host.look()
        self.assertEqual([('main', False), ('s1', True)], [
            (kill.name, kill.hold) for kill in _kills(host)])
        self.assertEqual((), host.look().actions)
        host.obey()
        host.wait(4)
        host.look()
        self.assertEqual([('s1', False, 16)], [
            (kill.name, kill.hold, kill.grace) for kill in _kills(host)])

    def test_a_sidecar_that_is_being_killed_need_not_wait_again(self):
        host = _host(inits=[tiny.sidecar(
            's1', lifecycle={'preStop': {'exec': {}}})])
        host.probe('s1', failed=model.Failure('Liveness'))
        host.look()
        host.end(30)
        host.look()
        self.assertEqual(['main'], [kill.name for kill in _kills(host)])

    def test_all_are_told_when_the_grace_is_over(self):
        host = _host(inits=[tiny.sidecar('s1'), tiny.sidecar('s2')])
        host.end(20)
        self.assertEqual(host.now + 20, host.look().look_at)
        host.now += 20
        host.look()
        self.assertEqual([('s2', 0), ('s1', 0)], [
            (kill.name, kill.grace) for kill in _kills(host)])

    def test_a_pod_whose_work_is_done_ends_its_sidecars(self):
        host = _host(inits=[tiny.sidecar('s1')], policy='OnFailure')
        host.exit('main', 0)
        plan = host.look()
        self.assertEqual(model.Ending(host.now + 30, 30.0), plan.finishing)
        self.assertEqual(['s1'], [kill.name for kill in _kills(host)])
        host.obey()
        host.settle()
        self.assertTrue(host.plan.ended)
        self.assertIsNone(host.plan.failed)

    def test_its_grace_begins_when_its_work_is_done(self):
        host = _host(inits=[tiny.sidecar('s1'), tiny.sidecar('s2')],
                     policy='Never')
        host.exit('main', 0)
        host.settle()
        host.now += 20
        host.exit('s2', 0)
        host.look()
        self.assertEqual([('s1', 10)], [
            (kill.name, kill.grace) for kill in _kills(host)])

    def test_it_has_failed_of_what_it_was_ended_for(self):
        host = _host()
        host.end(20, 'DeadlineExceeded')
        self.assertEqual('DeadlineExceeded', host.look().failed.reason)

    def test_one_that_had_finished_has_not_failed_of_that(self):
        host = _host(inits=[tiny.sidecar('s1')], policy='Never')
        host.exit('main', 0)
        host.look()
        host.end(20, 'DeadlineExceeded')
        self.assertIsNone(host.look().failed)

    def test_what_should_not_run_after_the_end_is_killed(self):
        host = _host()
        host.memory.ended = True
        plan = host.look()
        self.assertTrue(plan.ended)
        self.assertEqual(['main'], [kill.name for kill in _kills(host)])

    def test_an_end_is_not_forgotten_with_the_service(self):
        host = _host(policy='Never')
        host.exit('main', 0)
        host.settle()
        host.begin_anew()
        host.containers.clear()
        host.settle()
        self.assertTrue(host.plan.ended)
        self.assertEqual(['main'], host.started())


class TestServiceRestart(base.BaseTestCase):
    def test_a_restart_touches_no_running_container(self):
        host = _host(
            tiny.hooked('main', livenessProbe={}, readinessProbe={}),
            inits=[tiny.container('i1'), tiny.sidecar('s1', startupProbe={})])
        host.exit('i1')
        host.settle()
        host.probe('s1', started=True)
        host.settle()
        host.hook('main')
        host.begin_anew()
        self.assertEqual(model.Plan(), host.look())


def _vanish(host, name):
    """Let the runtime lose a container that was reported to run."""
    host.report()
    host.containers = [each for each in host.containers
                       if each.name != name]
