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
from oslotest import base

from zun_vk.compute import model
from zun_vk.compute.cri import cri_pb2
from zun_vk.compute.cri import seen

STATES = model.ContainerState


class SeenTestCase(base.BaseTestCase):

    def _status(self, **fields):
        return cri_pb2.ContainerStatus(
            id='a', metadata=cri_pb2.ContainerMetadata(name='m', attempt=2),
            labels={model.LABEL_CONTAINER: 'main', model.LABEL_UID: 'u1'},
            annotations={model.ANNOTATION_SPEC_HASH: 'h'}, **fields)

    def test_a_container_that_ended(self):
        self.assertEqual(
            model.SeenContainer(
                'a', 'main', 2, STATES.EXITED, 1, 2, 3, 137, 'OOMKilled',
                'too much', 'busybox', '', 'busybox@sha256:1', 's', 'u1',
                'h', '/log/0.log', None),
            seen.container(self._status(
                state=cri_pb2.CONTAINER_EXITED, created_at=1, started_at=2,
                finished_at=3, exit_code=137, reason='OOMKilled',
                message='too much', image_ref='busybox@sha256:1',
                image=cri_pb2.ImageSpec(image='busybox'),
                log_path='/log/0.log'), 's'))

    def test_every_state_has_its_name(self):
        for name, number in cri_pb2.ContainerState.items():
            self.assertEqual(
                name.removeprefix('CONTAINER_'),
                seen.container(self._status(state=number)).state)

    def test_a_state_of_later_is_unknown(self):
        self.assertEqual(STATES.UNKNOWN,
                         seen.container(self._status(state=99)).state)

    def test_the_image_is_the_one_that_the_pod_names(self):
        image = cri_pb2.ImageSpec(image='sha256:1',
                                  user_specified_image='busybox')
        self.assertEqual(
            'busybox', seen.container(self._status(image=image)).image)

    def test_a_user_is_told_where_the_runtime_tells_it(self):
        user = cri_pb2.ContainerUser(linux=cri_pb2.LinuxContainerUser(
            uid=1, gid=2, supplemental_groups=[2, 3]))
        self.assertEqual(model.User(1, 2, (2, 3)), seen.container(
            self._status(user=user)).user)
        self.assertIsNone(seen.container(
            self._status(user=cri_pb2.ContainerUser())).user)

    def test_a_listed_container_has_what_a_list_tells(self):
        found = seen.container(cri_pb2.Container(
            id='a', pod_sandbox_id='s', state=cri_pb2.CONTAINER_RUNNING,
            metadata=cri_pb2.ContainerMetadata(name='main'),
            image_id='sha256:1'))
        self.assertEqual(('main', 's', STATES.RUNNING, 0, 'sha256:1'), (
            found.name, found.sandbox_id, found.state, found.started_at,
            found.image_id))

    def test_a_sandbox_has_each_address_once_the_first_first(self):
        status = cri_pb2.PodSandboxStatus(
            id='s', metadata=cri_pb2.PodSandboxMetadata(attempt=1),
            network=cri_pb2.PodSandboxNetworkStatus(
                ip='10.0.0.1', additional_ips=[
                    cri_pb2.PodIP(ip='fd00::1'),
                    cri_pb2.PodIP(ip='10.0.0.1')]),
            labels={model.LABEL_CAPSULE: 'c', model.LABEL_UID: 'u1'},
            runtime_handler='kata')
        self.assertEqual(
            model.SeenSandbox('s', 1, True, 0, ('10.0.0.1', 'fd00::1'),
                              'u1', 'c', 'kata'),
            seen.sandbox(status))

    def test_a_listed_sandbox_has_no_address(self):
        found = seen.sandbox(cri_pb2.PodSandbox(
            id='s', state=cri_pb2.SANDBOX_NOTREADY))
        self.assertFalse(found.ready)
        self.assertEqual((), found.addresses)

    def test_the_newest_comes_first_whatever_the_clock_was(self):
        one = model.SeenContainer('1', 'm', 0, created_at=5)
        two = model.SeenContainer('2', 'm', 0, created_at=6)
        three = model.SeenContainer('3', 'm', 1, created_at=4)
        self.assertEqual((three, two, one),
                         seen.seen([], [one, two, three]).containers)

    def test_only_what_says_so_is_ours(self):
        self.assertTrue(seen.is_ours(cri_pb2.PodSandbox(labels=seen.OURS)))
        self.assertFalse(seen.is_ours(cri_pb2.PodSandbox(
            labels={model.LABEL_UID: 'u1'})))
