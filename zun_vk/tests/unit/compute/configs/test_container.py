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

import json

from oslotest import base

from zun_vk import exceptions
from zun_vk.compute.configs import settings as configs
from zun_vk.compute.cri import cri_pb2
from zun_vk.tests.fixtures import pods as plain
from zun_vk.tests.unit.compute.configs import pods


class ContainerTestCase(base.BaseTestCase):

    def _of(self, mounts=(), settings=pods.SETTINGS, attempt=0, **fields):
        member = {'name': 'main', 'image': 'busybox', **fields}
        return pods.container_of(member, mounts=mounts, settings=settings,
                                 attempt=attempt)

    def _refusal(self, *args, **fields):
        refusal = self.assertRaises(exceptions.ConfigRefused, self._of, *args,
                                    **fields)
        self.assertEqual('CreateContainerConfigError', refusal.reason)
        return refusal.message

    def test_command_and_args_replace_the_images(self):
        made = self._of(command=['sh', '-c'], args=['true'])
        self.assertEqual((['sh', '-c'], ['true']),
                         (list(made.command), list(made.args)))
        made = self._of()
        self.assertEqual(([], []), (list(made.command), list(made.args)))

    def test_who_it_is(self):
        made = self._of(attempt=3)
        self.assertEqual(('main', 3), (made.metadata.name,
                                       made.metadata.attempt))
        self.assertEqual(('sha256:abc', 'busybox'), (
            made.image.image, made.image.user_specified_image))
        self.assertEqual('main/3.log', made.log_path)
        self.assertEqual({
            'io.kubernetes.pod.uid': pods.UID,
            'io.kubernetes.pod.name': 'web',
            'io.kubernetes.pod.namespace': 'shop',
            'io.kubernetes.container.name': 'main',
            'zun.openstack.org/capsule': pods.CAPSULE,
            'zun.openstack.org/managed-by': 'zun-vk-compute'},
            dict(made.labels))

    def test_what_a_restarted_service_must_know_is_annotated(self):
        made = self._of(attempt=3, terminationMessagePath='/tmp/last',
                        terminationMessagePolicy='FallbackToLogsOnError')
        self.assertEqual({
            'io.kubernetes.container.restartCount': '3',
            'io.kubernetes.container.terminationMessagePath': '/tmp/last',
            'io.kubernetes.container.terminationMessagePolicy':
                'FallbackToLogsOnError',
            'zun.openstack.org/spec-hash': 'cafe'}, dict(made.annotations))

    def test_a_pre_stop_hook_can_be_run_when_the_pod_is_not_known(self):
        def kept(hook):
            made = self._of(
                lifecycle={'preStop': hook, 'postStart': {'sleep': {}}},
                ports=[{'name': 'web', 'containerPort': 8080}])
            return json.loads(made.annotations['zun.openstack.org/pre-stop'])
        self.assertEqual({'exec': {'command': ['bye']}},
                         kept({'exec': {'command': ['bye']}}))
        for port, number in (('web', 8080), (80, 80), ('none', 'none')):
            self.assertEqual(
                {'httpGet': {'path': '/x', 'port': number}},
                kept({'httpGet': {'path': '/x', 'port': port}}))

    def test_the_termination_message_has_the_apis_defaults(self):
        made = dict(self._of().annotations)
        self.assertEqual(
            ('/dev/termination-log', 'File'),
            (made['io.kubernetes.container.terminationMessagePath'],
             made['io.kubernetes.container.terminationMessagePolicy']))

    def test_environment_is_bytes_in_order(self):
        made = self._of(env=[{'name': 'B', 'value': 'ü'}, {'name': 'A'}])
        self.assertEqual([('B', 'ü'.encode()), ('A', b'')],
                         [(each.key, each.value) for each in made.envs])

    def test_terminal_input_and_working_directory(self):
        made = self._of(tty=True, stdin=True, stdinOnce=True,
                        workingDir='/srv')
        self.assertEqual((True, True, True, '/srv'), (
            made.tty, made.stdin, made.stdin_once, made.working_dir))

    def test_stop_signal(self):
        for name, signal in (('SIGUSR1', cri_pb2.SIGUSR1),
                             ('SIGRTMIN+3', cri_pb2.SIGRTMINPLUS3),
                             ('SIGRTMAX-1', cri_pb2.SIGRTMAXMINUS1)):
            made = self._of(lifecycle={'stopSignal': name})
            self.assertEqual(signal, made.stop_signal, name)
        self.assertEqual(cri_pb2.RUNTIME_DEFAULT, self._of().stop_signal)

    def test_devices_are_refused(self):
        self.assertIn('volumeDevices', self._refusal(
            volumeDevices=[{'name': 'disk', 'devicePath': '/dev/xvda'}]))

    def test_a_malformed_container_gets_an_error_without_its_values(self):
        for fields in ({'env': [{'name': 'A', 'value': {'k': 'secret'}}]},
                       {'env': [{'name': 'A', 'value': 'secret\ud800'}]},
                       {'env': ['secret']}, {'command': [{'secret': 1}]},
                       {'lifecycle': {'stopSignal': 'secret'}},
                       {'tty': 'secret'}, {'securityContext': ['secret']}):
            self.assertNotIn('secret', self._refusal(**fields))


class MountsTestCase(base.BaseTestCase):

    def _of(self, mount, settings=pods.SETTINGS, **fields):
        made = pods.container_of(plain.container(**fields), mounts=[mount],
                                 settings=settings)
        return made.mounts[0]

    def test_a_mount(self):
        made = self._of(pods.Mount(read_only=True,
                                   propagation='HostToContainer'))
        self.assertEqual(
            ('/host', '/data', True, False,
             cri_pb2.PROPAGATION_HOST_TO_CONTAINER),
            (made.host_path, made.container_path, made.readonly,
             made.recursive_read_only, made.propagation))

    def test_only_a_privileged_container_mounts_into_the_host(self):
        mount = pods.Mount(propagation='Bidirectional')
        refusal = self.assertRaises(exceptions.ConfigRefused, self._of, mount)
        self.assertIn('/data', refusal.message)
        made = self._of(mount, configs.Settings(allow_privileged=True),
                        securityContext={'privileged': True})
        self.assertEqual(cri_pb2.PROPAGATION_BIDIRECTIONAL, made.propagation)

    def test_recursively_read_only_where_the_runtime_can(self):
        able = configs.Settings(recursive_read_only=True)
        mount = pods.Mount(read_only=True)
        for wish, settings, expected in (
                ('Enabled', able, True), ('IfPossible', able, True),
                ('Disabled', able, False),
                ('IfPossible', pods.SETTINGS, False)):
            made = self._of(mount, settings, volumeMounts=[
                {'mountPath': '/data', 'recursiveReadOnly': wish}])
            self.assertIs(expected, made.recursive_read_only, wish)

    def test_recursively_read_only_is_not_done_by_halves(self):
        refusal = self.assertRaises(
            exceptions.ConfigRefused, self._of, pods.Mount(read_only=True),
            volumeMounts=[{'mountPath': '/data',
                           'recursiveReadOnly': 'Enabled'}])
        self.assertIn('recursiveReadOnly', refusal.message)
