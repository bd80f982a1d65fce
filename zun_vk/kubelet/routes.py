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
"""Which handler answers which path of the kubelet's API.

Pure. The paths and methods are the kubelet's (kubernetes: pkg/kubelet/server,
server.go); whatever is not in the table is not served.
"""

import dataclasses

from zun_vk.kubelet import containerlogs
from zun_vk.kubelet import context
from zun_vk.kubelet import simple
from zun_vk.kubelet import streaming
from zun_vk.kubelet.stats import cadvisor
from zun_vk.kubelet.stats import own
from zun_vk.kubelet.stats import probes
from zun_vk.kubelet.stats import resource
from zun_vk.kubelet.stats import summary

_READ = frozenset({'GET', 'HEAD'})
_STREAM = frozenset({'GET', 'POST'})
_POST = frozenset({'POST'})


@dataclasses.dataclass(frozen=True)
class Route:
    """One path and what answers it.

    :param root: of the path, as the metrics and the log name it
    :param methods: others are answered 405
    :param parts: how many parts may follow the root
    """

    root: str
    methods: frozenset[str]
    parts: frozenset[int]
    handler: context.Handler


def _route(root: str, methods: frozenset[str], handler: context.Handler,
           *parts: int) -> Route:
    return Route(root, methods, frozenset(parts or (0,)), handler)


ROUTES = (
    _route('/healthz', _READ, simple.healthz),
    _route('/healthz/ping', _READ, simple.healthz),
    _route('/pods', _READ, simple.pods),
    _route('/runningpods', _READ, simple.running_pods),
    _route('/configz', _READ, simple.configz),
    _route('/stats/summary', _READ, summary.summary),
    _route('/metrics', _READ, own.metrics),
    _route('/metrics/resource', _READ, resource.resource_metrics),
    _route('/metrics/cadvisor', _READ, cadvisor.cadvisor),
    _route('/metrics/probes', _READ, probes.probe_metrics),
    # namespace, pod, container
    _route('/containerLogs', _READ, containerlogs.logs, 3),
    # namespace, pod[, uid], container
    _route('/exec', _STREAM, streaming.exec, 3, 4),
    _route('/attach', _STREAM, streaming.attach, 3, 4),
    _route('/run', _POST, streaming.run, 3, 4),
    # namespace, pod[, uid]
    _route('/portForward', _STREAM, streaming.port_forward, 2, 3),
)

_BY_ROOT = {route.root: route for route in ROUTES}


def find(path: str) -> tuple[Route, tuple[str, ...]] | None:
    """Return the route of a path and the parts after its root.

    :param path: decoded, without the query; never made regular: one with
        an empty part, or with dots for a part, is nobody's
    :returns: None: there is no such path
    """
    # The kubelet has a few of its paths with a slash at the end.
    parts = path.removesuffix('/').split('/')[1:]
    for length in (2, 1):
        route = _BY_ROOT.get('/' + '/'.join(parts[:length]))
        if route and len(parts) >= length:
            rest = tuple(parts[length:])
            if len(rest) in route.parts and all(
                    part not in ('', '.', '..') for part in rest):
                return route, rest
    return None
