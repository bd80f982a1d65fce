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
import pathlib
import threading
from unittest import mock

import fixtures
from oslotest import base

from zun_vk import exceptions
from zun_vk.compute import collector
from zun_vk.compute import model
from zun_vk.compute.cri import client
from zun_vk.compute.cri import cri_pb2
from zun_vk.compute.cri import seen
from zun_vk.tests.fixtures import cri
from zun_vk.tests.fixtures import wait

GIB = 1024 ** 3


class CollectorTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.logs = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.fake = self.useFixture(cri.FakeRuntime())
        self.fake.add_image('busybox')
        self.runtime = client.Runtime(self.fake.endpoint)
        self.addCleanup(self.runtime.close)
        self.known = {'u1'}
        self.now = 1000.0
        self.stop = threading.Event()
        self.collector = collector.Collector(
            self.runtime, lambda: self.known, 85, 80,
            clock=lambda: self.now)

    def _sandbox(self, uid='u1', attempt=0, labels=None):
        return self.runtime.run_sandbox(cri_pb2.PodSandboxConfig(
            metadata=cri_pb2.PodSandboxMetadata(
                name=uid, uid=uid, namespace='default', attempt=attempt),
            labels={model.LABEL_UID: uid,
                    **(seen.OURS if labels is None else labels)}))

    def _container(self, sandbox, attempt=0, image='busybox', code=None,
                   uid='u1'):
        container = self.runtime.create_container(
            sandbox, cri_pb2.ContainerConfig(
                metadata=cri_pb2.ContainerMetadata(
                    name='main', attempt=attempt),
                image=cri_pb2.ImageSpec(image=image),
                log_path=f'{attempt}.log',
                labels={model.LABEL_UID: uid, **seen.OURS}),
            cri_pb2.PodSandboxConfig(log_directory=str(self.logs)))
        self.runtime.start_container(container)
        self.fake.write_log(container, 'words')
        if code is not None:
            self.fake.exit(container, code)
        return container


class ContainersTestCase(CollectorTestCase):

    def test_the_containers_before_the_last_dead_one_go_with_their_logs(self):
        sandbox = self._sandbox()
        ended = [self._container(sandbox, attempt, code=1)
                 for attempt in range(3)]
        runs = self._container(sandbox, 3)
        (self.logs / '0.log.20260101-000000.gz').touch()
        self.collector.collect_containers(self.stop)
        self.assertEqual({ended[2], runs}, set(self.fake.containers))
        self.assertEqual(['2.log', '3.log'], sorted(os.listdir(self.logs)))

    def test_an_old_sandbox_goes_once_it_is_empty(self):
        old = self._sandbox(attempt=0)
        self._container(old, 0, code=1)
        self.fake.lose(old)
        new = self._sandbox(attempt=1)
        self._container(new, 1, code=1)
        for _ in range(2):
            self.collector.collect_containers(self.stop)
        self.assertEqual({new}, set(self.fake.sandboxes))

    def test_a_pod_nobody_knows_goes_after_a_while(self):
        stray = self._sandbox('u2')
        self._container(stray, uid='u2')
        self.collector.collect_containers(self.stop)
        self.assertIn(stray, self.fake.sandboxes)
        self.now += collector._GRACE
        self.collector.collect_containers(self.stop)
        self.assertEqual({}, self.fake.sandboxes)
        self.assertTrue((self.logs / '0.log').exists())

    def test_while_it_is_not_known_what_is_known_no_pod_goes(self):
        self.known = None
        sandbox = self._sandbox()
        self._container(sandbox)
        for _ in range(3):
            self.collector.collect_containers(self.stop)
            self.now += collector._GRACE
        self.assertIn(sandbox, self.fake.sandboxes)
        self.assertEqual(['main'], self.fake.running())

    def test_what_others_made_is_never_touched(self):
        other = self._sandbox('u2', labels={})
        for _ in range(2):
            self.collector.collect_containers(self.stop)
            self.now += collector._GRACE
        self.assertIn(other, self.fake.sandboxes)

    def test_one_that_cannot_be_removed_keeps_no_other(self):
        sandbox = self._sandbox()
        ended = [self._container(sandbox, attempt, code=1)
                 for attempt in range(3)]
        self.fake.fail('RemoveContainer')
        self.collector.collect_containers(self.stop)
        self.assertEqual({ended[0], ended[2]}, set(self.fake.containers))

    def test_what_is_known_is_told_for_the_directories(self):
        directories = mock.Mock()
        collector.Collector(self.runtime, lambda: self.known, 85, 80,
                            directories).collect_containers(self.stop)
        directories.assert_called_once_with({'u1'})

    def test_what_the_runtime_has_of_a_pod_keeps_its_directories(self):
        # Nobody knows it yet: it has the same time as what runs of it.
        self._container(self._sandbox('u2'), uid='u2')
        directories = mock.Mock()
        collecting = collector.Collector(
            self.runtime, lambda: self.known, 85, 80, directories,
            clock=lambda: self.now)
        collecting.collect_containers(self.stop)
        directories.assert_called_once_with({'u1', 'u2'})
        self.now += 1000
        collecting.collect_containers(self.stop)
        self.assertEqual({}, self.fake.containers)
        collecting.collect_containers(self.stop)
        directories.assert_called_with({'u1'})

    def test_a_directory_that_cannot_go_keeps_nothing_else(self):
        # A file that a privileged container made immutable, say.
        sandbox = self._sandbox()
        ended = [self._container(sandbox, attempt, code=1)
                 for attempt in range(2)]
        collector.Collector(
            self.runtime, lambda: self.known, 85, 80, mock.Mock(
                side_effect=exceptions.VolumeFailed('u2', 'not permitted'))
        ).collect_containers(self.stop)
        self.assertEqual({ended[1]}, set(self.fake.containers))

    def test_a_file_that_is_no_log_of_ours_stays(self):
        precious = self.logs / 'passwd'
        precious.touch()
        collector.remove_log(str(precious))
        collector.remove_log('')
        collector.remove_log(str(self.logs / '7.log'))
        self.assertTrue(precious.exists())


class ImagesTestCase(CollectorTestCase):

    def setUp(self):
        super().setUp()
        self.available = 10
        self.useFixture(fixtures.MockPatchObject(
            collector.os, 'statvfs', side_effect=self._statvfs))

    def _statvfs(self, path):
        self.assertEqual(self.fake.image_fs, path)
        return os.statvfs_result((
            1, GIB, 100, self.available, self.available, 0, 0, 0, 0, 255))

    def _images(self):
        return sorted(each.repo_tags[0].rpartition('/')[2]
                      for each in self.fake.images.values())

    def _collect_twice(self):
        self.collector.collect_images(self.stop)
        self.now += 200
        self.collector.collect_images(self.stop)

    def test_as_many_go_as_are_needed(self):
        for name in 'abc':
            self.fake.add_image(name, size=6 * GIB)
        self._container(self._sandbox())
        # 90 used of 100: two of 6 make it less than 80.
        self._collect_twice()
        self.assertEqual(2, len(self._images()))
        self.assertIn('busybox:latest', self._images())

    def test_nothing_goes_where_there_is_space(self):
        self.available = 16
        self.fake.add_image('a', size=6 * GIB)
        self._collect_twice()
        self.assertEqual(['a:latest', 'busybox:latest'], self._images())

    def test_the_image_of_sandboxes_stays(self):
        self.fake.add_image(self.fake.sandbox_image)
        self._collect_twice()
        self.assertEqual(['pause:3.6'], self._images())

    def test_an_image_of_a_container_that_others_made_stays(self):
        sandbox = self._sandbox('u2', labels={})
        image = self.fake.add_image('theirs')
        container = self.runtime.create_container(
            sandbox, cri_pb2.ContainerConfig(
                metadata=cri_pb2.ContainerMetadata(name='x'),
                image=cri_pb2.ImageSpec(image=image.id)),
            cri_pb2.PodSandboxConfig())
        self._collect_twice()
        self.assertEqual(['theirs:latest'], self._images())
        self.assertIn(container, self.fake.containers)


class RunTestCase(CollectorTestCase):

    def test_it_goes_on_after_an_error_and_ends_when_told(self):
        self.useFixture(fixtures.MockPatchObject(
            collector, '_INTERVAL', 0.01))
        self.fake.fail('ListPodSandbox')
        thread = threading.Thread(target=self.collector.run,
                                  args=(self.stop,))
        thread.start()
        self.addCleanup(thread.join, 10)
        self.addCleanup(self.stop.set)
        wait.wait_for(lambda: len(self.fake.called('ListPodSandbox')) > 2,
                      'more rounds')
        self.stop.set()
        thread.join(10)
        self.assertFalse(thread.is_alive())
