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

import copy
import json
import re
import socket
import ssl
import typing

import kubernetes.client as k8s
import kubernetes.config as k8s_config
from oslo_config import cfg
import urllib3
import yaml

from zun_vk import exceptions
from zun_vk import remote
from zun_vk.kube import keypair

SERVICE = 'kubernetes'
STRATEGIC_MERGE = 'application/strategic-merge-patch+json'
MERGE = 'application/merge-patch+json'
# Namespace and name of the API server's own Service.
MASTER_SERVICE = ('default', 'kubernetes')
# Connections beside those of the workers: lease, node, events, status.
_OTHER_CONNECTIONS = 8
_CONNECT_TIMEOUT = 10
# Seconds without a byte after which a watch is opened anew. The API server
# sends a bookmark about every minute; it does not promise to, so silence is
# no error.
SILENCE = 90
# A peer that no longer answers is given up after 25 s, not after the two
# hours and more of the system: pods wait for what its watch would show.
_SOCKET_OPTIONS = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 25_000),
]


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
        self._configuration = _configuration(conf)
        self._configuration.connection_pool_maxsize = (
            conf.pods.workers + _OTHER_CONNECTIONS)
        # One retry policy, in the callers: none hidden in the transport.
        self._configuration.retries = False
        self._configuration.socket_options = _SOCKET_OPTIONS
        if credentials:
            self.use(credentials)
        else:
            self._connect(self._configuration)

    def use(self, credentials: keypair.Credentials) -> None:
        """Call as the node from now on; any thread may say so.

        Calls and watches that run are not disturbed: they end with the
        connection they have, in a pool that nobody else uses any more.

        :raises ConfigError: the file is not there any more
        """
        configuration = copy.deepcopy(self._configuration)
        _replace_identity(configuration, credentials)
        _check_tls(configuration, keypair.OPTION)
        self._connect(configuration)

    def _connect(self, configuration: k8s.Configuration) -> None:
        self.api = k8s.ApiClient(configuration)
        self._core = k8s.CoreV1Api(self.api)
        self._coordination = k8s.CoordinationV1Api(self.api)
        self._certificates = k8s.CertificatesV1Api(self.api)
        self._version = k8s.VersionApi(self.api)

    def server_version(self) -> str:
        """Return the API server's version, such as ``v1.36.3``."""
        return _field(self._call('get version', self._version.get_code),
                      'gitVersion')

    def cluster_id(self) -> str:
        """Return the UID of namespace kube-system: it names the cluster."""
        namespace = self._call('get namespace', self._core.read_namespace,
                               'kube-system')
        return _field(namespace, 'metadata', 'uid')

    def get_node(self, name: str) -> dict:
        return self._call('get node', self._core.read_node, name)

    def list_nodes(self, **params) -> list[dict]:
        return _items(self._call('list nodes', self._core.list_node,
                                 **params), 'list nodes')

    def create_node(self, node: dict) -> dict:
        return self._send('create node', self._core.create_node, node)

    def patch_node(self, name: str, patch: dict) -> dict:
        return self._send('patch node', self._core.patch_node, name, patch,
                          _content_type=STRATEGIC_MERGE)

    def patch_node_status(self, name: str, patch: dict) -> dict:
        return self._send('patch node status', self._core.patch_node_status,
                          name, patch, _content_type=STRATEGIC_MERGE)

    def get_lease(self, namespace: str, name: str) -> dict:
        return self._call('get lease',
                          self._coordination.read_namespaced_lease,
                          name, namespace)

    def list_leases(self, namespace: str, **params) -> list[dict]:
        answer = self._call('list leases',
                            self._coordination.list_namespaced_lease,
                            namespace, **params)
        return _items(answer, 'list leases')

    def create_lease(self, namespace: str, lease: dict) -> dict:
        return self._send('create lease',
                          self._coordination.create_namespaced_lease,
                          namespace, lease)

    def patch_lease(self, namespace: str, name: str, patch: dict) -> dict:
        """Change a lease; a resourceVersion in it must be the current one.

        Not replaced: the client (37) refuses objects with fields that it
        does not know, and an API server may be newer.
        """
        return self._send('patch lease',
                          self._coordination.patch_namespaced_lease,
                          name, namespace, patch, _content_type=MERGE)

    def get_pod(self, namespace: str, name: str) -> dict:
        """Return a pod of the node.

        Listed, not read: to read a pod that has gone is forbidden to nodes,
        and that must not look like trouble.

        :raises NotFound: the node has no such pod
        """
        found = self._call(
            'get pod', self._core.list_namespaced_pod, namespace,
            field_selector=(f'metadata.name={_escaped(name)},'
                            f'spec.nodeName={self._node}'))
        items = _items(found, 'get pod')
        if not items:
            raise exceptions.NotFound(
                SERVICE, f'node {self._node} has no pod {namespace}/{name}',
                404)
        return items[0]

    def patch_pod_status(self, namespace: str, name: str,
                         patch: dict) -> dict:
        return self._send('patch pod status',
                          self._core.patch_namespaced_pod_status,
                          name, namespace, patch,
                          _content_type=STRATEGIC_MERGE)

    def remove_pod(self, namespace: str, name: str, uid: str) -> None:
        """Remove the Pod object at once, if it still is the one of ``uid``.

        :raises Conflict: another pod has this name now
        """
        self._send('delete pod', self._core.delete_namespaced_pod,
                   name, namespace,
                   body={'apiVersion': 'v1', 'kind': 'DeleteOptions',
                         'gracePeriodSeconds': 0,
                         'preconditions': {'uid': uid}})

    def create_event(self, namespace: str, event: dict) -> dict:
        return self._send('create event', self._core.create_namespaced_event,
                          namespace, event)

    def patch_event(self, namespace: str, name: str, patch: dict) -> dict:
        return self._send('patch event', self._core.patch_namespaced_event,
                          name, namespace, patch, _content_type=MERGE)

    def create_signing_request(self, request: dict) -> dict:
        return self._call(
            'create signing request',
            self._certificates.create_certificate_signing_request, request)

    def get_signing_request(self, name: str) -> dict:
        return self._call(
            'get signing request',
            self._certificates.read_certificate_signing_request, name)

    def get_secret(self, namespace: str, name: str) -> dict:
        return self._call('get secret', self._core.read_namespaced_secret,
                          name, namespace)

    def get_config_map(self, namespace: str, name: str) -> dict:
        return self._call('get configmap',
                          self._core.read_namespaced_config_map,
                          name, namespace)

    def get_service(self, namespace: str, name: str) -> dict:
        return self._call('get service', self._core.read_namespaced_service,
                          name, namespace)

    def list_services(self, namespace: str) -> dict:
        return self._call('list services',
                          self._core.list_namespaced_service, namespace)

    def list_pods(self, **params) -> dict:
        return self._call('list pods',
                          self._core.list_pod_for_all_namespaces, **params)

    def open_watch(self, server_timeout: int,
                   **params) -> urllib3.BaseHTTPResponse:
        """Open a watch on pods and return its unread stream.

        :param server_timeout: seconds after which the server ends the watch
        """
        return self._open(
            self._core.list_pod_for_all_namespaces,
            timeout=(_CONNECT_TIMEOUT, SILENCE),
            watch=True, timeout_seconds=server_timeout, **params)

    def _send(self, call: str, method: typing.Callable, *args,
              **params) -> dict:
        """Do what ``_call`` does, if we may act."""
        self._guard()
        return self._call(call, method, *args, **params)

    def _call(self, call: str, method: typing.Callable, *args,
              **params) -> dict:
        with remote.measured(SERVICE, call):
            response = self._open(
                method, *args, **params,
                timeout=(min(_CONNECT_TIMEOUT, self._timeout),
                         self._timeout))
            try:
                answer = json.loads(response.data)
            except (ValueError, urllib3.exceptions.HTTPError) as error:
                raise exceptions.Unavailable(
                    SERVICE, f'{call}: broken answer: {error}') from error
            finally:
                response.release_conn()
            if not isinstance(answer, dict):
                raise exceptions.Unavailable(
                    SERVICE, f'{call}: an answer that is no object')
            return answer

    def _open(self, method: typing.Callable, *args, timeout: tuple,
              **params) -> urllib3.BaseHTTPResponse:
        try:
            response = method(*args, _preload_content=False,
                              _request_timeout=timeout, **params)
        except k8s.ApiException as error:
            raise _from_api_exception(error) from error
        except urllib3.exceptions.HTTPError as error:
            raise exceptions.Unreachable(SERVICE, str(error)) from error
        except AttributeError as error:
            # The client (36) stumbles over its own error for a failed TLS
            # handshake, which has no body.
            cause = error.__context__
            if not isinstance(cause, k8s.ApiException):
                raise
            raise exceptions.Unreachable(SERVICE, str(cause.reason)) from error
        if not 200 <= response.status <= 299:
            refusal = k8s.ApiException(http_resp=response)
            response.release_conn()
            raise _from_api_exception(refusal)
        return response


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


def _configuration(conf: cfg.ConfigOpts) -> k8s.Configuration:
    option = '[kubernetes] kubeconfig'
    configuration = k8s.Configuration()
    try:
        k8s_config.load_kube_config(
            config_file=conf.kubernetes.kubeconfig,
            context=conf.kubernetes.context,
            client_configuration=configuration)
    except (k8s_config.ConfigException, yaml.YAMLError, OSError, ValueError,
            TypeError, AttributeError, KeyError) as error:
        # The library does not check the shape of what it reads.
        raise exceptions.ConfigError(option, str(error)) from error
    if not configuration.verify_ssl:
        raise exceptions.ConfigError(
            option, 'insecure-skip-tls-verify is not accepted: give the '
            'certificate authority of the API server')
    _check_tls(configuration, option)
    return configuration


def _check_tls(configuration: k8s.Configuration, option: str) -> None:
    try:
        tls = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        if configuration.cert_file:
            tls.load_cert_chain(configuration.cert_file,
                                configuration.key_file)
    except (ssl.SSLError, OSError) as error:
        raise exceptions.ConfigError(
            option, f'its certificates cannot be used: {error}') from error


def _replace_identity(configuration: k8s.Configuration,
                      credentials: keypair.Credentials) -> None:
    """Leave of the kubeconfig where the API server is, not who we are."""
    configuration.api_key = {}
    configuration.api_key_prefix = {}
    configuration.refresh_api_key_hook = None
    configuration.username = configuration.password = None
    configuration.cert_file = configuration.key_file = credentials.path


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


def _from_api_exception(error: k8s.ApiException) -> exceptions.RemoteError:
    status = error.status or 0
    return remote.from_status(SERVICE, status, _words(error),
                              remote.seconds_to_wait(
                                  (error.headers or {}).get('Retry-After')))


def _words(error: k8s.ApiException) -> str:
    """Return the message of the Status object in the answer."""
    try:
        body = json.loads(error.body or '')
        return str(body['message'])
    except (TypeError, ValueError, KeyError):
        return str(error.reason)
