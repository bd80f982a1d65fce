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
"""Requests to the Kubernetes API: JSON in, JSON out, over HTTPS.

Flows in: what one kubeconfig file says, or the credentials of a node in
their place. Flows out: raw JSON objects, and failures, each one of
``zun_vk.exceptions``.

The ``kubernetes`` library reads the kubeconfig, renews tokens and makes the
pool of connections. Its classes for each kind of object are not used: they
take each request apart and put it together again, which costs more than all
else that the agent does for a pod, and they differ between its versions.
"""

import copy
import json
import socket
import ssl
import typing
import urllib.parse

import kubernetes.client as k8s
from kubernetes.client import rest
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
JSON = 'application/json'
_OPTION = '[kubernetes] kubeconfig'
_CONNECT_TIMEOUT = 10
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


class Transport:
    """A pool of connections to one API server, safe to share by threads.

    :param configuration: from ``configuration`` or ``identified``
    :param timeout: seconds to wait for an answer
    """

    def __init__(self, configuration: k8s.Configuration, timeout: float):
        self.configuration = configuration
        self._timeout = urllib3.Timeout(
            connect=min(_CONNECT_TIMEOUT, timeout), read=timeout)
        self._pool = rest.RESTClientObject(configuration).pool_manager

    def call(self, call: str, method: str, path: str,
             body: dict | None = None, *, content_type: str = JSON,
             **query: typing.Any) -> dict:
        """Send one request, once, and return the object in the answer.

        :param call: what it is called in errors and metrics
        :param body: sent as JSON, as it is
        :param query: parameters, as ``parameters`` takes them
        :raises RemoteError: the API server refuses, fails or is away
        """
        with remote.measured(SERVICE, call) as measured:
            response = self._open(method, path, body, content_type, query,
                                  self._timeout, preload_content=True)
            measured.status = response.status
            try:
                answer = json.loads(response.data)
            except ValueError as error:
                raise exceptions.Unavailable(
                    SERVICE, f'{call}: broken answer: {error}') from error
            if not isinstance(answer, dict):
                raise exceptions.Unavailable(
                    SERVICE, f'{call}: an answer that is no object')
            return answer

    def stream(self, call: str, path: str, silence: float,
               **query: typing.Any) -> urllib3.BaseHTTPResponse:
        """Send a GET and return its answer unread.

        :param silence: seconds without a byte after which reading fails
        """
        with remote.measured(SERVICE, call) as measured:
            response = self._open(
                'GET', path, None, JSON, query,
                urllib3.Timeout(connect=_CONNECT_TIMEOUT, read=silence),
                preload_content=False)
            measured.status = response.status
            return response

    def _open(self, method: str, path: str, body: dict | None,
              content_type: str, query: dict[str, typing.Any],
              timeout: urllib3.Timeout, preload_content: bool
              ) -> urllib3.BaseHTTPResponse:
        url = f'{self.configuration.host}{path}'
        if query:
            url += f'?{urllib.parse.urlencode(parameters(query))}'
        sent = None if body is None else json.dumps(body)
        try:
            response = self._pool.request(
                method, url, body=sent, timeout=timeout,
                headers=self._headers(content_type),
                preload_content=preload_content)
        except urllib3.exceptions.HTTPError as error:
            raise exceptions.Unreachable(SERVICE, str(error)) from error
        if not 200 <= response.status <= 299:
            raise _refusal(response)
        return response

    def _headers(self, content_type: str) -> dict[str, str]:
        headers = {'Accept': JSON, 'Content-Type': content_type,
                   'User-Agent': 'zun-vk-agent'}
        # Asked for each request: the library renews tokens here.
        for secret in self.configuration.auth_settings().values():
            headers[secret['key']] = secret['value']
        return headers


def configuration(conf: cfg.ConfigOpts) -> k8s.Configuration:
    """Return what the kubeconfig file says.

    :raises ConfigError: the file cannot be used
    """
    read = k8s.Configuration()
    try:
        k8s_config.load_kube_config(
            config_file=conf.kubernetes.kubeconfig,
            context=conf.kubernetes.context, client_configuration=read)
    except (k8s_config.ConfigException, yaml.YAMLError, OSError, ValueError,
            TypeError, AttributeError, KeyError) as error:
        # The library does not check the shape of what it reads.
        raise exceptions.ConfigError(_OPTION, str(error)) from error
    if not read.verify_ssl:
        raise exceptions.ConfigError(
            _OPTION, 'insecure-skip-tls-verify is not accepted: give the '
            'certificate authority of the API server')
    _check_tls(read, _OPTION)
    # One retry policy, in the callers: none hidden in the transport.
    read.retries = False
    read.socket_options = _SOCKET_OPTIONS
    return read


def identified(given: k8s.Configuration, credentials: keypair.Credentials
               ) -> k8s.Configuration:
    """Return where the API server is, with other credentials.

    :raises ConfigError: their file is not there any more, or is none
    """
    made = copy.deepcopy(given)
    made.api_key = {}
    made.api_key_prefix = {}
    made.refresh_api_key_hook = None
    made.username = made.password = None
    made.cert_file = made.key_file = credentials.path
    _check_tls(made, keypair.OPTION)
    return made


def parameters(query: dict[str, typing.Any]) -> dict[str, str]:
    """Return query parameters as Kubernetes has them.

    :param query: names and values as Python has them: ``field_selector``,
        True; None leaves a parameter out
    """
    return {_camel_case(name): str(value).lower() if isinstance(value, bool)
            else str(value)
            for name, value in query.items() if value is not None}


def _camel_case(name: str) -> str:
    first, *others = name.split('_')
    return first + ''.join(map(str.capitalize, others))


def _check_tls(given: k8s.Configuration, option: str) -> None:
    try:
        tls = ssl.create_default_context(cafile=given.ssl_ca_cert)
        if given.cert_file:
            tls.load_cert_chain(given.cert_file, given.key_file)
    except (ssl.SSLError, OSError) as error:
        raise exceptions.ConfigError(
            option, f'its certificates cannot be used: {error}') from error


def _refusal(response: urllib3.BaseHTTPResponse) -> exceptions.RemoteError:
    """Return the error that an answer outside 2xx is."""
    try:
        words = _words(response)
    finally:
        response.release_conn()
    return remote.from_status(
        SERVICE, response.status, words,
        remote.seconds_to_wait(response.headers.get('Retry-After')))


def _words(response: urllib3.BaseHTTPResponse) -> str:
    """Return the message of the Status object in an answer."""
    try:
        return str(json.loads(response.data)['message'])
    except (TypeError, ValueError, KeyError, urllib3.exceptions.HTTPError):
        return str(response.reason)
