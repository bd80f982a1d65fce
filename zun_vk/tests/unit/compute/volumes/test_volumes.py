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
import os
import stat
import subprocess
import types

import fixtures
from oslotest import base

from zun_vk import exceptions
from zun_vk.compute.volumes import linux
from zun_vk.compute.volumes import mount
from zun_vk.compute.volumes import mountinfo
from zun_vk.compute.volumes import volumes
from zun_vk.rpc import payload
from zun_vk.tests.fixtures import root

UID = '0e5b1a2c-0000-4000-8000-000000000001'
TOKENS = {'name': 'token', 'projected': {'sources': [
    {'serviceAccountToken': {'path': 'token'}}]}}


def _payload(spec_volumes=(), files=None, container_mounts=(), **spec):
    spec.setdefault('containers', [{
        'name': 'web', 'volumeMounts': list(container_mounts)}])
    return payload.PodPayload(
        generation='1', hostname='pod', pod={
            'metadata': {'uid': UID, 'name': 'pod', 'namespace': 'ns'},
            'spec': {'volumes': list(spec_volumes), **spec}},
        volumes={name: tuple(payload.File(path, data, 0o644)
                             for path, data in found.items())
                 for name, found in (files or {}).items()})


@root.needs_root
class PodVolumesTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        # As the service's unit has it: what containers see must not need it.
        self.addCleanup(os.umask, os.umask(0o077))
        self.dir = os.path.realpath(self.useFixture(fixtures.TempDir()).path)
        self.addCleanup(root.unmount_all, self.dir)
        self.settings = types.SimpleNamespace(
            pod_root=os.path.join(self.dir, 'lib', 'pods'),
            run_root=os.path.join(self.dir, 'run'))
        self.volumes = volumes.PodVolumes(self.settings)
        self.volumes.open()

    def _mounts(self):
        return mountinfo.beneath(mountinfo.read(), self.dir)

    def _run(self, *names):
        return os.path.join(self.settings.run_root, *names)

    def _prepared(self, *args, **kwargs):
        """Prepare, and return where the container's mounts lead."""
        made = _payload(*args, **kwargs)
        self.volumes.prepare(made)
        return {each.container_path: each for each in self.volumes.mounts(
            made, 'web', 0, ['10.0.0.5'])}

    def _read(self, *names):
        with open(os.path.join(*names), 'rb') as file:
            return file.read()

    def test_secrets_are_in_memory_and_roots_alone(self):
        found = self._prepared(
            [{'name': 's', 'secret': {}}], {'s': {'key': b'hush'}},
            [{'name': 's', 'mountPath': '/s'}])['/s']
        self.assertEqual('tmpfs', mountinfo.kind_of(
            found.host_path, mountinfo.read()))
        self.assertEqual(b'hush', self._read(found.host_path, 'key'))
        self.assertTrue(found.read_only)
        above = os.path.dirname(found.host_path)
        while above.startswith(self.settings.run_root):
            self.assertEqual(0o700, os.stat(above).st_mode & 0o777, above)
            above = os.path.dirname(above)

    def test_files_that_cannot_be_hold_up_no_other_volume(self):
        spec = [{'name': name, 'configMap': {}} for name in ('a', 'b')]
        self.volumes.prepare(_payload(spec, {
            'a': {'k': b'1'}, 'b': {'k': b'1'}}))
        self.assertRaisesRegex(
            exceptions.VolumeFailed, 'a', self.volumes.update,
            _payload(spec, {'a': {'../k': b'2'}, 'b': {'k': b'2'}}))
        self.assertEqual([b'1', b'2'], [
            self._read(self._run('volumes', UID, name, 'k'))
            for name in ('a', 'b')])

    def test_directories_of_the_host_are_for_others_to_mount(self):
        # Cinder's volumes, of capsules that no agent made.
        made = dataclasses.replace(
            _payload(container_mounts=[
                {'name': 'zun-0', 'mountPath': '/data'}]),
            host_paths={'zun-0': '/mnt/volume'})
        self.volumes.prepare(made)
        self.assertEqual(
            {'/etc/hosts', '/dev/termination-log'},
            {each.container_path for each in self.volumes.mounts(
                made, 'web', 0, ['10.0.0.5'])})

    def test_a_tmpfs_is_mounted_once(self):
        expected = [self._run('volumes'), self.settings.run_root]
        self.assertEqual(expected, self._mounts())
        volumes.PodVolumes(self.settings).open()
        self.assertEqual(expected, self._mounts())

    def test_programs_run_from_a_config_map(self):
        # As many systems mount /run.
        subprocess.run(['mount', '-o', 'remount,noexec,nosuid,nodev',
                        self.settings.run_root], check=True)
        made = _payload([{'name': 'c', 'configMap': {}}])
        made = dataclasses.replace(made, volumes={'c': (
            payload.File('run', b'#!/bin/sh\nexit 7\n', 0o755),)})
        self.volumes.prepare(made)
        self.assertEqual(7, subprocess.run(
            [self._run('volumes', UID, 'c', 'run')]).returncode)

    def test_no_mount_that_was_there_is_taken_for_ours(self):
        other = types.SimpleNamespace(
            pod_root=self.settings.pod_root,
            run_root=os.path.join(self.settings.run_root, 'nested'))
        volumes.PodVolumes(other).open()
        self.assertEqual(1, self._mounts().count(
            os.path.join(other.run_root, 'volumes')))
        self.assertNotIn(other.run_root, self._mounts())

    def test_a_root_that_cannot_be_had_names_its_option(self):
        with open(os.path.join(self.dir, 'file'), 'w'):
            pass
        for option in ('pod_root', 'run_root'):
            settings = types.SimpleNamespace(**vars(self.settings))
            setattr(settings, option, os.path.join(self.dir, 'file', 'x'))
            error = self.assertRaises(
                exceptions.ConfigError,
                volumes.PodVolumes(settings).open)
            self.assertEqual(f'[compute] {option}', error.option)

    def test_a_change_reaches_a_container_that_runs(self):
        spec = [{'name': 'c', 'configMap': {}}, {'name': 'd', 'emptyDir': {}}]
        found = self._prepared(spec, {'c': {'key': b'old', 'gone': b'x'}},
                               [{'name': 'c', 'mountPath': '/c'}])['/c']
        self.volumes.update(_payload(spec, {'c': {'key': b'new'}}))
        self.assertEqual(b'new', self._read(found.host_path, 'key'))
        self.assertEqual(['..data', 'key'], sorted(
            name for name in os.listdir(found.host_path)
            if name in ('..data', 'key', 'gone')))

    def test_what_is_not_known_any_more_stays(self):
        spec = [{'name': 'c', 'configMap': {}}]
        found = self._prepared(spec, {'c': {'key': b'old'}},
                               [{'name': 'c', 'mountPath': '/c'}])['/c']
        self.volumes.update(_payload(spec))
        self.assertEqual(b'old', self._read(found.host_path, 'key'))

    def test_files_that_are_not_known_fail_the_volume(self):
        error = self.assertRaises(
            exceptions.VolumeFailed, self.volumes.prepare,
            _payload([{'name': 'c', 'configMap': {}}]))
        self.assertEqual('c', error.volume)
        self.assertIn('MountVolume.SetUp failed for volume "c" : ',
                      error.message)

    def test_a_token_is_for_the_user_of_the_containers(self):
        for context, mode, owner in (
                ({}, 0o644, (0, 0)), ({'runAsUser': 1000}, 0o600, (1000, 0)),
                ({'fsGroup': 2000}, 0o640, (0, 2000))):
            self.volumes.prepare(_payload(
                [TOKENS], {'token': {'token': b't'}},
                securityContext=context))
            found = os.stat(self._run('volumes', UID, 'token', 'token'))
            self.assertEqual((mode, owner), (
                stat.S_IMODE(found.st_mode), (found.st_uid, found.st_gid)))

    def test_a_volume_on_disk_is_for_everyone(self):
        found = self._prepared([{'name': 'd', 'emptyDir': {}}], {}, [
            {'name': 'd', 'mountPath': '/d'},
            {'name': 'd', 'mountPath': 'r', 'readOnly': True,
             'recursiveReadOnly': 'Enabled',
             'mountPropagation': 'HostToContainer'}])
        path = os.path.join(self.settings.pod_root, UID, 'volumes', 'd')
        self.assertEqual(mount.Mount(path, '/d'), found['/d'])
        self.assertEqual(
            mount.Mount(path, '/r', True, 'HostToContainer', True),
            found['/r'])
        self.assertEqual(0o777, stat.S_IMODE(os.stat(path).st_mode))

    def test_a_group_owns_a_volume_on_disk_and_what_is_made_in_it(self):
        self._prepared([{'name': 'd', 'emptyDir': {}}],
                       securityContext={'fsGroup': 2000})
        path = os.path.join(self.settings.pod_root, UID, 'volumes', 'd')
        self.assertEqual(
            (0o2777, 2000), (stat.S_IMODE(os.stat(path).st_mode),
                             os.stat(path).st_gid))
        os.mkdir(os.path.join(path, 'sub'))
        self.assertEqual(2000, os.stat(os.path.join(path, 'sub')).st_gid)

    def test_preparing_again_keeps_what_containers_wrote(self):
        made = _payload([{'name': 'd', 'emptyDir': {}},
                         {'name': 'm', 'emptyDir': {'medium': 'Memory'}}])
        self.volumes.prepare(made)
        paths = (os.path.join(self.settings.pod_root, UID, 'volumes', 'd'),
                 self._run('volumes', UID, 'm'))
        for path in paths:
            with open(os.path.join(path, 'kept'), 'w'):
                pass
        volumes.PodVolumes(self.settings).prepare(made)
        for path in paths:
            self.assertEqual(['kept'], os.listdir(path))
        self.assertEqual(1, self._mounts().count(paths[1]))

    def test_a_volume_in_memory_has_its_size(self):
        self._prepared([{'name': 'm', 'emptyDir': {
            'medium': 'Memory', 'sizeLimit': '128Ki'}}],
            securityContext={'fsGroup': 2000})
        path = self._run('volumes', UID, 'm')
        self.assertIn(path, self._mounts())
        found = os.stat(path)
        self.assertEqual((0o3777, 2000),
                         (stat.S_IMODE(found.st_mode), found.st_gid))
        space = os.statvfs(path)
        self.assertEqual(128 * 1024, space.f_blocks * space.f_frsize)

    def test_what_this_host_cannot_have_is_refused(self):
        error = self.assertRaises(
            exceptions.VolumeRefused, self.volumes.prepare,
            _payload([{'name': 'h', 'hostPath': {'path': '/'}}]))
        self.assertEqual('spec.volumes[0].hostPath', error.field)

    def test_a_part_of_a_secret_is_mounted(self):
        found = self._prepared(
            [{'name': 's', 'secret': {}}], {'s': {'a': b'1', 'd/b': b'2'}},
            [{'name': 's', 'mountPath': '/f', 'subPath': 'a'},
             {'name': 's', 'mountPath': '/d', 'subPath': 'd'}])
        self.assertEqual(b'1', self._read(found['/f'].host_path))
        self.assertEqual(b'2', self._read(found['/d'].host_path, 'b'))
        self.assertTrue(found['/f'].read_only)

    def test_a_part_that_leads_out_is_refused(self):
        made = _payload([{'name': 'd', 'emptyDir': {}}], {}, [
            {'name': 'd', 'mountPath': '/d', 'subPath': 'link/etc'}])
        self.volumes.prepare(made)
        os.symlink('/', os.path.join(
            self.settings.pod_root, UID, 'volumes', 'd', 'link'))
        error = self.assertRaises(
            exceptions.VolumeFailed, self.volumes.mounts, made, 'web', 0, [])
        self.assertNotIn(self.dir, error.message)
        made = _payload([{'name': 'd', 'emptyDir': {}}], {}, [
            {'name': 'd', 'mountPath': '/d', 'subPath': '../../x'}])
        self.assertRaises(
            exceptions.VolumeFailed, self.volumes.mounts, made, 'web', 0, [])

    def test_a_mount_of_no_volume_is_an_error(self):
        self.assertRaises(
            exceptions.VolumeFailed, self.volumes.mounts,
            _payload(container_mounts=[{'name': 'x', 'mountPath': '/x'}]),
            'web', 0, [])

    def test_hosts_are_managed_unless_the_container_has_its_own(self):
        found = self._prepared()['/etc/hosts']
        self.assertIn(b'10.0.0.5\tpod\n', self._read(found.host_path))
        self.assertFalse(found.read_only)
        own = self._prepared([{'name': 'd', 'emptyDir': {}}], {}, [
            {'name': 'd', 'mountPath': '/etc/hosts', 'subPath': 'f'}])
        self.assertNotEqual(found.host_path, own['/etc/hosts'].host_path)

    def test_hosts_are_written_in_place(self):
        made = _payload()
        first = self.volumes.mounts(made, 'web', 0, ['10.0.0.5', 'fd00::5'])
        with open(first[0].host_path) as running:
            self.volumes.mounts(made, 'web', 1, ['10.0.0.6'])
            self.assertTrue(running.read().endswith('10.0.0.6\tpod\n'))

    def test_hosts_that_are_the_same_are_not_written_again(self):
        made = _payload()
        found, *_ = self.volumes.mounts(made, 'web', 0, ['10.0.0.5'])
        before = os.stat(found.host_path).st_mtime_ns
        self.volumes.mounts(made, 'web', 1, ['10.0.0.5'])
        self.assertEqual(before, os.stat(found.host_path).st_mtime_ns)
        with open(found.host_path, 'ab') as file:
            file.write(b'\xff' * 1000)
        self.volumes.mounts(made, 'web', 2, ['10.0.0.5'])
        self.assertTrue(self._read(found.host_path).endswith(b'\tpod\n'))

    def test_each_attempt_has_its_own_message(self):
        made = _payload(containers=[{
            'name': 'web', 'terminationMessagePath': 'dev/../msg'}])
        for attempt in range(4):
            found, = self.volumes.mounts(made, 'web', attempt, [])
            self.assertEqual('/msg', found.container_path)
            with open(found.host_path, 'w') as file:
                file.write(f'no {attempt}')
        self.assertEqual(['', '', 'no 2', 'no 3'], [
            self.volumes.termination_message(
                UID, 'web', attempt, 'File', '/none', 1)
            for attempt in range(4)])

    def test_what_is_used_is_told_and_what_is_too_much(self):
        made = _payload([
            {'name': 'd', 'emptyDir': {'sizeLimit': '1Mi'}},
            {'name': 'e', 'emptyDir': {'sizeLimit': '100Mi'}},
            {'name': 'f', 'emptyDir': {}}])
        self.volumes.prepare(made)
        for name in 'def':
            path = os.path.join(
                self.settings.pod_root, UID, 'volumes', name, 'x')
            with open(path, 'wb') as file:
                file.write(b'x' * 2 * 1024 ** 2)
        self.assertEqual({'d', 'e', 'f'}, set(self.volumes.used(UID)))
        over, = self.volumes.over_limit(made)
        self.assertEqual(
            'Usage of EmptyDir volume "d" exceeds the limit "1Mi". ',
            over.message)
        self.assertGreaterEqual(over.used, 2 * 1024 ** 2)

    def _everything(self):
        self._prepared(
            [{'name': 's', 'secret': {}}, {'name': 'd', 'emptyDir': {}},
             {'name': 'm', 'emptyDir': {'medium': 'Memory'}}],
            {'s': {'a': b'1'}},
            [{'name': 's', 'mountPath': '/s', 'subPath': 'a'},
             {'name': 'd', 'mountPath': '/d', 'subPath': 'new'},
             {'name': 'm', 'mountPath': '/m', 'subPath': 'new'}])

    def test_nothing_is_left_of_a_removed_pod(self):
        self._everything()
        self.assertEqual({UID}, self.volumes.uids())
        self.volumes.remove(UID)
        self.assertEqual([self._run('volumes'), self.settings.run_root],
                         self._mounts())
        self.assertEqual([], os.listdir(self.settings.pod_root))
        for part in ('volumes', 'subpaths'):
            self.assertEqual([], os.listdir(self._run(part)))
        self.assertEqual(set(), self.volumes.uids())
        self.volumes.remove(UID)

    def test_of_a_pod_that_ended_no_volume_is_left_but_its_last_words(self):
        self._everything()
        own = os.path.join(self.settings.pod_root, UID)
        before = set(os.listdir(own))
        self.volumes.release(UID)
        self.assertEqual([self._run('volumes'), self.settings.run_root],
                         self._mounts())
        for part in ('volumes', 'subpaths'):
            self.assertEqual([], os.listdir(self._run(part)))
        self.assertEqual(before - {'volumes'}, set(os.listdir(own)))
        self.volumes.release(UID)
        self.volumes.remove(UID)
        self.assertEqual(set(), self.volumes.uids())

    def test_a_half_removed_pod_is_removed(self):
        self._everything()
        linux.unmount(self._run('volumes', UID, 'm'))
        os.unlink(os.path.join(self.settings.pod_root, UID, 'etc-hosts'))
        self.volumes.remove(UID)
        self.assertEqual([self._run('volumes'), self.settings.run_root],
                         self._mounts())
        self.assertEqual(set(), self.volumes.uids())

    def test_what_a_container_linked_to_is_not_removed(self):
        self._everything()
        kept = os.path.join(self.dir, 'kept')
        os.mkdir(kept)
        with open(os.path.join(kept, 'file'), 'w'):
            pass
        os.symlink(kept, os.path.join(
            self.settings.pod_root, UID, 'volumes', 'd', 'link'))
        self.volumes.remove(UID)
        self.assertEqual(['file'], os.listdir(kept))

    def test_no_uid_leads_out(self):
        for uid in ('', '..', '../x', 'a/b', '.'):
            for remove in (self.volumes.remove, self.volumes.release):
                self.assertRaises(exceptions.VolumeRefused, remove, uid)

    def test_other_pods_are_left_alone(self):
        other = os.path.join(self.settings.pod_root, UID + '0')
        os.mkdir(other)
        linux.mount_tmpfs(other, 'size=64k')
        self._everything()
        self.volumes.remove(UID)
        self.assertIn(other, self._mounts())
