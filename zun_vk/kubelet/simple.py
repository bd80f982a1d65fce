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
"""Answers of the kubelet's API that need no host.

Flows in: the pods of the node, and its settings. Flows out: JSON as the
kubelet's (kubernetes: pkg/kubelet/server).
"""

import json
import typing

from oslo_config import cfg

from zun_vk.kubelet import context
from zun_vk.kubelet import nodepods

_Parts = tuple[str, ...]


def healthz(services: context.Services, exchange: context.Exchange,
            parts: _Parts) -> None:
    """Answer that the server works."""
    exchange.send(200, b'ok')


def pods(services: context.Services, exchange: context.Exchange,
         parts: _Parts) -> None:
    """Answer with all pods of the node, as the API server has them.

    What their Secrets hold is in none of them.
    """
    _send_json(exchange, _pod_list(
        {name: value for name, value in pod.items()
         if name not in ('kind', 'apiVersion')}
        for pod in services.pods.all()))


def running_pods(services: context.Services, exchange: context.Exchange,
                 parts: _Parts) -> None:
    """Answer with the pods that have running containers."""
    _send_json(exchange, _pod_list(nodepods.running(services.pods.all())))


def configz(services: context.Services, exchange: context.Exchange,
            parts: _Parts) -> None:
    """Answer with the settings of a kubelet that ours have a like of."""
    _send_json(exchange, {
        'kubeletconfig': settings(services.conf, services.on_hosts)})


def settings(conf: cfg.ConfigOpts, on_hosts: bool) -> dict:
    """Return what is true of this node in the words of a kubelet's settings.

    Kubernetes: KubeletConfiguration v1beta1. What has no like is left out.
    """
    options = conf.kubelet_api
    return {
        'enableServer': True,
        # As a kubelet writes all addresses.
        'address': options.address or '0.0.0.0',  # noqa: S104
        'port': options.port,
        'readOnlyPort': 0,
        'tlsMinVersion': 'VersionTLS12',
        'tlsCertFile': options.cert_file,
        'serverTLSBootstrap': not options.cert_file,
        'rotateCertificates': conf.kubernetes.node_identity == 'csr',
        'authentication': {
            'x509': {'clientCAFile': options.client_ca_file},
            'webhook': {'enabled': True, 'cacheTTL': '2m0s'},
            'anonymous': {'enabled': False}},
        'authorization': {
            'mode': 'Webhook',
            'webhook': {'cacheAuthorizedTTL': '5m0s',
                        'cacheUnauthorizedTTL': '30s'}},
        'streamingConnectionIdleTimeout': '4h0m0s',
        'enableDebuggingHandlers': on_hosts,
        'enableSystemLogHandler': False,
        'enableProfilingHandler': False,
        'enableDebugFlagsHandler': False,
        'nodeStatusReportFrequency': '5m0s',
        'nodeLeaseDurationSeconds': 40,
    }


def _pod_list(items: typing.Iterable[dict]) -> dict:
    return {'kind': 'PodList', 'apiVersion': 'v1', 'metadata': {},
            'items': list(items)}


def _send_json(exchange: context.Exchange, answer: dict) -> None:
    exchange.send(200, json.dumps(answer, separators=(',', ':')).encode(),
                  context.JSON)
