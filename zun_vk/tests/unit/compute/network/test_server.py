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
import errno
import json
import os
import stat
import threading
from unittest import mock

import fixtures
import oslotest.base

from zun_vk import exceptions
from zun_vk.compute import cni
from zun_vk.compute import store
from zun_vk.compute.network import binding as binding_module
from zun_vk.compute.network import server as server_module
from zun_vk.compute.network import vif as vif_module
from zun_vk.rpc import fields
from zun_vk.tests.unit.compute.network import test_vif


class ServerTestCase(oslotest.base.BaseTestCase):

    def setUp(self):
        super().setUp()
        directory = self.useFixture(fixtures.TempDir()).path
        self.path = os.path.join(directory, 'cni.sock')
        self.plugged = store.RecordStore(os.path.join(directory, 'plugged'))
        self.binding = mock.create_autospec(
            binding_module.Binding, instance=True)
        self.vif = test_vif.described()
        self.binding.plug.side_effect = lambda vif, *_: (
            vif_module.interface(vif))
        self.waited = []
        self.wait_active = self.waited.append
        server = server_module.CniServer(
            self.path, lambda uuid: {'cap-1': self.vif}.get(uuid, {}),
            lambda uuid: self.wait_active(uuid), self.binding, self.plugged)
        server.open()
        stop = threading.Event()
        thread = threading.Thread(target=server.run, args=(stop,))
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(stop.set)

    def ask(self, command='ADD', capsule='cap-1'):
        answer, code = cni.run({
            'CNI_COMMAND': command, 'CNI_IFNAME': 'eth0',
            'CNI_ARGS': f'IgnoreUnknown=1;K8S_POD_NAME={capsule}',
            'CNI_NETNS': '/run/netns/1', 'CNI_CONTAINERID': 'c1'},
            json.dumps({'socket': self.path}))
        return answer and json.loads(answer), code

    def test_only_root_may_ask(self):
        self.assertEqual(0o600, stat.S_IMODE(os.stat(self.path).st_mode))

    def test_a_sandbox_is_plugged_and_its_addresses_told(self):
        answer, code = self.ask()
        self.assertEqual((0, '10.77.0.9/24'),
                         (code, answer['ips'][0]['address']))
        self.binding.plug.assert_called_once_with(
            self.vif, 'cap-1', 'c1', 'eth0', '/run/netns/1', mock.ANY)
        self.assertEqual([], self.waited)

    def test_who_plugs_is_told_that_the_runtime_gave_up(self):
        wanted, held, plugged = [], threading.Event(), threading.Event()
        self.addCleanup(held.set)

        def plug(vif, *_arguments):
            waits = _arguments[-1]
            wanted.append(waits())
            plugged.set()
            held.wait(10)
            wanted.append(waits())
            plugged.set()
            return vif_module.interface(vif)
        self.binding.plug.side_effect = plug
        self.useFixture(fixtures.MockPatchObject(cni, 'SECONDS', 0.2))
        self.ask()
        plugged.clear()
        held.set()
        self.assertTrue(plugged.wait(10))
        self.assertEqual([True, False], wanted)

    def test_a_port_that_is_not_active_yet_is_waited_for(self):
        self.vif = test_vif.described(active=False)
        self.assertEqual(0, self.ask()[1])
        self.assertEqual(['cap-1'], self.waited)

    def test_a_port_that_does_not_become_active_is_an_error(self):
        self.vif = test_vif.described(active=False)

        def wait(uuid):
            raise exceptions.Unavailable('neutron', 'not active')
        self.wait_active = wait
        answer, code = self.ask()
        self.assertEqual((1, cni.TRY_AGAIN), (code, answer['code']))
        self.assertIn('not active', answer['msg'])

    def test_an_unknown_capsule_is_not_plugged_but_may_go(self):
        answer, code = self.ask(capsule='other')
        self.assertEqual((1, cni.TRY_AGAIN), (code, answer['code']))
        self.assertEqual(('', 0), self.ask('DEL', 'other'))
        self.binding.unplug.assert_not_called()

    def test_a_sandbox_that_goes_is_unplugged(self):
        self.assertEqual(('', 0), self.ask('DEL'))
        self.binding.unplug.assert_called_once_with(self.vif, 'cap-1', 'c1')

    def test_a_sandbox_of_a_capsule_that_was_forgotten_is_unplugged(self):
        # One that came after the runtime was given up, and is collected.
        self.ask()
        vif, self.vif = self.vif, {}
        self.binding.unplug.side_effect = exceptions.Unavailable(
            'network', 'busy')
        self.assertEqual(1, self.ask('DEL')[1])
        self.binding.unplug.side_effect = None
        self.assertEqual(('', 0), self.ask('DEL'))
        self.binding.unplug.assert_called_with(vif, 'cap-1', 'c1')
        self.binding.unplug.reset_mock()
        self.assertEqual(('', 0), self.ask('DEL'))
        self.binding.unplug.assert_not_called()

    def test_one_that_cannot_be_noted_down_is_plugged_all_the_same(self):
        with mock.patch.object(
                store.RecordStore, '_write', autospec=True,
                side_effect=OSError(errno.ENOSPC, 'No space left')):
            self.assertEqual(0, self.ask()[1])
        self.assertEqual(('', 0), self.ask('DEL'))

    def test_what_could_never_be_plugged_keeps_no_sandbox(self):
        # A kind of port that is none of Linux's, say: the runtime asks for
        # its end until it has come.
        malformed = fields.Malformed('no VIF')
        self.binding.plug.side_effect = malformed
        self.binding.unplug.side_effect = malformed
        self.assertEqual(1, self.ask()[1])
        self.assertEqual(('', 0), self.ask('DEL'))

    def test_what_fails_is_an_error_to_try_again(self):
        self.binding.unplug.side_effect = exceptions.Unavailable(
            'network', 'busy')
        answer, code = self.ask('DEL')
        self.assertEqual((1, cni.TRY_AGAIN), (code, answer['code']))

    def test_a_question_that_is_none_is_refused_and_the_next_answered(self):
        for question in (b'', b'{', b'[]', b'{"CNI_ARGS": 3}'):
            answer = json.loads(cni.ask(self.path, question))
            self.assertEqual(
                (1, cni.INVALID_ENVIRONMENT),
                (answer['code'], json.loads(answer['output'])['code']))
        with contextlib.suppress(cni.Failed):
            cni.ask(self.path, b'x' * (cni.MOST + 2))
        self.assertEqual(0, self.ask()[1])
