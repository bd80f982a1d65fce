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

import oslotest.base

from zun_vk import exceptions
from zun_vk.compute.network import ports
from zun_vk.rpc import bus


class PortsTestCase(oslotest.base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.bus = mock.create_autospec(bus.Bus, instance=True)
        self.driver = self.bus.peer.return_value = mock.create_autospec(
            bus.Peer, instance=True)
        self.stop = threading.Event()

    def wait(self, patience=30.0):
        ports.Ports(self.bus, 'host-1', self.stop,
                    patience).wait_active('cap-1')

    def test_it_asks_until_the_port_is_active(self):
        self.driver.call.side_effect = [
            {'active': False}, {}, {'active': True}]
        self.wait()
        self.assertEqual(3, self.driver.call.call_count)
        self.driver.call.assert_called_with('port_active', uuid='cap-1')

    def test_patience_has_an_end(self):
        self.driver.call.return_value = {'active': False}
        error = self.assertRaises(exceptions.Unavailable, self.wait, 0)
        self.assertIn('cap-1', str(error))

    def test_a_stop_ends_it(self):
        self.driver.call.return_value = {'active': False}
        self.stop.set()
        self.assertRaises(exceptions.Unavailable, self.wait)

    def test_a_zun_compute_that_is_away_is_an_error(self):
        self.driver.call.side_effect = exceptions.Unreachable('bus', 'away')
        self.assertRaises(exceptions.Unreachable, self.wait)
