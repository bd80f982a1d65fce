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
"""What every request to the kubelet's API goes through, in this order.

Does this agent still hold the node; who asks; may they; is there such a
path; then the handler. No handler is reached by another way. Whatever goes
wrong becomes an answer without internals, or where one has begun, the end of
the connection.
"""

from collections.abc import Iterator
import contextlib

from oslo_log import log as logging

from zun_vk import exceptions
from zun_vk import metrics
from zun_vk.kubelet import attributes
from zun_vk.kubelet import audit as audit_module
from zun_vk.kubelet import authn
from zun_vk.kubelet import authz
from zun_vk.kubelet import context
from zun_vk.kubelet import exchange as exchange_module
from zun_vk.kubelet import routes

LOG = logging.getLogger(__name__)

_NOT_HOLDER = 'another agent may hold this node by now'
_STREAMS = frozenset({'/exec', '/attach', '/run', '/portForward'})


class Dispatcher:
    """Serves the requests to one node; safe to share by threads."""

    def __init__(self, services: context.Services,
                 authenticator: authn.Authenticator,
                 authorizer: authz.Authorizer, audit: audit_module.Audit):
        self._services = services
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._audit = audit

    def __call__(self, exchange: exchange_module.Exchange) -> None:
        """Answer a request.

        :raises OSError: the client is gone
        """
        found = routes.find(exchange.path)
        root = found[0].root if found else ''
        try:
            self._answer(exchange, found)
            if not exchange.status:
                exchange.send(200)
        except exceptions.Refused as error:
            _refuse(exchange, error.status, error.words)
        except exceptions.NotHolder:
            _refuse(exchange, 503, _NOT_HOLDER)
        except Exception as error:  # whatever a handler has let through
            if exchange.status and isinstance(error, OSError):
                raise
            metrics.CRASHES.labels('kubelet').inc()
            LOG.exception('The kubelet API failed to serve %s %s',
                          exchange.method, root or 'an unknown path')
            _refuse(exchange, 500, 'internal error')
        finally:
            metrics.KUBELET_REQUESTS.labels(
                root or 'other', str(exchange.status)).inc()

    def _answer(self, exchange: exchange_module.Exchange,
                found: tuple[routes.Route, tuple[str, ...]] | None) -> None:
        self._services.guard()
        if found is None:
            self._admit(exchange, '', tuple(exchange.path.split('/')[1:]))
            raise exceptions.Refused(404, '404 page not found\n')
        route, parts = found
        self._admit(exchange, route.root, parts)
        if exchange.method not in route.methods:
            raise exceptions.Refused(405, '405: Method Not Allowed')
        with self._told(exchange, route, parts):
            route.handler(self._services, exchange, parts)

    def _admit(self, exchange: exchange_module.Exchange, root: str,
               parts: tuple[str, ...]) -> None:
        """Find the user, and whether they may; raise Refused if not."""
        user = None
        try:
            user = self._authenticator.authenticate(exchange.certificate,
                                                    exchange.headers)
            if user is None:
                raise exceptions.Refused(401, 'Unauthorized')
            self._authorizer.authorize(user, attributes.wanted(
                exchange.method, root, parts, self._services.node))
        except exceptions.Refused as error:
            self._audit.refused(error.status, exchange.peer, exchange.method,
                                root, user)
            raise
        exchange.user = user
        exchange.trusted()

    @contextlib.contextmanager
    def _told(self, exchange: exchange_module.Exchange, route: routes.Route,
              parts: tuple[str, ...]) -> Iterator[None]:
        """Log and count what reaches into a pod, however it ends."""
        if route.root not in _STREAMS:
            yield
            return
        kind = route.root[1:]
        container = '' if kind == 'portForward' else parts[-1]
        with self._audit.stream(kind, exchange.user, exchange.peer, parts[0],
                                parts[1], container) as told:
            try:
                yield
            finally:
                told.sent, told.received, told.why = exchange.flow


def _refuse(exchange: exchange_module.Exchange, status: int,
            words: str) -> None:
    if exchange.status:
        # Too late: the client sees that the answer is no whole one.
        exchange.last = True
    else:
        exchange.send(status, words.encode(errors='replace'))
