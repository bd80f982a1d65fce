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
"""A whole host over a fake runtime: what its pods come to."""

import errno
import os
from pathlib import Path
import threading
from unittest import mock

import fixtures
import oslotest.base

from zun_vk import exceptions
from zun_vk.compute import endpoint
from zun_vk.compute import hosting
from zun_vk.compute import store
from zun_vk.compute.work import assembly
from zun_vk.rpc import payload
from zun_vk.tests.fixtures import host as host_fixture
from zun_vk.tests.fixtures import root
from zun_vk.tests.fixtures import wait

pod = host_fixture.pod


@root.needs_root
class HostTestCase(oslotest.base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.host = self.useFixture(host_fixture.Host())
        self.runtime = self.host.runtime

    def ended(self, uid):
        return wait.wait_for(
            lambda: self.host.state(uid) and self.host.state(uid).ended,
            'the pod ended', seen=lambda: self.host.state(uid))

    def delete(self, uid, grace=0):
        """Delete a capsule until it is gone."""
        wait.wait_for(lambda: self.host.pods.delete(f'cap-{uid}', grace),
                      'the capsule is gone')

    def test_a_pod_runs_and_its_state_is_told(self):
        uid = self.host.run(pod())
        status = self.host.running(uid)
        self.assertEqual((True, 0), (status['ready'],
                                     status['restartCount']))
        self.assertTrue(status['containerID'].startswith('containerd://'))
        self.assertTrue(self.host.state(uid).sandbox_ready)
        wait.wait_for(lambda: 'Started' in self.host.reasons(uid),
                      'events are told')
        self.assertEqual(['Pulling', 'Pulled', 'Created', 'Started'],
                         self.host.reasons(uid))

    def test_a_job_ends(self):
        uid = self.host.run(pod(restartPolicy='Never'))
        self.host.running(uid)
        self.runtime.exit(self.host.container(), 3)
        self.ended(uid)
        ended = self.host.status(uid)['state']['terminated']
        self.assertEqual((3, 'Error'), (ended['exitCode'],
                                        ended['reason']))

    def test_images_are_pulled_while_the_sandbox_is_being_made(self):
        gate = self.runtime.hold('RunPodSandbox')
        uid = self.host.run(pod())
        wait.wait_for(lambda: self.runtime.called('PullImage'),
                      'the image is pulled')
        self.assertEqual([], self.runtime.called('CreateContainer'))
        gate.set()
        self.host.running(uid)
        self.assertEqual(1, len(self.runtime.called('PullImage')))
        wait.wait_for(lambda: 'Started' in self.host.reasons(uid),
                      'events are told')
        self.assertEqual(['Pulling', 'Pulled', 'Created', 'Started'],
                         self.host.reasons(uid))

    def test_an_image_that_cannot_be_had_is_told_when_its_turn_comes(self):
        uid = self.host.run(pod(containers=[
            {'name': 'main', 'image': 'nowhere:1'}]))
        self.host.wait(uid, lambda status: (status.get('state', {}).get(
            'waiting') or {}).get('reason') in (
                'ErrImagePull', 'ImagePullBackOff'), 'it is told')
        self.assertTrue(self.host.state(uid).sandbox_ready)

    def test_a_pod_that_ended_keeps_its_address(self):
        # Its states of before may all have been overtaken by this one.
        uid = self.host.run(pod(restartPolicy='Never'))
        self.host.running(uid)
        self.runtime.exit(self.host.container())
        self.ended(uid)
        wait.wait_for(
            lambda: self.host.state(uid).sandbox_ready is False,
            'its sandbox was stopped')
        self.assertEqual((host_fixture.ADDRESS,),
                         self.host.state(uid).addresses)

    def test_a_container_that_fails_again_backs_off(self):
        uid = self.host.run(pod())
        self.host.running(uid)
        self.runtime.exit(self.host.container(), 1)
        self.host.wait(uid, lambda status: status.get('restartCount') == 1
                       and 'running' in status['state'], 'it runs again')
        self.runtime.exit(self.host.container(), 1)
        status = self.host.wait(
            uid, lambda status: (status.get('state', {}).get('waiting')
                                 or {}).get('reason') == 'CrashLoopBackOff',
            'it backs off')
        self.assertEqual(
            1, status['lastState']['terminated']['exitCode'])
        self.assertIn('back-off 10s restarting failed container=main',
                      status['state']['waiting']['message'])
        wait.wait_for(lambda: 'BackOff' in self.host.reasons(uid),
                      'it is told as an event')

    def test_init_containers_come_first_and_in_order(self):
        uid = self.host.run(pod(initContainers=[{'name': 'one'},
                                                {'name': 'two'}]))
        self.host.running(uid, 'one')
        self.assertEqual(['one'], self.runtime.running())
        self.assertEqual({'reason': 'PodInitializing'},
                         self.host.status(uid)['state']['waiting'])
        self.runtime.exit(self.host.container('one'))
        self.host.running(uid, 'two')
        self.runtime.exit(self.host.container('two'))
        self.host.running(uid)

    def test_a_deleted_capsule_leaves_nothing(self):
        uid = self.host.run(pod())
        self.host.running(uid)
        self.delete(uid, None)
        self.assertEqual(({}, {}), (self.runtime.containers,
                                    self.runtime.sandboxes))
        wait.wait_for(lambda: self.host.state(uid).gone, 'it is told')
        stopped, = self.runtime.called('StopContainer')
        self.assertEqual(30, stopped.timeout)

    def test_pods_that_come_and_go_leave_nothing_in_memory(self):
        uid = self.host.run(pod())
        self.host.running(uid)
        for count in (1, 2):
            self.runtime.exit(self.host.container(), 1)
            self.host.wait(uid, lambda status, count=count: status.get(
                'lastState', {}).get('terminated'), 'it has ended')
            if count == 1:
                self.host.running(uid)
        observer = self.host.parts._observer
        known = {each for by_id in observer._exited.values()
                 for each in by_id}
        self.assertLessEqual(known, set(self.runtime.containers))
        self.delete(uid)
        self.assertEqual(({}, {}), (observer._exited, observer._sandboxes))
        self.assertEqual({}, self.host.parts.worker._killer._kills)

    def test_a_sandbox_that_comes_while_one_looks_is_not_made_twice(self):
        gate = self.runtime.hold('RunPodSandbox')
        observer = self.host.parts._observer
        look, made = observer.look, []

        def slow(pod):
            found = look(pod)
            if self.runtime.called('RunPodSandbox') and not made:
                made.append(pod.uid)
                gate.set()
                wait.wait_for(lambda: not self.host.parts.tasks.running(
                    ('sandbox', pod.uid, pod.capsule.uuid)), 'it is made')
            return found

        self.useFixture(fixtures.MockPatchObject(observer, 'look', slow))
        uid = self.host.run(pod())
        wait.wait_for(lambda: self.runtime.called('RunPodSandbox'),
                      'it is being made')
        self.host.pods.queue.add(uid)
        self.host.running(uid)
        self.assertEqual(1, len(self.runtime.called('RunPodSandbox')))

    def test_hooks_and_pulls_that_take_long_hold_up_no_other_pod(self):
        self.useFixture(fixtures.MockPatchObject(assembly, '_TASKS', 2))
        self.host.restart()
        gate = self.runtime.hold('PullImage')
        self.addCleanup(gate.set)
        for name in ('one', 'two', 'three'):
            self.host.run(pod(name))
        wait.wait_for(lambda: self.runtime.called('PullImage'),
                      'it is pulled')
        uid = self.host.run(pod('last'))
        wait.wait_for(lambda: len(self.runtime.sandboxes) == 4,
                      'there is a sandbox for the last')
        self.delete(uid)

    def test_hooks_without_end_hold_up_no_other_pod(self):
        self.useFixture(fixtures.MockPatchObject(assembly, '_TASKS', 1))
        self.host.restart()
        hook = {'postStart': {'sleep': {'seconds': 3600}}}
        self.host.run(pod('one', containers=[
            {'name': 'slow', 'lifecycle': hook}]))
        wait.wait_for(lambda: self.runtime.running(), 'it runs')
        self.host.running(self.host.run(pod('two')))

    def test_a_pod_that_is_told_to_end_keeps_its_capsule(self):
        uid = self.host.run(pod())
        self.host.running(uid)
        self.host.pods.end(uid, 5, '', '')
        self.ended(uid)
        self.assertIn('terminated', self.host.status(uid)['state'])
        self.assertFalse(self.host.state(uid).gone)

    def test_a_restart_touches_no_running_container(self):
        uid = self.host.run(pod())
        identity = self.host.running(uid)['containerID']
        before = len(self.host.bus.states[uid])
        calls = len(self.runtime.calls)
        self.host.restart()
        wait.wait_for(lambda: len(self.host.bus.states[uid]) > before,
                      'the state is told again')
        self.assertEqual(identity, self.host.status(uid)['containerID'])
        changing = {'RunPodSandbox', 'StopPodSandbox', 'CreateContainer',
                    'StartContainer', 'StopContainer', 'RemoveContainer'}
        made = {name for name, _ in self.runtime.calls[calls:]}
        self.assertEqual(set(), made & changing)

    def test_a_later_state_is_greater_over_a_restart(self):
        uid = self.host.run(pod())
        self.host.running(uid)
        self.host.restart()
        wait.wait_for(
            lambda: self.host.parts and self.host.pods.get(uid).published,
            'the state is told again')
        told = [state.generation for state in self.host.bus.states[uid]]
        self.assertEqual(sorted(set(told)), told)

    def test_a_pod_goes_on_while_nobody_tells_it(self):
        uid = self.host.run(pod(restartPolicy='OnFailure'))
        self.host.running(uid)
        self.host.bus.down = True
        self.host.restart()
        self.runtime.exit(self.host.container(), 0)
        wait.wait_for(lambda: (self.host.pods.get(uid).published or
                               self.host.state(uid)).ended, 'it ended')
        self.host.bus.down = False
        self.ended(uid)
        self.assertEqual(0, self.host.status(
            uid)['state']['terminated']['exitCode'])

    def test_a_lost_sandbox_is_made_anew(self):
        uid = self.host.run(pod())
        self.host.running(uid)
        self.runtime.lose(self.host.state(uid).sandbox)
        self.host.wait(uid, lambda status: status.get('restartCount') == 1
                       and 'running' in status['state'], 'it runs again')
        wait.wait_for(lambda: 'SandboxChanged' in self.host.reasons(uid),
                      'the event is told')

    def test_a_missing_secret_holds_up_its_container_alone(self):
        uid = self.host.run(pod(containers=[{'name': 'main'},
                                            {'name': 'other'}]),
                            container_errors={
                                'main': 'secret "x" not found'})
        self.host.running(uid, 'other')
        waiting = self.host.status(uid)['state']['waiting']
        self.assertEqual(('CreateContainerConfigError',
                          'secret "x" not found'),
                         (waiting['reason'], waiting['message']))
        self.host.tell(pod(containers=[{'name': 'main'},
                                       {'name': 'other'}]), '2')
        self.host.pods.changed(uid)
        self.host.running(uid)

    def test_a_missing_volume_holds_up_the_pod(self):
        spec = {'volumes': [{'name': 'v', 'secret': {'secretName': 'x'}}],
                'containers': [{'name': 'main', 'volumeMounts': [
                    {'name': 'v', 'mountPath': '/x'}]}]}
        words = 'MountVolume.SetUp failed for volume "v" : no x'
        uid = self.host.run(pod(**spec), volume_errors=(words,))
        wait.wait_for(lambda: 'FailedMount' in self.host.reasons(uid),
                      'the event is told')
        self.assertEqual([], self.runtime.running())
        self.host.tell(pod(**spec), '2', volumes={
            'v': (payload.File('key', b'value', 0o400),)})
        self.host.running(uid)
        config = self.runtime.configs[self.host.container()]
        mount, = [each for each in config.mounts
                  if each.container_path == '/x']
        with open(f'{mount.host_path}/key') as stream:
            self.assertEqual('value', stream.read())

    def test_a_volume_that_is_lost_holds_up_no_other(self):
        # Else a ConfigMap that is deleted would cost the pod its tokens.
        spec = {'volumes': [{'name': 'lost', 'configMap': {'name': 'x'}},
                            {'name': 'token', 'projected': {}}],
                'containers': [{'name': 'main', 'volumeMounts': [
                    {'name': name, 'mountPath': f'/{name}'}
                    for name in ('lost', 'token')]}]}

        def files(data):
            return (payload.File('file', data, 0o400),)

        uid = self.host.run(pod(**spec), volumes={
            'lost': files(b'1'), 'token': files(b'1')})
        self.host.running(uid)
        paths = {each.container_path: f'{each.host_path}/file' for each
                 in self.runtime.configs[self.host.container()].mounts}
        self.host.tell(pod(**spec), '2', volume_errors=('no x',),
                       volumes={'token': files(b'2')})
        self.host.pods.changed(uid)
        wait.wait_for(lambda: Path(paths['/token']).read_bytes() == b'2',
                      'the token is renewed')
        self.assertEqual(b'1', Path(paths['/lost']).read_bytes())
        wait.wait_for(lambda: 'FailedMount' in self.host.reasons(uid),
                      'the event is told')
        self.host.restart()
        self.host.tell(pod(**spec), '3', volume_errors=('no x',),
                       volumes={'token': files(b'3')})
        self.host.pods.changed(uid)
        wait.wait_for(lambda: Path(paths['/token']).read_bytes() == b'3',
                      'the token is renewed after a restart')

    def test_an_image_that_is_not_there_is_told(self):
        uid = self.host.run(pod(containers=[
            {'name': 'main', 'image': 'nosuch:1'}]))
        status = self.host.wait(
            uid, lambda status: (status.get('state', {}).get('waiting')
                                 or {}).get('reason') == 'ErrImagePull',
            'the pull failed')
        self.assertIn('nosuch:1', status['state']['waiting']['message'])

    def test_a_pod_can_go_while_its_image_is_pulled(self):
        gate = self.runtime.hold('PullImage')
        uid = self.host.run(pod())
        wait.wait_for(lambda: self.runtime.called('PullImage'),
                      'it is pulled')
        self.delete(uid)
        gate.set()
        self.assertEqual([], self.runtime.called('CreateContainer'))

    def test_a_runtime_that_is_away_loses_nothing(self):
        uid = self.host.run(pod())
        identity = self.host.running(uid)['containerID']
        self.runtime.stop()
        self.host.pods.queue.add(uid)
        self.runtime.start()
        self.runtime.exit(self.host.container(), 1)
        self.host.wait(uid, lambda status: status['lastState'].get(
            'terminated', {}).get('containerID') == identity, 'it is seen')

    def test_an_image_that_could_not_be_had_early_is_tried_again(self):
        gate = self.runtime.hold('PullImage')
        uid = self.host.run(pod(containers=[
            {'name': 'main', 'image': 'nowhere:1'}]))
        wait.wait_for(lambda: self.host.state(uid)
                      and self.host.state(uid).sandbox_ready,
                      'the sandbox is there')
        # Longer than the runtime's watcher takes to tell of it.
        wait.hold_for(lambda: not self.runtime.containers,
                      'nothing was made', 1.5)
        gate.set()
        wait.wait_for(lambda: 'BackOff' in self.host.reasons(uid),
                      'it is tried again', timeout=8)

    def test_a_sandbox_that_cannot_be_asked_for_is_tried_again(self):
        self.useFixture(fixtures.MockPatch(
            'zun_vk.backoff.Backoff.next', autospec=True,
            side_effect=lambda pause: 0.1))
        uid = self.host.run(pod(), runtime_error='no such class')
        wait.wait_for(lambda: sum(
            event.count for event in self.host.bus.events
            if event.reason == 'FailedCreatePodSandBox') > 2,
            'it is tried again', timeout=8)
        self.host.tell(pod(), '2')
        self.host.pods.changed(uid)
        self.host.running(uid)

    def forgotten(self, *suffixes):
        """Return a pod of which a restarted host has no such files.

        Its agent does not tell it any more, either.
        """
        hook = {'preStop': {'exec': {'command': ['bye']}}}
        uid = self.host.run(pod(containers=[
            {'name': 'main', 'lifecycle': hook}]))
        self.host.running(uid)
        self.host.stop()
        for suffix in suffixes:
            os.unlink(os.path.join(self.host.path, 'run', 'pods',
                                   uid + suffix))
        self.host.bus.payloads.clear()
        self.said = []
        self.runtime.execs = lambda container, command, timeout: (
            self.said.append((list(command), len(
                self.runtime.called('StopContainer')))) or (b'', b'', 0))
        self.host.start()
        return uid

    def ends_as_it_should(self):
        self.assertEqual([(['bye'], 0)], self.said)
        stopped, = self.runtime.called('StopContainer')
        self.assertGreater(stopped.timeout, 20)
        self.assertEqual(({}, {}), (self.runtime.containers,
                                    self.runtime.sandboxes))

    def test_a_pod_that_nobody_tells_any_more_ends_as_it_should(self):
        uid = self.forgotten('.payload')
        self.delete(uid, None)
        self.ends_as_it_should()
        # While it ran it had not ended.
        for state in self.host.bus.states[uid]:
            self.assertEqual(state.gone, state.ended)

    def test_a_capsule_without_a_record_ends_as_it_should(self):
        uid = self.forgotten('.payload', '.json')
        self.assertIsNone(self.host.pods.get(uid))
        kept = store.RecordStore(os.path.join(self.host.path, 'run', 'pods'))
        clear = hosting.Hosting(
            self.host.bus, 'host-1', self.host.client, self.host.pods, kept,
            self.host.path, self.host.parts.tasks, mock.Mock()).clear
        rpc = endpoint.Endpoint(
            self.host.pods, mock.Mock(), clear, mock.Mock(), mock.Mock(),
            mock.Mock())
        wait.wait_for(lambda: rpc.delete_capsule(
            {}, uuid=f'cap-{uid}')['gone'], 'the capsule is gone')
        self.ends_as_it_should()

    def test_a_pod_has_not_ended_while_its_sandbox_is_being_made(self):
        gate = self.runtime.hold('RunPodSandbox')
        uid = self.host.run(pod())
        wait.wait_for(lambda: self.runtime.called('RunPodSandbox'),
                      'it is being made')
        self.host.pods.end(uid, 0, '', '')
        wait.wait_for(lambda: self.host.state(uid)
                      and self.host.state(uid).ending, 'it is to end')
        wait.hold_for(lambda: not self.host.state(uid).ended,
                      'it has not ended', 1)
        gate.set()
        self.ended(uid)
        self.assertFalse(self.host.state(uid).sandbox_ready)
        self.assertEqual(1, len(self.runtime.called('StopPodSandbox')))

    def env(self):
        config = self.runtime.configs[self.host.container()]
        return [(each.key, each.value) for each in config.envs]

    def restarted(self, before):
        """Let a container end; return the variables of the next one.

        :param before: called when what is known of its pod is old
        """
        self.useFixture(fixtures.MockPatch(
            'zun_vk.compute.work.fetcher.FRESH', 0.3))
        uid = self.host.run(pod())
        self.host.running(uid)
        wait.hold_for(lambda: self.runtime.running(), 'it runs', 0.4)
        before()
        self.runtime.exit(self.host.container(), 1)
        wait.wait_for(
            lambda: len(self.runtime.called('StartContainer')) == 2,
            'it is started again', timeout=8)
        return self.env()

    def test_a_container_that_starts_again_sees_what_is_new(self):
        # Long before it is time to ask again.
        self.assertEqual([('a', b'new')], self.restarted(
            lambda: self.host.tell(pod(containers=[
                {'name': 'main', 'env': [{'name': 'a', 'value': 'new'}]}]),
                '2')))

    def test_a_container_starts_again_where_nobody_tells_what_is_new(self):
        def silence():
            self.host.bus.down = True
        self.assertEqual([], self.restarted(silence))

    def test_volumes_that_take_long_to_remove_hold_up_no_other_pod(self):
        gate = threading.Event()
        self.addCleanup(gate.set)
        remove = self.host.parts.volumes.remove
        self.useFixture(fixtures.MockPatchObject(
            self.host.parts.volumes, 'remove',
            lambda uid: gate.wait(30) and remove(uid)))
        for name in ('one', 'two', 'three', 'four'):
            uid = self.host.run(pod(name))
            self.host.running(uid)
            self.host.pods.delete(f'cap-{uid}', 0)
        self.host.running(self.host.run(pod('five')))
        gate.set()
        wait.wait_for(lambda: len(self.host.pods.all()) == 1,
                      'all others are gone')

    def test_volumes_that_cannot_be_removed_are_tried_again(self):
        remove = self.host.parts.volumes.remove
        tries = []

        def fail(uid):
            tries.append(uid)
            if len(tries) == 1:
                raise exceptions.VolumeFailed('v', 'busy')
            remove(uid)
        self.useFixture(fixtures.MockPatchObject(
            self.host.parts.volumes, 'remove', fail))
        uid = self.host.run(pod())
        self.host.running(uid)
        self.delete(uid)
        self.assertEqual(2, len(tries))

    def test_sandboxes_without_end_hold_up_no_running_pod(self):
        self.useFixture(fixtures.MockPatchObject(assembly, '_TASKS', 2))
        self.useFixture(fixtures.MockPatchObject(
            assembly, '_TASKS_OF_ONE', 1))
        self.host.restart()
        uid = self.host.run(pod())
        self.host.running(uid)
        gate = self.runtime.hold('RunPodSandbox')
        self.addCleanup(gate.set)
        for name in ('one', 'two', 'three'):
            self.host.run(pod(name))
        wait.wait_for(
            lambda: len(self.runtime.called('RunPodSandbox')) > 1,
            'they are being made')
        wait.hold_for(lambda: self.runtime.running(), 'it runs', 0.5)
        self.runtime.exit(self.host.container(), 1)
        self.host.wait(uid, lambda status: status.get('restartCount') == 1
                       and 'running' in status['state'], 'it runs again')

    def cgroups(self, *removed):
        """Return the calls of removals of cgroups, which go so."""
        made = self.useFixture(fixtures.MockPatch(
            'zun_vk.compute.cgroupfs.CgroupFs', autospec=True)).mock
        remove = made.return_value.remove
        remove.side_effect = removed
        self.host.conf.set_override('cgroup_parent', '/zun', 'compute')
        self.host.restart()
        return remove.call_args_list

    def test_a_pod_without_a_sandbox_leaves_no_cgroup(self):
        calls = self.cgroups(True)
        self.runtime.fail('RunPodSandbox', times=None)
        uid = self.host.run(pod())
        wait.wait_for(lambda: 'FailedCreatePodSandBox' in self.host.reasons(
            uid), 'its sandbox cannot be made')
        self.delete(uid)
        self.assertEqual([mock.call(f'/zun/pod{uid}')], calls)

    def test_a_cgroup_that_is_busy_is_removed_later(self):
        calls = self.cgroups(False, OSError(errno.EIO, 'no'), True)
        uid = self.host.run(pod())
        self.host.running(uid)
        self.delete(uid)
        self.assertEqual(3, len(calls))

    def test_a_cgroup_that_stays_busy_keeps_no_capsule_for_ever(self):
        self.useFixture(fixtures.MockPatch(
            'zun_vk.compute.work.worker._EMPTY_TRIES', 2))
        calls = self.cgroups(*[False] * 9)
        uid = self.host.run(pod())
        self.host.running(uid)
        self.delete(uid)
        self.assertEqual(2, len(calls))

    def test_a_sandbox_that_cannot_be_removed_is_tried_again_with_time(self):
        uid = self.host.run(pod())
        self.host.running(uid)
        self.runtime.fail('RemovePodSandbox', times=None)
        self.host.pods.delete(f'cap-{uid}', 0)
        wait.wait_for(lambda: len(self.runtime.called(
            'RemovePodSandbox')) > 1, 'it is tried again')
        before = len(self.runtime.called('RemovePodSandbox'))
        wait.hold_for(lambda: self.host.pods.get(uid), 'it stays', 2)
        self.assertLess(
            len(self.runtime.called('RemovePodSandbox')) - before, 5)
        self.runtime.fail('RemovePodSandbox', times=0)
        self.delete(uid)

    def test_a_pod_that_ended_leaves_nothing_in_memory_or_on_disk(self):
        uid = self.host.run(pod(
            restartPolicy='Never', volumes=[
                {'name': 'd', 'emptyDir': {}},
                {'name': 'm', 'emptyDir': {'medium': 'Memory'}}],
            containers=[{'name': 'main', 'volumeMounts': [
                {'name': 'd', 'mountPath': '/d'},
                {'name': 'm', 'mountPath': '/m'}]}]))
        self.host.running(uid)
        mounts = {each.container_path: each.host_path for each in
                  self.runtime.configs[self.host.container()].mounts}
        with open(mounts['/dev/termination-log'], 'w') as stream:
            stream.write('bye')
        self.assertTrue(os.path.ismount(mounts['/m']))
        self.runtime.exit(self.host.container(), 1)
        self.ended(uid)
        wait.wait_for(lambda: not os.path.exists(mounts['/m'])
                      and not os.path.exists(mounts['/d']),
                      'its volumes are gone')
        before = len(self.host.bus.states[uid])
        self.host.restart()
        wait.wait_for(lambda: len(self.host.bus.states[uid]) > before,
                      'the state is told again')
        self.assertEqual('bye', self.host.status(
            uid)['state']['terminated']['message'])
