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
"""What containerd and its CNI plugin are told, and what stays of them."""

import ipaddress
import json
from pathlib import Path
import subprocess
import tomllib
from unittest import mock

from devcloud import capsule_driver
from devcloud import containerd
from devcloud import errors
from devcloud import worker
from devcloud import zun_cni
from zun_vk.tests.unit.devcloud import base

CRI = 'io.containerd.grpc.v1.cri'


class ConfigurationTestCase(base.TestCase):

    def setUp(self):
        super().setUp()
        self.where.make()
        containerd.write_configuration(self.where, 'a')
        self.read = tomllib.loads(
            (self.where.etc / 'containerd-a.toml').read_text())
        self.cri = self.read['plugins'][CRI]

    def test_all_that_goes_with_a_reboot_is_in_the_folder_it_is_known_by(self):
        folder = containerd.state(self.where, 'a')
        for path in (self.read['state'], self.read['grpc']['address']):
            self.assertTrue(Path(path).is_relative_to(folder), path)
        self.assertTrue(self.cri['netns_mounts_under_state_dir'])
        self.assertTrue(folder.is_relative_to(self.where.run))

    def test_what_outlives_a_reboot_is_in_the_state_folder(self):
        self.assertTrue(
            Path(self.read['root']).is_relative_to(self.where.data))

    def test_containers_can_be_used_by_others_than_root(self):
        self.assertEqual(0o022, containerd.server(self.where, 'a').umask)

    def test_there_are_two_runtime_handlers(self):
        self.assertEqual({'runc', containerd.ALTERNATIVE},
                         set(self.cri['containerd']['runtimes']))

    def test_the_devclouds_registry_stands_in_for_others(self):
        containerd.stand_in(self.where, 'quay.io', 'quay.io')
        folder = Path(self.cri['registry']['config_path'])
        for registry, path in (('docker.io', '/v2'),
                               ('quay.io', '/v2/quay.io')):
            hosts = tomllib.loads(
                (folder / registry / 'hosts.toml').read_text())['host']
            (url, options), = hosts.items()
            self.assertTrue(url.endswith(path), url)
            # Else containerd puts /v2 behind it
            self.assertTrue(options['override_path'])

    def test_a_folder_with_blanks_and_quotes_is_written_as_toml(self):
        where = self.where.__class__(
            self.tmp, self.tmp / 'it\'s "a" $tate', self.tmp, self.tmp)
        read = tomllib.loads(containerd.configuration(where, 'a'))
        self.assertEqual(str(containerd.data(where, 'a')), read['root'])


class ClientTestCase(base.TestCase):

    def _run(self, code, out='', err=''):
        done = subprocess.CompletedProcess([], code, out, err)
        self.patch(containerd, 'run', mock.create_autospec(
            containerd.run, return_value=done))

    def test_an_image_that_cannot_be_pulled_is_told_in_ctrs_last_words(self):
        self._run(1, err='time=... level=info\nctr: not found\n')
        error = self.assertRaises(errors.DevcloudError, containerd.pull,
                                  self.where, 'a', 'docker.io/library/x:1')
        self.assertEqual('a: docker.io/library/x:1: ctr: not found',
                         str(error))

    def test_a_ctr_that_says_nothing_is_an_error_all_the_same(self):
        self._run(1)
        self.assertRaises(errors.DevcloudError, containerd.pull, self.where,
                          'a', 'docker.io/library/x:1')
        self.assertEqual('no answer', containerd.health(self.where, 'a'))

    def test_a_ctr_that_hangs_is_no_answer(self):
        self.patch(containerd, 'run', mock.create_autospec(
            containerd.run, side_effect=subprocess.TimeoutExpired('ctr', 5)))
        self.assertIn('TimeoutExpired',
                      containerd.health(self.where, 'a'))


class ForgetTestCase(base.TestCase):

    def test_the_sockets_of_its_shims_go_and_no_others(self):
        sockets = self.tmp / 's'
        sockets.mkdir()
        for name in ('mine', 'other'):
            (sockets / name).touch()
        folder = self.tmp / 'containerd-a'
        shim = folder / 'state/io.containerd.runtime.v2.task/k8s.io/1'
        shim.mkdir(parents=True)
        (shim / 'address').write_text(f'unix://{sockets}/mine')
        containerd.forget(folder)
        self.assertFalse(folder.exists())
        self.assertEqual([sockets / 'other'], list(sockets.iterdir()))


class ZunCniTestCase(base.TestCase):

    def test_hosts_have_addresses_of_this_machine_and_of_their_own(self):
        found = {zun_cni.address(f'host-{number}') for number in range(20)}
        self.assertEqual(20, len(found))
        for address in found:
            self.assertTrue(ipaddress.ip_address(address).is_loopback)

    def _read(self, driver):
        self.where.make()
        capsule_driver.choose(self.where, driver)
        zun_cni.write_configuration(self.where, 'a', Path('/zun.conf'))
        path = zun_cni.options(self.where, 'a')['zun_cni_config_file']
        return json.loads(path.read_text())

    def test_zuns_plugin_is_told_its_hosts_zun_conf(self):
        read = self._read('cri')
        self.assertEqual('/zun.conf', read['zun_conf'])
        self.assertEqual('zun-cni', read['type'])

    def test_our_plugin_is_told_its_hosts_socket(self):
        read = self._read('zun_vk')
        self.assertEqual(str(worker.state(self.where, 'a') / 'cni.sock'),
                         read['socket'])
        self.assertEqual('zun-vk-cni', read['type'])

    def test_containerd_finds_the_plugins_it_runs(self):
        zun_cni.link_programs(self.where, Path('/one'))
        zun_cni.link_programs(self.where, Path('/two'))
        folder = containerd.cni(self.where)
        self.assertEqual({'loopback', 'zun-cni', 'zun-vk-cni'},
                         {path.name for path in folder.iterdir()})
        self.assertEqual(Path('/two/bin/zun-cni'),
                         (folder / 'zun-cni').readlink())
