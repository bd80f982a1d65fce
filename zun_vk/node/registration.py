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
"""The Node object: what of it is ours, and how it is made or adopted.

Pure but for ``register``. What others put on the node (labels, taints,
annotations, conditions, unschedulable) is never changed.
"""

from oslo_config import cfg
from oslo_log import log as logging

from zun_vk import exceptions
from zun_vk import version
from zun_vk.kube import client as kube_client
from zun_vk.node import zones

LOG = logging.getLogger(__name__)

# What large clouds exclude from their DaemonSets and load balancers.
_LABELS = {
    'type': 'virtual-kubelet',
    'kubernetes.io/os': 'linux',
    'node.kubernetes.io/exclude-from-external-load-balancers': 'true',
}
_ARCHITECTURE = 'kubernetes.io/arch'
_REGION = 'topology.kubernetes.io/region'
_ZONE = 'topology.kubernetes.io/zone'
_ATTEMPTS = 5


def register(client: kube_client.KubeClient, wanted: dict) -> dict:
    """Create the node, or adopt the one of that name; return it.

    A taint that we may not set is left out: see ``lacks_taint``.

    :param wanted: from ``node_object``
    :raises RemoteError: the API server is out of reach or refuses
    """
    name = wanted['metadata']['name']
    for _ in range(_ATTEMPTS):
        try:
            found = client.get_node(name)
        except exceptions.NotFound:
            try:
                return client.create_node(wanted)
            except exceptions.Conflict:
                continue
        patch = adoption(found, wanted)
        if patch is None:
            return found
        try:
            return client.patch_node(name, patch)
        except exceptions.Conflict:
            continue
        except exceptions.AccessDenied as error:
            if 'taints' not in patch['spec']:
                raise
            # NodeRestriction: a node that exists cannot change its taints.
            # What else it is there for goes on.
            LOG.warning('Node %s does not get the taint of [node] taint: %s',
                        name, error.message)
            wanted = _without_taints(wanted)
    raise exceptions.Unavailable(
        kube_client.SERVICE, f'node {name} changes faster than it can be '
        'adopted')


def node_object(conf: cfg.ConfigOpts, which: zones.VirtualNode,
                architecture: str) -> dict:
    """Return the Node to create.

    :param architecture: of the cloud's hosts; '': not known or mixed
    """
    labels = _LABELS | {'kubernetes.io/hostname': which.name,
                        zones.GROUP: zones.label_value(conf.node.name)}
    if architecture:
        labels[_ARCHITECTURE] = architecture
    if conf.zun.region_name:
        labels[_REGION] = conf.zun.region_name
    metadata: dict = {'name': which.name}
    if which.zone:
        labels[_ZONE] = zones.label_value(which.zone)
        metadata['annotations'] = {zones.ZONE: which.zone}
    node: dict = {
        'apiVersion': 'v1', 'kind': 'Node',
        'metadata': metadata | {'labels': labels | conf.node.labels},
        'spec': {'providerID': provider_id(conf, which.name)},
    }
    if conf.node.taint:
        node['spec']['taints'] = [taint(conf.node.taint)]
    return node


def provider_id(conf: cfg.ConfigOpts, name: str) -> str:
    """Return ``zun-vk://<region>/<node>``.

    A scheme of its own: the OpenStack cloud-controller-manager deletes
    NotReady nodes whose ``openstack:///`` ID Nova does not know.
    """
    return f'zun-vk://{conf.zun.region_name or ""}/{name}'


def taint(text: str) -> dict:
    """Return the taint written as ``key=value:Effect``."""
    rest, _, effect = text.rpartition(':')
    key, _, value = rest.partition('=')
    result = {'key': key, 'effect': effect}
    if value:
        result['value'] = value
    return result


def adoption(found: dict, wanted: dict) -> dict | None:
    """Return the patch that makes ``found`` ours, None where it is.

    Taints are one value to Kubernetes: the whole list is written, and only
    if nobody changed the node meanwhile.
    """
    metadata: dict = {}
    spec: dict = {}
    for part in ('labels', 'annotations'):
        missing = {
            key: value
            for key, value in (wanted['metadata'].get(part) or {}).items()
            if (found['metadata'].get(part) or {}).get(key) != value}
        if missing:
            metadata[part] = missing
    # Kubernetes: a providerID can be set once and never changed.
    if not found['spec'].get('providerID'):
        spec['providerID'] = wanted['spec']['providerID']
    taints = _with_ours(found['spec'].get('taints') or [],
                        wanted['spec'].get('taints') or [])
    if taints is not None:
        spec['taints'] = taints
        metadata['resourceVersion'] = found['metadata']['resourceVersion']
    if not metadata and not spec:
        return None
    return {'metadata': metadata, 'spec': spec}


def lacks_taint(found: dict, wanted: dict) -> bool:
    """Tell whether a taint of ours is missing."""
    return 'taints' in (adoption(found, wanted) or {}).get('spec', {})


def _without_taints(wanted: dict) -> dict:
    spec = {key: value for key, value in wanted['spec'].items()
            if key != 'taints'}
    return wanted | {'spec': spec}


def _with_ours(present: list[dict], ours: list[dict]) -> list[dict] | None:
    def key(one: dict) -> tuple:
        return one['key'], one['effect']

    have = {key(one): one.get('value') for one in present}
    if all(have.get(key(one), '') == one.get('value') for one in ours):
        return None
    wanted = {key(one) for one in ours}
    return [one for one in present if key(one) not in wanted] + ours


def static_status(conf: cfg.ConfigOpts, name: str, server_version: str,
                  architecture: str, kubelet_port: int = 0) -> dict:
    """Return the part of the node's status that seldom changes.

    :param name: of the node
    :param server_version: of the API server. Kubernetes: a kubelet must not
        be newer; this one follows it.
    :param kubelet_port: of the kubelet's API on our address, 0: not served
    """
    ours = version.version_string()
    return {
        'addresses': [
            {'type': 'InternalIP', 'address': conf.node.address},
            {'type': 'Hostname', 'address': name}],
        'daemonEndpoints': {'kubeletEndpoint': {'Port': kubelet_port}},
        'nodeInfo': {
            'machineID': '', 'systemUUID': '', 'bootID': '',
            'kernelVersion': '', 'kubeProxyVersion': '',
            'osImage': 'OpenStack Zun',
            'operatingSystem': 'linux',
            'architecture': architecture,
            'containerRuntimeVersion': f'zun://{ours}',
            'kubeletVersion': f'{server_version.split("+")[0]}-zun-vk-{ours}',
        },
    }
