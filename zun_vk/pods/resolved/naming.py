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
"""What a pod calls itself, and whom it asks for the names of others.

Pure. Kubernetes: ``hostname``, ``subdomain``, ``hostnameOverride``;
``dnsPolicy`` and ``dnsConfig``.
"""

from collections.abc import Iterable
import dataclasses

from zun_vk.pods import environment
from zun_vk.rpc import payload

_MAX_HOSTNAME = 63
# Kubernetes: what a resolver takes.
_MAX_SERVERS = 3
_MAX_SEARCHES = 32
_MAX_SEARCH_LENGTH = 253
_MAX_SEARCH_LINE = 2048
_MAX_OPTIONS = 64
_FORMING = 'DNSConfigForming'
_MISSING = 'MissingClusterDNS'
_CLUSTER = ('ClusterFirst', 'ClusterFirstWithHostNet')
_OPTIONS = ('ndots:5',)


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The names of the cluster.

    :param servers: addresses of its DNS
    :param domain: such as cluster.local
    """

    servers: tuple[str, ...]
    domain: str


@dataclasses.dataclass(frozen=True)
class Hostname:
    """What a pod calls itself.

    :param domain: '' where it has none
    """

    name: str
    domain: str = ''


@dataclasses.dataclass(frozen=True)
class Resolving:
    """How a pod resolves names: as ``rpc.payload`` has it."""

    dns: payload.Dns | None
    extra: payload.Dns
    notes: tuple[environment.Note, ...]


def hostname(pod: dict, cluster: Cluster) -> Hostname:
    """Return what the sandbox of ``pod`` is called."""
    spec, metadata = pod['spec'], pod['metadata']
    if spec.get('hostnameOverride'):
        return Hostname(_cut(spec['hostnameOverride']))
    name = _cut(spec.get('hostname') or metadata['name'])
    if not spec.get('subdomain'):
        return Hostname(name)
    return Hostname(name, f'{spec["subdomain"]}.{metadata["namespace"]}.svc.'
                          f'{cluster.domain}')


def resolving(pod: dict, cluster: Cluster) -> Resolving:
    """Return how ``pod`` resolves names."""
    policy = pod['spec'].get('dnsPolicy') or _CLUSTER[0]
    own = _own(pod['spec'].get('dnsConfig') or {})
    notes: list[environment.Note] = []
    if policy == 'None':
        return Resolving(_fit(own, notes), payload.Dns(), tuple(notes))
    if policy in _CLUSTER and cluster.servers:
        return Resolving(_fit(_added(_of_cluster(pod, cluster), own), notes),
                         payload.Dns(), tuple(notes))
    if policy in _CLUSTER:
        notes.append(environment.Note(_MISSING, (
            f'This node knows no DNS server of the cluster, which dnsPolicy '
            f'{policy} asks for: the pod resolves names as its host does')))
    return Resolving(None, _fit(own, notes), tuple(notes))


def _own(config: dict) -> payload.Dns:
    return payload.Dns(
        tuple(dict.fromkeys(config.get('nameservers') or ())),
        tuple(dict.fromkeys(config.get('searches') or ())),
        _merged((), (
            f'{option.get("name") or ""}:{option["value"]}'
            if option.get('value') else option.get('name') or ''
            for option in config.get('options') or ())))


def _of_cluster(pod: dict, cluster: Cluster) -> payload.Dns:
    services = f'svc.{cluster.domain}'
    return payload.Dns(
        cluster.servers, (f'{pod["metadata"]["namespace"]}.{services}',
                          services, cluster.domain), _OPTIONS)


def _added(first: payload.Dns, more: payload.Dns) -> payload.Dns:
    return payload.Dns(
        tuple(dict.fromkeys(first.servers + more.servers)),
        tuple(dict.fromkeys(first.searches + more.searches)),
        _merged(first.options, more.options))


def _merged(first: Iterable[str], more: Iterable[str]) -> tuple[str, ...]:
    """Return options; of two with one name the last wins."""
    by_name = {}
    for option in (*first, *more):
        by_name[option.partition(':')[0]] = option
    return tuple(filter(None, by_name.values()))


def _fit(dns: payload.Dns, notes: list[environment.Note]) -> payload.Dns:
    """Return as much as a resolver takes; the rest is told."""
    servers, searches = dns.servers[:_MAX_SERVERS], _searches(dns.searches)
    if servers != dns.servers:
        notes.append(environment.Note(_FORMING, (
            'Nameserver limits were exceeded, some nameservers have been '
            'omitted, the applied nameserver line is: ' + ' '.join(servers))))
    if searches != dns.searches:
        notes.append(environment.Note(_FORMING, (
            'Search Line limits were exceeded, some search paths have been '
            'omitted, the applied search line is: ' + ' '.join(searches))))
    return payload.Dns(servers, searches, dns.options[:_MAX_OPTIONS])


def _searches(searches: tuple[str, ...]) -> tuple[str, ...]:
    kept = [each for each in searches[:_MAX_SEARCHES]
            if len(each) <= _MAX_SEARCH_LENGTH]
    while len(' '.join(kept)) > _MAX_SEARCH_LINE:
        kept.pop()
    return tuple(kept)


def _cut(name: str) -> str:
    return name if len(name) <= _MAX_HOSTNAME else (
        name[:_MAX_HOSTNAME].rstrip('-.'))
