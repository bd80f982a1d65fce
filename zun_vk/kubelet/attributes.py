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
"""What a request to the kubelet's API is, to who grants access.

Pure. Flows in: the method, and the route that was found for the path. Never
the path as it was sent: what is authorised must be the very thing that is
served. Flows out: what the user must be allowed, one of several.

The rules are the kubelet's (kubernetes: pkg/kubelet/server, auth.go), but
for one. A WebSocket is opened by a GET, so that the kubelet lets who may
read a node's proxy run commands in its pods. Here whatever reaches into a
container takes ``create``, by any method.
"""

from collections.abc import Sequence
import typing

_PROXY = 'proxy'
_CREATE = 'create'
# Other methods have no verb: only who may do everything may use them.
_VERBS = {'POST': _CREATE, 'GET': 'get', 'PUT': 'update', 'PATCH': 'patch',
          'DELETE': 'delete'}
_INTO_CONTAINERS = frozenset({'exec', 'attach', 'run', 'portForward'})
# By the first part of the path; nodes/proxy alone for all others.
_SUBRESOURCES: dict[str, tuple[str, ...]] = {
    'pods': ('pods', _PROXY),
    'runningpods': ('pods', _PROXY),
    'healthz': ('healthz', _PROXY),
    'configz': ('configz', _PROXY),
    'stats': ('stats',),
    'metrics': ('metrics',),
    'logs': ('log',),
    'checkpoint': ('checkpoint',),
    'statusz': ('statusz',),
    'flagz': ('configz',),
}


class Attributes(typing.NamedTuple):
    """One thing that a user may be allowed to do to a node.

    :param verb: Kubernetes' word; '' for methods that have none
    :param subresource: of ``nodes``
    :param name: of the node
    :param path: the path as it was routed
    """

    verb: str
    subresource: str
    name: str
    path: str


def wanted(method: str, root: str, parts: Sequence[str], node: str
           ) -> tuple[Attributes, ...]:
    """Return what a request takes: any of these, to be asked in this order.

    :param method: in capitals
    :param root: of the route that serves it, ``/stats/summary``; '' for a
        path that nothing serves
    :param parts: of the path after the root, decoded
    """
    first = root.split('/')[1] if root else ''
    into = first in _INTO_CONTAINERS
    verb = _CREATE if into else _VERBS.get(method, '')
    path = '/'.join((root, *parts))
    return tuple(Attributes(verb, subresource, node, path)
                 for subresource in _SUBRESOURCES.get(first, (_PROXY,)))
