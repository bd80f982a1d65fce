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
from unittest import mock

from oslo_config import cfg
import oslo_messaging as messaging
from oslo_messaging import opts
import oslotest.base

from zun_vk import exceptions
from zun_vk.rpc import bus


class Endpoint:

    def __init__(self):
        self.told = []

    def add(self, context, left, right):
        return {'sum': left + right}

    def odd(self, context):
        return 5

    def _hidden(self, context):
        return {}


class BusTestCase(oslotest.base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.bus = bus.Bus(self._with_url('fake:/'))
        self.addCleanup(self.bus.close)
        self.server = self.bus.server(bus.COMPUTE, 'host-1', Endpoint())
        self.server.start()
        self.addCleanup(self._stop)
        self.peer = self.bus.peer(bus.COMPUTE, 'host-1')

    @staticmethod
    def _with_url(url):
        conf = cfg.ConfigOpts()
        conf([])
        # As in a process of ours: nothing registers more.
        conf.register_opts(dict(opts.list_opts())[None])
        conf.set_override('transport_url', url)
        return conf

    def _stop(self):
        self.server.stop()
        self.server.wait()

    def test_a_call_is_answered(self):
        self.assertEqual({'sum': 5}, self.peer.call('add', left=2, right=3))

    def test_what_oslo_messaging_has_only_globally_is_registered(self):
        # Seen with a configuration of its own: each call ended in
        # NoSuchOptError. ConfFixture registers it, a service does not.
        conf = cfg.ConfigOpts()
        conf([])
        other = bus.Bus(conf)
        self.addCleanup(other.close)
        self.assertFalse(conf.oslo_messaging_metrics.metrics_enabled)

    def test_a_failure_there_shows_no_words_of_it(self):
        failure = messaging.RemoteError('ValueError', 'password=hunter2')
        with mock.patch.object(messaging.RPCClient, 'prepare',
                               autospec=True) as prepare:
            prepare.return_value.call.side_effect = failure
            error = self.assertRaises(
                exceptions.Unavailable, self.peer.call, 'fail')
        self.assertIn('host-1: fail failed there with ValueError',
                      str(error))
        self.assertNotIn('hunter2', str(error))

    def test_what_a_driver_lets_through_says_that_the_bus_is_down(self):
        with mock.patch.object(messaging.RPCClient, 'prepare',
                               autospec=True) as prepare:
            for method in ('call', 'cast'):
                getattr(prepare.return_value, method).side_effect = OSError(
                    'hunter2')
                error = self.assertRaises(exceptions.Unreachable, getattr(
                    self.peer, method), 'add')
                self.assertNotIn('hunter2', str(error))

    def test_a_server_that_cannot_start_says_that_the_bus_is_down(self):
        server = mock.create_autospec(messaging.MessageHandlingServer,
                                      instance=True)
        server.start.side_effect = OSError('refused')
        self.assertRaises(exceptions.Unreachable, self.bus.start, server)

    def test_an_answer_that_is_no_object_is_an_error(self):
        self.assertRaises(exceptions.Unavailable, self.peer.call, 'odd')

    def test_what_begins_with_an_underscore_is_not_served(self):
        self.assertRaises(exceptions.Unavailable, self.peer.call, '_hidden')

    def test_nobody_there_is_unreachable(self):
        absent = self.bus.peer(bus.COMPUTE, 'host-9')
        self.assertRaises(exceptions.Unreachable, absent.call, 'add',
                          timeout=0.1, left=1, right=1)

    def test_a_bad_url_is_named_without_its_password(self):
        for url in ('nosuch://user:hunter2@host/',
                    'rabbit://user:hunter2/x@host/'):
            error = self.assertRaises(
                exceptions.ConfigError, bus.Bus, self._with_url(url))
            self.assertIn('[DEFAULT] transport_url', str(error))
            self.assertNotIn('hunter2', str(error))
