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
"""What Kubernetes lets a node say about itself. Pure.

The admission plugin NodeRestriction refuses the rest, so that a stolen key
of a node cannot draw pods to it. To know it before the API server says so
makes a wrong option an error at the start.
"""

import collections.abc

_KUBERNETES = ('kubernetes.io', 'k8s.io')
# Kubernetes: k8s.io/kubelet/pkg/apis, kubeletLabels.
_OWN = frozenset({
    'kubernetes.io/hostname', 'kubernetes.io/os', 'kubernetes.io/arch',
    'topology.kubernetes.io/region', 'topology.kubernetes.io/zone',
    'failure-domain.beta.kubernetes.io/region',
    'failure-domain.beta.kubernetes.io/zone',
    'node.kubernetes.io/instance-type', 'beta.kubernetes.io/instance-type',
    'beta.kubernetes.io/os', 'beta.kubernetes.io/arch'})
_OWN_DOMAINS = ('kubelet.kubernetes.io', 'node.kubernetes.io')


def forbidden_labels(keys: collections.abc.Iterable[str]) -> list[str]:
    """Return those labels that a node may not give itself."""
    return sorted(key for key in keys if _is_forbidden(key))


def _is_forbidden(key: str) -> bool:
    domain = key.partition('/')[0] if '/' in key else ''
    return (_is_in(domain, _KUBERNETES) and key not in _OWN
            and not _is_in(domain, _OWN_DOMAINS))


def _is_in(domain: str, parents: tuple[str, ...]) -> bool:
    return domain.endswith(tuple(f'.{one}' for one in parents)) or (
        domain in parents)
