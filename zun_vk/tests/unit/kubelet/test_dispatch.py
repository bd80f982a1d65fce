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
"""What a request goes through before, and when, it reaches a handler."""

import dataclasses
import email.message
from unittest import mock

import fixtures
from oslotest import base
import prometheus_client

from zun_vk import exceptions
from zun_vk.kubelet import attributes
from zun_vk.kubelet import audit
from zun_vk.kubelet import authn
from zun_vk.kubelet import authz
from zun_vk.kubelet import context
from zun_vk.kubelet import dispatch
from zun_vk.kubelet import exchange as exchange_module
from zun_vk.kubelet import requests
from zun_vk.kubelet import routes

_USER = context.User('jane', groups=('system:authenticated',))
_SECRET = 'very-secret'
_UNSERVED = ('/', '/unknown', '/exec', '/exec/ns/pod', '/stats', '/logs/x',
             '/debug/pprof/heap', '/exec/ns/../c', '//pods')


def path_of(route):
    """Return a path of a route with as many parts as it may have."""
    return '/'.join([route.root, *('abcd'[:max(route.parts)])])


class FakeStream:
    """Keeps what is sent."""

    def __init__(self):
        self.sent = b''

    def send_all(self, data, deadline):
        self.sent += bytes(data)


class DispatchTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.calls = []
        self.handler = mock.create_autospec(lambda services, exchange,
                                            parts: None)
        self.table = tuple(dataclasses.replace(route, handler=self.handled)
                           for route in routes.ROUTES)
        self.useFixture(fixtures.MockPatchObject(
            routes, '_BY_ROOT', {route.root: route for route in self.table}))
        self.authenticator = mock.create_autospec(authn.Authenticator,
                                                  instance=True)
        self.authenticator.authenticate.return_value = _USER
        self.authorizer = mock.create_autospec(authz.Authorizer,
                                               instance=True)
        self.guard = mock.Mock(spec=lambda: None)
        self.audit = mock.Mock(wraps=audit.Audit('n1'), spec=audit.Audit)
        services = mock.Mock(spec=context.Services, guard=self.guard,
                             node='n1')
        self.dispatch = dispatch.Dispatcher(
            services, self.authenticator, self.authorizer, self.audit)

    def handled(self, services, exchange, parts):
        self.calls.append((exchange.path, parts, exchange.user))
        self.handler(services, exchange, parts)

    def ask(self, path, method='GET'):
        """Return the exchange and all that was sent."""
        stream = FakeStream()
        exchange = exchange_module.Exchange(
            stream,
            requests.Request(method, path, {}, email.message.Message()),
            '192.0.2.9:4711', b'DER', mock.Mock(spec=lambda: None),
            mock.Mock())
        self.dispatch(exchange)
        return exchange, stream.sent

    def everything(self):
        """Yield path and method of each route, and of what is none."""
        for route in self.table:
            for method in ('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE',
                           'OPTIONS', 'TRACE'):
                yield path_of(route), method
        for path in _UNSERVED:
            for method in ('GET', 'POST'):
                yield path, method


class TestAccess(DispatchTestCase):

    def test_nobody_reaches_anything(self):
        self.authenticator.authenticate.return_value = None
        for path, method in self.everything():
            exchange, sent = self.ask(path, method)

            self.assertEqual(401, exchange.status, (path, method))
            if method != 'HEAD':
                self.assertTrue(sent.endswith(b'\r\n\r\nUnauthorized'))
            exchange.trusted.assert_not_called()
        self.assertEqual([], self.calls)
        self.authorizer.authorize.assert_not_called()

    def test_a_user_without_rights_reaches_nothing(self):
        self.authorizer.authorize.side_effect = exceptions.Refused(
            403, 'Forbidden (user=jane)')
        for path, method in self.everything():
            exchange, sent = self.ask(path, method)

            self.assertEqual(403, exchange.status, (path, method))
            exchange.trusted.assert_not_called()
        self.assertEqual([], self.calls)

    def test_what_is_authorised_is_what_is_served(self):
        for route in self.table:
            method = sorted(route.methods)[0]
            exchange, _ = self.ask(path_of(route), method)

            self.assertEqual(200, exchange.status)
            path, parts, user = self.calls[-1]
            self.assertIs(_USER, user)
            self.authorizer.authorize.assert_called_with(
                _USER, attributes.wanted(method, route.root, parts, 'n1'))
            exchange.trusted.assert_called_once_with()

    def test_an_unknown_path_takes_rights_too(self):
        for path in _UNSERVED:
            exchange, sent = self.ask(path)

            self.assertEqual(404, exchange.status)
            self.assertTrue(sent.endswith(b'404 page not found\n'))
            wanted = self.authorizer.authorize.call_args.args[1]
            self.assertEqual(['proxy'], [one.subresource for one in wanted])

    def test_another_method_is_refused(self):
        for route in self.table:
            exchange, sent = self.ask(path_of(route), 'PUT')

            self.assertEqual(405, exchange.status)
            self.assertTrue(sent.endswith(b'405: Method Not Allowed'))
        self.assertEqual([], self.calls)

    def test_refusals_are_told(self):
        self.authenticator.authenticate.return_value = None
        self.ask('/exec/ns/pod/c', 'POST')
        self.audit.refused.assert_called_once_with(
            401, '192.0.2.9:4711', 'POST', '/exec', None)
        self.authenticator.authenticate.return_value = _USER
        self.authorizer.authorize.side_effect = exceptions.Refused(403, 'no')
        self.ask('/unknown')

        self.audit.refused.assert_called_with(
            403, '192.0.2.9:4711', 'GET', '', _USER)

    def test_who_may_not_act_for_the_node_serves_nothing(self):
        self.guard.side_effect = exceptions.NotHolder('kubernetes', 'no')
        for path, method in self.everything():
            exchange, _ = self.ask(path, method)

            self.assertEqual(503, exchange.status)
        self.assertEqual([], self.calls)


class TestHandlers(DispatchTestCase):

    def crashes(self):
        return prometheus_client.REGISTRY.get_sample_value(
            'zun_vk_thread_crashes_total', {'thread': 'kubelet'}) or 0

    def test_one_that_refuses_is_answered_in_its_words(self):
        self.handler.side_effect = exceptions.Refused(
            404, 'pod does not exist')

        exchange, sent = self.ask('/pods')

        self.assertEqual(404, exchange.status)
        self.assertTrue(sent.endswith(b'\r\n\r\npod does not exist'))

    def test_one_that_fails_is_answered_without_internals(self):
        for failure in (ValueError(_SECRET), OSError(_SECRET),
                        exceptions.Unreachable('zun', _SECRET)):
            before = self.crashes()
            self.handler.side_effect = failure

            exchange, sent = self.ask('/pods')

            self.assertEqual(500, exchange.status)
            self.assertNotIn(_SECRET.encode(), sent)
            self.assertEqual(before + 1, self.crashes())
            self.assertFalse(exchange.last)

    def test_one_that_loses_the_node_is_answered_503(self):
        self.handler.side_effect = exceptions.NotHolder('kubernetes', 'no')

        self.assertEqual(503, self.ask('/pods')[0].status)

    def test_one_that_fails_with_its_answer_begun_breaks_it(self):
        for failure in (ValueError(), exceptions.Refused(500, 'late')):
            def begin(services, exchange, parts, failure=failure):
                with exchange.chunks() as write:
                    write(b'part')
                    raise failure

            self.handler.side_effect = begin

            exchange, sent = self.ask('/metrics')

            self.assertTrue(sent.endswith(b'part\r\n'))
            self.assertTrue(exchange.last)

    def test_a_client_that_is_gone_is_no_failure_of_ours(self):
        before = self.crashes()

        def begin(services, exchange, parts):
            with exchange.chunks():
                raise BrokenPipeError

        self.handler.side_effect = begin

        self.assertRaises(BrokenPipeError, self.ask, '/metrics')

        self.assertEqual(before, self.crashes())

    def test_requests_are_counted_by_what_was_answered(self):
        def count(**labels):
            return prometheus_client.REGISTRY.get_sample_value(
                'zun_vk_kubelet_requests_total', labels) or 0

        before = (count(route='/pods', code='200'),
                  count(route='other', code='404'))
        self.ask('/pods')
        self.ask('/unknown/' + _SECRET)

        self.assertEqual((before[0] + 1, before[1] + 1), (
            count(route='/pods', code='200'),
            count(route='other', code='404')))

    def test_every_stream_is_told_of_and_no_other_request(self):
        log = self.useFixture(fixtures.FakeLogger('zun_vk.kubelet.audit'))

        def stream(services, exchange, parts):
            exchange.flowed(5, 7, 'closed')

        self.handler.side_effect = stream
        for route in self.table:
            self.ask(path_of(route), sorted(route.methods)[-1])

        lines = log.output.splitlines()
        self.assertEqual(8, len(lines), lines)
        for kind in ('exec', 'attach', 'run', 'portForward'):
            told = [line for line in lines if line.startswith(kind + ' ')]
            self.assertIn('begins', told[0])
            self.assertIn('user="jane"', told[0])
            self.assertIn('pod="a/b"', told[0])
            self.assertIn('sent=5 received=7 why="closed"', told[1])

    def test_a_stream_that_is_refused_is_told_of(self):
        log = self.useFixture(fixtures.FakeLogger('zun_vk.kubelet.audit'))
        self.handler.side_effect = exceptions.Refused(404, 'no such container')

        self.ask('/exec/ns/pod/c', 'POST')

        self.assertIn('refused 404', log.output)
