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

import threading
from unittest import mock

import fixtures
from oslotest import base

from zun_vk import exceptions
from zun_vk.compute.cri import cri_pb2
from zun_vk.compute.images import puller
from zun_vk.rpc import payload as rpc
from zun_vk.tests.unit.compute.images import registry

_NAME = 'a.b/app:1'
_MINE = rpc.Credential('a.b', username='me', password='my-password')
_OTHER = rpc.Credential('a.b', username='you', password='your-password')
_PRESENT = ('Normal', 'Pulled', f'Container image "{_NAME}" already present '
            'on machine and can be accessed by the pod', 'main')
_PULLING = ('Normal', 'Pulling', f'Pulling image "{_NAME}"', 'main')


class PullerTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(fixtures.TempDir()).path
        self.host = registry.FakeHost()
        self.runtime = self.host.runtime
        self.now = 1000.0
        self.puller = self._puller()
        self.events = []
        self.recorder = mock.create_autospec(puller.Recorder, instance=True)
        self.recorder.event.side_effect = (
            lambda *event: self.events.append(event))

    def _puller(self, **options):
        return puller.ImagePuller(self.runtime, self.directory,
                                  clock=lambda: self.now, **options)

    def _ensure(self, image=_NAME, policy='IfNotPresent', credentials=(),
                uid='uid-1'):
        return self.puller.ensure(
            uid, {'name': 'main', 'image': image, 'imagePullPolicy': policy},
            credentials, cri_pb2.PodSandboxConfig(hostname='web'),
            self.recorder)

    def _problem(self, **kwargs):
        problem = self.assertRaises(exceptions.ImageProblem, self._ensure,
                                    **kwargs)
        return problem.reason, problem.message


class PolicyTestCase(PullerTestCase):

    def test_an_image_that_is_there_is_used(self):
        self.host.add(_NAME, username='www')
        found = self._ensure()
        self.assertEqual((f'sha256:{_NAME}', None, 'www', 1234), (
            found.id, found.uid, found.username, found.size))
        self.assertEqual([_PRESENT], self.events)
        self.assertEqual([], self.host.pulls)

    def test_one_that_is_not_is_pulled(self):
        self.host.offer(_NAME)
        self.assertEqual(f'sha256:{_NAME}', self._ensure().id)
        self.assertEqual([
            _PULLING,
            ('Normal', 'Pulled', f'Successfully pulled image "{_NAME}" in 0s '
             '(0s including waiting). Image size: 1234 bytes.', 'main')],
            self.events)

    def test_always_asks_the_registry(self):
        self.host.add(_NAME)
        self.host.offer(_NAME, identity='newer')
        self.assertEqual('newer', self._ensure(policy='Always').id)
        self._ensure(policy='Always')
        self.assertEqual(2, len(self.host.pulls))

    def test_never_asks_nobody(self):
        self.host.offer(_NAME)
        expected = (f'Container image "{_NAME}" is not present with pull '
                    'policy of Never')
        self.assertEqual(('ErrImageNeverPull', expected),
                         self._problem(policy='Never'))
        self.assertEqual(
            [('Warning', 'ErrImageNeverPull', expected, 'main')],
            self.events)
        self.assertEqual([], self.host.pulls)
        self.host.add(_NAME)
        self._ensure(policy='Never')

    def test_a_name_without_tag_is_pulled_with_one_and_told_as_it_is(self):
        self.host.offer('a.b/app:latest')
        self._ensure('a.b/app', policy=None)
        self.assertEqual([('a.b/app:latest', '')], self.host.pulls)
        self.assertEqual('Pulling image "a.b/app"', self.events[0][2])

    def test_what_is_no_name_is_told(self):
        reason, message = self._problem(image='FAILED', policy=None)
        self.assertEqual('InvalidImageName', reason)
        self.assertEqual([('Warning', 'InspectFailed', message, 'main')],
                         self.events)

    def test_a_runtime_that_cannot_tell_is_an_inspect_error(self):
        self.runtime.image_status.side_effect = (
            exceptions.RuntimeUnavailable('ImageStatus: no answer'))
        reason, message = self._problem()
        self.assertEqual(('ImageInspectError', 'Failed to inspect image '
                          f'"{_NAME}": ImageStatus: no answer'),
                         (reason, message))
        self.assertEqual([('Warning', 'InspectFailed', message, 'main')],
                         self.events)

    def test_the_user_of_the_image_is_told(self):
        self.host.add(_NAME, uid=cri_pb2.Int64Value(value=0),
                      repo_digests=['a.b/app@sha256:1'])
        found = self._ensure()
        self.assertEqual((0, 'a.b/app@sha256:1'), (found.uid, found.ref))


class FailureTestCase(PullerTestCase):

    def test_a_pull_that_fails_is_told_in_the_registrys_words(self):
        words = f'failed to resolve reference "{_NAME}": {_NAME}: not found'
        self.assertEqual(('ErrImagePull', words), self._problem())
        self.assertEqual([_PULLING, (
            'Warning', 'Failed', f'Failed to pull image "{_NAME}": {words}',
            'main')], self.events)

    def test_it_is_left_alone_for_longer_and_longer(self):
        for pause in (10, 20, 40, 80, 160, 300, 300):
            self.assertEqual('ErrImagePull', self._problem()[0])
            self.now += pause - 0.001
            self.assertEqual('ImagePullBackOff', self._problem()[0])
            self.now += 0.001

    def test_a_pause_is_told_with_what_it_is_for(self):
        _, words = self._problem()
        self.events.clear()
        self.assertEqual(
            ('ImagePullBackOff',
             f'Back-off pulling image "{_NAME}": ErrImagePull: {words}'),
            self._problem())
        self.assertEqual([('Normal', 'BackOff',
                           f'Back-off pulling image "{_NAME}"', 'main')],
                         self.events)

    def test_a_pause_is_one_pods_and_one_images(self):
        self._problem()
        self.assertEqual('ErrImagePull', self._problem(uid='uid-2')[0])
        self.assertEqual('ErrImagePull', self._problem(image='a.b/x:1')[0])

    def test_a_pause_does_not_hide_an_image_that_came(self):
        self._problem()
        self.host.add(_NAME)
        self._ensure()

    def test_success_or_time_ends_the_growth(self):
        self._problem()
        self.now += 10
        self._problem()
        self.now += 601
        self.assertEqual('ErrImagePull', self._problem()[0])
        self.now += 10
        self.host.offer(_NAME)
        self._ensure(policy='Always')
        del self.host.registry[_NAME]
        self._problem(policy='Always')
        self.now += 10
        self.assertEqual('ErrImagePull', self._problem(policy='Always')[0])

    def test_reasons_of_the_runtime_are_passed_on(self):
        for words, reason, message in (
                ('RegistryUnavailable: no route', 'RegistryUnavailable',
                 f'image pull failed for {_NAME} because the registry is '
                 'unavailable: no route'),
                ('SignatureValidationFailed', 'SignatureValidationFailed',
                 f'image pull failed for {_NAME} because the signature '
                 'validation failed')):
            self.runtime.pull_image.side_effect = (
                exceptions.RuntimeRefused(f'PullImage: {words}'))
            self.assertEqual((reason, message), self._problem(uid=words))

    def test_words_are_bounded(self):
        self.runtime.pull_image.side_effect = exceptions.RuntimeRefused(
            'x' * 5000)
        self.assertEqual(1024, len(self._problem()[1]))

    def test_an_image_that_vanishes_is_no_crash(self):
        self.runtime.pull_image.side_effect = lambda *_args: 'sha256:gone'
        self.assertEqual('ErrImagePull', self._problem()[0])

    def test_nothing_is_pulled_that_cannot_be_recorded(self):
        self.host.offer(_NAME)
        with mock.patch('os.fsync', autospec=True,
                        side_effect=OSError(28, 'disk full')):
            self.assertEqual(
                ('ErrImagePull', 'Failed to record image pull intent for '
                 f'container image "{_NAME}": disk full'), self._problem())
        self.assertEqual([], self.host.pulls)
        self._ensure()


class CredentialsTestCase(PullerTestCase):

    def setUp(self):
        super().setUp()
        self.host.offer(_NAME, 'my-password')

    def test_each_is_tried_in_turn(self):
        self._ensure(credentials=[_OTHER, _MINE])
        self.assertEqual([(_NAME, 'your-password'), (_NAME, 'my-password')],
                         self.host.pulls)

    def test_those_of_other_registries_are_not(self):
        self._problem(credentials=[rpc.Credential('c.d', 'me', 'secret')])
        self.assertEqual([(_NAME, '')], self.host.pulls)

    def test_no_secret_is_in_a_message(self):
        reason, message = self._problem(credentials=[_OTHER])
        self.assertEqual('unexpected status for ***: 401', message)
        self._problem(credentials=[_OTHER])
        self.assertNotIn('your-password', str(self.events))

    def test_several_failures_are_told_together(self):
        third = rpc.Credential('a.b/app', token := 'third', token)
        del self.host.registry[_NAME]
        self.runtime.pull_image.side_effect = [
            exceptions.RuntimeRefused('one'),
            exceptions.RuntimeRefused('two'),
            exceptions.RuntimeRefused('one')]
        self.assertEqual('[one, two]', self._problem(
            credentials=[_OTHER, third, _MINE])[1])

    def test_the_sandbox_is_told_to_the_runtime(self):
        self._ensure(credentials=[_MINE])
        self.assertEqual('web', self.runtime.pull_image.call_args.args[2]
                         .hostname)


class TenancyTestCase(PullerTestCase):

    def setUp(self):
        super().setUp()
        self.host.offer(_NAME, 'my-password')
        self._ensure(credentials=[_MINE])
        self.host.pulls.clear()
        self.events.clear()

    def test_a_private_image_is_for_those_who_could_pull_it(self):
        self._ensure(credentials=[_OTHER, _MINE], uid='uid-2')
        self.assertEqual([], self.host.pulls)
        self.assertEqual([_PRESENT], self.events)

    def test_others_must_ask_the_registry(self):
        self.assertEqual('ErrImagePull', self._problem(
            uid='uid-2', credentials=[_OTHER])[0])
        self.assertEqual('ErrImagePull', self._problem(uid='uid-3')[0])
        self.assertEqual([(_NAME, 'your-password'), (_NAME, '')],
                         self.host.pulls)

    def test_who_the_registry_lets_in_may_use_it_from_then_on(self):
        self.host.offer(_NAME, 'my-password', 'your-password')
        for _time in range(2):
            self._ensure(uid='uid-2', credentials=[_OTHER])
        self.assertEqual([(_NAME, 'your-password')], self.host.pulls)

    def test_never_does_not_tell_that_it_is_there(self):
        self.assertEqual(
            ('ErrImageNeverPull', f'Container image "{_NAME}" is not present '
             'with pull policy of Never'),
            self._problem(uid='uid-2', policy='Never'))
        self._ensure(policy='Never', credentials=[_MINE])

    def test_another_name_of_it_is_no_way_round(self):
        for name in ('a.b/app:2', 'a.b/app@sha256:' + 'a' * 64,
                     'other.example/app:1', 'sha256:' + 'b' * 64):
            self.host.add(name, identity=f'sha256:{_NAME}')
            self.assertEqual('ErrImagePull', self._problem(
                uid='uid-2', image=name)[0])

    def test_what_everyone_can_pull_is_for_everyone(self):
        self.host.offer('a.b/free:1')
        self._ensure('a.b/free:1')
        self.host.pulls.clear()
        self._ensure('a.b/free:1', uid='uid-2', credentials=[_OTHER])
        self._ensure('a.b/free:1', uid='uid-3')
        self.assertEqual([], self.host.pulls)

    def test_a_restart_forgets_nothing(self):
        self.puller = self._puller()
        self._ensure(credentials=[_MINE])
        self.assertEqual([], self.host.pulls)
        self._problem(uid='uid-2')

    def test_a_crash_amid_a_pull_gives_nobody_the_image(self):
        self.runtime.pull_image.side_effect = self._killed
        self.assertRaises(KeyboardInterrupt, self._ensure, 'a.b/new:1',
                          credentials=[_MINE])
        self.runtime.pull_image.side_effect = self.host.pull
        self.host.offer('a.b/new:1', 'my-password')
        self.puller = self._puller()
        self._problem(uid='uid-2', image='a.b/new:1')
        self._problem(uid='uid-3', image='a.b/new:1', policy='Never')
        self._ensure('a.b/new:1', credentials=[_MINE])
        self._ensure('a.b/new:1', credentials=[_MINE], policy='Never')

    def _killed(self, image, auth=None, sandbox_config=None):
        self.host.add(image)
        raise KeyboardInterrupt

    def test_a_pull_whose_end_is_not_seen_gives_nobody_the_image(self):
        def late(image, auth=None, sandbox_config=None):
            self.host.add(image)
            raise exceptions.RuntimeUnavailable('PullImage: late', True)

        self.runtime.pull_image.side_effect = late
        self._problem(image='a.b/new:1', credentials=[_MINE])
        self.runtime.pull_image.side_effect = self.host.pull
        self._problem(uid='uid-2', image='a.b/new:1')
        self.assertEqual([('a.b/new:1', '')], self.host.pulls)

    def test_a_pull_that_came_to_nothing_leaves_no_doubt(self):
        self.runtime.pull_image.side_effect = (
            exceptions.RuntimeUnavailable('PullImage: late', True))
        self._problem(image='a.b/new:1', credentials=[_MINE])
        self.runtime.pull_image.side_effect = self.host.pull
        self._problem(image='a.b/other:1')
        self.assertEqual([], self.puller.records.doubted())
        self.host.add('a.b/new:1')
        self._ensure('a.b/new:1', uid='uid-2')

    def test_what_left_the_host_is_forgotten(self):
        self.puller.records.prune(list)
        self._ensure(uid='uid-2')


class TurnsTestCase(PullerTestCase):

    def _thread(self, run, *args, **kwargs):
        thread = threading.Thread(target=run, args=args, kwargs=kwargs,
                                  daemon=True)
        thread.start()
        self.addCleanup(thread.join, 10)
        return thread

    def test_an_image_is_pulled_once_for_all_who_wait(self):
        self.host.offer(_NAME)
        begun, go = threading.Event(), threading.Event()

        def slow(*args):
            begun.set()
            self.assertTrue(go.wait(10))
            return self.host.pull(*args)

        self.runtime.pull_image.side_effect = slow
        threads = [self._thread(self._ensure, uid='first')]
        self.assertTrue(begun.wait(10))
        threads += [self._thread(self._ensure, uid=f'uid-{number}')
                    for number in range(3)]
        go.set()
        for thread in threads:
            thread.join(10)
        self.assertEqual(1, len(self.host.pulls))
        self.assertEqual({}, self.puller._turns._turns)

    def test_another_image_does_not_wait_but_for_the_bound(self):
        meeting = threading.Barrier(2, timeout=10)

        def meet(*args):
            meeting.wait()
            return self.host.pull(*args)

        self.runtime.pull_image.side_effect = meet
        for name in ('a.b/1:1', 'a.b/2:1'):
            self.host.offer(name)
        thread = self._thread(self._ensure, 'a.b/1:1')
        self._ensure('a.b/2:1')
        thread.join(10)
        self.assertEqual(2, len(self.host.pulls))

    def test_a_registry_that_does_not_answer_holds_up_no_other(self):
        entered, gate = threading.Semaphore(0), threading.Event()
        self.addCleanup(gate.set)
        pull = self.runtime.pull_image.side_effect

        def slow(image, *args):
            if image.startswith('slow.example'):
                entered.release()
                gate.wait(10)
            return pull(image, *args)

        self.runtime.pull_image.side_effect = slow
        threads = []
        for number in range(6):
            image = f'slow.example/{number}:1'
            self.host.offer(image)
            threads.append(self._thread(self._ensure, image=image))
        for _ in range(4):
            self.assertTrue(entered.acquire(timeout=5))
        self.host.offer(_NAME)
        done = threading.Event()
        self._thread(lambda: self._ensure() and done.set())
        self.assertTrue(done.wait(5))
        self.assertFalse(entered.acquire(timeout=0.2))
        gate.set()


class DurationTestCase(base.BaseTestCase):

    def test_it_is_as_go_writes_it(self):
        for seconds, text in ((0, '0s'), (-1, '0s'), (0.0009, '0s'),
                              (0.12, '120ms'), (1, '1s'), (1.2345, '1.234s'),
                              (62.5, '1m2.5s'), (60, '1m0s'),
                              (3661.001, '1h1m1.001s'), (7200, '2h0m0s')):
            self.assertEqual(text, puller.duration(seconds))
