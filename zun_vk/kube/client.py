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
"""The Kubernetes API, as raw JSON objects.

Flows in: calls of the other rooms. Flows out: HTTPS to the API server with
the credentials of one kubeconfig file, or those of a node in their place.
Objects are plain dicts: decoding them into the client's models costs twenty
times the time and memory.
Every failure is one of ``zun_vk.exceptions``.
"""

import re
import typing
import urllib.parse

from oslo_config import cfg
import urllib3

from zun_vk import exceptions
from zun_vk.kube import keypair
from zun_vk.kube import transport

SERVICE = transport.SERVICE
# Namespace and name of the API server's own Service.
MASTER_SERVICE = ('default', 'kubernetes')
# Connections beside those of the workers: lease, node, events, status.
_OTHER_CONNECTIONS = 12
# Seconds without a byte after which a watch is opened anew. The API server
# sends a bookmark about every minute; it does not promise to, so silence is
# no error.
SILENCE = 90
_CORE = '/api/v1'
_COORDINATION = '/apis/coordination.k8s.io/v1'
_RUNTIME_CLASSES = '/apis/node.k8s.io/v1/runtimeclasses'
_SIGNING_REQUESTS = (
    '/apis/certificates.k8s.io/v1/certificatesigningrequests')
_TOKEN_REVIEWS = '/apis/authentication.k8s.io/v1/tokenreviews'
_ACCESS_REVIEWS = '/apis/authorization.k8s.io/v1/subjectaccessreviews'


class KubeClient:
    """One connection pool to the API server, safe to share by threads.

    :param conf: options of the sections ``[kubernetes]`` and ``[pods]``
    :param credentials: instead of those in the kubeconfig file
    :param node: the node to act for; '': none
    :param guard: called before anything is changed; what it raises stops
        that
    :param timeout: seconds, instead of ``[kubernetes] timeout``
    :raises ConfigError: the kubeconfig file cannot be used
    """

    def __init__(self, conf: cfg.ConfigOpts,
                 credentials: keypair.Credentials | None = None,
                 node: str = '',
                 guard: typing.Callable[[], None] = lambda: None,
                 timeout: float | None = None):
        self._node = node
        self._guard = guard
        self._timeout = timeout or conf.kubernetes.timeout
        self._configuration = transport.configuration(conf)
        self._configuration.connection_pool_maxsize = (
            conf.pods.workers + _OTHER_CONNECTIONS)
        # Replaced whole by use(), read by every call.
        self.transport: transport.Transport
        if credentials:
            self.use(credentials)
        else:
            self.transport = transport.Transport(self._configuration,
                                                 self._timeout)

    def use(self, credentials: keypair.Credentials) -> None:
        """Call as the node from now on; any thread may say so.

        Calls and watches that run are not disturbed: they end with the
        connection they have, in a pool that nobody else uses any more.

        :raises ConfigError: the file is not there any more
        """
        self.transport = transport.Transport(
            transport.identified(self._configuration, credentials),
            self._timeout)

    def server_version(self) -> str:
        """Return the API server's version, such as ``v1.36.3``."""
        return _field(self._get('get version', '/version'), 'gitVersion')

    def cluster_id(self) -> str:
        """Return the UID of namespace kube-system: it names the cluster."""
        namespace = self._get('get namespace',
                              f'{_CORE}/namespaces/kube-system')
        return _field(namespace, 'metadata', 'uid')

    def get_node(self, name: str) -> dict:
        return self._get('get node', _path(_CORE, 'nodes', name))

    def list_nodes(self, **params) -> list[dict]:
        return _items(self._get('list nodes', f'{_CORE}/nodes', **params),
                      'list nodes')

    def create_node(self, node: dict) -> dict:
        return self._send('create node', 'POST', f'{_CORE}/nodes', node)

    def patch_node(self, name: str, patch: dict) -> dict:
        return self._patch('patch node', _path(_CORE, 'nodes', name),
                           patch, transport.STRATEGIC_MERGE)

    def patch_node_status(self, name: str, patch: dict) -> dict:
        return self._patch('patch node status',
                           _path(_CORE, 'nodes', name, 'status'),
                           patch, transport.STRATEGIC_MERGE)

    def get_lease(self, namespace: str, name: str) -> dict:
        return self._get('get lease', _leases(namespace, name))

    def list_leases(self, namespace: str, **params) -> list[dict]:
        return _items(self._get('list leases', _leases(namespace),
                                **params), 'list leases')

    def create_lease(self, namespace: str, lease: dict) -> dict:
        return self._send('create lease', 'POST', _leases(namespace),
                          lease)

    def patch_lease(self, namespace: str, name: str, patch: dict) -> dict:
        """Change a lease; a resourceVersion in it must be the current one.

        Not replaced: the API server may be newer and know more fields.
        """
        return self._patch('patch lease', _leases(namespace, name), patch)

    def get_pod(self, namespace: str, name: str) -> dict:
        """Return a pod of the node.

        Listed, not read: to read a pod that has gone is forbidden to nodes,
        and that must not look like trouble.

        :raises NotFound: the node has no such pod
        """
        found = self._get(
            'get pod', _in(namespace, 'pods'),
            field_selector=(f'metadata.name={_escaped(name)},'
                            f'spec.nodeName={self._node}'))
        items = _items(found, 'get pod')
        if not items:
            raise exceptions.NotFound(
                SERVICE, f'node {self._node} has no pod {namespace}/{name}',
                404)
        return slimmed(items[0])

    def patch_pod_status(self, namespace: str, name: str,
                         patch: dict) -> dict:
        return slimmed(self._patch(
            'patch pod status',
            _in(namespace, 'pods', name, 'status'), patch,
            transport.STRATEGIC_MERGE))

    def remove_pod(self, namespace: str, name: str, uid: str) -> None:
        """Remove the Pod object at once, if it still is the one of ``uid``.

        :raises Conflict: another pod has this name now
        """
        self._send('delete pod', 'DELETE', _in(namespace, 'pods', name),
                   {'apiVersion': 'v1', 'kind': 'DeleteOptions',
                    'gracePeriodSeconds': 0, 'preconditions': {'uid': uid}})

    def create_event(self, namespace: str, event: dict) -> dict:
        return self._send('create event', 'POST', _in(namespace, 'events'),
                          event)

    def patch_event(self, namespace: str, name: str, patch: dict) -> dict:
        return self._patch('patch event', _in(namespace, 'events', name),
                           patch)

    def create_signing_request(self, request: dict) -> dict:
        # Not for the guard: asked for before any node is held.
        return self.transport.call('create signing request', 'POST',
                                   _SIGNING_REQUESTS, request)

    def get_signing_request(self, name: str) -> dict:
        return self._get('get signing request',
                         _path(_SIGNING_REQUESTS, name))

    def get_secret(self, namespace: str, name: str) -> dict:
        return self._get('get secret', _in(namespace, 'secrets', name))

    def get_config_map(self, namespace: str, name: str) -> dict:
        return self._get('get configmap',
                         _in(namespace, 'configmaps', name))

    def get_service(self, namespace: str, name: str) -> dict:
        return self._get('get service', _in(namespace, 'services', name))

    def get_runtime_class(self, name: str) -> dict:
        return self._get('get runtimeclass',
                         _path(_RUNTIME_CLASSES, name))

    def create_token(self, namespace: str, service_account: str,
                     request: dict) -> dict:
        """Have a token of a service account made.

        :param request: a TokenRequest
        :returns: it, with the token in its status
        """
        return self._send(
            'create token', 'POST',
            _in(namespace, 'serviceaccounts', service_account, 'token'),
            request)

    def create_token_review(self, review: dict) -> dict:
        """Have a bearer token looked at.

        :param review: a TokenReview
        :returns: it, with whose token it is in its status
        """
        # Not for the guard, nor the next: they change nothing.
        return self.transport.call('create token review', 'POST',
                                   _TOKEN_REVIEWS, review)

    def create_subject_access_review(self, review: dict) -> dict:
        """Have it decided whether a user may do something.

        :param review: a SubjectAccessReview
        :returns: it, with the decision in its status
        """
        return self.transport.call('create access review', 'POST',
                                   _ACCESS_REVIEWS, review)

    def list_services(self, namespace: str) -> dict:
        return self._get('list services', _in(namespace, 'services'))

    def list_pods(self, **params) -> dict:
        return self._get('list pods', f'{_CORE}/pods', **params)

    def open_watch(self, server_timeout: int,
                   **params) -> urllib3.BaseHTTPResponse:
        """Open a watch on pods and return its unread stream.

        :param server_timeout: seconds after which the server ends the watch
        """
        return self.transport.stream(
            'watch pods', f'{_CORE}/pods', SILENCE, watch=True,
            timeout_seconds=server_timeout, **params)

    def _get(self, call: str, path: str, **params) -> dict:
        return self.transport.call(call, 'GET', path, **params)

    def _patch(self, call: str, path: str, patch: dict,
               content_type: str = transport.MERGE) -> dict:
        return self._send(call, 'PATCH', path, patch, content_type)

    def _send(self, call: str, method: str, path: str, body: dict,
              content_type: str = transport.JSON) -> dict:
        """Change something, if we may act."""
        self._guard()
        return self.transport.call(call, method, path, body,
                                   content_type=content_type)


def has_pod(client: KubeClient, namespace: str, name: str,
            uid: str) -> bool:
    """Tell whether the API server itself has this very pod.

    A watch may lag behind, and another pod may have the name.

    :raises RemoteError: it did not say
    """
    try:
        found = client.get_pod(namespace, name)
    except exceptions.NotFound:
        return False
    return found['metadata']['uid'] == uid


def slimmed(pod: typing.Any) -> typing.Any:
    """Return a pod without what says who wrote which of its fields.

    That is half of it, and pods are kept by the thousand.
    """
    metadata = pod.get('metadata') if isinstance(pod, dict) else None
    if isinstance(metadata, dict):
        metadata.pop('managedFields', None)
    return pod


def _in(namespace: str, kind: str, *names: str) -> str:
    return _path(_CORE, 'namespaces', namespace, kind, *names)


def _leases(namespace: str, *names: str) -> str:
    return _path(_COORDINATION, 'namespaces', namespace, 'leases', *names)


def _path(root: str, *parts: str) -> str:
    """Return a path; no part of it can break out of its place."""
    return '/'.join([root, *(urllib.parse.quote(part, safe='')
                             for part in parts)])


def _items(answer: dict, call: str) -> list[dict]:
    items = answer.get('items')
    if not isinstance(items, list):
        raise exceptions.Unavailable(
            SERVICE, f'{call}: an answer that is no list')
    return items


def _escaped(value: str) -> str:
    """Return a value as field selectors have it."""
    return re.sub(r'([\\,=])', r'\\\1', value)


def _field(answer: dict, *path: str) -> str:
    value: typing.Any = answer
    try:
        for name in path:
            value = value[name]
        return str(value)
    except (KeyError, TypeError) as error:
        raise exceptions.Unavailable(
            SERVICE, f'an answer without {".".join(path)}') from error
