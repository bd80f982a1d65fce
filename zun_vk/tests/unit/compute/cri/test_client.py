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
import socket
import threading

import fixtures
import grpc
from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from zun_vk import exceptions
from zun_vk.compute.cri import channel
from zun_vk.compute.cri import client
from zun_vk.compute.cri import cri_pb2
from zun_vk.tests.fixtures import cri
from zun_vk.tests.fixtures import wait


def sandbox_config(name='c1', attempt=0, **fields):
    return cri_pb2.PodSandboxConfig(
        metadata=cri_pb2.PodSandboxMetadata(
            name=name, uid='u1', namespace='default', attempt=attempt),
        labels={'io.kubernetes.pod.uid': 'u1'}, **fields)


def container_config(name='main', attempt=0, image='busybox', **fields):
    return cri_pb2.ContainerConfig(
        metadata=cri_pb2.ContainerMetadata(name=name, attempt=attempt),
        image=cri_pb2.ImageSpec(image=image), **fields)


class ClientTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.fake = self.useFixture(cri.FakeRuntime())
        self.runtime = client.Runtime(self.fake.endpoint, timeout=20)
        self.addCleanup(self.runtime.close)

    def _container(self, **fields):
        self.fake.add_image('busybox')
        config = sandbox_config()
        self.sandbox = self.runtime.run_sandbox(config)
        return self.runtime.create_container(
            self.sandbox, container_config(**fields), config)

    def _started(self):
        container = self._container()
        self.runtime.start_container(container)
        return container


class LifeTestCase(ClientTestCase):

    def test_a_container_lives_and_ends(self):
        container = self._container(log_path='main/0.log')
        self.runtime.start_container(container)
        self.runtime.stop_container(container, 5)
        status = self.runtime.container_status(container)
        self.assertEqual(cri_pb2.CONTAINER_EXITED, status.state)
        self.assertEqual(143, status.exit_code)
        self.assertGreater(status.finished_at, status.started_at)
        self.runtime.remove_container(container)
        self.runtime.stop_sandbox(self.sandbox)
        self.runtime.remove_sandbox(self.sandbox)
        self.assertEqual([], self.runtime.containers())
        self.assertEqual([], self.runtime.sandboxes())

    def test_part_of_a_second_of_grace_is_not_cut_off(self):
        container = self._started()
        self.runtime.stop_container(container, 1.2)
        self.assertEqual(2, self.fake.called('StopContainer')[0].timeout)
        self.assertEqual(
            143, self.runtime.container_status(container).exit_code)

    def test_no_grace_kills(self):
        container = self._started()
        self.runtime.stop_container(container, 0)
        self.assertEqual(
            137, self.runtime.container_status(container).exit_code)

    def test_what_is_gone_is_stopped_and_removed(self):
        for call in (self.runtime.stop_sandbox, self.runtime.remove_sandbox,
                     self.runtime.remove_container,
                     self.runtime.remove_image,
                     lambda gone: self.runtime.stop_container(gone, 1)):
            call('gone')

    def test_a_runtime_that_knows_nothing_of_it_is_content_too(self):
        for name in ('StopPodSandbox', 'RemovePodSandbox', 'StopContainer',
                     'RemoveContainer', 'RemoveImage'):
            self.fake.fail(name, code=grpc.StatusCode.NOT_FOUND)
        self.test_what_is_gone_is_stopped_and_removed()

    def test_lists_are_of_those_with_the_labels(self):
        self.runtime.run_sandbox(sandbox_config())
        mine = {'io.kubernetes.pod.uid': 'u1'}
        self.assertEqual(1, len(self.runtime.sandboxes(mine)))
        self.assertEqual(
            [], self.runtime.sandboxes({'io.kubernetes.pod.uid': 'u2'}))
        self.assertEqual([], self.runtime.containers(mine))

    def test_a_sandbox_tells_its_process_and_address(self):
        sandbox = self.runtime.run_sandbox(sandbox_config())
        seen = self.runtime.sandbox_status(sandbox)
        self.assertEqual(self.fake.pid, seen.pid)
        self.assertTrue(seen.status.network.ip)
        self.assertEqual(
            0, self.runtime.sandbox_status(sandbox, verbose=False).pid)


class ImagesTestCase(ClientTestCase):

    def test_an_image_that_is_not_there_is_none(self):
        self.assertIsNone(self.runtime.image_status('busybox'))

    def test_a_pulled_image_is_there(self):
        self.fake.add_to_registry('reg.local/app:1', ('me', 'secret'), uid=7)
        reference = self.runtime.pull_image('reg.local/app:1', (
            cri_pb2.AuthConfig(username='me', password='secret')))
        image = self.runtime.image_status('reg.local/app:1')
        self.assertEqual(reference, image.id)
        self.assertEqual(7, image.uid.value)
        self.assertEqual([image], self.runtime.images())

    def test_wrong_credentials_are_refused_and_not_repeated(self):
        self.fake.add_to_registry('reg.local/app:1', ('me', 'secret'))
        error = self.assertRaises(
            exceptions.RuntimeRefused, self.runtime.pull_image,
            'reg.local/app:1',
            cri_pb2.AuthConfig(username='me', password='hunter2'))
        self.assertIn('pull access denied', error.message)
        self.assertNotIn('hunter2', str(error))

    def test_an_image_nobody_has_is_not_found(self):
        self.assertRaises(exceptions.RuntimeNotFound,
                          self.runtime.pull_image, 'nosuch')

    def test_the_file_system_of_images_is_told(self):
        usage, = self.runtime.fs_info()
        self.assertEqual(10 ** 9, usage.used_bytes.value)


class CommandsTestCase(ClientTestCase):

    def test_a_command_gives_its_output_and_exit_code(self):
        container = self._started()
        self.fake.execs = lambda of, command, timeout: (
            b'out', b'err', 3 if of == container else 0)
        self.assertEqual((b'out', b'err', 3),
                         self.runtime.exec_sync(container, ['x'], 1))

    def test_a_command_that_takes_too_long_is_not_an_absent_runtime(self):
        container = self._started()

        def late(*_):
            raise TimeoutError

        self.fake.execs = late
        self.assertRaises(exceptions.CommandTimedOut,
                          self.runtime.exec_sync, container, ['x'], 0.5)
        self.assertEqual(1, self.fake.called('ExecSync')[0].timeout)

    def test_a_command_in_what_does_not_run_is_refused(self):
        self.assertRaises(exceptions.RuntimeRefused, self.runtime.exec_sync,
                          self._container(), ['x'], 1)

    def test_a_terminal_has_no_stream_for_errors(self):
        container = self._started()
        url = self.runtime.exec_url(container, ['sh'], stdin=True,
                                    stdout=True, stderr=True, tty=True)
        self.assertTrue(url.startswith('http://'))
        self.runtime.attach_url(container, stdin=False, stdout=True,
                                stderr=True, tty=False)
        self.assertFalse(self.fake.called('Exec')[0].stderr)
        self.assertTrue(self.fake.called('Attach')[0].stderr)


class ErrorsTestCase(ClientTestCase):

    def test_a_missing_object_is_not_found(self):
        self.assertRaises(exceptions.RuntimeNotFound,
                          self.runtime.container_status, 'gone')
        self.assertRaises(exceptions.RuntimeNotFound,
                          self.runtime.sandbox_status, 'gone')

    def test_a_refusal_has_the_runtime_s_own_words_bounded(self):
        self.fake.fail('RunPodSandbox', 'no network ' + 'é' * 9000)
        error = self.assertRaises(
            exceptions.RuntimeRefused, self.runtime.run_sandbox,
            sandbox_config())
        self.assertIn('RunPodSandbox: no network', error.message)
        self.assertEqual('UNKNOWN', error.code)
        self.assertLess(len(error.message.encode()), 4200)

    def test_a_runtime_that_starts_is_unavailable(self):
        self.fake.fail('Status', 'server is not initialized yet')
        self.assertRaises(exceptions.RuntimeUnavailable, self.runtime.status)

    def test_no_socket_is_unavailable_and_recovers(self):
        self.fake.stop()
        error = self.assertRaises(exceptions.RuntimeUnavailable,
                                  self.runtime.version)
        self.assertFalse(error.late)
        self.fake.start()
        answer = wait.wait_for(self._version, 'the runtime is back')
        self.assertEqual('containerd', answer.runtime_name)

    def _version(self):
        try:
            return self.runtime.version()
        except exceptions.RuntimeUnavailable:
            return None

    def test_a_runtime_that_hangs_is_unavailable_in_time(self):
        gate = self.fake.hold('Status')
        self.addCleanup(gate.set)
        runtime = client.Runtime(self.fake.endpoint, timeout=0.05)
        self.addCleanup(runtime.close)
        error = self.assertRaises(exceptions.RuntimeUnavailable,
                                  runtime.status)
        self.assertTrue(error.late)

    def test_a_closed_connection_is_unavailable(self):
        self.runtime.close()
        self.assertRaises(exceptions.RuntimeUnavailable,
                          self.runtime.version)
        self.assertRaises(exceptions.RuntimeUnavailable, self.runtime.events)

    def test_no_events_is_told_apart(self):
        error = self.assertRaises(exceptions.RuntimeRefused, list,
                                  self.runtime.events())
        self.assertEqual('UNIMPLEMENTED', error.code)

    def test_a_message_of_ten_mebibytes_passes(self):
        container = self._started()
        output = bytes(10 * 1024 ** 2)
        self.fake.execs = lambda *_: (output, b'', 0)
        self.assertEqual(
            output, self.runtime.exec_sync(container, ['x'], 9).stdout)


class BusyTestCase(ClientTestCase):

    def test_a_runtime_that_is_slow_to_greet_is_waited_for(self):
        """A host under load was given a tenth of a second for that."""
        path = f'{self.useFixture(fixtures.TempDir()).path}/slow'
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(path)
        listener.listen()
        relay = threading.Thread(target=self._relay_late, args=(listener,))
        relay.start()
        runtime = client.Runtime(f'unix://{path}')
        self.assertEqual('containerd', runtime.version().runtime_name)
        runtime.close()
        relay.join(10)
        self.assertFalse(relay.is_alive())

    def _relay_late(self, listener):
        threading.Event().wait(0.4)
        near, _ = listener.accept()
        far = socket.socket(socket.AF_UNIX)
        far.connect(str(self.fake.socket))
        back = threading.Thread(target=_pump, args=(far, near))
        back.start()
        _pump(near, far)
        back.join(10)
        near.close()
        far.close()


def _pump(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


class EventsTestCase(base.BaseTestCase):

    def test_events_come_until_they_are_cancelled(self):
        fake = self.useFixture(cri.FakeRuntime(events=True))
        runtime = client.Runtime(fake.endpoint)
        self.addCleanup(runtime.close)
        stream, seen = runtime.events(), []
        reader = threading.Thread(target=lambda: seen.extend(stream))
        reader.start()
        wait.wait_for(lambda: fake.streams, 'the stream is open')
        runtime.run_sandbox(sandbox_config())
        wait.wait_for(lambda: not fake.streams or not all(
            queue.qsize() for queue in fake.streams), 'events are taken')
        stream.cancel()
        reader.join(10)
        self.assertFalse(reader.is_alive())
        self.assertEqual({'u1'}, {
            event.pod_sandbox_status.metadata.uid for event in seen})


class WordsTestCase(base.BaseTestCase):

    def test_addresses_lose_what_may_be_a_secret(self):
        self.assertEqual(
            'Get "https://reg.local/v2/x": denied by http://reg.local',
            channel.clean('Get "https://me:pw@reg.local/v2/x?sig=abc&b=c": '
                          'denied by http://reg.local?token=1'))

    @given(st.text(max_size=9000))
    def test_words_are_always_bounded_text(self, words):
        self.assertLessEqual(len(channel.clean(words).encode()), 4096)

    @given(st.dictionaries(st.sampled_from(['info', 'x']), st.one_of(
        st.text(), st.sampled_from(['[]', '{"pid": "1"}', '{"pid": -1}',
                                    '{"pid": true}', '[' * 100000]))))
    def test_info_that_makes_no_sense_is_none(self, info):
        self.assertEqual(0, client.pid_in(client.parsed(info)))
