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
"""What a pod's resolv.conf says.

Kubernetes: DNS for Services and Pods. The agent knows the cluster's
servers; only the host knows its own, for pods that want those.
"""

from collections.abc import Iterable

from zun_vk.compute.cri import cri_pb2
from zun_vk.rpc import payload as rpc

# Kubernetes: bounds of dnsConfig, which hold for the whole file here.
MAX_SERVERS = 3
MAX_SEARCHES = 32
MAX_SEARCH_CHARACTERS = 2048
# A longer domain makes some resolvers abort.
MAX_DOMAIN = 253


def parse(text: str) -> rpc.Dns:
    """Return what a resolv.conf says; lines that make no sense are skipped.

    As in resolv.conf(5) the last search line and the last value of an
    option count.
    """
    servers: list[str] = []
    searches: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or words[0][0] in '#;':
            continue
        if words[0] == 'nameserver':
            servers.append(words[1])
        elif words[0] in ('search', 'domain'):
            searches = [word for word in words[1:] if word != '.']
        elif words[0] == 'options':
            options += words[1:]
    return rpc.Dns(tuple(servers), tuple(searches), _options(options))


def of_pod(payload: rpc.PodPayload, host: rpc.Dns) -> cri_pb2.DNSConfig:
    """Return the DNS configuration of a pod's sandbox, within bounds.

    :param host: what the host's own resolv.conf says
    """
    dns = payload.dns
    if dns is None:
        extra = payload.dns_extra
        dns = rpc.Dns(host.servers + extra.servers,
                      host.searches + extra.searches,
                      host.options + extra.options)
    return cri_pb2.DNSConfig(
        servers=_once(dns.servers)[:MAX_SERVERS],
        searches=_fitting(_once(dns.searches)),
        options=_options(dns.options))


def _once(items: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(items))


def _fitting(searches: list[str]) -> list[str]:
    """Return the first of the domains, as many as resolvers bear."""
    left = MAX_SEARCH_CHARACTERS
    fitting: list[str] = []
    for domain in searches[:MAX_SEARCHES]:
        if len(domain) > MAX_DOMAIN:
            continue
        left -= len(domain) + bool(fitting)
        if left < 0:
            break
        fitting.append(domain)
    return fitting


def _options(options: Iterable[str]) -> tuple[str, ...]:
    """Return each option once, with the value that came last."""
    last = {option.partition(':')[0]: option for option in options}
    return tuple(last.values())
